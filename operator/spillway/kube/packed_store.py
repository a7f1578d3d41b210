"""Values that outlive a leader, in ConfigMaps of the operator's namespace.

Contract: a value is packed (JSON, gzip) and cut into ConfigMaps `spillway-thresholds-0` and so on, each below a MiB;
all of them carry the value's time, and a set that is not complete or not of one value is ignored. The thresholds of
2,000 workloads fit into one, and so do the load classes of 10,000.
"""

import asyncio
import base64
import gzip
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Final, Generic, TypeVar

import msgspec
import structlog

from spillway.kube import paths
from spillway.kube.errors import ApiError
from spillway.kube.protocols import ObjectWriter, Reader

log: Final = structlog.get_logger(__name__)

THRESHOLDS: Final = "spillway-thresholds-"
"""The prefix of the ConfigMaps of the last good plan of the thresholds."""
LOAD_CLASSES: Final = "spillway-load-classes-"
"""The prefix of those of the load classes."""
CHUNKS: Final = 8
"""The chart's Role grants access to this many of each."""
CHUNK_BYTES: Final = 700_000
"""Of packed data: base64 makes 933 kB of it, and an object may have 1 MiB."""
_MADE: Final = "made"
_PARTS: Final = "parts"
_DATA: Final = "plan.json.gz"
"""The key of the packed value, of whatever type; kept from the time when it was always a plan."""

T = TypeVar("T")


class DoesNotFitError(Exception):
    """The value does not fit into the ConfigMaps that the operator may write."""


class PackedStore(Generic[T]):
    """The store of one installation's value of a type, in ConfigMaps with a prefix."""

    def __init__(self, client: Reader, writer: ObjectWriter, namespace: str, prefix: str, kind: type[T]) -> None:
        self._client = client
        self._writer = writer
        self._prefix = prefix
        self._kind = kind
        self._paths = [_path(prefix, index, namespace) for index in range(CHUNKS)]
        self._written = 0

    async def load(self) -> T | None:
        """The last value; None where there is none that can be read.

        Raises:
            RequestError: the API server refused, or was not reached.
        """
        first = await self._get(0)
        if first is None:
            return None
        count = int(first.get("data", {}).get(_PARTS, "1"))
        parts = [first, *[await self._get(index) for index in range(1, min(count, CHUNKS))]]
        self._written = len(parts)
        return unpacked([part for part in parts if part is not None], self._kind)

    async def save(self, value: T, made: float) -> None:
        """Keep this value, made at this time.

        Raises:
            DoesNotFitError: it does not fit.
        """
        # Others may change the value meanwhile, so only its encoded form is compressed in a thread.
        encoded = msgspec.json.encode(value)
        bodies = await asyncio.to_thread(packed, encoded, self._prefix, made)
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


def packed(encoded: bytes, prefix: str, made: float, *, chunk_bytes: int = CHUNK_BYTES) -> list[dict[str, Any]]:
    """The ConfigMaps that hold a value, which is given as JSON.

    Raises:
        DoesNotFitError: it takes more than `CHUNKS`.
    """
    data = gzip.compress(encoded, mtime=0)
    chunks = [data[first : first + chunk_bytes] for first in range(0, len(data), chunk_bytes)]
    if len(chunks) > CHUNKS:
        raise DoesNotFitError(f"{prefix}*: {len(data)} bytes packed are too many")
    return [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": f"{prefix}{index}"},
            "data": {_MADE: f"{made:.3f}", _PARTS: str(len(chunks))},
            "binaryData": {_DATA: base64.b64encode(chunk).decode()},
        }
        for index, chunk in enumerate(chunks)
    ]


def unpacked(parts: Sequence[Mapping[str, Any]], kind: type[T]) -> T | None:
    """The value in these ConfigMaps; None if they are incomplete, not of one value, or of another version's form."""
    try:
        wanted = parts[0]["data"]
        if len(parts) != int(wanted[_PARTS]) or any(part["data"] != wanted for part in parts):
            log.warning("a kept value is not complete and is ignored", kind=kind.__name__)
            return None
        data = b"".join(base64.b64decode(part["binaryData"][_DATA]) for part in parts)
        return msgspec.json.decode(gzip.decompress(data), type=kind)
    except (KeyError, IndexError, ValueError, TypeError, OSError, EOFError, zlib.error, msgspec.DecodeError) as error:
        log.warning("a kept value cannot be read and is ignored", kind=kind.__name__, error=repr(error))
        return None


def kept_paths(namespace: str) -> list[str]:
    """The paths of all ConfigMaps that may hold kept values."""
    return [_path(prefix, index, namespace) for prefix in (THRESHOLDS, LOAD_CLASSES) for index in range(CHUNKS)]


def _path(prefix: str, index: int, namespace: str) -> str:
    return paths.CONFIG_MAPS.named(f"{prefix}{index}", namespace=namespace)
