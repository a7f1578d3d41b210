"""The controller of the HorizontalPodAutoscalers that Spillway creates for classes with `hpa: Managed`.

Contract: one key. It follows the recommendations and the autoscalers, applies what differs, and deletes what no class
asks for any more, under the uid that it saw; also what an earlier leader left. In mode Recommend nothing is written,
and what was written before is deleted. The autoscalers of a policy that this version cannot read stay. Nothing happens
before both the recommendations and all autoscalers are known. A write that fails does not keep back the others, nor do
the workloads of one namespace, however many: namespaces take turns.
"""

from collections.abc import Iterable
from typing import ClassVar, Final

from spillway.controllers.base import Controller, Unsubscribe, World
from spillway.controllers.scaling.controller import ScalingController
from spillway.domain.model.turns import in_turns
from spillway.domain.scaling.autoscalers import AutoscalerRecord
from spillway.domain.scaling.managed import ManagedPlan, ManagedPlanner, ManagedWorkload, Wanted
from spillway.kube import paths
from spillway.kube.errors import FailedRequests, InvalidNameError
from spillway.kube.invalid_names import warn_once
from spillway.kube.protocols import ObjectWriter
from spillway.kube.slices import in_slices
from spillway.state.autoscalers import Autoscalers
from spillway.state.catalog import Kind
from spillway.state.signal import Signal

ALL: Final = "*"
CHANGED_SECONDS: Final = 0.2
WRITES_MAX: Final = 50
"""Writes of one pass, some five seconds; the next pass goes by the numbers of then."""


class ManagedAutoscalersController(Controller):
    """The controller of Spillway's own autoscalers."""

    name: ClassVar = "autoscalers"

    def __init__(
        self, world: World, writer: ObjectWriter, scaling: ScalingController, autoscalers: Autoscalers
    ) -> None:
        super().__init__(world)
        self._writer = writer
        self._scaling = scaling
        self._autoscalers = autoscalers
        self.plan = ManagedPlan((), (), {})
        """The last plan."""
        self._refused: set[tuple[str, str]] = set()
        """The (namespace, name) of those whose last write failed."""
        self.changed: Signal[()] = Signal("ManagedPlan")
        """Emitted when the workloads with an autoscaler of the user's have changed."""

    def subscribe(self) -> Iterable[Unsubscribe]:
        yield self._scaling.report_changed.subscribe(self._look_soon)
        yield self._autoscalers.changed.subscribe(self._look_soon)
        yield self.world.catalog.subscribe(self._look_soon)

    def all_keys(self) -> Iterable[str]:
        return [ALL]

    async def reconcile(self, key: str) -> float | None:  # noqa: ARG002 - there is one
        if not (self._scaling.report.complete and self._autoscalers.known):
            return None
        plan = await self._planned()
        told = plan.foreign != self.plan.foreign
        self.plan = plan
        if told:
            self.changed.emit()
        failed = FailedRequests()
        work: list[Wanted | AutoscalerRecord] = [*plan.apply, *plan.delete]
        # What failed in the last pass comes last.
        work.sort(key=lambda one: (one.namespace, one.name) in self._refused)
        for one in in_turns(work, lambda one: one.namespace)[:WRITES_MAX]:
            name = one.namespace, one.name
            with failed.collected():
                await (self._apply(one) if isinstance(one, Wanted) else self._delete(one))
                self._refused.discard(name)
                continue
            self._refused.add(name)
        self._refused &= {(one.namespace, one.name) for one in work}
        if len(work) > WRITES_MAX:
            self._look_soon()
        failed.raise_together("autoscalers not written")
        return None

    async def _planned(self) -> ManagedPlan:
        planner = ManagedPlanner(kept=self.world.catalog.unreadable(Kind.ELASTIC_POLICY))
        workloads, policies = self._scaling.report.workloads, self.world.governance.policies
        async for autoscaler in in_slices(list(self._autoscalers.all.values())):
            planner.present(autoscaler)
        async for one in in_slices(workloads.values()):
            policy = policies.get(one.claim.policy)
            if policy is not None and policy.spec.enforced and one.scaling.hpa == "Managed":
                planner.want(
                    ManagedWorkload(
                        one.owner, one.claim.policy, policy.metadata.uid, one.scaling, one.recommendation.replicas
                    )
                )
        return planner.plan()

    async def _apply(self, wanted: Wanted) -> None:
        try:
            path = paths.AUTOSCALERS.named(wanted.name, namespace=wanted.namespace)
        except InvalidNameError as error:
            warn_once(error)
            return
        await self._writer.apply(path, wanted.body)
        spec = wanted.body["spec"]
        self.log.info(
            "autoscaler applied",
            key=f"{wanted.namespace}/{wanted.name}",
            least=spec["minReplicas"],
            most=spec["maxReplicas"],
        )

    async def _delete(self, one: AutoscalerRecord) -> None:
        path = paths.AUTOSCALERS.named(one.name, namespace=one.namespace)
        if await self._writer.delete(paths.AUTOSCALERS.plural, path, uid=one.uid):
            self.log.info("autoscaler deleted", key=one.key, policy=one.policy)

    def _look_soon(self) -> None:
        self.queue.add_after(ALL, CHANGED_SECONDS)
