"""The proof that Spillway wrote the marks of a pod, which is a part of the token of its reservation.

Contract: a token holds a random part and a keyed digest of it, of the pod's namespace and owner, and of the pools in
the mark. Only Spillway can make one, and a copy of it on a pod of another owner proves nothing. The key is derived from
a secret that all replicas read; the keys before it are still accepted by a process that knew them. Before a secret is
known, tokens are proven by a key of this process alone.
"""

import hashlib
import hmac
import secrets
from typing import Final

from spillway.domain.model.names import OwnerUid
from spillway.state.reservations import new_token
from spillway.state.signal import Signal

_KEYS: Final = 3
"""Keys that are accepted: after a rotation pods still wait that were marked before it."""
_PROOF_BYTES: Final = 10
_PURPOSE: Final = b"spillway marks"


class MarkProof:
    """The keys of this process, the newest first."""

    def __init__(self) -> None:
        self._keys: tuple[bytes, ...] = (secrets.token_bytes(32),)
        self.changed: Signal[()] = Signal("MarkProof")
        """Emitted when another key is accepted, so that marks that proved nothing may do so now."""

    def use(self, secret: bytes) -> None:
        """Derive the key from this secret from now on."""
        key = hashlib.blake2b(secret, person=_PURPOSE).digest()
        if key != self._keys[0]:
            self._keys = (key, *(one for one in self._keys if one != key))[:_KEYS]
            self.changed.emit()

    def token(self, namespace: str, owner: OwnerUid, pools: str) -> str:
        """A new token for the reservation of a pod whose mark names these pools, separated by commas."""
        number = new_token()
        return f"{number}-{_digest(self._keys[0], number, namespace, owner, pools)}"

    def holds(self, token: str, namespace: str, owner: OwnerUid, pools: str) -> bool:
        """Whether a token was made here, or by another replica, for such a pod."""
        number, _, shown = token.partition("-")
        if not shown.isascii():
            return False
        return any(hmac.compare_digest(shown, _digest(key, number, namespace, owner, pools)) for key in self._keys)


def _digest(key: bytes, *parts: str) -> str:
    # With their lengths no two lists of parts give the same text.
    text = "".join(f"{len(part)}:{part}" for part in parts)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), key=key, digest_size=_PROOF_BYTES).hexdigest()
