"""The proof in a token: for one namespace, owner and list of pools, and by the keys that a process knows."""

import pytest

from spillway.domain.model.names import OwnerUid
from spillway.state.mark_proof import TOKEN_SECONDS, MarkProof

OWNER = OwnerUid("rs-web")


def proof_of(*secrets: bytes) -> MarkProof:
    proof = MarkProof()
    for secret in secrets:
        proof.use(secret)
    return proof


@pytest.mark.parametrize(
    ("namespace", "owner", "pools"),
    [("den", "rs-web", "a,b"), ("shop", "rs-other", "a,b"), ("shop", "rs-web", "b,a"), ("shop", "rs-web", "")],
)
def test_a_token_proves_the_marks_of_one_owner_for_these_pools(namespace: str, owner: str, pools: str) -> None:
    proof = proof_of(b"secret")
    token = proof.token("shop", OWNER, "a,b")
    assert proof_of(b"secret").holds(token, "shop", OWNER, "a,b"), "another replica with the same secret"
    assert not proof.holds(token, namespace, OwnerUid(owner), pools)


def test_the_mark_of_a_surge_is_proven_for_its_replicaset_alone() -> None:
    proof = proof_of(b"secret")
    shown = proof.of_surge("shop", OWNER, "replicas=3")
    assert proof_of(b"secret", b"next").proves_surge(shown, "shop", OWNER, "replicas=3"), "after a rotation"
    assert not proof.proves_surge(shown, "shop", OWNER, "replicas=4")
    assert not proof.proves_surge(shown, "shop", OwnerUid("rs-other"), "replicas=3")
    assert not proof_of(b"other").proves_surge(shown, "shop", OWNER, "replicas=3")
    assert not proof.proves_surge("é", "shop", OWNER, "replicas=3")
    assert not proof.holds(f"surge-{shown}", "shop", OWNER, "replicas=3"), "nor is it a token"


def test_a_size_is_proven_for_pods_of_its_owner_that_are_created_then() -> None:
    proof, other = MarkProof(lambda: 5000.0), proof_of(b"secret")
    proof.use(b"secret")
    shown = proof.of_size("shop", OWNER, "4000m-1")
    made, _, digest = shown.partition(".")
    assert other.proves_size(shown, "shop", OWNER, "4000m-1", created=5000.0 + TOKEN_SECONDS)
    assert not other.proves_size(shown, "shop", OWNER, "4000m-1", created=5001.0 + TOKEN_SECONDS)
    assert not other.proves_size(shown, "shop", OWNER, "8000m-1")
    assert not other.proves_size(shown, "shop", OwnerUid("rs-other"), "4000m-1")
    for forged in ("", ".", f"{made}0.{digest}", f".{digest}", f"{made}.é", digest):
        assert not other.proves_size(forged, "shop", OWNER, "4000m-1")


def test_every_token_is_another() -> None:
    proof = MarkProof()
    assert len({proof.token("shop", OWNER, "a") for _ in range(10)}) == 10


@pytest.mark.parametrize("token", ["", "-", "0123456789abcdef", "0123456789abcdef-00", "é-é", "a-\ud800"])
def test_what_spillway_did_not_write_proves_nothing(token: str) -> None:
    assert not proof_of(b"secret").holds(token, "shop", OWNER, "a")


def test_keys_before_a_rotation_are_accepted_for_a_while() -> None:
    proof = proof_of(b"first")
    token = proof.token("shop", OWNER, "a")
    proof.use(b"second")
    assert proof.holds(token, "shop", OWNER, "a")
    assert not proof_of(b"second").holds(token, "shop", OWNER, "a"), "another process never knew the first"
    for number in range(3):
        proof.use(b"later %d" % number)
    assert not proof.holds(token, "shop", OWNER, "a")


def test_a_new_key_is_announced_once() -> None:
    heard: list[None] = []
    proof = MarkProof()
    proof.changed.subscribe(lambda: heard.append(None))
    proof.use(b"secret")
    proof.use(b"secret")
    assert len(heard) == 1


def test_tokens_cannot_be_collected_for_pods_of_later() -> None:
    proof, other = MarkProof(lambda: 5000.0), MarkProof()
    for one in (proof, other):
        one.use(b"secret")
    token = proof.token("shop", OWNER, "a")

    def holds(token: str, created: float) -> bool:
        return other.holds(token, "shop", OWNER, "a", created=created)

    assert holds(token, 5000.0 + TOKEN_SECONDS)
    assert holds(token, 100.0), "a pod that waits gets its token when it spills"
    assert not holds(token, 5001.0 + TOKEN_SECONDS)
    number, _, digest = token.partition("-")
    for forged in (number.partition(".")[0], f"{number}0", f"{number.partition('.')[0]}.ffffff"):
        assert not holds(f"{forged}-{digest}", 100.0), "the time is signed"
    assert holds(other.token("shop", OWNER, "a"), 1e9), "of a version before"
