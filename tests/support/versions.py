"""An upgrade from the version before by Helm, and back, under load.

The pods of both versions run as processes of this machine, each from its own checkout, in a rollout of the real
Deployment controller. So for a while replicas of both versions answer, and one leads the other.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import yaml

from harness.chart import CHART, IMAGE, run_helm
from harness.kubelet import SERVICE_SECONDS, Kubelet
from harness.scene import Scene
from localcluster import ClusterApi
from tests.support.installed import eventually
from tests.support.rolling import MANY, Rollout, load, webhook_calls

NAMESPACE: Final = "spillway-system"
NOW, BEFORE = "now", "before"
"""The tags of the images of both versions."""
ROLLOUT_SECONDS: Final = 150


def upgraded_and_back(
    cluster: ClusterApi, before: Path, *, check: Callable[[Scene], None] = lambda _: None
) -> tuple[Rollout, Rollout]:
    """Install the version before, upgrade to this one and roll back; `check` is called after each of the three.

    `before` is the folder with the checkout of that version.
    """

    def helm(*args: str) -> None:
        where = (f"--kubeconfig={cluster.kubeconfig}", f"--namespace={NAMESPACE}")
        waiting = ("--wait", f"--timeout={ROLLOUT_SECONDS}s")
        run_helm(*args, *where, *waiting, timeout_seconds=ROLLOUT_SECONDS + 30)

    with Kubelet(cluster, {BEFORE: before}) as kubelet, Scene(cluster) as scene:

        def under_load(version: str, *args: str) -> Rollout:
            calls = webhook_calls(cluster)
            with load(scene) as rounds:
                helm(*args)
                eventually(lambda: _versions(cluster) == [version, version], f"two replicas of {version} alone")
                meanwhile = rounds[0]
            check(scene)
            return Rollout(rounds[0], meanwhile, webhook_calls(cluster) - calls)

        values = kubelet.folder / "values.yaml"
        values.write_text(yaml.safe_dump({**kubelet.values, "image": {**IMAGE, "tag": BEFORE}}))
        helm("install", "spillway", str(before / "charts" / "spillway"), f"--values={values}", "--create-namespace")
        time.sleep(2 * SERVICE_SECONDS)  # until the Service leads to them
        scene.add_budget()
        scene.add_policy()
        scene.wait_enforced()
        scene.deploy("web", MANY)
        check(scene)
        upgraded = under_load(
            NOW, "upgrade", "spillway", str(CHART), "--reset-then-reuse-values", f"--set=image.tag={NOW}"
        )
        back = under_load(BEFORE, "rollback", "spillway")
        return upgraded, back


def _versions(cluster: ClusterApi) -> list[str]:
    """The tags of the operator's pods that are not being deleted."""
    pods: list[dict[str, Any]] = cluster.pods(NAMESPACE, "app.kubernetes.io/name=spillway")
    return [pod["spec"]["containers"][0]["image"].rpartition(":")[2] for pod in pods]
