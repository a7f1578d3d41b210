"""The proxy against a real echo server on loopback."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from harness.proxy import Flow, Proxy, ServiceProxy


@pytest.fixture
def echo_port() -> Iterator[int]:
    """A server that sends back what it gets."""
    listener = socket.create_server(("127.0.0.1", 0))
    served: list[socket.socket] = []

    def serve(connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            while chunk := connection.recv(1024):
                connection.sendall(chunk)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                served.append(connection)
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    yield listener.getsockname()[1]
    # Closing alone does not wake an accept() in another thread.
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(5)
    for connection in served:
        connection.close()


@pytest.fixture
def proxy(echo_port: int) -> Iterator[Proxy]:
    with Proxy("127.0.0.1", echo_port) as running:
        yield running


def _connect(proxy: Proxy, *, timeout_seconds: float = 5.0) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=timeout_seconds)


def _ask(connection: socket.socket, question: bytes) -> bytes:
    connection.sendall(question)
    return connection.recv(1024)


def _is_closed(connection: socket.socket) -> bool:
    try:
        return connection.recv(1024) == b""
    except ConnectionResetError:
        return True


def test_bytes_pass_both_ways(proxy: Proxy) -> None:
    with _connect(proxy) as connection:
        assert _ask(connection, b"hello") == b"hello"


def test_a_stalled_connection_stays_open_and_silent_and_delivers_late(proxy: Proxy) -> None:
    with _connect(proxy) as connection:
        assert _ask(connection, b"before") == b"before"
        proxy.set(Flow.STALL)
        connection.settimeout(0.3)
        connection.sendall(b"during")
        with pytest.raises(TimeoutError):
            connection.recv(1024)
        connection.settimeout(5)
        proxy.set(Flow.PASS)
        assert connection.recv(1024) == b"during"


def test_a_new_connection_is_accepted_while_stalled_and_hears_nothing(proxy: Proxy) -> None:
    proxy.set(Flow.STALL)
    with _connect(proxy, timeout_seconds=0.3) as connection:
        connection.sendall(b"hello")
        with pytest.raises(TimeoutError):
            connection.recv(1024)


def test_a_frozen_connection_never_speaks_again_and_a_new_one_does(proxy: Proxy) -> None:
    with _connect(proxy) as frozen:
        assert _ask(frozen, b"before") == b"before"
        proxy.freeze()
        frozen.settimeout(0.3)
        frozen.sendall(b"lost")
        with _connect(proxy) as connection:
            assert _ask(connection, b"new") == b"new"
        with pytest.raises(TimeoutError):
            frozen.recv(1024)


def test_a_cut_closes_what_is_open_and_serves_what_comes(proxy: Proxy) -> None:
    with _connect(proxy) as connection:
        assert _ask(connection, b"before") == b"before"
        proxy.cut()
        assert _is_closed(connection)
    with _connect(proxy) as connection:
        assert _ask(connection, b"after") == b"after"


def test_refused_connections_end_at_once(proxy: Proxy) -> None:
    proxy.set(Flow.REFUSE)
    with _connect(proxy) as connection:
        assert _is_closed(connection)


def test_closing_twice_is_no_error(echo_port: int) -> None:
    proxy = Proxy("127.0.0.1", echo_port)
    proxy.close()
    proxy.close()


def test_a_service_learns_late_that_a_backend_is_not_ready(echo_port: int) -> None:
    ready = frozenset({echo_port})
    with ServiceProxy(0, lambda: ready, delay_seconds=1.0) as service, _connect(service) as connection:
        assert _ask(connection, b"hello") == b"hello"
        begun = time.monotonic()
        ready = frozenset()
        with _connect(service) as soon:
            assert not _is_closed_at_once(soon) or time.monotonic() - begun > 1.0
        while time.monotonic() - begun < 30.0:
            with _connect(service) as late:
                if _is_closed_at_once(late):
                    break
        else:
            pytest.fail("the backend was never left out")
        assert _ask(connection, b"still") == b"still", "an open connection stays with its backend"


def _is_closed_at_once(connection: socket.socket) -> bool:
    try:
        return _ask(connection, b"hello") != b"hello"
    except (ConnectionResetError, BrokenPipeError):
        return True
