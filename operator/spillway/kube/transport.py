"""The errors of the transport below a request to the API server, as one of `spillway.kube.errors`."""

import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp
import msgspec

from spillway.kube.errors import UnreachableError


@contextmanager
def transport_errors() -> Iterator[None]:
    """Raise `UnreachableError` for what aiohttp, the socket, a timeout, zlib or the JSON decoder raises."""
    try:
        yield
    except (aiohttp.ClientError, OSError, zlib.error, msgspec.DecodeError) as error:  # a TimeoutError is an OSError
        raise UnreachableError.caused_by(error) from error
