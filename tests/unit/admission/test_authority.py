from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from spillway.admission.authority import Lifetimes, Material, begin, next_step

NAMES = ("spillway-webhook.spillway-system.svc", "localhost", "127.0.0.1")
LIFETIMES = Lifetimes(authority=timedelta(days=90), serving=timedelta(days=30), overlap=timedelta(seconds=30))
START = datetime(2026, 1, 1, tzinfo=UTC)


def _trusted(bundle: bytes, certificate: bytes, at: datetime, name: str = NAMES[0]) -> bool:
    """Whether a client with this bundle takes the certificate under this name, as the API server checks."""
    verifier = (
        PolicyBuilder()
        .store(Store(x509.load_pem_x509_certificates(bundle)))
        .time(at)
        .build_server_verifier(x509.DNSName(name))
    )
    try:
        verifier.verify(x509.load_pem_x509_certificate(certificate), [])
    except VerificationError:
        return False
    return True


def test_the_first_certificate_is_trusted_under_each_name_and_no_other() -> None:
    material = begin(NAMES, LIFETIMES, START)
    assert _trusted(material.bundle, material.serving_certificate, START)
    assert _trusted(material.bundle, material.serving_certificate, START, "localhost")
    assert not _trusted(material.bundle, material.serving_certificate, START, "elsewhere")
    assert next_step(material, NAMES, LIFETIMES, START, published=True) is None


def test_a_secret_holds_it_and_gives_it_back() -> None:
    material = begin(NAMES, LIFETIMES, START)
    assert Material.from_secret(material.as_secret()) == material


@pytest.mark.parametrize("broken", ["ca.crt", "ca.key", "tls.crt", "tls.key"])
def test_a_secret_that_lacks_something_is_begun_again(broken: str) -> None:
    data = begin(NAMES, LIFETIMES, START).as_secret()
    assert Material.from_secret(data | {broken: b"nonsense"}) is None
    assert Material.from_secret({key: value for key, value in data.items() if key != broken}) is None


def test_a_certificate_without_its_key_is_replaced_at_once() -> None:
    other = begin(NAMES, LIFETIMES, START)
    data = begin(NAMES, LIFETIMES, START).as_secret()
    material = Material.from_secret(data | {"tls.key": other.serving_key})
    assert material is not None
    step = next_step(material, NAMES, LIFETIMES, START, published=False)
    assert step is not None
    assert step.authorities == material.authorities
    assert Material.from_secret(step.as_secret()) == step
    assert next_step(step, NAMES, LIFETIMES, START, published=False) is None


def test_an_authority_without_its_key_is_begun_again() -> None:
    other = begin(NAMES, LIFETIMES, START)
    assert Material.from_secret(begin(NAMES, LIFETIMES, START).as_secret() | {"ca.key": other.authority_key}) is None


def test_replicas_can_show_the_certificate_to_each_other() -> None:
    material = begin(NAMES, LIFETIMES, START)
    verifier = PolicyBuilder().store(Store(x509.load_pem_x509_certificates(material.bundle))).time(START)
    verifier.build_client_verifier().verify(x509.load_pem_x509_certificate(material.serving_certificate), [])


def test_the_serving_certificate_is_renewed_when_two_thirds_have_passed() -> None:
    material = begin(NAMES, LIFETIMES, START)
    assert next_step(material, NAMES, LIFETIMES, START + timedelta(days=19), published=True) is None
    renewed = next_step(material, NAMES, LIFETIMES, START + timedelta(days=21), published=True)
    assert renewed is not None
    assert renewed.authorities == material.authorities
    assert renewed.serving_certificate != material.serving_certificate


def test_other_names_make_another_certificate() -> None:
    material = begin(NAMES, LIFETIMES, START)
    step = next_step(material, (*NAMES, "elsewhere"), LIFETIMES, START, published=True)
    assert step is not None
    assert _trusted(step.bundle, step.serving_certificate, START, "elsewhere")


def test_a_new_authority_is_trusted_before_anything_signed_by_it_is_served() -> None:
    lifetimes = Lifetimes(authority=timedelta(days=90), serving=timedelta(days=85))
    material = begin(NAMES, lifetimes, START)
    later = START + timedelta(days=61)
    added = next_step(material, NAMES, lifetimes, later, published=True)
    assert added is not None
    assert len(added.authorities) == 2
    assert added.serving_certificate == material.serving_certificate
    waiting = next_step(added, NAMES, lifetimes, later, published=False)
    assert waiting is None
    served = next_step(added, NAMES, lifetimes, later, published=True)
    assert served is not None
    assert _trusted(added.bundle, served.serving_certificate, later)
    assert not _trusted(material.bundle, served.serving_certificate, later)


def test_an_expired_authority_leaves_the_bundle() -> None:
    material = begin(NAMES, LIFETIMES, START)
    added = next_step(material, NAMES, LIFETIMES, START + timedelta(days=61), published=True)
    assert added is not None
    served = next_step(added, NAMES, LIFETIMES, START + timedelta(days=61), published=True)
    assert served is not None
    after = next_step(served, NAMES, LIFETIMES, START + timedelta(days=91), published=True)
    assert after is not None
    assert after.authorities == added.authorities[:1]


def test_an_expired_certificate_is_replaced_at_once() -> None:
    material = begin(NAMES, LIFETIMES, START)
    step = next_step(material, NAMES, LIFETIMES, START + timedelta(days=31), published=False)
    assert step is not None
    assert _trusted(step.bundle, step.serving_certificate, START + timedelta(days=31))


def test_every_state_of_three_years_is_trusted_by_the_bundle_before_and_after() -> None:
    """Two replicas and the API server follow one step late at most; nothing that one serves is unknown to the other."""
    before = begin(NAMES, LIFETIMES, START)
    now = START
    for _ in range(3 * 365):
        now += timedelta(days=1)
        after = next_step(before, NAMES, LIFETIMES, now, published=True)
        if after is None:
            continue
        for bundle in (before.bundle, after.bundle):
            assert _trusted(bundle, before.serving_certificate, now)
            assert _trusted(bundle, after.serving_certificate, now)
        assert len(after.authorities) <= 3
        before = after
