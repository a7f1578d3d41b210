import time

import pytest

from spillway.api.virtualnodebudget import StockOut
from spillway.domain.pools.stock_out import ExpressionError, StockOutMatcher, compile_expression


def signs(*detect: dict[str, str]) -> StockOutMatcher:
    return StockOutMatcher.of(StockOut.model_validate({"detect": detect, "ladder": [{"cpu": "2", "memory": "4Gi"}]}))


BOTH = {"reason": "ProviderCreateFailed", "messageRegex": "NoStock|OutOfStock"}


@pytest.mark.parametrize(
    ("detect", "reason", "message", "expected"),
    [
        pytest.param([BOTH], "ProviderCreateFailed", "create: OutOfStock in zone b", True, id="both hold"),
        pytest.param([BOTH], "ProviderCreateFailed", "quota exceeded", False, id="another message"),
        pytest.param([BOTH], "Created", "NoStock", False, id="another reason"),
        pytest.param([{"reason": "NoStock"}], "NoStock", "", True, id="a reason alone"),
        pytest.param([{"reason": "NoStock"}], "NoStockLeft", "", False, id="the whole reason"),
        pytest.param([{"messageRegex": "(?i)nostock"}], "Anything", "said NOSTOCK", True, id="a message alone"),
        pytest.param([{"messageRegex": "("}, {"reason": "A"}], "A", "", True, id="a bad expression stops no other"),
        pytest.param([{"messageRegex": "("}], "A", "(", False, id="a bad expression matches nothing"),
        pytest.param([{"messageRegex": "cpu"}], "OutOfcpu", "not enough cpu", False, id="a kubelet's refusal is none"),
        pytest.param([{"messageRegex": "cpu"}], "NodeAffinity", "Pod was rejected: cpu", False, id="nor is another"),
        pytest.param([{"reason": "OutOfcpu"}], "OutOfcpu", "Pod was rejected: cpu", True, id="unless it is named"),
        pytest.param([{"messageRegex": "cpu"}], "OutOfStock", "no cpu", True, id="a provider's own reason"),
        pytest.param([{"messageRegex": "sold"}], "ErrImagePull", "x/sold:1", False, id="nor is an image's name"),
        pytest.param([{"messageRegex": "sold"}], "Failed", 'Failed to pull image "x/sold"', False, id="in an Event"),
        pytest.param([{"messageRegex": "sold"}], "Failed", "Error: sold", False, id="nor a container's error"),
        pytest.param([{"messageRegex": "sold"}], "Failed", "create pod: sold out", True, id="a provider's Failed is"),
        pytest.param([{"messageRegex": "sold"}], "Unhealthy", "probe failed: sold", False, id="nor a probe's answer"),
        pytest.param([{"messageRegex": "sold"}], "FailedMount", 'secret "sold" not found', False, id="nor a volume"),
        pytest.param([{"messageRegex": "sold"}], "BackOff", "image x/sold", False, id="nor a back-off"),
        pytest.param([{"messageRegex": "late"}], "A", "x" * 4000 + "late", False, id="only the beginning is read"),
    ],
)
def test_a_sign_holds_when_all_that_it_names_does(
    detect: list[dict[str, str]],
    reason: str,
    message: str,
    *,
    expected: bool,
) -> None:
    assert signs(*detect).match(reason, message) is expected


def test_an_expression_takes_time_in_proportion_to_the_message() -> None:
    # A backtracking engine takes 2^n steps for n letters here.
    nested = signs({"messageRegex": "([a-z]+,?)+ sold out"})

    def seconds(message: str) -> float:
        begun = time.perf_counter()
        for _ in range(20):
            assert not nested.match("A", message)
        return time.perf_counter() - begun

    short = min(seconds("a" * 20) for _ in range(5))
    long = min(seconds("a" * 100_000) for _ in range(5))

    assert long < 5_000 * short


@pytest.mark.parametrize("expression", ["((a{100}){100}){100}", r"(a)\1", "a(?=b)", "No(Stock"])
def test_what_is_too_big_or_not_linear_is_refused(expression: str) -> None:
    with pytest.raises(ExpressionError, match=r"\w"):
        compile_expression(expression)


def test_without_stock_out_nothing_is_a_sign() -> None:
    assert not StockOutMatcher.of(None).match("NoStock", "NoStock")


@pytest.mark.parametrize(
    ("detect", "reasons"),
    [
        ([{"reason": "A"}, {"reason": "B", "messageRegex": "x"}], {"A", "B"}),
        ([{"reason": "A"}, {"messageRegex": "x"}], None),
    ],
)
def test_it_is_told_which_reasons_are_worth_hearing(detect: list[dict[str, str]], reasons: set[str] | None) -> None:
    assert signs(*detect).reasons == reasons


@pytest.mark.parametrize("reason", ["ErrImagePull", "ImagePullBackOff", "StartError", "CreateContainerConfigError"])
def test_text_that_the_pods_user_wrote_is_no_sign_by_itself(reason: str) -> None:
    message = 'exec: "sold out": executable file not found in $PATH'
    assert not signs({"messageRegex": "sold out"}).match(reason, message)
    assert signs({"reason": reason, "messageRegex": "sold out"}).match(reason, message)
