"""Which pools are left out after refused pods, and for how long."""

import pytest

from spillway.domain.placement.refusals import (
    FIRST_SECONDS,
    LONGEST_SECONDS,
    MESSAGE_LENGTH,
    LostPod,
    PoolChanges,
    left_out,
    refused_anyway,
    responsible,
)

PLAIN = PoolChanges()
OVERLAY = PoolChanges(overlay=True)
BIGGER = PoolChanges(size="2000m-4096", larger=True)
PHYSICAL = LostPod(())
INVALID = 'Pod "web-1" is invalid: spec.dnsConfig.nameservers[0]: Invalid value: "dns.corp.example"'
LIMIT_RANGE = 'pods "web-1" is forbidden: maximum cpu usage per Container is 1, but limit is 2'
SECURITY = 'pods "web-1" is forbidden: violates PodSecurity "restricted:latest": restricted volume types'
WEBHOOK = 'admission webhook "policy.example" denied the request: no sidecars here'
QUOTA_PODS = 'pods "web-1" is forbidden: exceeded quota: q, requested: pods=1, used: pods=4, limited: pods=4'
QUOTA_CPU = (
    'pods "web-1" is forbidden: exceeded quota: q, requested: pods=1,requests.cpu=2, '
    "used: pods=4,requests.cpu=2, limited: pods=4,requests.cpu=3"
)


@pytest.mark.parametrize(
    ("message", "changes", "blamed"),
    [
        pytest.param(INVALID, OVERLAY, True, id="invalid with the overlay"),
        pytest.param(LIMIT_RANGE, BIGGER, True, id="a size beyond the LimitRange"),
        pytest.param(SECURITY, OVERLAY, True, id="a volume that the security level refuses"),
        pytest.param(WEBHOOK, OVERLAY, True, id="another webhook"),
        pytest.param(WEBHOOK, PLAIN, True, id="another webhook refuses tolerations"),
        pytest.param("", OVERLAY, True, id="nothing was said"),
        pytest.param(QUOTA_PODS, OVERLAY, False, id="no pod is allowed any more"),
        pytest.param(QUOTA_PODS, BIGGER, False, id="nor a smaller one"),
        pytest.param(QUOTA_CPU, BIGGER, True, id="a size that fills the quota"),
        pytest.param(QUOTA_CPU, OVERLAY, False, id="the pod's own size fills the quota"),
    ],
)
def test_a_pool_is_responsible_for_what_it_changed(message: str, changes: PoolChanges, *, blamed: bool) -> None:
    lost = [LostPod(("a", "b"), changes)]
    assert responsible(lost, message) == (dict.fromkeys(("a", "b"), changes) if blamed else {})
    assert not refused_anyway(lost)
    assert responsible([*lost, PHYSICAL], message) == {}, "a pod that no pool changed was refused as well"
    assert refused_anyway([*lost, PHYSICAL])


def test_each_failure_doubles_the_time() -> None:
    now, found, times = 1000.0, None, []
    for _ in range(8):
        found = left_out(found, OVERLAY, INVALID, now)
        times.append(found.until - now)
        now = found.until
    assert times[:3] == [FIRST_SECONDS, 2 * FIRST_SECONDS, 4 * FIRST_SECONDS]
    assert times[-1] == LONGEST_SECONDS


def test_a_burst_of_refusals_is_one_failure() -> None:
    first = left_out(None, OVERLAY, INVALID, 1000.0)
    again = left_out(first, OVERLAY, "", 1001.0)
    assert (again.failures, again.message) == (1, INVALID)


def test_the_reason_names_overlay_and_size_and_what_was_said() -> None:
    changes = PoolChanges(size="2000m-4096", overlay=True, larger=True)
    told = left_out(None, changes, "x" * 1000, 0.0)
    assert told.because.startswith("a pod with its podOverlay and size 2000m-4096 was refused by the API server: xxx")
    assert len(told.message) == MESSAGE_LENGTH + 1
    assert left_out(None, BIGGER, "", 0.0).because == "pods with size 2000m-4096 were not created"
    assert left_out(None, PLAIN, "", 0.0).because == "pods were not created"
