"""The controller of Argo Rollouts, with its kinds."""

from typing import Any

import yaml

from localcluster import binaries
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


def custom_resource_definitions() -> list[dict[str, Any]]:
    """Rollouts, experiments and analyses, as shipped in the Go module."""
    files = sorted(binaries.share_dir(NAME).glob("*.yaml"))
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return [yaml.load(file.read_text(), loader) for file in files]  # noqa: S506  both loaders are safe
