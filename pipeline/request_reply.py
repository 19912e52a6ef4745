"""Asking a running verification something over the log: a check or command goes out, its reply comes back.

Replies of all verifications come to everybody who asks anything; most of them answer others. So a reply is looked up by
its key, which is the verification id, and decoded only when somebody waits for one of that verification.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

import structlog

from pipeline import topics
from pipeline.errors import DeadlinePassed, LogUnavailable, Poison, Refused, UsageError
from pipeline.following import Follower
from pipeline.model import fields
from pipeline.model.addressee import TENANT_HEADER, is_for
from pipeline.records.codec import Codec
from pipeline.records.public import CodeCheck, Command, Reply
from pipeline.records.types import ReplyKind
from pipeline.runtime.api import Emit, Headers, Record
from pipeline.runtime.log import Log

log = structlog.get_logger(__name__)

MAX_WAITING: Final = 5_000
"""Requests that may wait for a reply at once, unless told otherwise."""

CLOSED: Final = "the reader of replies is closed"

Publish = Callable[[Emit], Awaitable[object]]
"""Writes one record; returns once all in-sync replicas have it."""


class _Waiter(NamedTuple):
    """Somebody who waits for the reply to one request."""

    kind: ReplyKind
    request_id: str
    tenant: str | None
    """Who asks, None for whoever may; another one's question may have the same id."""
    answer: asyncio.Future[Reply | Exception]


class RequestReply:
    """Publishes checks and commands, and gives each the reply that it is handed by :meth:`take`.

    A request id is its caller's: another verification's check, a command, and the same check asked twice may all have
    the same one at the same time. Each gets its own reply, and the last case both the same.
    """

    def __init__(self, *, codec: Codec, publish: Publish, max_waiting: int = MAX_WAITING) -> None:
        """``max_waiting`` bounds who may wait at once; whoever comes in addition is refused."""
        self._codec = codec
        self._publish = publish
        self._max_waiting = max_waiting
        self._waiting: dict[bytes, list[_Waiter]] = {}
        """By verification id, as the key of its replies."""
        self._count = 0

    @property
    def waiting(self) -> int:
        """How many wait for a reply, or for the acknowledgement of their request."""
        return self._count

    async def ask(self, request: CodeCheck | Command, *, timeout_s: float, trace: Headers = ()) -> Reply:
        """Publish a request and wait for its reply; the same request again is harmless and gets the same reply.

        ``timeout_s`` runs from the acknowledgement. ``trace`` are further headers of the record. Whoever cancels this
        leaves nothing behind. Raises UsageError for an id that no reply may repeat (such a request is never answered),
        whatever publishing raises, DeadlinePassed when no reply came in time, LogUnavailable when too many wait
        already, and what :meth:`tell` was told.
        """
        expect_answerable(request)
        kind, request_id = _named(request)
        if self._count >= self._max_waiting:
            raise LogUnavailable(f"{self._count} requests already wait for a reply")
        topic = topics.CHECKS if kind is ReplyKind.CHECK else topics.COMMANDS
        key = request.verification_id.encode()
        waiter = _Waiter(kind, request_id, request.tenant, asyncio.get_running_loop().create_future())
        # Before publishing: the reply may overtake the acknowledgement.
        self._waiting.setdefault(key, []).append(waiter)
        self._count += 1
        try:
            headers = (*self._codec.headers(request), *trace)
            emit = Emit(topic, key, self._codec.encode(request), None, headers)
            try:
                await self._publish(emit)
            except DeadlinePassed as error:
                # Of who asks, that says of a reply only: what it is about was written.
                raise LogUnavailable(str(error)) from error
            async with asyncio.timeout(timeout_s):
                answer = await waiter.answer
        except TimeoutError as error:
            raise DeadlinePassed(f"no reply to {kind} {request_id} within {timeout_s:g} s") from error
        finally:
            self._leave(key, waiter)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def take(self, record: Record) -> None:
        """Hand over one record of the topic of replies; costs next to nothing when nobody waits for it."""
        # Unkeyed records are nothing that a tracker writes, but a rule of this side must not rest on that.
        if record.key is not None and record.key not in self._waiting:
            return
        try:
            reply = self._codec.decode(Reply, record.value, public=True)
        except Poison as poison:
            log.warning("unreadable", action="record_skipped", topic=record.topic, reason=poison.reason)
            return
        asked_by = record.header(TENANT_HEADER)
        for waiter in self._waiting.get(reply.verification_id.encode(), ()):
            if (
                (waiter.kind, waiter.request_id) == (reply.kind, reply.request_id)
                and is_for(asked_by, waiter.tenant)
                and not waiter.answer.done()
            ):
                waiter.answer.set_result(reply)

    def tell(self, error: Callable[[], Exception]) -> None:
        """Everybody who waits is told an error instead of a reply: each one of their own, as it is raised."""
        for waiters in self._waiting.values():
            for waiter in waiters:
                if not waiter.answer.done():
                    waiter.answer.set_result(error())

    def _leave(self, key: bytes, waiter: _Waiter) -> None:
        waiters = self._waiting[key]
        # By identity: two who wait for the same differ in nothing else.
        waiters[:] = [each for each in waiters if each is not waiter]
        if not waiters:
            del self._waiting[key]
        self._count -= 1


class Asking:
    """Request and reply for somebody who needs nothing else of the log, such as a gateway.

    Every instance reads all replies. When its reader fails, whoever waits goes on waiting, as the one that takes its
    place goes on where it was; whoever asks while that one fails as well is refused, so that no check is spent on it.
    """

    def __init__(self, *, log: Log, codec: Codec, publish: Publish, max_waiting: int = MAX_WAITING) -> None:
        self._asked = RequestReply(codec=codec, publish=publish, max_waiting=max_waiting)
        self._follower = Follower(log=log, topics=(topics.REPLIES,), take=self._asked.take)
        self._open = False

    @property
    def waiting(self) -> int:
        """How many wait for a reply now."""
        return self._asked.waiting

    async def start(self) -> None:
        """Read replies from now on. Raises LogUnavailable, Misconfigured (no topics)."""
        await self._follower.start()
        self._open = True

    async def stop(self) -> None:
        """Whoever still waits is told LogUnavailable; harmless to repeat."""
        self._open = False
        self._asked.tell(lambda: LogUnavailable(CLOSED))
        await self._follower.stop()

    async def ask(self, request: CodeCheck | Command, *, timeout_s: float, trace: Headers = ()) -> Reply:
        """See :meth:`RequestReply.ask`."""
        if not self._open:
            raise LogUnavailable(CLOSED)
        self._follower.expect_readable(patient=True)
        return await self._asked.ask(request, timeout_s=timeout_s, trace=trace)


def expect_answerable(request: CodeCheck | Command) -> None:
    """Raises UsageError for ids that no reply may repeat: such a request becomes a dead letter, and has no reply."""
    kind, request_id = _named(request)
    name = f"{kind}_id"
    try:
        fields.check_id(request.verification_id)
        fields.check_echo(request_id, name)
    except Refused as refused:
        raise UsageError(refused.detail) from None
    if not request_id:
        raise UsageError(f"{name}: is empty; use 1-{fields.MAX_ECHO} characters, or leave it out")


def _named(request: CodeCheck | Command) -> tuple[ReplyKind, str]:
    if isinstance(request, CodeCheck):
        return ReplyKind.CHECK, request.check_id
    return ReplyKind.COMMAND, request.command_id
