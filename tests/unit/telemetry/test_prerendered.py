from collections.abc import Iterator

import pytest

from spillway.telemetry.prerendered import PRERENDERED, PrerenderedGauge, exposition

HEAD = "# HELP spillway_test_replicas Replicas.\n# TYPE spillway_test_replicas gauge\n"


@pytest.fixture
def gauge() -> Iterator[PrerenderedGauge]:
    one = PrerenderedGauge("spillway_test_replicas", "Replicas.", ("namespace", "workload"))
    yield one
    PRERENDERED.remove(one)


def _lines(gauge: PrerenderedGauge) -> list[str]:
    text = exposition([gauge]).decode()
    assert text.startswith(HEAD)
    return text.removeprefix(HEAD).splitlines()


def test_values_are_replaced_as_a_whole(gauge: PrerenderedGauge) -> None:
    gauge.replace({("shop", "web"): 3, ("shop", "cart"): 1.5})
    gauge.replace({("shop", "cart"): 2, ("bank", "web"): 1})
    assert _lines(gauge) == [
        'spillway_test_replicas{namespace="shop",workload="cart"} 2',
        'spillway_test_replicas{namespace="bank",workload="web"} 1',
    ]


def test_what_changes_is_rendered_again_and_nothing_else(
    gauge: PrerenderedGauge, monkeypatch: pytest.MonkeyPatch
) -> None:
    gauge.replace({("shop", f"w{index}"): index for index in range(100)})
    rendered: list[tuple[str, ...]] = []
    original = gauge._rendered

    def noted(labelled: tuple[str, ...], value: float) -> str:
        rendered.append(labelled)
        return original(labelled, value)

    monkeypatch.setattr(gauge, "_rendered", noted)
    gauge.replace({("shop", f"w{index}"): 7 if index == 3 else index for index in range(100)})
    assert rendered == [("shop", "w3")]
    assert 'spillway_test_replicas{namespace="shop",workload="w3"} 7' in _lines(gauge)


def test_label_values_are_escaped(gauge: PrerenderedGauge) -> None:
    gauge.replace({("a\\b", 'say "hi"\n'): 1})
    assert _lines(gauge) == ['spillway_test_replicas{namespace="a\\\\b",workload="say \\"hi\\"\\n"} 1']
