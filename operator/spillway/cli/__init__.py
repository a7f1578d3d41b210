"""The command `spillway`, also installed as `kubectl-spillway` so that `kubectl spillway …` works."""

from spillway.cli.commands import complete, main

__all__ = ["complete", "main"]
