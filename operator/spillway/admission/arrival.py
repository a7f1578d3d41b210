"""Whether the last request on a connection has arrived whole.

aiohttp does not tell: it answers a request whose body is still arriving, and keeps what comes after a whole one.
"""

import httptools


class RequestArrival:
    """What has arrived on one connection; what cannot be parsed never arrives whole."""

    def __init__(self) -> None:
        self._parser: httptools.HttpRequestParser | None = httptools.HttpRequestParser(self)
        self._upgraded = False
        self._more = False
        """Whether bytes have come after a request for another protocol."""
        self.partly = False
        """Whether a part of a request has arrived."""

    def feed(self, data: bytes) -> None:
        """Bytes have arrived."""
        if self._parser is None:
            self._more = True
            return
        self.partly = True  # until the parser finds an end; it does not tell of blank lines
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._parser, self._upgraded = None, True
            self._more = upgrade.args[0] < len(data)
            self.partly = False
        except httptools.HttpParserError:
            self._parser = None
            self.partly = True

    def answered(self) -> None:
        """A request was answered. If it asked for another protocol, that was not chosen: HTTP goes on."""
        if self._upgraded:
            self._parser = None if self._more else httptools.HttpRequestParser(self)
            self.partly = self._more
            self._upgraded = False

    # Called by the parser

    def on_message_begin(self) -> None:
        self.partly = True

    def on_message_complete(self) -> None:
        self.partly = False
