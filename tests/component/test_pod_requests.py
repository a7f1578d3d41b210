"""The sums of requests beside the scheduler's own code, on random pods, also ones that are being resized in place."""

import json
import random
from typing import Any, Final

import msgspec

from spillway.domain.fit.requests import requested
from spillway.kube import decode
from tests.support.go_tools import ask, needs_go

Object = dict[str, Any]

PODS: Final = 4_000
CPU: Final = ("250m", "500m", "1", "1500m")
MEMORY: Final = ("128Mi", "512Mi", "1Gi")


class Dice:
    """Random pods as the API server would show them; few distinct amounts, so that many are equal."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def amounts(self) -> Object:
        drawn = {"cpu": self.random.choice(CPU), "memory": self.random.choice(MEMORY)}
        return {name: amount for name, amount in drawn.items() if self.random.random() < 0.8}

    def container(self, name: str, *, may_stay: bool = False) -> Object:
        container: Object = {"name": name}
        if self.random.random() < 0.9:
            container["resources"] = {"requests": self.amounts()}
        if may_stay and self.random.random() < 0.5:
            container["restartPolicy"] = "Always"
        return container

    def status(self, container: Object) -> Object:
        """What a kubelet reports of a container: mostly what it requests, now and then what it had before."""
        status: Object = {"name": container["name"], "restartCount": 0}
        wanted = container.get("resources", {}).get("requests", {})
        if self.random.random() < 0.7:
            status["allocatedResources"] = wanted if self.random.random() < 0.6 else self.amounts()
        if self.random.random() < 0.7:
            status["resources"] = {"requests": wanted if self.random.random() < 0.6 else self.amounts()}
        return status

    def pod(self) -> Object:
        chance = self.random.random
        containers = [self.container(f"c{index}") for index in range(self.random.randint(1, 3))]
        init = [self.container(f"i{index}", may_stay=True) for index in range(self.random.randint(0, 3))]
        spec: Object = {"containers": containers, "initContainers": init}
        status: Object = {}
        if chance() < 0.2:
            spec["overhead"] = self.amounts()
        if chance() < 0.2:
            spec["resources"] = {"requests": self.amounts() | {"cpu": self.random.choice(CPU)}}
        if chance() < 0.7:
            status["containerStatuses"] = [self.status(one) for one in containers if chance() < 0.9]
            status["initContainerStatuses"] = [self.status(one) for one in init if chance() < 0.9]
        if chance() < 0.3:
            status["allocatedResources"] = self.amounts() | {"cpu": self.random.choice(CPU)}
            status["resources"] = {"requests": self.amounts() | {"cpu": self.random.choice(CPU)}}
        if status and chance() < 0.3:
            reason = self.random.choice(("Infeasible", "Deferred"))
            status["conditions"] = [{"type": "PodResizePending", "status": "True", "reason": reason}]
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "p", "uid": "u"},
            "spec": spec,
            "status": status,
        }


@needs_go("pod-requests")
def test_the_sums_agree_with_the_schedulers_own_code() -> None:
    dice = Dice(seed=20261128)
    pods = [dice.pod() for _ in range(PODS)]
    sums = [tuple(map(int, line.split())) for line in ask("pod-requests", pods)]
    new = 0
    for pod, wanted in zip(pods, sums, strict=True):
        record = decode.PODS.one(msgspec.json.encode(pod))
        assert (record.cpu_millis, record.memory_bytes) == wanted, json.dumps(pod)
        if not pod["status"]:
            spec = pod["spec"]
            assert (requested(spec, "cpu"), requested(spec, "memory")) == wanted, json.dumps(pod)
            new += 1
    assert new > PODS / 10
