"""The reading behind `spillway simulate`: the proposed resources, checked by the API server, and the current ones."""

import asyncio
import sys
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import msgspec
import yaml
from pydantic import ValidationError

from spillway.api import ElasticPolicy, VirtualNodeBudget, ZonalBalance
from spillway.app.errors import NotFoundError
from spillway.app.explain.answering import next_template
from spillway.app.explain.snapshot import Snapshot
from spillway.app.explain.workloads import NextTemplate
from spillway.app.history import read_from_history
from spillway.app.proposal.compare import Comparison, Proposed, auto_classes
from spillway.app.proposal.moves import ProposedMovesPlanner
from spillway.cli.planning import Source, planned, present_request
from spillway.cli.reading import read_state
from spillway.cli.worlds import read_resources, world_of
from spillway.domain.doctor.findings import Check, Finding
from spillway.domain.overview.attention import Severity
from spillway.domain.proposal.answers import Proposal
from spillway.domain.threshold.request import Plan
from spillway.kube import paths
from spillway.kube.client import APPLY_PATCH, KubeClient
from spillway.kube.errors import ApiError
from spillway.state.catalog import Kind, Raw
from spillway.state.world import World

FIELD_MANAGER: Final = "kubectl-spillway"
_MODELS: Final = {one.__name__: one for one in (ElasticPolicy, VirtualNodeBudget, ZonalBalance)}
_API_VERSION: Final = "spillway.dev/v1alpha1"
_METADATA: Final = ("name", "labels", "annotations")
_TEMPLATES: Final = 30
"""The largest workloads, whose next pod is placed."""
_CONCURRENT: Final = 8
_ERRORS: Final = 5


class InvalidProposalError(NotFoundError):
    """A proposed resource is not valid."""


def documents_in(file: Path) -> Sequence[dict[str, Any]]:
    """The resources of a YAML file; `-` is stdin.

    Raises:
        ValueError: the file cannot be read, or holds something else.
    """
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
        found = [one for one in yaml.safe_load_all(text) if one is not None]
    except OSError as error:
        raise ValueError(f"{file} cannot be read: {error.strerror or error}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{file} is not YAML: {error}") from error
    if not found:
        raise ValueError(f"{file} has no resource")
    seen: set[tuple[str, str]] = set()
    for number, one in enumerate(found, start=1):
        metadata = one.get("metadata") if isinstance(one, dict) else None
        if not isinstance(metadata, dict) or not metadata.get("name"):
            raise ValueError(f"{file}, document {number}: metadata.name: required")
        if one.get("apiVersion") != _API_VERSION or one.get("kind") not in _MODELS:
            raise ValueError(
                f"{file}, document {number}: kind: must be {', '.join(_MODELS)} of apiVersion {_API_VERSION}, "
                f"not {one.get('kind')} of {one.get('apiVersion')}"
            )
        key = (one["kind"], str(metadata["name"]))
        if key in seen:
            raise ValueError(f"{file}, document {number}: {key[0]}/{key[1]} occurs twice")
        seen.add(key)
    return [_as_applied(one) for one in found]


def _as_applied(document: dict[str, Any]) -> dict[str, Any]:
    """A resource without what the API server adds, so that the output of `kubectl get -o yaml` can be edited."""
    metadata = {key: document["metadata"][key] for key in _METADATA if document["metadata"].get(key)}
    return {**{key: value for key, value in document.items() if key != "status"}, "metadata": metadata}


async def simulated(
    client: KubeClient, documents: Sequence[dict[str, Any]], source: Source | None, *, own_namespace: str
) -> Proposal:
    """What these resources would change.

    Raises:
        RequestError: the cluster cannot be read.
        InvalidProposalError: a resource is not valid.
        UnreadableError: the history cannot be read.
    """
    present = await read_resources(client)
    checked = [await _checked(client, one) for one in documents]
    raws = [raw for raw, _ in checked]
    state = await read_state(client)
    now = Snapshot.of(world_of(state, present, own_namespace=own_namespace))
    world = world_of(state, _with(present, raws), own_namespace=own_namespace)
    after = Snapshot.of(world)
    proposed = _proposed(raws, present)
    notes = [note for _, note in checked if note is not None]
    plan = None
    if source is not None:
        plan = await _plan(world, source)
        known = {one.workload: one.threshold for one in plan.workloads if one.threshold is not None}
        world.board.set_thresholds(known)
    elif auto_classes(after, proposed.policies):
        notes.append(
            Finding(
                Severity.INFO,
                Check.CONDITIONS,
                "ElasticPolicy",
                "thresholds of mode Auto are not planned here: workloads without a threshold yet keep all replicas on "
                "physical nodes",
                "Give the history of demand with --prometheus-url or --csv.",
            )
        )
    comparison = Comparison(now, after, proposed)
    templates = await _templates(client, after, comparison)
    found = comparison.proposal(client.credentials.target, templates, plan)
    prometheus = None if source is None else source.prometheus
    moves = await ProposedMovesPlanner(client, world, prometheus).plans(proposed.balances)
    return msgspec.structs.replace(found, moves=moves, risks=(*found.risks, *notes))


async def _checked(client: KubeClient, document: dict[str, Any]) -> tuple[Raw, Finding | None]:
    """A resource as the API server would store it, and a note if it could not check it."""
    kind, name = document["kind"], str(document["metadata"]["name"])
    about = f"{kind}/{name}"
    try:
        _MODELS[kind].model_validate(document)
    except ValidationError as error:
        said = "; ".join(
            f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors(include_url=False)[:_ERRORS]
        )
        raise InvalidProposalError(f"{about}: {said}") from None
    path = paths.of_spillway(_MODELS[kind].plural).named(name, field=f"{about}: metadata.name")
    params = {"fieldManager": FIELD_MANAGER, "dryRun": "All", "fieldValidation": "Strict", "force": "true"}
    try:
        answer = await client.request("PATCH", path, params=params, body=document, content_type=APPLY_PATCH)
    except ApiError as error:
        if error.status in {HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.BAD_REQUEST, HTTPStatus.CONFLICT}:
            raise InvalidProposalError(f"{about}: {error.message}") from None
        if error.status != HTTPStatus.FORBIDDEN:
            raise
        note = Finding(
            Severity.INFO,
            Check.CONDITIONS,
            about,
            "the API server did not check it, because you may not patch it; only its schema was checked",
            "Run the command as a user who may apply it.",
        )
        return document, note
    raw: Raw = msgspec.json.decode(answer)
    return raw, None


def _with(present: Mapping[Kind, Sequence[Raw]], raws: Sequence[Raw]) -> Mapping[Kind, Sequence[Raw]]:
    """The current resources with the proposed ones in the place of those of the same name."""
    proposed = {(Kind(raw["kind"]), raw["metadata"]["name"]): raw for raw in raws}
    return {
        kind: [
            *(one for one in present[kind] if (kind, one["metadata"]["name"]) not in proposed),
            *(raw for (of, _), raw in proposed.items() if of is kind),
        ]
        for kind in Kind
    }


def _proposed(raws: Sequence[Raw], present: Mapping[Kind, Sequence[Raw]]) -> Proposed:
    def named(kind: Kind) -> frozenset[str]:
        return frozenset(raw["metadata"]["name"] for raw in raws if raw["kind"] == kind)

    there = {f"{kind}/{one['metadata']['name']}" for kind, found in present.items() for one in found}
    names = {f"{raw['kind']}/{raw['metadata']['name']}" for raw in raws}
    return Proposed(
        named(Kind.ELASTIC_POLICY),
        named(Kind.VIRTUAL_NODE_BUDGET),
        named(Kind.ZONAL_BALANCE),
        frozenset(there & names),
    )


async def _plan(world: World, source: Source) -> Plan:
    with read_from_history("the history"):
        return await planned(await present_request(world), source)


async def _templates(client: KubeClient, after: Snapshot, comparison: Comparison) -> Mapping[str, NextTemplate]:
    slots = asyncio.Semaphore(_CONCURRENT)

    async def read(key: str) -> tuple[str, NextTemplate | None]:
        async with slots:
            return key, await next_template(client, after, comparison.workloads[key][0])

    found = await asyncio.gather(*map(read, comparison.governed()[:_TEMPLATES]))
    return {key: template for key, template in found if template is not None}
