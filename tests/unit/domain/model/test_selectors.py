"""Label selectors against Kubernetes' documented meaning, and against an evaluator written the other way round."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spillway.api.common import LabelSelector
from spillway.domain.model.selectors import Selector, selects


def selector(**raw: Any) -> LabelSelector:
    return LabelSelector.model_validate(raw)


def expression(key: str, operator: str, *values: str) -> LabelSelector:
    return selector(matchExpressions=[{"key": key, "operator": operator, "values": list(values)}])


@pytest.mark.parametrize(
    ("asked", "labels", "holds"),
    [
        (None, {}, True),
        (selector(), {"a": "1"}, True),
        (selector(matchLabels={"a": "1"}), {"a": "1", "b": "2"}, True),
        (selector(matchLabels={"a": "1"}), {"a": "2"}, False),
        (selector(matchLabels={"a": "1"}), {}, False),
        (selector(matchLabels={"a": "1", "b": "2"}), {"a": "1"}, False),
        (selector(matchLabels={"a": ""}), {"a": ""}, True),
        (selector(matchLabels={"a": ""}), {}, False),
        (expression("a", "In", "1", "2"), {"a": "2"}, True),
        (expression("a", "In", "1", "2"), {}, False),
        (expression("a", "NotIn", "1", "2"), {"a": "3"}, True),
        (expression("a", "NotIn", "1", "2"), {"a": "1"}, False),
        (expression("a", "NotIn", "1", "2"), {}, True),
        (expression("a", "Exists"), {"a": ""}, True),
        (expression("a", "Exists"), {"b": ""}, False),
        (expression("a", "DoesNotExist"), {}, True),
        (expression("a", "DoesNotExist"), {"a": ""}, False),
        (
            selector(matchLabels={"a": "1"}, matchExpressions=[{"key": "b", "operator": "Exists"}]),
            {"a": "1"},
            False,
        ),
    ],
)
def test_meaning(asked: LabelSelector | None, labels: dict[str, str], *, holds: bool) -> None:
    assert selects(asked, labels) is holds


keys = st.sampled_from(["a", "b", "c"])
values = st.sampled_from(["", "1", "2", "3"])
label_sets = st.dictionaries(keys, values)
expressions = st.one_of(
    st.builds(
        lambda key, operator, some: {"key": key, "operator": operator, "values": some},
        keys,
        st.sampled_from(["In", "NotIn"]),
        st.lists(values, min_size=1, max_size=3),
    ),
    st.builds(
        lambda key, operator: {"key": key, "operator": operator}, keys, st.sampled_from(["Exists", "DoesNotExist"])
    ),
)
selectors = st.builds(
    lambda exact, general: selector(matchLabels=exact, matchExpressions=general),
    st.dictionaries(keys, values, max_size=2),
    st.lists(expressions, max_size=3),
)


def meaning(asked: LabelSelector, labels: dict[str, str]) -> bool:
    """The definition, as the API reference words it."""
    for key, value in asked.match_labels.items():
        if key not in labels or labels[key] != value:
            return False
    for one in asked.match_expressions:
        present = one.key in labels
        listed = present and labels[one.key] in one.values
        if not {"In": listed, "NotIn": not listed, "Exists": present, "DoesNotExist": not present}[one.operator]:
            return False
    return True


@given(selectors, label_sets)
def test_a_compiled_selector_means_what_the_reference_says(asked: LabelSelector, labels: dict[str, str]) -> None:
    assert Selector.of(asked).matches(labels) is meaning(asked, labels)


@given(selectors, label_sets, label_sets)
def test_only_the_keys_it_names_count(asked: LabelSelector, labels: dict[str, str], others: dict[str, str]) -> None:
    compiled = Selector.of(asked)
    unseen = {key: value for key, value in others.items() if key not in compiled.keys}
    seen = {key: value for key, value in labels.items() if key in compiled.keys}
    assert compiled.matches(labels) is compiled.matches(unseen | seen)


@given(selectors, selectors, label_sets)
def test_within_is_never_wrong(narrow: LabelSelector, wide: LabelSelector, labels: dict[str, str]) -> None:
    inner, outer = Selector.of(narrow), Selector.of(wide)
    if inner.within(outer) and inner.matches(labels):
        assert outer.matches(labels)


@given(selectors)
def test_every_selector_is_within_itself_and_within_the_empty_one(asked: LabelSelector) -> None:
    compiled = Selector.of(asked)
    assert compiled.within(compiled)
    assert compiled.within(Selector.of(None))
    assert compiled == Selector.of(asked)
    assert hash(compiled) == hash(Selector.of(asked))


@pytest.mark.parametrize(
    ("narrow", "wide"),
    [
        (expression("a", "In", "1"), expression("a", "In", "1", "2")),
        (selector(matchLabels={"a": "1"}), expression("a", "Exists")),
        (selector(matchLabels={"a": "1"}), expression("a", "NotIn", "2")),
        (expression("a", "NotIn", "1", "2"), expression("a", "NotIn", "1")),
        (expression("a", "DoesNotExist"), expression("a", "NotIn", "1")),
        (selector(matchLabels={"a": "1", "b": "2"}), selector(matchLabels={"b": "2"})),
    ],
)
def test_within_sees_the_plain_cases(narrow: LabelSelector, wide: LabelSelector) -> None:
    assert Selector.of(narrow).within(Selector.of(wide))
    assert not Selector.of(wide).within(Selector.of(narrow))


def test_shown_in_a_form_that_can_be_read() -> None:
    assert repr(Selector.of(expression("a", "In", "2", "1"))) == "Selector(a In ['1', '2'])"
