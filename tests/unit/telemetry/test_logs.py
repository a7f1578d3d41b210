"""What the modules that commands load log, in a command and in the operator."""

import json
import subprocess
import sys

CODE = """
import sys
from spillway import logs
from spillway.telemetry.logs import Logger
if sys.argv[1] == "operator":
    logs.configure("json", "debug", stream=sys.stdout)
log = Logger("spillway.test")
log.debug("lookup failed", key="a")
log.warning("resource refused", key="b")
"""


def printed(process: str) -> tuple[str, str]:
    done = subprocess.run([sys.executable, "-c", CODE, process], capture_output=True, text=True, timeout=60, check=True)
    return done.stdout, done.stderr


def test_the_answer_of_a_command_has_no_log_lines_in_it() -> None:
    out, err = printed("command")
    assert not out
    assert "resource refused" in err
    assert "lookup failed" not in err


def test_the_operator_logs_as_configured() -> None:
    out, _ = printed("operator")
    lines = [json.loads(line) for line in out.splitlines()]
    assert [(one["event"], one["key"], one["logger"]) for one in lines] == [
        ("lookup failed", "a", "spillway.test"),
        ("resource refused", "b", "spillway.test"),
    ]
