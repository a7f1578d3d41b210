"""Free loopback ports that stay reserved.

They are taken below the range from which the kernel gives ports to outgoing connections: otherwise a component that
restarts on its old port would sometimes find it used by another connection.
"""

import random
import socket

_LOWEST = 15_000
_HIGHEST = 29_999
_TRIES = 200


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_ports(count: int) -> tuple[int, ...]:
    """``count`` ports, free on loopback at this moment; start over with others if one is taken before its use."""
    chosen: list[int] = []
    random_source = random.SystemRandom()  # two sessions that start at once must not draw the same
    for _ in range(_TRIES + count):
        port = random_source.randint(_LOWEST, _HIGHEST)
        if port not in chosen and _is_free(port):
            chosen.append(port)
        if len(chosen) == count:
            return tuple(chosen)
    raise OSError(f"no {count} free ports between {_LOWEST} and {_HIGHEST}")
