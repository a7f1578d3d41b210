"""The lines that tell how far a bench is; its figures go to standard output."""

import sys
from collections.abc import Callable


def progress(bench: str) -> Callable[[str], None]:
    """A function that prints one line of this bench to standard error at once."""

    def say(text: str) -> None:
        print(f"{bench}: {text}", file=sys.stderr, flush=True)  # noqa: T201 - progress

    return say
