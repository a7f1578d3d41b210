"""The proof in the value of a mark that Spillway wrote it, since whoever may change an object can write annotations.

Contract: pure; the value is what the mark says, followed by the proof. `state.mark_proof` knows which proofs hold.
"""

from typing import Final

_BEFORE: Final = " proof="


def with_proof(text: str, proof: str) -> str:
    """The value of a mark with its proof; without one, the text alone."""
    return f"{text}{_BEFORE}{proof}" if proof else text


def proof_in(value: str) -> tuple[str, str]:
    """The text of a mark, and its proof; empty if there is none."""
    text, _, proof = value.partition(_BEFORE)
    return text, proof
