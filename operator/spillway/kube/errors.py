"""The errors of a request to the API server: one base class, and one class for each way in which a request fails.

Contract: a caller catches `RequestError`, whatever the transport or the decoder raises below it. `not_found` says that
there is no such object, whether the API server answered so or no object can have the name.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any


class RequestError(Exception):
    """A request to the API server failed."""

    not_found: bool = False
    """Whether the object does not exist."""
    gone: bool = False
    """Whether the resource version or continue token is too old, so a new list is needed."""
    retryable: bool = False
    """Whether the same request may succeed later."""
    uncertain: bool = False
    """Whether the API server may have carried out the request all the same, or may still do so."""
    retry_after: float | None = None
    """The pause in seconds that the server asked for."""


class UnreachableError(RequestError):
    """The API server was not reached: the connection failed, the answer took too long, or it was not a valid answer."""

    retryable = True
    uncertain = True

    def __init__(self, message: str, *, timed_out: bool = False) -> None:
        super().__init__(message)
        self.timed_out = timed_out
        """Whether the request timed out."""

    @classmethod
    def caused_by(cls, error: BaseException) -> "UnreachableError":
        """The error for an error of the transport."""
        timed_out = isinstance(error, TimeoutError)
        return cls(str(error) or ("no answer in time" if timed_out else repr(error)), timed_out=timed_out)


class TooLargeError(RequestError):
    """The answer is larger than the caller is prepared to hold; the rest of it was not read."""

    def __init__(self, most_bytes: int) -> None:
        super().__init__(f"the answer is larger than {most_bytes} bytes")


class TooSlowError(RequestError):
    """A list was not read to its end within the time that the caller is prepared to wait for it."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the list was not read within {seconds:.0f} s")


class InvalidNameError(RequestError):
    """No object can have this name, so no request was sent."""

    not_found = True

    def __init__(self, field: str, value: str, rule: str) -> None:
        shown = value if len(value) <= 300 else f"{value[:300]}…"
        super().__init__(f"{field}: {shown!r} is not a DNS-1123 {rule}")
        self.field = field
        self.value = value


class ApiError(RequestError):
    """The API server refused a request. `status` is HTTP's, `reason` Kubernetes' CamelCase word (or HTTP's phrase)."""

    def __init__(
        self,
        status: int,
        reason: str,
        message: str,
        *,
        retry_after: float | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message
        self.retry_after = retry_after
        self.details: Mapping[str, Any] = details or {}
        self.not_found = status == HTTPStatus.NOT_FOUND
        self.gone = status == HTTPStatus.GONE
        self.retryable = status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR
        # 429 with Retry-After comes before the request is carried out. Of 5xx this is not known: 504 is also the answer
        # to a request that took too long, and a load balancer answers so without the API server.
        self.uncertain = self.retryable and (status != HTTPStatus.TOO_MANY_REQUESTS or retry_after is None)

    @property
    def conflict(self) -> bool:
        return self.status == HTTPStatus.CONFLICT

    @property
    def invalid(self) -> bool:
        """Whether the object would be invalid, or a JSON patch's `test` failed."""
        return self.status == HTTPStatus.UNPROCESSABLE_ENTITY


class WatchError(RequestError):
    """The server ended a watch with an ERROR event; `code` is an HTTP status."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.gone = code == HTTPStatus.GONE


class FailedRequests:
    """The requests that failed in a pass that goes on with the others."""

    def __init__(self) -> None:
        self._errors: list[RequestError] = []

    def __bool__(self) -> bool:
        return bool(self._errors)

    @contextmanager
    def collected(self) -> Iterator[None]:
        """Keep a `RequestError` instead of raising it."""
        try:
            yield
        except RequestError as error:
            self._errors.append(error)

    def raise_together(self, message: str) -> None:
        """Raise an `ExceptionGroup` if any has failed."""
        if self._errors:
            raise ExceptionGroup(message, self._errors)
