"""The serving certificate in use and its trust, from a Secret or from files, replaced while connections stay open.

Contract: the server contexts live as long as the process. Loading a new pair changes what the next handshake shows and
affects no open connection. A pair that does not match is refused and the old one stays. Replicas show each other the
serving certificate in both directions; a client without a trusted one gets no connection.
"""

import asyncio
import os
import ssl
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import structlog
from cryptography import x509

from spillway.telemetry import admission as metrics

log: Final = structlog.get_logger(__name__)


class ServingTls:
    """TLS contexts whose certificate can be replaced at any time.

    `client_authorities` are PEM certificates: if given, the API server must show a certificate signed by them.
    """

    def __init__(self, *, client_authorities: str = "") -> None:
        self.context = _server_context()
        """The context for the API server."""
        if client_authorities:
            self.context.load_verify_locations(cadata=client_authorities)
            self.context.verify_mode = ssl.CERT_REQUIRED
        self.peer_context = _server_context()
        """The context for other replicas. Trust is added and never removed before the process ends."""
        self.peer_context.verify_mode = ssl.CERT_REQUIRED
        self.peer_context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        self.front_context = _server_context()
        """The context for kube-apiserver as the front of the aggregated API. It asks for a client certificate, and
        takes a caller without one, who has to show a token."""
        self.front_context.verify_mode = ssl.CERT_OPTIONAL
        self.scheduler_context = _server_context()
        """The context for kube-scheduler, which must show a client certificate."""
        self.scheduler_context.verify_mode = ssl.CERT_REQUIRED
        self._loaded: tuple[bytes, bytes] | None = None
        self._trusted = b""
        self.peers: ssl.SSLContext | None = None
        """The context for calls to other replicas: it trusts their serving certificate only. None until there is a
        certificate."""
        self.ready = asyncio.Event()

    @property
    def certificate(self) -> x509.Certificate | None:
        """The certificate that the next handshake shows."""
        return x509.load_pem_x509_certificate(self._loaded[0]) if self._loaded else None

    @property
    def pair(self) -> tuple[bytes, bytes]:
        """The certificate and its key that the next handshake shows, as PEM. Only once it is `ready`."""
        if self._loaded is None:
            raise RuntimeError("there is no serving certificate yet")
        return self._loaded

    def trust_front_proxy(self, authorities_pem: str) -> None:
        """Accept client certificates of these authorities from kube-apiserver; earlier ones stay trusted.

        Raises:
            ssl.SSLError: the text is not PEM.
        """
        self.front_context.load_verify_locations(cadata=authorities_pem)

    def trust_scheduler(self, authorities_pem: str) -> None:
        """Accept client certificates of these authorities from kube-scheduler; earlier ones stay trusted.

        Raises:
            ssl.SSLError: the text is not PEM.
        """
        self.scheduler_context.load_verify_locations(cadata=authorities_pem)

    def load(self, certificate_pem: bytes, key_pem: bytes, authorities_pem: bytes = b"") -> bool:
        """Serve with this pair from now on; False if it is already in use.

        Other replicas are trusted by these authorities; without them, if they serve the same certificate.

        Raises:
            ssl.SSLError: certificate and key do not match, or are not PEM; the old pair stays in use.
        """
        trusted = authorities_pem or certificate_pem
        if self._loaded == (certificate_pem, key_pem) and self._trusted == trusted:
            return False
        with _as_file(certificate_pem + b"\n" + key_pem) as path:
            # A trial on a context of its own: a failed load would leave the live ones with half a pair.
            # An empty password: an encrypted key must fail, not ask the terminal.
            calling = _calling_context(trusted)
            for context in (calling, self.context, self.peer_context, self.front_context, self.scheduler_context):
                context.load_cert_chain(path, password="")
        self.peer_context.load_verify_locations(cadata=trusted.decode())
        self.peers, self._trusted = calling, trusted
        if self._loaded == (certificate_pem, key_pem):
            return False
        self._loaded = (certificate_pem, key_pem)
        expiry = x509.load_pem_x509_certificate(certificate_pem).not_valid_after_utc
        metrics.CERTIFICATE_EXPIRY.set(expiry.timestamp())
        self.ready.set()
        return True


def _server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _calling_context(trusted_pem: bytes) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(cadata=trusted_pem.decode())
    return context


@contextmanager
def _as_file(content: bytes) -> Iterator[str]:
    """A path from which OpenSSL can read the bytes: in memory if possible, else a private temporary file."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("spillway-tls")
        try:
            os.write(descriptor, content)
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)
    else:
        with tempfile.NamedTemporaryFile() as file:
            file.write(content)
            file.flush()
            yield file.name


class CertificateFiles:
    """A pair of files that another component renews, such as cert-manager through a mounted Secret.

    `authority` is the file with the certificate's authorities, by which replicas trust each other while one of them
    already has the new certificate. Without it they trust the certificate itself. `key_loaded` is called with each
    private key that is in use from then on.
    """

    def __init__(
        self,
        certificate: Path,
        key: Path,
        tls: ServingTls,
        *,
        authority: Path | None = None,
        key_loaded: Callable[[bytes], None] = lambda _: None,
        poll_seconds: float = 5.0,
    ) -> None:
        self._certificate = certificate
        self._key = key
        self._authority = authority
        self._tls = tls
        self._key_loaded = key_loaded
        self._poll_seconds = poll_seconds
        self._stamp: tuple[int, ...] = ()

    def refresh(self) -> bool:
        """Load the files if they have changed; True if a new pair is in use.

        Raises:
            OSError: a file is missing.
            ssl.SSLError: the two do not fit (yet: they may be replaced one after the other).
        """
        authority = self._authority if self._authority is not None and self._authority.is_file() else None
        paths = (self._certificate, self._key, *(() if authority is None else (authority,)))
        stamp = tuple(part for path in paths for part in _stamp(path))
        if stamp == self._stamp:
            return False
        certificate = self._certificate.read_bytes()
        authorities = authority.read_bytes() if authority is not None else b""
        trusted = b"\n".join((authorities, certificate)) if authorities.strip() else b""
        key = self._key.read_bytes()
        changed = self._tls.load(certificate, key, trusted)
        self._key_loaded(key)
        self._stamp = stamp
        return changed

    async def run(self) -> None:
        """Keep the pair in use up to date until cancelled."""
        while True:
            try:
                if self.refresh():
                    log.info("serving certificate loaded", file=str(self._certificate))
            except (OSError, ssl.SSLError) as error:
                log.warning("serving certificate cannot be loaded", file=str(self._certificate), error=str(error))
            await asyncio.sleep(self._poll_seconds)


def _stamp(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_mtime_ns, status.st_size, status.st_ino
