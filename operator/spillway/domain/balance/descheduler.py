"""Detection of another descheduler in the cluster: two of them would move the same pods back and forth.

Contract: pure. It is recognised by the labels that its manifests and its chart give to its pods, whether it runs as a
Deployment or as a Job.
"""

from typing import Final

from spillway.domain.model.selectors import Labels

_KEYS: Final = ("app.kubernetes.io/name", "k8s-app", "app")
_NAME: Final = "descheduler"


def is_descheduler(labels: Labels) -> bool:
    """Whether pods with these labels are a descheduler."""
    return any(labels.get(key) == _NAME for key in _KEYS)
