"""The scalar types of a manifest: texts that keep what the user wrote and give a number in one unit.

Contract: a value is the user's own text (so an object round-trips unchanged) and a property gives it as a number. The
rule by which the API server refuses a bad one stands beside it, as CEL and not as `pattern`, because a rule's message
can say what is allowed.
"""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Final, Self

from pydantic import AfterValidator, GetCoreSchemaHandler, GetJsonSchemaHandler, PlainSerializer
from pydantic_core import CoreSchema, core_schema

from spillway.api.quantity import cpu_millis, duration_seconds, memory_bytes, money


class _Scalar(str):
    """A checked text."""

    __slots__ = ()
    openapi: ClassVar[dict[str, Any]]

    @property
    def _number(self) -> object:
        raise NotImplementedError

    @classmethod
    def parse(cls, value: object) -> Self:
        """The value as this type.

        Raises:
            ValueError: the text has no valid value; the message says what is allowed.
        """
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise ValueError(f"{value!r} must be written as a text")  # noqa: TRY004 - pydantic reports ValueErrors only
        checked = cls(value)
        _ = checked._number
        return checked

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls.parse, serialization=core_schema.to_string_ser_schema(when_used="json")
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return dict(cls.openapi)


def _quantity_schema(most: str, number: int, example: str) -> dict[str, Any]:
    """A quantity of at most `most`, which is `number`.

    As in the resource fields of Kubernetes, a number may be written without quotes.
    """
    digits = 32
    return {
        "anyOf": [{"type": "integer"}, {"type": "string"}],
        "x-kubernetes-int-or-string": True,
        "x-kubernetes-validations": [
            {
                # Its estimated cost counts in lists: `string(self)` would be counted for the longest text possible.
                "rule": f"type(self) == int ? self >= 0 && self <= {number} : (size(self) <= {digits}"
                f" && isQuantity(self) && !self.startsWith('-') && !quantity(self).isGreaterThan(quantity('{most}')))",
                "message": f"must be a quantity of at most {most} that is not negative, for example {example}",
            }
        ],
    }


def _text_schema(rule: str, message: str, *, least: int = 1, most: int = 22) -> dict[str, Any]:
    """A text of so many characters that meets a CEL rule."""
    return {
        "type": "string",
        "minLength": least,
        "maxLength": most,
        "x-kubernetes-validations": [{"rule": rule, "message": message}],
    }


_AMOUNT: Final = "self.matches('^[0-9]{1,12}([.][0-9]{1,9})?$')"


class Cpu(_Scalar):
    """Cores, as Kubernetes writes them: `2`, `"500m"`."""

    __slots__ = ()
    openapi = _quantity_schema("1P", 10**15, '"500m", 2 or "10000"')

    @property
    def millis(self) -> int:
        return cpu_millis(self)

    @property
    def _number(self) -> object:
        return self.millis


class Memory(_Scalar):
    """Bytes, as Kubernetes writes them: `"4Gi"`, `"512Mi"`."""

    __slots__ = ()
    openapi = _quantity_schema("1E", 10**18, '"512Mi", "4Gi" or "40Ti"')

    @property
    def bytes(self) -> int:
        return memory_bytes(self)

    @property
    def _number(self) -> object:
        return self.bytes


class Duration(_Scalar):
    """A time span of days, hours, minutes and seconds: `60s`, `5m`, `1h30m`, `14d`."""

    __slots__ = ()
    openapi = _text_schema(
        "self.matches('^([0-9]{1,5}d)?([0-9]{1,6}h)?([0-9]{1,7}m)?([0-9]{1,8}s)?$')",
        "must be a duration of days, hours, minutes and seconds, for example 60s, 5m, 1h30m or 14d",
        least=2,
        most=24,
    )

    @property
    def seconds(self) -> int:
        return duration_seconds(self)

    @property
    def _number(self) -> object:
        return self.seconds


class Money(_Scalar):
    """An amount in the currency that stands beside it, not negative, as text so that it stays exact: `"0.35"`."""

    __slots__ = ()
    openapi = _text_schema(_AMOUNT, 'must be an amount that is not negative, in quotes, for example "0.35" or "90000"')

    @property
    def amount(self) -> Decimal:
        return money(self)

    @property
    def _number(self) -> object:
        return self.amount


class Factor(Money):
    """A ratio that is not negative, as text so that it stays exact: `"1.5"`."""

    __slots__ = ()


class PositiveFactor(Factor):
    """A ratio above 0, as text so that it stays exact: `"1.5"`."""

    __slots__ = ()
    openapi = _text_schema(
        f"{_AMOUNT} && self.matches('[1-9]')", 'must be a number above 0, in quotes, for example "10" or "0.5"'
    )

    @property
    def amount(self) -> Decimal:
        found = super().amount
        if not found:
            raise ValueError(f'{self!r} must be above 0, for example "10"')
        return found


def rfc3339(moment: datetime) -> str:
    """A time in the form of Kubernetes: RFC 3339, UTC, whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def aware(moment: datetime) -> datetime:
    """The same moment; without a time zone it is in UTC."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def moment_of(text: str) -> datetime:
    """The moment that a text names; without a time zone it is in UTC.

    Raises:
        ValueError: it is none; the message has an example.
    """
    try:
        return aware(datetime.fromisoformat(text))
    except ValueError:
        raise ValueError(f"must be RFC 3339, for example 2026-11-11T06:00:00+08:00, not {text[:64]!r}") from None


Timestamp = Annotated[
    datetime, AfterValidator(aware), PlainSerializer(rfc3339, return_type=str, when_used="json-unless-none")
]
"""A moment, RFC 3339 on the wire."""
