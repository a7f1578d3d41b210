import subprocess
import sys

from localcluster.ports import free_ports

HOLD_ONE = "from localcluster.ports import free_ports; print(*free_ports(1), flush=True); input()"
RESERVE = "import sys; from localcluster.ports import _reserve; print(_reserve(int(sys.argv[1])))"


def can_reserve(port: int) -> bool:
    found = subprocess.run([sys.executable, "-c", RESERVE, str(port)], capture_output=True, text=True, check=True)
    return found.stdout.strip() == "True"


def test_no_port_is_given_twice() -> None:
    first, second = free_ports(40), free_ports(40)
    assert len({*first, *second}) == 80


def test_a_port_that_no_one_has_bound_yet_is_not_given_to_another_process_while_its_owner_runs() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD_ONE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        port = int(owner.stdout.readline())
        taken = can_reserve(port)
        owner.communicate("\n", timeout=30)

    assert not taken
    assert can_reserve(port)
