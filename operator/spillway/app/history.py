"""The errors of a history of demand, as the commands and the report tell them."""

from collections.abc import Iterator
from contextlib import contextmanager

from spillway.app.errors import UnreadableError
from spillway.sources.csv_rules import CsvError
from spillway.sources.prometheus import PrometheusError


@contextmanager
def read_from_history(what: str = "") -> Iterator[None]:
    """Turn the errors of Prometheus and of files into one that says what cannot be read.

    `what` is left out where the history is all that the command reads: the error names its source.

    Raises:
        UnreadableError: the block ended with such an error.
    """
    try:
        yield
    except (CsvError, PrometheusError) as error:
        raise UnreadableError(f"{what} cannot be read: {error}" if what else str(error)) from error
