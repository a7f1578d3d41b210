"""How kube-scheduler preempts in clusters whose tests preempt several pods of one node at once."""

from localcluster import binaries

_FIRST = (1, 32)
"""The first minor version with the feature gate."""


def synchronous() -> tuple[str, ...]:
    """Flags of kube-scheduler: without them one of several pods that preempt at once may stay pending.

    It does so until the next pod on a node is deleted, or for five minutes (kubernetes#141694), and these clusters
    have no other pods that end.
    """
    major, minor = binaries.chosen_release().split(".")[:2]
    return ("--feature-gates=SchedulerAsyncPreemption=false",) if (int(major), int(minor)) >= _FIRST else ()
