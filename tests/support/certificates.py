"""Certificates of an authority of a test's own, as files."""

from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from spillway.admission.authority import Lifetimes, begin


class CertificateFiles(NamedTuple):
    """The files of one authority and of a certificate that it signed, for servers and clients."""

    ca: Path
    certificate: Path
    key: Path


def write_certificates(folder: Path, *names: str) -> CertificateFiles:
    """Write `ca.crt`, `tls.crt` and `tls.key` for these names; what is there is replaced."""
    material = begin(names, Lifetimes(), datetime.now(UTC))
    files = CertificateFiles(folder / "ca.crt", folder / "tls.crt", folder / "tls.key")
    folder.mkdir(exist_ok=True)
    files.ca.write_bytes(material.bundle)
    files.certificate.write_bytes(material.serving_certificate)
    files.key.write_bytes(material.serving_key)
    return files
