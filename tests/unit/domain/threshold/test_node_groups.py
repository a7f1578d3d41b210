"""The room of owned nodes."""

from spillway.domain.threshold.node_groups import NodeGroup, dominant_cores


def test_the_pods_of_policies_in_recommend_leave_less() -> None:
    room = NodeGroup(count=1, cores=10.0, gib=20.0, watched_cores=4.0, watched_gib=25.0)

    assert room.without_watched() == NodeGroup(count=1, cores=6.0, gib=0.0)
    assert room.times(3) == NodeGroup(count=3, cores=10.0, gib=20.0, watched_cores=4.0, watched_gib=25.0)


def test_a_request_counts_by_the_scarcer_of_cores_and_memory() -> None:
    assert dominant_cores(2.0, 4.0, of_cores=16.0, of_memory=64.0) == 2.0
    assert dominant_cores(2.0, 16.0, of_cores=16.0, of_memory=64.0) == 4.0
    assert dominant_cores(2.0, 16.0, of_cores=16.0, of_memory=0.0) == 2.0, "the memory of no node is known"
