"""Label selectors with the semantics of Kubernetes, compiled once and evaluated often.

Contract: a selector is a set of requirements that must all hold; the empty selector holds for everything. NotIn and
DoesNotExist also hold where the label is absent. Pure and immutable.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, Self

from spillway.api.selector_operator import SelectorOperator
from spillway.domain.model.documents import Json

if TYPE_CHECKING:
    from spillway.api.common import LabelSelector

Labels = Mapping[str, str]
_Test = Callable[[Labels], bool]
Requirement = tuple[str, SelectorOperator, frozenset[str]]
"""A label key, and what must hold for its value."""


class Selector:
    """A compiled label selector. Selectors with the same requirements are equal."""

    __slots__ = ("_tests", "keys", "requirements")

    keys: frozenset[str]
    """The label keys that it reads: labels that agree on these give the same result."""
    requirements: frozenset[Requirement]

    def __init__(self, requirements: frozenset[Requirement]) -> None:
        self.requirements = requirements
        self.keys = frozenset(key for key, _, _ in requirements)
        self._tests = tuple(_test(*requirement) for requirement in requirements)

    @classmethod
    def of(cls, selector: "LabelSelector | None") -> Self:
        """Compile a selector; None selects everything."""
        if selector is None:
            return cls(frozenset())
        exact = {(key, SelectorOperator.IN, frozenset({value})) for key, value in selector.match_labels.items()}
        general = {(one.key, one.operator, frozenset(one.values)) for one in selector.match_expressions}
        return cls(frozenset(exact | general))

    @classmethod
    def of_json(cls, raw: Json, more: Iterable[tuple[str, str, Iterable[str]]] = ()) -> Self:
        """Compile a selector as an object of Kubernetes has it, with `more` requirements.

        Raises:
            ValueError: an operator is unknown; the API server lets no such selector through.

        """
        exact = {
            (key, SelectorOperator.IN, frozenset({value})) for key, value in (raw.get("matchLabels") or {}).items()
        }
        given = ((one["key"], one["operator"], one.get("values") or ()) for one in raw.get("matchExpressions") or ())
        general = {(key, SelectorOperator(operator), frozenset(values)) for key, operator, values in (*given, *more)}
        return cls(frozenset(exact | general))

    def matches(self, labels: Labels) -> bool:
        """Whether every requirement holds for these labels."""
        return all(test(labels) for test in self._tests)

    def within(self, other: "Selector") -> bool:
        """Whether `other` selects everything that this one selects, as far as that is known without any labels.

        True is certain; False means that it is not known.
        """
        return all(any(_implies(mine, theirs) for mine in self.requirements) for theirs in other.requirements)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Selector) and self.requirements == other.requirements

    def __hash__(self) -> int:
        return hash(self.requirements)

    def __repr__(self) -> str:
        shown = (f"{key} {operator} {sorted(values)}" for key, operator, values in sorted(self.requirements, key=str))
        return f"Selector({', '.join(shown)})"


def selects(selector: "LabelSelector | None", labels: Labels) -> bool:
    """Whether the selector holds for these labels; None selects everything. See `Selector.of` for repeated use."""
    return Selector.of(selector).matches(labels)


def _test(key: str, operator: SelectorOperator, values: frozenset[str]) -> _Test:
    match operator:
        case SelectorOperator.IN:
            return lambda labels: labels.get(key, _ABSENT) in values
        case SelectorOperator.NOT_IN:
            return lambda labels: labels.get(key, _ABSENT) not in values
        case SelectorOperator.EXISTS:
            return lambda labels: key in labels
        case SelectorOperator.DOES_NOT_EXIST:
            return lambda labels: key not in labels


_ABSENT: Final[Any] = object()


def _implies(mine: Requirement, theirs: Requirement) -> bool:
    if mine == theirs:
        return True
    key, operator, values = mine
    their_key, their_operator, their_values = theirs
    if key != their_key:
        return False
    match operator, their_operator:
        case (SelectorOperator.IN, SelectorOperator.EXISTS) | (
            SelectorOperator.DOES_NOT_EXIST,
            SelectorOperator.NOT_IN,
        ):
            shown = True
        case SelectorOperator.IN, SelectorOperator.IN:
            shown = values <= their_values
        case SelectorOperator.IN, SelectorOperator.NOT_IN:
            shown = values.isdisjoint(their_values)
        case SelectorOperator.NOT_IN, SelectorOperator.NOT_IN:
            shown = values >= their_values
        case _:
            shown = False
    return shown
