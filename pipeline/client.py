"""A client for Python services: publish requests and checks, wait for outcomes and replies; Kafka is all it needs."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import TypeVar

import structlog

from pipeline import topics
from pipeline.clock import Clock, SystemClock
from pipeline.errors import DeadlinePassed, Poison, Refused, UsageError
from pipeline.model import fields
from pipeline.model.recipient import canonical
from pipeline.model.steps import country_of
from pipeline.records.codec import Codec
from pipeline.records.public import CodeCheck, Reply, VerificationOutcome, VerificationRequest
from pipeline.records.types import AvroRecord
from pipeline.runtime.api import Emit, Record
from pipeline.runtime.log import Log, Producer, Reader, TopicPartition

log = structlog.get_logger(__name__)
R = TypeVar("R", bound=AvroRecord)

KEEP_OUTCOMES = 100_000
"""Latest outcomes kept for callers that ask after the fact; the oldest go first."""


class VerificationClient:
    """An async context manager over one log connection that is already started.

    Outcomes and replies are read from the end of their topics at the moment of entering, so enter before publishing.
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
        self._following: asyncio.Task[None] | None = None
        self._outcomes: dict[str, VerificationOutcome] = {}
        self._replies: dict[str, asyncio.Future[Reply]] = {}
        self._changed = asyncio.Condition()

    async def __aenter__(self) -> VerificationClient:
        partitions = [
            TopicPartition(topic, number)
            for topic in (topics.OUTCOMES, topics.REPLIES)
            for number in range(await self._log.partitions(topic))
        ]
        self._reader = await self._log.reader(await self._log.end_offsets(partitions))
        self._producer = await self._log.producer()
        self._following = asyncio.create_task(self._follow(self._reader), name="outcomes")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._following is not None:
            self._following.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._following
        if self._producer is not None:
            await self._producer.stop()
        if self._reader is not None:
            await self._reader.stop()

    async def start(self, request: VerificationRequest, *, bulk: bool = False) -> str:
        """Publish a request; returns its verification id once all in-sync replicas have it.

        Publishing the same request again is harmless. Raises LogUnavailable, RecordTooLarge.
        """
        topic = topics.lane(topics.REQUESTS, bulk)
        await self._publish(Emit(topic, request_key(request), self._codec.encode(request), None, ()), request)
        return request.verification_id

    async def check(
        self, verification_id: str, code: str, *, check_id: str | None = None, timeout_s: float = 5.0
    ) -> Reply:
        """Check a typed code; the same ``check_id`` always gets the same reply and counts once.

        Raises DeadlinePassed when no reply came in time (ask again with the same id), LogUnavailable, and UsageError
        for an id that no reply may repeat: its check would be a dead letter, and never answered.
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
        reply = self._replies.setdefault(check.check_id, asyncio.get_running_loop().create_future())
        try:
            await self._publish(Emit(topics.CHECKS, verification_id.encode(), self._codec.encode(check)), check)
            async with asyncio.timeout(timeout_s):
                return await asyncio.shield(reply)
        except TimeoutError as error:
            raise DeadlinePassed(f"no reply to check {check.check_id} within {timeout_s:g} s") from error
        finally:
            self._replies.pop(check.check_id, None)

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
        """The first outcome for which ``until`` holds, by default the final one. Raises DeadlinePassed."""
        try:
            async with asyncio.timeout(timeout_s), self._changed:
                while (outcome := self._outcomes.get(verification_id)) is None or not until(outcome):
                    await self._changed.wait()
                return outcome
        except TimeoutError as error:
            raise DeadlinePassed(f"no such outcome of {verification_id} within {timeout_s:g} s") from error

    async def _publish(self, emit: Emit, record: AvroRecord) -> None:
        assert self._producer is not None, "use `async with`"
        await self._producer.send(Emit(emit.topic, emit.key, emit.value, emit.partition, self._codec.headers(record)))

    async def _follow(self, reader: Reader) -> None:
        while True:
            records = await reader.fetch(timeout_ms=500, max_records=2_000)
            if not records:
                continue
            async with self._changed:
                for record in records:
                    self._take(record)
                self._changed.notify_all()

    def _take(self, record: Record) -> None:
        try:
            if record.topic == topics.REPLIES:
                reply = self._codec.decode(Reply, record.value, public=True)
                waiting = self._replies.get(reply.request_id)
                if waiting is not None and not waiting.done():
                    waiting.set_result(reply)
                return
            outcome = self._codec.decode(VerificationOutcome, record.value, public=True)
        except Poison as poison:
            log.warning("unreadable", action="record_skipped", topic=record.topic, reason=poison.reason)
            return
        self._outcomes.pop(outcome.verification_id, None)
        self._outcomes[outcome.verification_id] = outcome
        if len(self._outcomes) > KEEP_OUTCOMES:
            self._outcomes.pop(next(iter(self._outcomes)))


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
