"""The reading of Spillway's resources and of the operator's Lease, for commands that show statuses."""

import asyncio
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, TypeVar

from pydantic import ValidationError

from spillway.api import ElasticPolicy, VirtualNodeBudget, ZonalBalance
from spillway.cli.live import NotFoundError
from spillway.domain.overview.plans import (
    HeadroomPlan,
    MovesPlan,
    ScalingPlan,
    headroom_plan,
    moves_plan,
    scaling_plan,
)
from spillway.domain.overview.status import OperatorState, Overview, operator_state, overview
from spillway.kube import paths
from spillway.kube.client import KubeClient
from spillway.kube.errors import ApiError

Kind = TypeVar("Kind", ElasticPolicy, VirtualNodeBudget, ZonalBalance)


async def read_overview(client: KubeClient, *, namespace: str, lease: str) -> Overview:
    """The overview of the cluster; the operator's Lease is read in its namespace.

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
    return overview(policies, budgets, balances, operator=operator, cluster=client.credentials.target, now=now)


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
