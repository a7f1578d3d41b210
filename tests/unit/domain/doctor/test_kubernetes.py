"""The version of the API server."""

import pytest
import yaml

from harness.chart import CHART, PROJECT
from localcluster import binaries
from spillway.domain.doctor.kubernetes import OLDEST, check_version


@pytest.mark.parametrize(
    ("major", "minor", "told"),
    [
        ("1", "37", None),
        ("1", "30", None),
        ("1", "30+", None),
        ("2", "0", None),
        ("1", "29", "version 1.29, and Spillway needs 1.30 or newer"),
        ("1", "29+", "version 1.29, and Spillway needs 1.30 or newer"),
        ("1", "9", "version 1.9, and Spillway needs 1.30 or newer"),
        ("", "", None),
    ],
)
def test_a_server_that_is_too_old_is_named_with_the_oldest_that_will_do(
    major: str, minor: str, told: str | None
) -> None:
    found = list(check_version({"major": major, "minor": minor}))

    assert len(found) == (told is not None)
    assert all(told is not None and told in one.message for one in found)


def test_a_server_that_does_not_tell_its_version_is_believed() -> None:
    assert not list(check_version({}))


def test_the_oldest_supported_version_is_the_one_of_the_chart_and_of_the_tests() -> None:
    text = ".".join(map(str, OLDEST))

    assert yaml.safe_load((CHART / "Chart.yaml").read_text())["kubeVersion"] == f">={text}.0-0"
    assert text == binaries.OLDEST
    for page in ("README.md", "docs/how-to/install.md", "docs/how-to/local-cluster.md"):
        assert f"Kubernetes {text}" in (PROJECT / page).read_text(), page
