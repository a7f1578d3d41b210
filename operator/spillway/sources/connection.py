"""The address of a Prometheus, and everything that a request to it carries.

Contract: plain values that can be passed to another process. Secrets are files, never values: they are read when they
are needed. A wrong value is refused with its field and the allowed form.
"""

import re
from collections.abc import Iterable
from typing import Final

import msgspec
from yarl import URL

_HEADER: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HEADER_VALUE: Final = re.compile(r"[\x20-\x7e]+")
_LABEL: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_RESERVED: Final = {
    "authorization": "use a token file, or a username file and a password file",
    "content-length": "it is set for each request",
    "content-type": "it is set for each request",
    "host": "it follows from the URL",
}


class Connection(msgspec.Struct, frozen=True, kw_only=True):
    """One Prometheus, or another server with its HTTP API.

    Raises:
        ValueError: a value cannot be used, or two values exclude each other.
    """

    url: str
    """http(s); a path before `/api/v1` is kept; `user:password@` is sent as basic authentication."""
    matchers: dict[str, str] = {}
    """Labels and their values that each series has: the cluster's share of a Prometheus of several clusters."""
    headers: dict[str, str] = {}
    """Headers of each request, for example the tenant as X-Scope-OrgID."""
    token_file: str = ""
    """The file with a bearer token."""
    username_file: str = ""
    password_file: str = ""
    ca_file: str = ""
    """PEM certificates of the authorities that are trusted, instead of the system's."""
    cert_file: str = ""
    """The client certificate, PEM."""
    key_file: str = ""
    """Its key, PEM; empty if it is in `cert_file`."""
    server_name: str = ""
    """The name in the server's certificate, if it is not the host of `url`."""

    def __post_init__(self) -> None:
        url = prometheus_url(self.url)
        check_matchers(self.matchers)
        check_headers(self.headers)
        if bool(self.username_file) != bool(self.password_file):
            raise ValueError("basic authentication needs a username file and a password file")
        given = [bool(self.token_file), bool(self.username_file), url.user is not None]
        if sum(given) > 1:
            raise ValueError("give one of: a token file, a username file and a password file, a user in the URL")
        if self.key_file and not self.cert_file:
            raise ValueError("a key file needs the file of its client certificate")
        if url.scheme != "https" and (self.ca_file or self.cert_file or self.server_name):
            raise ValueError("a CA file, a client certificate and a server name need an https URL")

    @property
    def selected(self) -> str:
        """The matchers as PromQL, for example `cluster="prod-1"`; one that every series matches without any.

        It can stand in any place between the braces of a selector.
        """
        return ",".join(f"{label}={quoted(value)}" for label, value in sorted(self.matchers.items())) or 'job=~".*"'


def prometheus_url(text: str) -> URL:
    """The address as a URL without a trailing slash.

    Raises:
        ValueError: it is not a URL, or not http(s).
    """
    try:
        url = URL(text.rstrip("/"))
    except ValueError as error:
        raise ValueError(f"{text!r} is no URL: {error}") from error
    if url.scheme not in {"http", "https"} or not url.host:
        raise ValueError(f"{text!r}: write an http(s) URL, for example http://prometheus.monitoring:9090")
    return url


def pairs(texts: Iterable[str], example: str) -> dict[str, str]:
    """The names and values of these `NAME=VALUE`.

    Raises:
        ValueError: one is of another form, or a name occurs twice.
    """
    found: dict[str, str] = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator or not name:
            raise ValueError(f"{text!r}: write NAME=VALUE, for example {example}")
        if name in found:
            raise ValueError(f"{name!r} is given twice")
        found[name] = value
    return found


def quoted(text: str) -> str:
    """The text as a string of PromQL."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def check_matchers(matchers: dict[str, str]) -> dict[str, str]:
    """The same matchers.

    Raises:
        ValueError: a name is no label's, or a value is empty.
    """
    for label, value in matchers.items():
        if _LABEL.fullmatch(label) is None:
            raise ValueError(f"{label!r} is no name of a label, write for example cluster=prod-1")
        if not value:
            raise ValueError(f"the label {label} needs a value, for example cluster=prod-1")
    return matchers


def check_headers(headers: dict[str, str]) -> dict[str, str]:
    """The same headers.

    Raises:
        ValueError: a name or a value cannot be sent, or the header is set by other means.
    """
    for name, value in headers.items():
        if _HEADER.fullmatch(name) is None:
            raise ValueError(f"{name!r} is no name of a header, write for example X-Scope-OrgID=prod")
        if name.lower() in _RESERVED:
            raise ValueError(f"the header {name} cannot be set: {_RESERVED[name.lower()]}")
        if _HEADER_VALUE.fullmatch(value) is None:
            raise ValueError(f"the header {name} needs a value of printable ASCII characters")
    return headers
