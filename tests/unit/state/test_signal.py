"""Subscriptions: who is called, in which order, and until when."""

from structlog.testing import capture_logs

from spillway.state.signal import Signal
from spillway.telemetry.kube import LISTENER_ERRORS


def test_every_listener_is_called_in_order_with_what_was_emitted() -> None:
    signal, heard = Signal[str, int]("Test"), list[tuple[str, str, int]]()
    signal.subscribe(lambda name, number: heard.append(("first", name, number)))
    signal.subscribe(lambda name, number: heard.append(("second", name, number)))
    signal.emit("a", 1)
    assert heard == [("first", "a", 1), ("second", "a", 1)]


def test_a_subscription_ends_once_and_ends_no_other() -> None:
    signal, heard = Signal[int]("Test"), list[int]()
    leave = signal.subscribe(heard.append)
    signal.subscribe(heard.append)
    leave()
    leave()
    signal.emit(1)
    assert heard == [1], "the same function had subscribed twice"
    assert signal


def test_nobody_listens_once_all_have_left() -> None:
    signal = Signal[()]("Test")
    leave = signal.subscribe(lambda: None)
    leave()
    assert not signal
    signal.emit()


def test_who_subscribes_or_leaves_meanwhile_counts_from_the_next_time_on() -> None:
    signal, heard = Signal[()]("Test"), list[str]()

    def first() -> None:
        heard.append("first")
        leave_second()
        signal.subscribe(lambda: heard.append("third"))

    leave_first = signal.subscribe(first)
    leave_second = signal.subscribe(lambda: heard.append("second"))
    signal.emit()
    assert heard == ["first", "second"]
    leave_first()
    signal.emit()
    assert heard == ["first", "second", "third"]


def test_an_error_is_counted_and_logged_and_stops_nobody() -> None:
    signal, heard = Signal[str]("Test", key=lambda name: f"key-of-{name}"), list[str]()
    before = LISTENER_ERRORS.labels("Test")._value.get()

    def broken(name: str) -> None:
        raise RuntimeError(name)

    signal.subscribe(broken)
    signal.subscribe(heard.append)
    with capture_logs() as logs:
        signal.emit("a")
    assert heard == ["a"]
    assert LISTENER_ERRORS.labels("Test")._value.get() == before + 1
    assert [(one["event"], one["record"], one["key"]) for one in logs] == [("listener failed", "Test", "key-of-a")]
