"""The controller of Argo Rollouts."""

from localcluster.core import Find
from localcluster.layout import ADMINS, Layout
from localcluster.processes import Process

NAME = "argo-rollouts"
ROLLOUTS = "/apis/argoproj.io/v1alpha1/rollouts"


def process(layout: Layout, find: Find) -> Process:
    """The controller, without leader election."""
    kubeconfig = layout.write_kubeconfig(NAME, "localcluster:argo-rollouts", (ADMINS,))
    return Process(
        NAME,
        [
            str(find(NAME)),
            f"--kubeconfig={kubeconfig}",
            f"--metricsPort={layout.ports.argo_rollouts_metrics}",
            f"--healthzPort={layout.ports.argo_rollouts_health}",
            "--leader-elect=false",
            "--loglevel=warn",
        ],
    )
