import os
import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest

from spillway.admission.authority import Lifetimes, begin
from spillway.admission.tls import CertificateFiles, ServingTls


def _pair() -> tuple[bytes, bytes]:
    material = begin(("localhost",), Lifetimes(), datetime.now(UTC))
    return material.serving_certificate, material.serving_key


def test_a_pair_is_loaded_once() -> None:
    tls = ServingTls()
    certificate, key = _pair()
    assert tls.certificate is None
    assert tls.load(certificate, key)
    assert not tls.load(certificate, key)
    assert tls.ready.is_set()
    assert tls.certificate is not None


def test_a_pair_that_does_not_fit_leaves_the_old_one() -> None:
    tls = ServingTls()
    certificate, key = _pair()
    tls.load(certificate, key)
    served = tls.certificate
    other, _ = _pair()
    with pytest.raises(ssl.SSLError):
        tls.load(other, key)
    assert tls.certificate == served


def test_files_are_loaded_when_they_change(tmp_path: Path) -> None:
    tls, keys = ServingTls(), list[bytes]()
    files = CertificateFiles(tmp_path / "tls.crt", tmp_path / "tls.key", tls, key_loaded=keys.append)
    with pytest.raises(OSError, match=r"tls\.crt"):
        files.refresh()
    for _ in range(2):
        certificate, key = _pair()
        for name, content in (("tls.crt", certificate), ("tls.key", key)):
            # As a mounted Secret does it: a new file takes the old one's name.
            fresh = tmp_path / "fresh"
            fresh.write_bytes(content)
            os.replace(fresh, tmp_path / name)  # noqa: PTH105
        assert files.refresh()
        assert not files.refresh()
        assert keys[-1] == key
    assert len(keys) == 2


def test_a_half_replaced_pair_is_tried_again(tmp_path: Path) -> None:
    tls = ServingTls()
    files = CertificateFiles(tmp_path / "tls.crt", tmp_path / "tls.key", tls)
    certificate, key = _pair()
    (tmp_path / "tls.crt").write_bytes(certificate)
    (tmp_path / "tls.key").write_bytes(_pair()[1])
    with pytest.raises(ssl.SSLError):
        files.refresh()
    (tmp_path / "tls.key").write_bytes(key)
    assert files.refresh()
