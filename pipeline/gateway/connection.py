"""One client connection, bounded in what it may send and how long it may take, and HTTP/1.1 whatever it offers.

uvicorn with httptools bounds neither: a head may be of any size, and a client that sends a byte now and then, in a head
or after an early answer, keeps its connection for ever. A proxy before us usually has such bounds; nothing says that
there is one. A body is bounded where it is read (``edge.py``); here is what no handler sees.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Final

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from pipeline.gateway.edge import OTHER_ROUTE, SECURITY_HEADERS, Measures
from pipeline.gateway.problems import problem
from pipeline.model.reasons import ProblemReason

MAX_HEAD_BYTES: Final = 32_768
"""Request line and headers together; also what comes with a body and is none of it, before more of the body comes."""
MAX_HEADERS: Final = 100
GRACE_S: Final = 1.0
"""So that a body that is too slow is answered where it is read, before its connection is cut here."""


class _HeadTooLarge(Exception):
    """Stops the parser, which lets its caller know."""


class _NoProxy(Exception):
    """Stops the parser at a request to be connected to somebody else."""


class Connection(HttpToolsProtocol):
    """Made by uvicorn, one for each connection; :func:`bounded` gives it its bounds."""

    timeout_s: float
    measures: Measures

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._since_s: float | None = self.loop.time()
        """Since when something is awaited of the client: a head, or the rest of a body; None when nothing is."""
        self._in_head = True
        self._head_bytes = 0
        self._chunk_bytes = 0
        self._beside_bytes = 0
        """What came after a head since the body last grew: chunk extensions and trailers, which no handler sees."""
        self._too_large = False
        self._unwritten: tuple[RequestResponseCycle, float] | None = None
        """An answer that the client does not take, and since when."""
        self._watch = self.loop.call_later(self.timeout_s, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        self._watch.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._since_s is None:
            # Also for line ends between requests: the parser skips them, but they end uvicorn's wait for a request.
            self._since_s = self.loop.time()
        self._chunk_bytes = len(data)
        self._unset_keepalive_if_required()
        self._feed(data)
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
                self._too_large = True
                self.send_400_response("")
            return
        self._beside_bytes += len(data)
        if self._beside_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self._too_large = True
            if self.cycle.response_complete:
                # It was answered before it had ended, and a second answer would be taken for that of another request.
                self.transport.abort()
            else:
                self.send_400_response("")

    def _feed(self, data: bytes) -> None:
        while data:
            try:
                self.parser.feed_data(data)
                return
            except HttpParserUpgrade as upgrade:
                # Java's client, among others, offers HTTP/2 with each request it makes without TLS. The parser takes
                # what follows such a head for another protocol, and the handler would see a request without its body.
                data = self._head_without_offer() + data[upgrade.args[0] :]
                self.parser = HttpRequestParser(self)
            except HttpParserError:
                self.send_400_response("")
                return

    def _head_without_offer(self) -> bytes:
        lines = [b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())]
        for name, value in self.headers:
            if name == b"connection":
                kept = [token for token in value.split(b",") if token.strip().lower() != b"upgrade"]
                value = b",".join(kept)
            if name != b"upgrade":
                lines.append(name + b": " + value)
        return b"\r\n".join(lines) + b"\r\n\r\n"

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._since_s is None:
            self._since_s = self.loop.time()

    def on_header(self, name: bytes, value: bytes) -> None:
        # The parser tells of trailers by the same call. They are no headers (RFC 9110, 6.5.1): a proxy before us that
        # sets, drops or checks a header has not looked at them, and without end they would fill our memory.
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if len(self.headers) > MAX_HEADERS or (
            # The sum is only made where it could be too much.
            self._head_bytes + self._chunk_bytes > MAX_HEAD_BYTES
            and len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers) > MAX_HEAD_BYTES
        ):
            self._too_large = True
            raise _HeadTooLarge
        if self.parser.should_upgrade():
            if self.parser.get_method() == b"CONNECT":
                raise _NoProxy
            return
        self._in_head = False
        self._beside_bytes = -self._chunk_bytes
        self._since_s = self.loop.time()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        # What came together with some of the body is counted with the next of it, or hardly.
        self._beside_bytes = -self._chunk_bytes
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():
            return
        super().on_message_complete()
        self._since_s = None
        self._in_head = True
        # The chunk that holds the end of this request is no part of the next one's head, or hardly.
        self._head_bytes = -self._chunk_bytes

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._since_s is not None:
            # While an answer was made nothing further was read.
            self._since_s = self.loop.time()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no request; uvicorn calls it for what its parser refuses."""
        if self._too_large:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, ProblemReason.TOO_LARGE)
        else:
            self._refuse(HTTPStatus.BAD_REQUEST, ProblemReason.MALFORMED, "This is no HTTP/1.1 request.")

    @property
    def _answering(self) -> bool:
        """Whether a request that was read in full is not answered yet."""
        if self.pipeline:
            return True
        return self.cycle is not None and not self.cycle.response_complete and not self.cycle.more_body

    def _refuse(self, status: HTTPStatus, reason: ProblemReason, detail: str | None = None) -> None:
        if self._answering:
            # An answer now would be taken for that of the request before; the connection ends after its own.
            self.cycle.keep_alive = False
            self.flow.pause_reading()
            return
        self.measures.apply([("http_requests_total", 1.0, {"route": OTHER_ROUTE, "status": str(status.value)})])
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            answer = problem(status, reason, detail=detail, headers=SECURITY_HEADERS | {"Connection": "close"})
            lines = [f"HTTP/1.1 {status.value} {status.phrase}".encode()]
            lines += [name + b": " + value for name, value in answer.raw_headers]
            self.transport.write(b"\r\n".join(lines) + b"\r\n\r\n" + bytes(answer.body))
        self.transport.close()
        # Closing waits for a client that does not take the answer.
        self.loop.call_later(GRACE_S, self.transport.abort)

    def _look(self) -> None:
        """Cut the connection when the client owes something for too long, else look again when it may."""
        now_s = self.loop.time()
        due_s = now_s + self.timeout_s
        if self._since_s is not None and not self._answering:
            due_s = self._since_s + self.timeout_s + GRACE_S
            if due_s <= now_s:
                self._cut()
                return
        if not self.flow.write_paused:
            self._unwritten = None
        elif self._unwritten is None or self._unwritten[0] is not self.cycle:
            self._unwritten = self.cycle, now_s
        elif now_s - self._unwritten[1] >= self.timeout_s:
            self.transport.abort()
            return
        self._watch = self.loop.call_at(due_s, self._look)

    def _cut(self) -> None:
        if self._in_head and self._head_bytes > 0:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, ProblemReason.REQUEST_TIMEOUT)
        else:
            # It said nothing, or was answered long ago.
            self.transport.abort()


def bounded(*, timeout_s: float, measures: Measures) -> type[Connection]:
    """A protocol class for one server, as uvicorn makes the instances itself.

    A head must be complete ``timeout_s`` after its first byte, or the connection's beginning; so must a body after its
    head, and an answer must be taken in that time.
    """
    return type("BoundedConnection", (Connection,), {"timeout_s": timeout_s, "measures": measures})
