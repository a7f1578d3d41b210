"""The credentials for a Prometheus, from files that others renew.

Contract: a token, a username and a password are read for each request. Certificates are loaded again when one of their
files has changed, so a rotated Secret counts from the next request on. Nothing read here is logged.
"""

import base64
import ssl
from pathlib import Path
from typing import Final

from spillway.sources.connection import Connection

_Stamp = tuple[tuple[int, int, int], ...]


class SourceCredentialsError(Exception):
    """A file cannot be read or used; the message names it and says why."""


class SourceCredentials:
    """The credentials of one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection: Final = connection
        self._context: ssl.SSLContext | None = None
        self._stamp: _Stamp = ()

    def headers(self) -> dict[str, str]:
        """The headers of the next request.

        Raises:
            CredentialsError: a file cannot be read.
        """
        connection, found = self._connection, dict(self._connection.headers)
        if connection.token_file:
            found["Authorization"] = f"Bearer {_text('token', connection.token_file)}"
        elif connection.username_file:
            user, password = _text("username", connection.username_file), _text("password", connection.password_file)
            found["Authorization"] = f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"
        return found

    def tls(self) -> ssl.SSLContext | bool:
        """The certificates for the next request; True for those of the system alone.

        Raises:
            CredentialsError: a file cannot be read, or is no certificate or key.
        """
        connection = self._connection
        files = [path for path in (connection.ca_file, connection.cert_file, connection.key_file) if path]
        if not files:
            return True
        try:
            # A volume of a Secret is renewed by a link to other files, so that all of these numbers change.
            stamp = tuple(
                (stat.st_mtime_ns, stat.st_size, stat.st_ino) for stat in (Path(path).stat() for path in files)
            )
            if self._context is None or stamp != self._stamp:
                context = ssl.create_default_context(cafile=connection.ca_file or None)
                if connection.cert_file:
                    # An encrypted key would ask for its password at the terminal.
                    context.load_cert_chain(connection.cert_file, connection.key_file or None, password=lambda: b"")
                self._context, self._stamp = context, stamp
        except (OSError, ValueError) as error:
            named = ", ".join(files)
            raise SourceCredentialsError(
                f"the certificates or the key cannot be loaded from {named}: {error}"
            ) from error
        return self._context


def _text(what: str, path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SourceCredentialsError(f"the {what} file cannot be read: {error}") from error
