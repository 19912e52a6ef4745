"""A client for Python services: publish requests and checks, wait for outcomes and replies; Kafka is all it needs."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import uuid
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import TypeVar

import structlog

from pipeline import topics
from pipeline.clock import Clock, SystemClock
from pipeline.errors import DeadlinePassed, LogUnavailable, Poison, Refused, UsageError
from pipeline.model import fields
from pipeline.model.recipient import canonical
from pipeline.model.steps import country_of
from pipeline.records.codec import Codec
from pipeline.records.public import CodeCheck, Reply, VerificationOutcome, VerificationRequest
from pipeline.records.types import AvroRecord, ReplyKind
from pipeline.runtime.api import Emit, Record
from pipeline.runtime.log import Log, Producer, Reader, TopicPartition

log = structlog.get_logger(__name__)
R = TypeVar("R", bound=AvroRecord)

KEEP_OUTCOMES = 100_000
"""Latest outcomes kept for callers that ask after the fact; the oldest go first."""
RETRY_S = 1.0
"""Pause before a reader that failed is replaced."""


class VerificationClient:
    """An async context manager over one log connection that is already started.

    Outcomes and replies are read from the end of their topics at the moment of entering, so enter before publishing.
    A broker that is away is waited for. When reading itself fails (a right was taken away, a damaged batch), whoever
    waits is told the cause at once with LogUnavailable, and so is whoever asks before reading goes on where it was.
    Outside of its ``async with`` everybody is told UsageError, also who waits while it is left; who is publishing then
    is told LogUnavailable, as nobody knows whether it was written.
    """

    def __init__(
        self,
        *,
        log: Log,
        codec: Codec,
        clock: Clock | None = None,
        new_id: Callable[[], str] = lambda: str(uuid.uuid4()),
    ) -> None:
        self._log = log
        self._codec = codec
        self._clock = clock or SystemClock()
        self._new_id = new_id
        self._producer: Producer | None = None
        self._reader: Reader | None = None
        self._outcomes: dict[str, VerificationOutcome] = {}
        # A check id is the caller's: another verification's check, a command, and the same check asked twice may all
        # have the same one.
        self._checks: dict[tuple[str, str], list[asyncio.Future[Reply | Exception]]] = {}
        self._changed = asyncio.Condition()
        self._positions: dict[TopicPartition, int] = {}
        self._open = False
        self._failure: Exception | None = None
        """Why nothing can be read now."""
        self._opened = contextlib.AsyncExitStack()

    async def __aenter__(self) -> VerificationClient:
        partitions = [
            TopicPartition(topic, number)
            for topic in (topics.OUTCOMES, topics.REPLIES)
            for number in range(await self._log.partitions(topic))
        ]
        async with contextlib.AsyncExitStack() as opened:
            self._positions = await self._log.end_offsets(partitions)
            self._reader = await self._log.reader(self._positions)
            opened.push_async_callback(self._stop_reading)
            opened.push_async_callback(_cancelled, asyncio.create_task(self._follow(), name="outcomes"))
            self._producer = await self._log.producer()
            opened.push_async_callback(self._producer.stop)
            opened.push_async_callback(self._close)
            self._open = True
            self._opened = opened.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._opened.aclose()

    async def start(self, request: VerificationRequest, *, bulk: bool = False) -> str:
        """Publish a request; returns its verification id once all in-sync replicas have it.

        Publishing the same request again is harmless. Raises LogUnavailable, RecordTooLarge, and UsageError when the
        client is closed.
        """
        topic = topics.lane(topics.REQUESTS, bulk)
        await self._publish(Emit(topic, request_key(request), self._codec.encode(request), None, ()), request)
        return request.verification_id

    async def check(
        self, verification_id: str, code: str, *, check_id: str | None = None, timeout_s: float = 5.0
    ) -> Reply:
        """Check a typed code; the same ``check_id`` always gets the same reply and counts once.

        Raises DeadlinePassed when no reply came in time and LogUnavailable when none can be read (ask again with the
        same id), and UsageError when the client is closed or for an id that no reply may repeat: its check would be a
        dead letter, and never answered.
        """
        try:
            fields.check_id(verification_id)
            fields.check_echo(check_id, "check_id")
        except Refused as refused:
            raise UsageError(refused.detail) from None
        check = CodeCheck(
            check_id=check_id or self._new_id(),
            verification_id=verification_id,
            code=code,
            checked_at=self._clock.now_ms(),
        )
        self._expect_open()
        self._expect_readable()
        key = (verification_id, check.check_id)
        answer: asyncio.Future[Reply | Exception] = asyncio.get_running_loop().create_future()
        self._checks.setdefault(key, []).append(answer)
        try:
            await self._publish(Emit(topics.CHECKS, verification_id.encode(), self._codec.encode(check)), check)
            async with asyncio.timeout(timeout_s):
                found = await answer
        except TimeoutError as error:
            raise DeadlinePassed(f"no reply to check {check.check_id} within {timeout_s:g} s") from error
        finally:
            self._checks[key].remove(answer)
            if not self._checks[key]:
                del self._checks[key]
        if isinstance(found, Exception):
            self._expect_open()
            raise _unreadable(found) from found
        return found

    def outcome(self, verification_id: str) -> VerificationOutcome | None:
        """The latest outcome seen since entering."""
        return self._outcomes.get(verification_id)

    async def wait(
        self,
        verification_id: str,
        until: Callable[[VerificationOutcome], bool] = lambda outcome: outcome.is_final,
        *,
        timeout_s: float = 30.0,
    ) -> VerificationOutcome:
        """The first outcome for which ``until`` holds, by default the final one.

        Raises DeadlinePassed, LogUnavailable when outcomes cannot be read, and UsageError when the client is closed.
        """
        try:
            async with asyncio.timeout(timeout_s), self._changed:
                while (outcome := self._outcomes.get(verification_id)) is None or not until(outcome):
                    self._expect_open()
                    self._expect_readable()
                    await self._changed.wait()
                return outcome
        except TimeoutError as error:
            raise DeadlinePassed(f"no such outcome of {verification_id} within {timeout_s:g} s") from error

    async def _publish(self, emit: Emit, record: AvroRecord) -> None:
        self._expect_open()
        assert self._producer is not None
        await self._producer.send(Emit(emit.topic, emit.key, emit.value, emit.partition, self._codec.headers(record)))

    def _expect_open(self) -> None:
        if not self._open:
            raise UsageError("the client is not open (any more); ask it within its `async with`")

    def _expect_readable(self) -> None:
        if self._failure is not None:
            raise _unreadable(self._failure) from self._failure

    async def _follow(self) -> None:
        """Read until cancelled; a reader that fails is replaced by one that goes on where it was."""
        while True:
            try:
                if self._reader is None:
                    self._reader = await self._log.reader(self._positions)
                await self._read(self._reader)
            except Exception as error:
                await self._fail(error)
                await self._stop_reading()
                await asyncio.sleep(RETRY_S)

    async def _read(self, reader: Reader) -> None:
        while True:
            records = await reader.fetch(timeout_ms=500, max_records=2_000)
            self._failure = None
            if not records:
                continue
            async with self._changed:
                for record in records:
                    # First, so that a record which cannot be taken is not met again and again.
                    self._positions[TopicPartition(record.topic, record.partition)] = record.offset + 1
                    self._take(record)
                self._changed.notify_all()

    async def _stop_reading(self) -> None:
        if self._reader is not None:
            reader, self._reader = self._reader, None
            try:
                await reader.stop()
            except Exception as error:
                # It is let go either way, and another one may read.
                log.warning("reader not stopped", action="client_reader_not_stopped", cause=repr(error))

    async def _fail(self, error: Exception) -> None:
        log.warning("outcomes and replies interrupted", action="client_interrupted", cause=repr(error))
        self._failure = error
        await self._tell(error)

    async def _close(self) -> None:
        self._open = False
        await self._tell(LogUnavailable("the client was closed"))

    async def _tell(self, error: Exception) -> None:
        """Let whoever waits look again; no reply comes any more to the checks that are under way."""
        async with self._changed:
            for answer in itertools.chain.from_iterable(self._checks.values()):
                if not answer.done():
                    answer.set_result(error)
            self._changed.notify_all()

    def _take(self, record: Record) -> None:
        try:
            if record.topic == topics.REPLIES:
                reply = self._codec.decode(Reply, record.value, public=True)
                if reply.kind is ReplyKind.CHECK:
                    for answer in self._checks.get((reply.verification_id, reply.request_id), ()):
                        if not answer.done():
                            answer.set_result(reply)
                return
            outcome = self._codec.decode(VerificationOutcome, record.value, public=True)
        except Poison as poison:
            log.warning("unreadable", action="record_skipped", topic=record.topic, reason=poison.reason)
            return
        self._outcomes.pop(outcome.verification_id, None)
        self._outcomes[outcome.verification_id] = outcome
        if len(self._outcomes) > KEEP_OUTCOMES:
            self._outcomes.pop(next(iter(self._outcomes)))


def _unreadable(cause: Exception) -> LogUnavailable:
    return LogUnavailable(f"outcomes and replies cannot be read: {cause!r}")


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def request_key(request: VerificationRequest) -> bytes | None:
    """The canonical key recipient; None when it cannot be told here (the router then finds the place)."""
    step = request.steps[0] if request.steps else None
    recipient = request.recipient or (step.recipient if step else None)
    if recipient is None:
        return None
    country = request.country if request.recipient or step is None else country_of(step, request)
    try:
        return canonical(recipient, country).canonical.encode()
    except Refused:
        return None


async def follow(log: Log, codec: Codec, topic: str, record_type: type[R], *, from_start: bool) -> AsyncIterator[R]:
    """Every record of a public topic, from its first kept one or from now on, for ever; unreadable ones are skipped."""
    partitions = [TopicPartition(topic, number) for number in range(await log.partitions(topic))]
    starts = await (log.start_offsets if from_start else log.end_offsets)(partitions)
    reader = await log.reader(starts)
    try:
        while True:
            for record in await reader.fetch(timeout_ms=500, max_records=2_000):
                with contextlib.suppress(Poison):
                    yield codec.decode(record_type, record.value, public=True)
    finally:
        await reader.stop()
