"""The reading of Spillway's resources and of the operator's Lease, for commands and pages that show statuses."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, TypeVar

from pydantic import ValidationError

from spillway.api import ElasticPolicy, VirtualNodeBudget, ZonalBalance
from spillway.app.errors import NotFoundError
from spillway.domain.overview.plans import (
    HeadroomPlan,
    MovesPlan,
    ScalingPlan,
    headroom_plan,
    moves_plan,
    scaling_plan,
)
from spillway.domain.overview.status import OperatorState, Overview, SavedAmounts, operator_state, overview
from spillway.kube import paths
from spillway.kube.client import KubeClient
from spillway.kube.errors import ApiError
from spillway.sources.connection import Connection

Kind = TypeVar("Kind", ElasticPolicy, VirtualNodeBudget, ZonalBalance)


@dataclass(frozen=True, slots=True)
class Installed:
    """Spillway's resources, and the operator."""

    policies: Sequence[ElasticPolicy]
    budgets: Sequence[VirtualNodeBudget]
    balances: Sequence[ZonalBalance]
    operator: OperatorState
    cluster: str
    now: datetime

    def overview(self, saved: SavedAmounts | None = None) -> Overview:
        """The overview of them."""
        return overview(
            self.policies,
            self.budgets,
            self.balances,
            operator=self.operator,
            cluster=self.cluster,
            now=self.now,
            saved=saved,
        )


async def read_installed(client: KubeClient, *, namespace: str, lease: str) -> Installed:
    """Spillway's resources; the operator's Lease is read in its namespace.

    Raises:
        RequestError: the API server refuses a list, or cannot be reached.
        NotFoundError: Spillway's kinds are not installed.
    """
    now = datetime.now(UTC)
    policies, budgets, balances, operator = await asyncio.gather(
        resources(client, ElasticPolicy),
        resources(client, VirtualNodeBudget),
        resources(client, ZonalBalance),
        read_operator(client, namespace=namespace, lease=lease, now=now),
    )
    return Installed(policies, budgets, balances, operator, client.credentials.target, now)


async def read_overview(
    client: KubeClient, *, namespace: str, lease: str, prometheus: Connection | None = None
) -> Overview:
    """The overview of the cluster, with what was saved if there is a Prometheus.

    Raises:
        RequestError: the API server refuses a list, or cannot be reached.
        NotFoundError: Spillway's kinds are not installed.
        UnreadableError: Prometheus does not answer.
    """
    found = await read_installed(client, namespace=namespace, lease=lease)
    return found.overview(None if prometheus is None else await _saved(prometheus, found.now))


async def _saved(connection: Connection, now: datetime) -> SavedAmounts:
    from spillway.app.history import read_from_history  # noqa: PLC0415  # `status` without Prometheus need not wait
    from spillway.sources.api_client import ApiClient  # noqa: PLC0415
    from spillway.sources.prometheus_history import saved  # noqa: PLC0415

    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    at = now.timestamp()
    with read_from_history("what was saved"):
        async with ApiClient(connection) as client:
            today = await saved(client, now=at, seconds=at - midnight.timestamp())
            month = await saved(client, now=at, seconds=at - midnight.replace(day=1).timestamp())
    return SavedAmounts(today, month)


async def read_plan(client: KubeClient, what: str) -> ScalingPlan | HeadroomPlan | MovesPlan:
    """The plan in the statuses: `scaling`, `headroom` or `moves`.

    Raises:
        RequestError: the API server refuses a list, or cannot be reached.
        NotFoundError: Spillway's kinds are not installed.
    """
    policies = await resources(client, ElasticPolicy)
    if what == "scaling":
        return scaling_plan(policies)
    if what == "headroom":
        return headroom_plan(policies)
    return moves_plan(policies, await resources(client, ZonalBalance))


async def resources(client: KubeClient, kind: type[Kind]) -> list[Kind]:
    """Every resource of one of Spillway's kinds that can be parsed.

    Raises:
        RequestError: the API server refuses the list, or cannot be reached.
        NotFoundError: the kind is not installed.
    """
    try:
        page = await client.get_json(paths.of_spillway(kind.plural).everywhere)
    except ApiError as error:
        if error.not_found:
            raise NotFoundError(
                f"the kind {kind.__name__} is not installed in this cluster: install Spillway"
            ) from None
        raise
    return [one for raw in page.get("items") or () if (one := _parsed(kind, raw)) is not None]


async def read_operator(client: KubeClient, *, namespace: str, lease: str, now: datetime) -> OperatorState:
    """The operator by its Lease; one that may not be read is unknown, and no problem.

    Raises:
        RequestError: the API server cannot be reached.
    """
    try:
        found = await client.get_json(paths.LEASES.named(lease, namespace=namespace, field="--lease-name"))
    except ApiError as error:
        if error.not_found:
            return operator_state(None, now)
        if error.status == HTTPStatus.FORBIDDEN:
            return OperatorState(None, None, None, None)
        raise
    return operator_state(found, now)


def _parsed(kind: type[Kind], raw: Any) -> Kind | None:  # noqa: ANN401 - JSON is anything
    """The resource; without its status if only that cannot be parsed, and None if the spec cannot."""
    for form in (raw, {**raw, "status": {}}):
        try:
            return kind.model_validate(form)
        except ValidationError:
            continue
    return None
