"""The proof that Spillway wrote the marks of a pod, which is a part of the token of its reservation.

Contract: a token holds a random part, the time of its making and a keyed digest of both, of the pod's namespace and
owner, and of the pools in the mark. Only Spillway can make one, and a copy of it on a pod of another owner proves
nothing, nor on a pod that was created more than `TOKEN_SECONDS` later: whoever gets tokens cannot collect them. The key
is derived from a secret that all replicas read; the keys before it are still accepted by a process that knew them.
Before a secret is known, tokens are proven by a key of this process alone. Tokens of versions before have no time.

The mark of a surge has a proof as well, of its text and its ReplicaSet, and so has that of a size, of its text and the
pod's owner; as a token, the latter proves nothing on a pod that was created more than `TOKEN_SECONDS` later.
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable
from typing import Final

from spillway.domain.model.names import OwnerUid
from spillway.state.reservations import new_token
from spillway.state.signal import Signal

TOKEN_SECONDS: Final = 600.0
"""Far longer than an admission takes, so that clocks may differ: the API server's says when a pod was created."""
_KEYS: Final = 3
"""Keys that are accepted: after a rotation pods still wait that were marked before it."""
_PROOF_BYTES: Final = 10
_PURPOSE: Final = b"spillway marks"
_SURGE: Final = ("", "surge")
_SIZE: Final = ("", "size")
"""Begin what is digested for these marks. The numbers of parts differ, so that no proof is one of another mark."""


class MarkProof:
    """The keys of this process, the newest first. `now` gives Unix seconds; without it tokens have no time."""

    def __init__(self, now: Callable[[], float] | None = None) -> None:
        self._now = now
        self._keys: tuple[bytes, ...] = (secrets.token_bytes(32),)
        self.known = False
        """Whether a secret is known; until then a mark that proves nothing may be one of another replica."""
        self.changed: Signal[()] = Signal("MarkProof")
        """Emitted when another key is accepted, so that marks that proved nothing may do so now."""

    def use(self, secret: bytes) -> None:
        """Derive the key from this secret from now on."""
        key = hashlib.blake2b(secret, person=_PURPOSE).digest()
        self.known = True
        if key != self._keys[0]:
            self._keys = (key, *(one for one in self._keys if one != key))[:_KEYS]
            self.changed.emit()

    def token(self, namespace: str, owner: OwnerUid, pools: str) -> str:
        """A new token for the reservation of a pod whose mark names these pools, separated by commas."""
        number = new_token()
        if self._now is not None:
            number += f".{int(self._now()):x}"
        return f"{number}-{_digest(self._keys[0], number, namespace, owner, pools)}"

    def holds(self, token: str, namespace: str, owner: OwnerUid, pools: str, *, created: float = 0.0) -> bool:
        """Whether a token was made here, or by another replica, for such a pod that was created at this time.

        A pod that waits gets a token when it spills, so it may be older than its token.
        """
        number, _, shown = token.partition("-")
        if not shown.isascii():
            return False
        made = _time_in(number)
        if made is not None and created > made + TOKEN_SECONDS:
            return False
        return any(hmac.compare_digest(shown, _digest(key, number, namespace, owner, pools)) for key in self._keys)

    def of_surge(self, namespace: str, owner: OwnerUid, mark: str) -> str:
        """The proof of the mark of a surge on this ReplicaSet."""
        return _digest(self._keys[0], *_SURGE, namespace, owner, mark)

    def proves_surge(self, proof: str, namespace: str, owner: OwnerUid, mark: str) -> bool:
        """Whether the proof was made here, or by another replica, for such a mark."""
        return proof.isascii() and any(
            hmac.compare_digest(proof, _digest(key, *_SURGE, namespace, owner, mark)) for key in self._keys
        )

    def of_size(self, namespace: str, owner: OwnerUid, size: str) -> str:
        """The proof of the mark of a size on a pod of this owner that is created now."""
        made = "" if self._now is None else f"{int(self._now()):x}"
        return f"{made}.{_digest(self._keys[0], *_SIZE, made, namespace, owner, size)}"

    def proves_size(self, proof: str, namespace: str, owner: OwnerUid, size: str, *, created: float = 0.0) -> bool:
        """Whether the proof was made here, or by another replica, for such a pod that was created at this time."""
        made, _, shown = proof.partition(".")
        at = _time_in(f".{made}")
        if not shown.isascii() or (at is not None and created > at + TOKEN_SECONDS):
            return False
        return any(hmac.compare_digest(shown, _digest(key, *_SIZE, made, namespace, owner, size)) for key in self._keys)


def _time_in(number: str) -> int | None:
    """When the token was made; None for one without a time, or what is no token."""
    try:
        return int(number.partition(".")[2][:16], 16)
    except ValueError:
        return None


def _digest(key: bytes, *parts: str) -> str:
    # With their lengths no two lists of parts give the same text.
    text = "".join(f"{len(part)}:{part}" for part in parts)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), key=key, digest_size=_PROOF_BYTES).hexdigest()
