"""Free loopback ports that stay reserved.

Contract: a port is given to one caller only, also among processes that run at the same time, as the workers of a test
run do. A component may bind its port long after it was chosen, and again when it restarts. The reservation is a UDP
socket bound to the same number, which components on TCP do not notice; it ends with the process that chose the port.

Ports are taken below the range from which the kernel gives ports to outgoing connections: otherwise a component that
restarts on its old port would sometimes find it used by another connection.
"""

import random
import socket
from contextlib import ExitStack
from typing import Final

_LOWEST: Final = 15_000
_HIGHEST: Final = 29_999
_TRIES: Final = 200

_reserved: Final[list[socket.socket]] = []
"""The reservations of this process."""


def _reserve(port: int) -> bool:
    """Reserve the port; False if another process has reserved or bound it."""
    with ExitStack() as undo:
        reservation = undo.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        probe = undo.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
        try:
            reservation.bind(("127.0.0.1", port))
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        probe.close()
        undo.pop_all()
    _reserved.append(reservation)
    return True


def free_ports(count: int) -> tuple[int, ...]:
    """Return `count` ports that no one uses, reserved for the caller until this process ends."""
    chosen: list[int] = []
    random_source = random.SystemRandom()  # processes that start at once must not draw the same
    for _ in range(_TRIES + count):
        if len(chosen) == count:
            break
        port = random_source.randint(_LOWEST, _HIGHEST)
        if _reserve(port):
            chosen.append(port)
    if len(chosen) < count:
        raise OSError(f"no {count} free ports between {_LOWEST} and {_HIGHEST}")
    return tuple(chosen)
