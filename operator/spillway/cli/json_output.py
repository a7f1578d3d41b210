"""JSON for programs from values whose fields have Python's names.

Contract: the fields of structs get camelCase names, as all keys in the output of the commands have; keys that are data,
such as the names of workloads, stay as they are.
"""

from typing import Any

import msgspec


def json_text(found: Any) -> str:  # noqa: ANN401 - any struct, or plain values that hold some
    """The indented JSON text of a value."""
    return msgspec.json.format(msgspec.json.encode(_plain(found)), indent=2).decode() + "\n"


def _plain(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, msgspec.Struct):
        return {_camel(name): _plain(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))
