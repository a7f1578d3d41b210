"""By how much pods are bigger when they appear."""

from spillway.domain.model.names import OwnerUid
from spillway.domain.model.usage import NOTHING, Usage
from spillway.state.growth import Growth, grown_by

WEB, CART = OwnerUid("rs-web"), OwnerUid("rs-cart")
MEASURED = Usage(1, 100, 64)


def test_what_one_pod_showed_is_expected_of_the_next_of_its_owner() -> None:
    growth = Growth()
    assert growth.expected("shop", WEB) == NOTHING
    growth.learn("shop", WEB, measured=MEASURED, seen=Usage(1, 300, 64))
    assert growth.expected("shop", WEB) == Usage(0, 200, 0)
    growth.learn("shop", WEB, measured=MEASURED, seen=MEASURED)
    assert growth.expected("shop", WEB) == NOTHING, "the injector is gone"


def test_of_an_owner_that_is_not_known_what_its_namespace_showed_last_is_expected() -> None:
    growth = Growth()
    growth.learn("shop", WEB, measured=MEASURED, seen=Usage(1, 300, 64))
    assert growth.expected("shop", CART) == Usage(0, 200, 0)
    assert growth.expected("other", CART) == NOTHING
    growth.learn("shop", CART, measured=MEASURED, seen=MEASURED)
    assert growth.expected("shop", CART) == NOTHING
    assert growth.expected("shop", WEB) == Usage(0, 200, 0), "what is known of it counts more"


def test_a_pod_that_shrinks_has_not_grown() -> None:
    assert grown_by(MEASURED, Usage(1, 50, 128)) == Usage(0, 0, 64)
