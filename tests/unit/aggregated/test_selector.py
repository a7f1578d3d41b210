import pytest

from spillway.aggregated.selector import SelectorError, parse_selector

CART = {"kind": "Deployment", "workload": "cart"}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("", True),
        ("kind=Deployment,workload=cart", True),
        ("kind==Deployment, workload == cart", True),
        ("workload=shop", False),
        ("workload!=shop", True),
        ("workload!=cart", False),
        ("zone!=a", True),
        ("workload in (cart, shop)", True),
        ("workload in (shop)", False),
        ("workload notin (cart,shop)", False),
        ("zone notin (a)", True),
        ("kind", True),
        ("zone", False),
        ("!zone", True),
        ("! kind", False),
        ("kind=Deployment,workload in (a,b),!zone", False),
        ("example.com/kind=Deployment", False),
        ("workload=", False),
    ],
)
def test_selectors_hold_as_in_kubernetes(text: str, *, holds: bool) -> None:
    assert parse_selector(text).matches(CART) is holds


@pytest.mark.parametrize("text", ["=cart", "workload=a b", "workload in cart", "workload in (a", ",", "a,,b", "a>1"])
def test_what_is_no_selector_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(SelectorError, match="for example kind=Deployment,workload=cart"):
        parse_selector(text)
