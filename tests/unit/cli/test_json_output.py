"""Keys of the JSON output: fields are camelCase, data stays as it is."""

import json

import msgspec

from spillway.cli.json_output import json_text


class _Inner(msgspec.Struct):
    cost_per_hour: float


class _Outer(msgspec.Struct):
    by_name: dict[str, _Inner]
    all_of_them: tuple[_Inner, ...]
    nothing: str | None = None


def test_fields_are_camel_case_and_names_in_the_data_stay() -> None:
    text = json_text([_Outer({"Deployment/shop/the_cart": _Inner(1.5)}, (_Inner(2.0),))])

    assert text.endswith("]\n")
    assert json.loads(text) == [
        {
            "byName": {"Deployment/shop/the_cart": {"costPerHour": 1.5}},
            "allOfThem": [{"costPerHour": 2.0}],
            "nothing": None,
        }
    ]
