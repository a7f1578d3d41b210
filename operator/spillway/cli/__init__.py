"""The command `spillway`, also installed as `kubectl-spillway` so that `kubectl spillway …` works."""

from spillway.cli.commands import main

__all__ = ["main"]
