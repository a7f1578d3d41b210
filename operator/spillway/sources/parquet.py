"""A Parquet file as the lines of a CSV file, so that one set of rules reads both.

Contract: the first line is the header and each row is one line after it. Columns of numbers, times, text and booleans
are kept, and those of other types are left out: a column that is needed is then reported as missing. A time without a
zone is UTC. The file is read in batches. This module needs pyarrow, which the extra `parquet` installs.
"""

from collections.abc import Iterator
from io import BytesIO
from typing import IO, Final

import pyarrow as pa
from pyarrow import csv, parquet

_TIME: Final = pa.timestamp("us", tz="UTC")
"""Microseconds are the finest part of a second that `datetime.fromisoformat` reads."""
_KEPT: Final = (
    pa.types.is_integer,
    pa.types.is_floating,
    pa.types.is_boolean,
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_string_view,
    pa.types.is_date,
)


class ParquetError(ValueError):
    """The file cannot be read as Parquet; the message says why."""


def parquet_lines(raw: IO[bytes]) -> Iterator[bytes]:
    """The lines of the CSV file with the same columns and rows.

    Raises:
        ParquetError: the file is damaged.
    """
    try:
        file = parquet.ParquetFile(raw)
        fields = [pa.field(one.name, _type_in_csv(one.type)) for one in file.schema_arrow]
        kept = {index: one for index, one in enumerate(fields) if not pa.types.is_null(one.type)}
        yield ",".join(_quoted(one.name) for one in kept.values()).encode() + b"\n"
        for batch in file.iter_batches():
            columns = [batch.column(index).cast(one.type, safe=False) for index, one in kept.items()]
            text = BytesIO()
            csv.write_csv(
                pa.Table.from_arrays(columns, schema=pa.schema(kept.values())),
                text,
                csv.WriteOptions(include_header=False),
            )
            yield from text.getvalue().splitlines(keepends=True)
    except (pa.ArrowException, OSError) as error:
        raise ParquetError(f"not a complete Parquet file: {str(error).strip().splitlines()[0]}") from error


def _type_in_csv(given: pa.DataType) -> pa.DataType:
    """The type to write a column as; the null type for one that has no form in CSV."""
    if pa.types.is_dictionary(given):
        given = given.value_type
    if pa.types.is_timestamp(given):
        return _TIME
    if pa.types.is_decimal(given) or pa.types.is_float16(given):
        return pa.float64()
    return given if any(one(given) for one in _KEPT) else pa.null()


def _quoted(name: str) -> str:
    doubled = name.replace('"', '""')
    return f'"{doubled}"'
