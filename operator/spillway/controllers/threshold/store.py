"""The store of the last good plan, in ConfigMaps of the operator's namespace, so that a new leader starts with it.

Contract: a plan is packed (JSON, gzip) and cut into ConfigMaps `spillway-thresholds-0` and so on, each below a MiB; all
of them carry the plan's time, and a set that is not complete or not of one plan is ignored. 2,000 workloads fit into
one.
"""

import base64
import gzip
import zlib
from collections.abc import Mapping
from typing import Any, Final

import msgspec
import structlog

from spillway.domain.threshold.request import Plan
from spillway.kube import paths
from spillway.kube.errors import ApiError
from spillway.kube.protocols import ObjectWriter, Reader

log: Final = structlog.get_logger(__name__)

CHUNKS: Final = 8
"""The chart's Role grants access to this many."""
CHUNK_BYTES: Final = 700_000
"""Of packed data: base64 makes 933 kB of it, and an object may have 1 MiB."""
_MADE: Final = "made"
_PARTS: Final = "parts"
_DATA: Final = "plan.json.gz"


class PlanTooLargeError(Exception):
    """The plan does not fit into the ConfigMaps that the operator may write."""


class PlanStore:
    """The store of one installation's plan."""

    def __init__(self, client: Reader, writer: ObjectWriter, namespace: str) -> None:
        self._client = client
        self._writer = writer
        self._paths = paths_in(namespace)
        self._written = 0

    async def load(self) -> Plan | None:
        """The last plan; None where there is none that can be read.

        Raises:
            RequestError: the API server refused, or was not reached.
        """
        first = await self._get(0)
        if first is None:
            return None
        count = int(first.get("data", {}).get(_PARTS, "1"))
        parts = [first, *[await self._get(index) for index in range(1, min(count, CHUNKS))]]
        self._written = len(parts)
        return unpacked([part for part in parts if part is not None])

    async def save(self, plan: Plan) -> None:
        """Keep this plan.

        Raises:
            PlanTooLargeError: it does not fit.
        """
        bodies = packed(plan)
        for index, body in enumerate(bodies):
            await self._writer.apply(self._paths[index], body)
        for index in range(len(bodies), self._written):
            await self._writer.delete("configmaps", self._paths[index])
        self._written = len(bodies)

    async def _get(self, index: int) -> Mapping[str, Any] | None:
        try:
            found: Mapping[str, Any] = await self._client.get_json(self._paths[index])
        except ApiError as error:
            if error.not_found:
                return None
            raise
        return found


def packed(plan: Plan, *, chunk_bytes: int = CHUNK_BYTES) -> list[dict[str, Any]]:
    """The ConfigMaps that hold the plan.

    Raises:
        PlanTooLargeError: it takes more than `CHUNKS`.
    """
    data = gzip.compress(msgspec.json.encode(plan), mtime=0)
    chunks = [data[first : first + chunk_bytes] for first in range(0, len(data), chunk_bytes)]
    if len(chunks) > CHUNKS:
        raise PlanTooLargeError(f"a plan of {len(plan.workloads)} workloads takes {len(data)} bytes packed")
    return [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name_of(index)},
            "data": {_MADE: f"{plan.made:.3f}", _PARTS: str(len(chunks))},
            "binaryData": {_DATA: base64.b64encode(chunk).decode()},
        }
        for index, chunk in enumerate(chunks)
    ]


def unpacked(parts: list[Mapping[str, Any]]) -> Plan | None:
    """The plan in these ConfigMaps; None if they are incomplete, not of one plan, or of another version's form."""
    try:
        wanted = parts[0]["data"]
        if len(parts) != int(wanted[_PARTS]) or any(part["data"] != wanted for part in parts):
            log.warning("the kept plan of the thresholds is not complete and is ignored")
            return None
        data = b"".join(base64.b64decode(part["binaryData"][_DATA]) for part in parts)
        return msgspec.json.decode(gzip.decompress(data), type=Plan)
    except (KeyError, IndexError, ValueError, TypeError, OSError, EOFError, zlib.error, msgspec.DecodeError) as error:
        log.warning("the kept plan of the thresholds cannot be read and is ignored", error=repr(error))
        return None


def name_of(index: int) -> str:
    """The name of the ConfigMap with this part of a plan."""
    return f"spillway-thresholds-{index}"


def paths_in(namespace: str) -> list[str]:
    """The paths of the ConfigMaps that may hold parts of a plan."""
    return [paths.CONFIG_MAPS.named(name_of(index), namespace=namespace) for index in range(CHUNKS)]
