"""The signs of a stock-out: which reasons and messages of a provider mean that it is out of stock.

Contract: a sign matches where everything that it names holds: the reason is exactly that, the expression is found in
the message. One sign is enough. Expressions are RE2's: a search takes time in proportion to the message, whatever the
expression. One that cannot be compiled matches nothing (the validating webhook refuses it; it may have been stored
while no webhook was served), and the other signs still hold. That a kubelet refuses a pod, because the pod does not fit
on its node, is no stock-out, unless a sign names that reason. Neither is a fault of the pod's own, such as an image
that cannot be pulled.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Protocol, Self

import re2

from spillway.api.virtualnodebudget import StockOut
from spillway.domain.pools.unstarted import OWN_FAULT

LONGEST_MESSAGE: Final = 2048
"""The number of characters of a message that are searched: the relevant part is at the beginning."""
_REJECTED: Final = "Pod was rejected: "
"""How a kubelet begins the status of a pod that it does not admit (`rejectPod` in k8s.io/kubernetes/pkg/kubelet)."""
TEXT_OF_THE_POD: Final = OWN_FAULT | {
    "StartError", "ContainerCannotRun",
    "BackOff", "FailedAttachVolume", "FailedMount", "FailedPostStartHook", "FailedPreStopHook", "Created", "Killing",
    "Pulled", "Pulling", "Started", "Unhealthy",
}  # fmt: skip
"""Reasons, the kubelet's Events among them, whose messages repeat what the pod's user wrote, such as an image, a
command or the answer of a probe: without a reason of its own a sign is not searched for in them, because anybody could
close a pool by such a text."""
_KUBELET_FAILED: Final = ("Failed to pull image ", "Error: ")
"""How the messages of a kubelet's Events `Failed` begin; providers use that reason too."""
_OUT_OF_RESOURCE: Final = re.compile(r"OutOf[a-z]")
MEMORY_BYTES: Final = 256 * 1024
"""Bounds a compiled expression, and with it the time that one character can take: counted repetitions multiply."""


class ExpressionError(ValueError):
    """The text is not a regular expression of RE2."""


class Pattern(Protocol):
    """A compiled expression."""

    def search(self, text: str) -> object | None:
        """The first match in the text; None where there is none."""


@dataclass(frozen=True, slots=True)
class StockOutMatcher:
    """The entries of `stockOut.detect` of one pool, compiled."""

    entries: tuple[tuple[str | None, Pattern | None], ...] = ()

    @classmethod
    def of(cls, stock_out: StockOut | None) -> Self:
        """The signs in the budget's spec; without `stockOut` there are none."""
        found = []
        for sign in () if stock_out is None else stock_out.detect:
            pattern = _compiled(sign.message_regex) if sign.message_regex is not None else None
            if sign.message_regex is None or pattern is not None:
                found.append((sign.reason, pattern))
        return cls(tuple(found))

    def match(self, reason: str, message: str) -> bool:
        """Whether this reason and message mean a stock-out."""
        text = message[:LONGEST_MESSAGE]
        by_message = not (refused_by_kubelet(reason, message) or _repeats_the_pod(reason, message))
        return any(
            (required == reason or (required is None and by_message))
            and (pattern is None or pattern.search(text) is not None)
            for required, pattern in self.entries
        )

    @property
    def reasons(self) -> frozenset[str] | None:
        """The reasons that can be a sign; None if any can."""
        reasons = {required for required, _ in self.entries}
        return None if None in reasons else frozenset(reason for reason in reasons if reason is not None)


def refused_by_kubelet(reason: str, message: str) -> bool:
    """Whether these are of a kubelet that does not admit a pod: `OutOfcpu`, `NodeAffinity` and others.

    The names of resources are lower-case, so a provider's own `OutOfStock` is none of them.
    """
    return message.startswith(_REJECTED) or _OUT_OF_RESOURCE.match(reason) is not None


def _repeats_the_pod(reason: str, message: str) -> bool:
    return reason in TEXT_OF_THE_POD or (reason == "Failed" and message.startswith(_KUBELET_FAILED))


def compile_expression(expression: str) -> Pattern:
    """Compile a regular expression in RE2's syntax.

    Raises:
        ExpressionError: it is not a regular expression, or it is too large when its repetitions are expanded.

    """
    options = re2.Options()
    options.log_errors = False
    options.max_mem = MEMORY_BYTES
    try:
        pattern: Pattern = re2.compile(expression, options)
    except re2.error as error:
        said = error.args[0] if error.args else ""
        raise ExpressionError(said.decode(errors="replace") if isinstance(said, bytes) else str(said)) from error
    return pattern


@lru_cache(maxsize=256)
def _compiled(expression: str) -> Pattern | None:
    try:
        return compile_expression(expression)
    except ExpressionError:
        return None
