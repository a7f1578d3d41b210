"""Whether the webhook for pods answered."""

import pytest

from spillway.domain.doctor.probe import Probe, check_answers, check_excluded, probe_pod

PROBE = Probe("shop", "online", "default")
ANSWERED = {"metadata": {"annotations": {"spillway.dev/placement": "virtual"}}}
SILENT: dict[str, object] = {"metadata": {}}


@pytest.mark.parametrize(
    ("pods", "told"),
    [
        ([ANSWERED] * 3, None),
        ([ANSWERED, SILENT, ANSWERED], ("warning", "only 2 of 3 pods")),
        ([SILENT] * 3, ("error", "none of 3 pods")),
    ],
)
def test_answers(pods: list[dict[str, object]], told: tuple[str, str] | None) -> None:
    found = [(one.severity.value, one.message) for one in check_answers(PROBE, pods)]
    assert len(found) == (told is not None)
    if told is not None:
        [(severity, message)] = found
        assert severity == told[0]
        assert message.startswith(told[1])
        assert "namespace shop (policy online, class default)" in message


def test_the_pod_is_of_the_class_and_of_no_known_owner() -> None:
    assert not probe_pod()["metadata"]["labels"]
    metadata = probe_pod(PROBE.workload_class)["metadata"]
    assert metadata["labels"] == {"spillway.dev/class": "default"}
    [owner] = metadata["ownerReferences"]
    assert owner["controller"]
    assert "name" not in metadata


def test_a_policy_with_workloads_in_many_excluded_namespaces_is_told_in_a_few_words() -> None:
    [finding] = check_excluded({"online": [f"team-{index:04}" for index in range(3000)]})

    assert "team-0009 and 2990 more; their new pods" in finding.message
    assert "team-0010" not in finding.message
