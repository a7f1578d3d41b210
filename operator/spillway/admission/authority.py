"""The certificate authority of the installation, and when each certificate is renewed. Pure except for keys.

Rotation never breaks a call, because nothing is used before it is trusted everywhere. The time is passed in.

1. a new authority is *added* to the bundle while the serving certificate stays as it is; 2. once the bundle with it has
been in the webhook configurations for some time, a new serving certificate is signed; 3. an old authority leaves the
bundle when it expires.
"""

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CA_CERTIFICATE: Final = "ca.crt"
CA_KEY: Final = "ca.key"
SERVING_CERTIFICATE: Final = "tls.crt"
SERVING_KEY: Final = "tls.key"

_USAGES: Final = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)
"""Replicas show each other the serving certificate, whichever of them calls."""

BACKDATED: Final = timedelta(minutes=5)
"""The clocks of the API server's host and the operator's need not agree."""


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long certificates live; each is renewed when two thirds of its life have passed."""

    authority: timedelta = timedelta(days=3650)
    serving: timedelta = timedelta(days=90)
    overlap: timedelta = timedelta(seconds=30)
    """How long a new authority is in the bundle before a certificate signed by it is served."""


@dataclass(frozen=True, slots=True)
class Material:
    """The content of the Secret. `authorities` are PEM certificates, the one that signs now first."""

    authorities: tuple[bytes, ...]
    authority_key: bytes
    serving_certificate: bytes
    serving_key: bytes

    @property
    def bundle(self) -> bytes:
        """All authorities to trust: the content of `caBundle`."""
        return b"".join(self.authorities)

    def as_secret(self) -> dict[str, bytes]:
        return {
            CA_CERTIFICATE: self.bundle,
            CA_KEY: self.authority_key,
            SERVING_CERTIFICATE: self.serving_certificate,
            SERVING_KEY: self.serving_key,
        }

    @classmethod
    def from_secret(cls, data: Mapping[str, bytes]) -> "Material | None":
        """What a Secret's data says; None where it holds no authority that can sign (then a new one begins).

        The serving certificate may lack its key: `next_step` replaces it.
        """
        try:
            authorities = x509.load_pem_x509_certificates(data[CA_CERTIFICATE])
            if not _belong_together(authorities[0], data[CA_KEY]):
                return None
            x509.load_pem_x509_certificate(data[SERVING_CERTIFICATE])
            serialization.load_pem_private_key(data[SERVING_KEY], password=None)
        except (KeyError, ValueError, TypeError, UnsupportedAlgorithm):
            return None
        return cls(
            tuple(_pem(authority) for authority in authorities),
            data[CA_KEY],
            data[SERVING_CERTIFICATE],
            data[SERVING_KEY],
        )


def begin(names: Sequence[str], lifetimes: Lifetimes, now: datetime) -> Material:
    """The first authority and a serving certificate signed by it."""
    authority, authority_key = _new_authority(lifetimes.authority, now)
    certificate, key = _new_serving(authority, authority_key, names, lifetimes.serving, now)
    return Material((_pem(authority),), _key_pem(authority_key), certificate, key)


def next_step(
    material: Material, names: Sequence[str], lifetimes: Lifetimes, now: datetime, *, published: bool
) -> Material | None:
    """The next state of the material; None if nothing has to change.

    `published` says that the present bundle has been in every webhook configuration for `lifetimes.overlap`: only then
    may a certificate of the newest authority be served.
    """
    authorities = [x509.load_pem_x509_certificate(pem) for pem in material.authorities]
    kept = [authority for authority in authorities[1:] if authority.not_valid_after_utc > now]
    if _is_due(authorities[0], now):
        authority, key = _new_authority(lifetimes.authority, now)
        # One past authority is enough: the one that signed what is served now.
        kept = [old for old in (authorities[0], *kept) if old.not_valid_after_utc > now][:2]
        return replace(
            material, authorities=tuple(_pem(each) for each in (authority, *kept)), authority_key=_key_pem(key)
        )
    if len(kept) < len(authorities) - 1:
        return replace(material, authorities=tuple(_pem(each) for each in (authorities[0], *kept)))
    serving = x509.load_pem_x509_certificate(material.serving_certificate)
    useless = serving.not_valid_after_utc <= now or not _belong_together(serving, material.serving_key)
    stale = (
        _is_due(serving, now)
        or not _signed_by(serving, authorities[0])
        or _names_of(serving) != set(names)
        or not _for_clients(serving)
    )
    # A certificate that cannot be served or trusted breaks every call already, so waiting protects nothing.
    if useless or (stale and published):
        key = _load_key(material.authority_key)
        certificate, serving_key = _new_serving(authorities[0], key, names, lifetimes.serving, now)
        return replace(material, serving_certificate=certificate, serving_key=serving_key)
    return None


def trusts(bundle: bytes, certificate: x509.Certificate) -> bool:
    """Whether an authority of the bundle, which is PEM and may be empty or broken, has signed the certificate."""
    try:
        authorities = x509.load_pem_x509_certificates(bundle)
    except ValueError:
        return False
    return any(_has_signed(authority, certificate) for authority in authorities)


def _has_signed(authority: x509.Certificate, certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _is_due(certificate: x509.Certificate, now: datetime) -> bool:
    life = certificate.not_valid_after_utc - certificate.not_valid_before_utc - BACKDATED
    return now >= certificate.not_valid_after_utc - life / 3


def _new_authority(lifetime: timedelta, now: datetime) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    # The serial in the name distinguishes two authorities of a bundle.
    serial = x509.random_serial_number()
    name = _name(f"spillway webhook CA {serial:x}"[:64])
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        _builder(name, name, key.public_key(), lifetime, now)
        .serial_number(serial)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return certificate, key


def _new_serving(
    authority: x509.Certificate,
    authority_key: ec.EllipticCurvePrivateKey,
    names: Sequence[str],
    lifetime: timedelta,
    now: datetime,
) -> tuple[bytes, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        _builder(_name("spillway webhook"), authority.subject, key.public_key(), lifetime, now)
        .serial_number(x509.random_serial_number())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([_alternative(name) for name in names]), critical=False)
        .add_extension(x509.ExtendedKeyUsage(list(_USAGES)), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()),
            critical=False,
        )
        .sign(authority_key, hashes.SHA256())
    )
    return _pem(certificate), _key_pem(key)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, lifetime: timedelta, now: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + lifetime)
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _names_of(certificate: x509.Certificate) -> set[str]:
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {str(name.value) for name in names}


def _for_clients(certificate: x509.Certificate) -> bool:
    """Whether replicas can show it to each other; certificates of early versions were for servers alone."""
    try:
        usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return True
    return set(_USAGES) <= set(usages)


def _belong_together(certificate: x509.Certificate, key_pem: bytes) -> bool:
    key = serialization.load_pem_private_key(key_pem, password=None)
    return key.public_key() == certificate.public_key()


def _signed_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    return certificate.issuer == authority.subject


def _load_key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(pem, password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError(f"the authority's key is no EC key but {type(key).__name__}")
    return key


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
