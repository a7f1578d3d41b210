"""A reader of the API server's audit log: who wrote what, what was evicted, and by whom each pod was deleted.

Contract: counts requests that the server accepted; a refused one counts as `refused` only. Reads are not in the log.
Reviews (who sends a request, and whether it is allowed) are not counted: the server answers them and stores nothing.
The server renames the log when it has grown large and begins another: nothing is lost as long as `read` is called in
between.
"""

import os
from collections import defaultdict
from pathlib import Path
from typing import BinaryIO

import msgspec

from demo.attribution import written_for
from demo.contenders import Contender, contender_of
from demo.measure import Writes

_OK_BELOW = 300
_CHUNK_BYTES = 8 << 20
_REVIEWS = frozenset({"tokenreviews", "subjectaccessreviews"})


class _Ref(msgspec.Struct):
    resource: str = ""
    namespace: str = ""
    name: str = ""
    subresource: str = ""


class _User(msgspec.Struct):
    username: str = ""


class _Status(msgspec.Struct):
    code: int = 0


class _Entry(msgspec.Struct):
    verb: str = ""
    stage: str = ""
    user: _User = msgspec.field(default_factory=_User)
    objectRef: _Ref | None = None  # noqa: N815 - Kubernetes' name
    responseStatus: _Status | None = None  # noqa: N815 - Kubernetes' name


class AuditLog:
    """`read` takes in what was appended since the last call."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._rest = b""
        self._decoder = msgspec.json.Decoder(_Entry)
        self._writes: dict[tuple[str, Contender | None], Writes] = defaultdict(Writes)
        """By the name of the user and the contender; None for what serves all contenders."""
        self.evictions: dict[Contender, int] = dict.fromkeys(Contender, 0)
        self.deleted_by: dict[tuple[str, str], str] = {}
        """(namespace, pod) to the user that deleted it last, of the contenders' pods."""

    def read(self) -> int:
        """The number of entries taken in."""
        count = 0
        while True:
            # Asked before reading: what is written to the old file after that is found on the next call.
            renamed = self._file is not None and not self._is_current(self._file)
            if self._file is None:
                if not self._path.exists():
                    return count
                self._file = self._path.open("rb")
            count += self._read_on(self._file)
            if not renamed:
                return count
            self.close()

    def writes(self, user: str, contender: Contender) -> Writes:
        """What a user has written for a contender so far, with what the user wrote for all of them."""
        return self._writes[user, contender] + self._writes[user, None]

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _is_current(self, file: BinaryIO) -> bool:
        try:
            return os.path.samestat(os.fstat(file.fileno()), self._path.stat())
        except FileNotFoundError:
            return True

    def _read_on(self, file: BinaryIO) -> int:
        count = 0
        while chunk := file.read(_CHUNK_BYTES):
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            for line in lines:
                if line:
                    self._take(self._decoder.decode(line))
                    count += 1
        return count

    def _take(self, entry: _Entry) -> None:
        ref = entry.objectRef
        if entry.stage != "ResponseComplete" or ref is None:
            return
        writes = self._writes[entry.user.username, written_for(ref.resource, ref.namespace, ref.name)]
        if entry.responseStatus is None or entry.responseStatus.code >= _OK_BELOW:
            writes.refused += 1
            return
        if ref.resource in _REVIEWS:
            return
        resource = f"{ref.resource}/{ref.subresource}" if ref.subresource else ref.resource
        writes.by_resource[resource] += 1
        contender = contender_of(ref.namespace)
        if contender is None or ref.resource != "pods":
            return
        if ref.subresource == "eviction":
            self.evictions[contender] += 1
        elif entry.verb == "delete" and not ref.subresource:
            self.deleted_by[ref.namespace, ref.name] = entry.user.username
