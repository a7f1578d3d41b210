"""The beginning of an answer, in whatever parts the answer arrives."""

import gzip
import zlib

import pytest

from spillway.kube.beginning import BEGINNING_BYTES, Beginning

BODY = bytes(range(256)) * 64


@pytest.mark.parametrize("gzipped", [True, False], ids=["gzip", "plain"])
@pytest.mark.parametrize("size", [1, 100, BEGINNING_BYTES, 100_000])
def test_it_is_told_once(size: int, *, gzipped: bool) -> None:
    told: list[bytes] = []
    beginning = Beginning(told.append, gzipped=gzipped)
    sent = gzip.compress(BODY) if gzipped else BODY
    for start in range(0, len(sent), size):
        beginning.arrived(sent[start : start + size])
    assert told == [BODY[:BEGINNING_BYTES]]


def test_it_is_told_before_the_rest_has_arrived() -> None:
    told: list[bytes] = []
    pack = zlib.compressobj(1, wbits=31)
    Beginning(told.append, gzipped=True).arrived(pack.compress(BODY) + pack.flush(zlib.Z_SYNC_FLUSH))
    assert told == [BODY[:BEGINNING_BYTES]]


def test_of_a_short_answer_there_is_none() -> None:
    told: list[bytes] = []
    Beginning(told.append, gzipped=False).arrived(BODY[: BEGINNING_BYTES - 1])
    assert told == []


def test_what_is_not_gzip_is_an_error() -> None:
    told: list[bytes] = []
    with pytest.raises(zlib.error):
        Beginning(told.append, gzipped=True).arrived(BODY)
    assert told == []
