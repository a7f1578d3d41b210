"""The beginning of an answer, which is known before the rest of it has arrived."""

import zlib
from collections.abc import Callable
from typing import Final

BEGINNING_BYTES: Final = 2048
"""Enough for the metadata of a list: names of objects have at most 253 characters."""
GZIP: Final = 16 + zlib.MAX_WBITS
"""The format that zlib is to read."""


class Beginning:
    """The first `BEGINNING_BYTES` of a body, unpacked: passed on once, as soon as they have arrived.

    Of a shorter body nothing is passed on.
    """

    def __init__(self, tell: Callable[[bytes], None], *, gzipped: bool) -> None:
        self._tell = tell
        self._unpack = zlib.decompressobj(GZIP) if gzipped else None
        self._bytes = b""

    def arrived(self, chunk: bytes) -> None:
        """Take the next part of the body, as it was sent.

        Raises:
            zlib.error: it is not gzip.
        """
        left = BEGINNING_BYTES - len(self._bytes)
        if left <= 0:
            return
        self._bytes += chunk[:left] if self._unpack is None else self._unpack.decompress(chunk, left)
        if len(self._bytes) == BEGINNING_BYTES:
            self._tell(self._bytes)
