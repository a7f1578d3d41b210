"""What the command reports at its end, by what the last pass found."""

import pytest

from spillway.app.restore import Restored
from spillway.cli.restore import _exit_code, _is_done


@pytest.mark.parametrize(
    ("result", "code", "stopped"),
    [
        pytest.param(Restored(clean=True), 0, False, id="nothing is left"),
        pytest.param(Restored(returning=frozenset({"den"})), 1, False, id="an operator may still run"),
        pytest.param(Restored(returning=frozenset({"den"})), 0, True, id="a user writes marks in a namespace"),
        pytest.param(
            Restored(returning=frozenset({"den"}), changed=["pod/den/a: gone"]), 0, True, id="and deletes the pods"
        ),
        pytest.param(Restored(returning=frozenset({"den"}), failed=["pod/den/a: no"]), 1, True, id="a refusal"),
        pytest.param(Restored(returning=frozenset({"den"}), own=1), 1, True, id="a taint comes back"),
    ],
)
def test_no_user_of_a_namespace_keeps_spillway_from_being_uninstalled(
    result: Restored, code: int, capsys: pytest.CaptureFixture[str], *, stopped: bool
) -> None:
    assert _exit_code(result, stopped=stopped) == code
    assert _is_done(result, stopped=stopped) == (code == 0)
    told = capsys.readouterr().err
    assert ("the namespaces den." in told) == (code == 0 and not result.clean)
