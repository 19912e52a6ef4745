"""A client for Python services: publish requests and checks, wait for outcomes and replies; Kafka is all it needs."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Callable
from types import TracebackType
from typing import Final

import structlog

from pipeline import topics
from pipeline.awaiting import Awaiting
from pipeline.clock import Clock, SystemClock
from pipeline.errors import DeadlinePassed, Poison, Refused, UsageError
from pipeline.following import Follower, unreadable
from pipeline.model.recipient import canonical
from pipeline.model.steps import country_of
from pipeline.records.codec import Codec
from pipeline.records.public import CodeCheck, Command, Reply, VerificationOutcome, VerificationRequest
from pipeline.records.types import CommandAction
from pipeline.request_reply import MAX_WAITING, RequestReply, expect_answerable
from pipeline.runtime.api import Emit, Record
from pipeline.runtime.log import Log, Producer

log = structlog.get_logger(__name__)

KEEP_OUTCOMES = 100_000
"""Latest outcomes kept for callers that ask after the fact; the oldest go first."""
REPLY_S: Final = 5.0
"""How long a reply may take unless told otherwise."""
_FOLLOWED: Final = (topics.OUTCOMES, topics.REPLIES)


class VerificationClient:
    """An async context manager over one log connection that is already started.

    Outcomes and replies are read from the end of their topics at the moment of entering, so enter before publishing.
    A broker that is away is waited for. When reading itself fails (a right was taken away, a damaged batch), whoever
    waits is told the cause at once with LogUnavailable, and so is whoever asks before reading goes on where it was.
    Outside of its ``async with`` everybody is told UsageError, also who waits while it is left; only an outcome seen
    before can still be had. Who is publishing then is told LogUnavailable, as nobody knows whether it was written.
    """

    def __init__(
        self,
        *,
        log: Log,
        codec: Codec,
        clock: Clock | None = None,
        new_id: Callable[[], str] = lambda: str(uuid.uuid4()),
        max_waiting: int = MAX_WAITING,
    ) -> None:
        """``max_waiting`` bounds the checks and commands that may wait for their reply; more get LogUnavailable."""
        self._log = log
        self._codec = codec
        self._clock = clock or SystemClock()
        self._new_id = new_id
        self._producer: Producer | None = None
        self._outcomes: dict[str, VerificationOutcome] = {}
        self._awaited = Awaiting()
        self._asked = RequestReply(codec=codec, publish=self._publish, max_waiting=max_waiting)
        self._follower = Follower(log=log, topics=_FOLLOWED, take=self._take, failed=self._interrupted)
        self._open = False
        self._opened = contextlib.AsyncExitStack()

    async def __aenter__(self) -> VerificationClient:
        async with contextlib.AsyncExitStack() as opened:
            await self._follower.start()
            opened.push_async_callback(self._follower.stop)
            self._producer = await self._log.producer()
            opened.push_async_callback(self._producer.stop)
            opened.callback(self._close)
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
        headers = self._codec.headers(request)
        await self._publish(Emit(topic, request_key(request), self._codec.encode(request), None, headers))
        return request.verification_id

    async def check(
        self,
        verification_id: str,
        code: str,
        *,
        check_id: str | None = None,
        tenant: str | None = None,
        end_user_ip: str | None = None,
        timeout_s: float = REPLY_S,
    ) -> Reply:
        """Check a typed code; the same ``check_id`` gets the same reply and counts once.

        A right or counted wrong code is answered alike while the verification is remembered (a day after its end); of
        refusals that cost nothing the last ten are, and a forgotten one is judged as if it came now.

        With a ``tenant`` a verification of another one is unknown. Raises DeadlinePassed when no reply came in time and
        LogUnavailable when none can be read or too many wait (ask again with the same id), and UsageError when the
        client is closed or for an id that no reply may repeat: its check would be a dead letter, and never answered.
        """
        check = CodeCheck(
            check_id=check_id or self._new_id(),
            verification_id=verification_id,
            tenant=tenant,
            code=code,
            end_user_ip=end_user_ip,
            checked_at=self._clock.now_ms(),
        )
        return await self._ask(check, timeout_s)

    async def resend(
        self,
        verification_id: str,
        *,
        step_index: int | None = None,
        command_id: str | None = None,
        tenant: str | None = None,
        timeout_s: float = REPLY_S,
    ) -> Reply:
        """Send a step once more, by default the active one, by another route than last time where there is one.

        The reply says whether it is begun (``ok``), else the reason, and with ``resend_too_soon`` when it may be asked
        again (``retry_at``, epoch milliseconds). The same ``command_id`` gets the same reply and is carried out once;
        of refusals the last ten are remembered, and a forgotten one is looked at as if it came now. Raises what
        :meth:`check` raises.
        """
        return await self._command(CommandAction.RESEND, verification_id, step_index, command_id, tenant, timeout_s)

    async def failover(
        self,
        verification_id: str,
        *,
        step_index: int | None = None,
        command_id: str | None = None,
        tenant: str | None = None,
        timeout_s: float = REPLY_S,
    ) -> Reply:
        """Begin a step now instead of waiting for it, by default the next one; otherwise like :meth:`resend`."""
        return await self._command(CommandAction.FAILOVER, verification_id, step_index, command_id, tenant, timeout_s)

    async def cancel(
        self,
        verification_id: str,
        *,
        command_id: str | None = None,
        tenant: str | None = None,
        timeout_s: float = REPLY_S,
    ) -> Reply:
        """End a verification as ``canceled``; otherwise like :meth:`resend`."""
        return await self._command(CommandAction.CANCEL, verification_id, None, command_id, tenant, timeout_s)

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

        Of those seen before the call only the latest counts; of those that come later each one does, also where the
        next comes with it. Raises DeadlinePassed, LogUnavailable when outcomes cannot be read, UsageError when the
        client is closed and has not seen it, and whatever ``until`` raises.
        """
        try:
            async with asyncio.timeout(timeout_s):
                outcome = self.outcome(verification_id)
                while outcome is None or not until(outcome):
                    self._expect_open()
                    self._follower.expect_readable()
                    outcome = await self._awaited.news(verification_id, until) or self.outcome(verification_id)
                return outcome
        except TimeoutError as error:
            raise DeadlinePassed(f"no such outcome of {verification_id} within {timeout_s:g} s") from error

    async def _command(
        self,
        action: CommandAction,
        verification_id: str,
        step_index: int | None,
        command_id: str | None,
        tenant: str | None,
        timeout_s: float,
    ) -> Reply:
        command = Command(
            command_id=command_id or self._new_id(),
            verification_id=verification_id,
            tenant=tenant,
            action=action,
            step_index=step_index,
            issued_at=self._clock.now_ms(),
        )
        return await self._ask(command, timeout_s)

    async def _ask(self, request: CodeCheck | Command, timeout_s: float) -> Reply:
        expect_answerable(request)
        self._expect_open()
        self._follower.expect_readable()
        return await self._asked.ask(request, timeout_s=timeout_s)

    async def _publish(self, emit: Emit) -> None:
        self._expect_open()
        assert self._producer is not None
        await self._producer.send(emit)

    def _expect_open(self) -> None:
        if not self._open:
            raise _closed()

    def _interrupted(self, error: Exception) -> None:
        def told() -> Exception:
            interrupted = unreadable(_FOLLOWED, error)
            interrupted.__cause__ = error
            return interrupted

        self._tell(told)

    def _close(self) -> None:
        self._open = False
        self._tell(_closed)

    def _tell(self, error: Callable[[], Exception]) -> None:
        """Let whoever waits look again; no reply comes any more to what was asked."""
        self._asked.tell(error)
        self._awaited.wake()

    def _take(self, record: Record) -> None:
        if record.topic == topics.REPLIES:
            self._asked.take(record)
            return
        try:
            outcome = self._codec.decode(VerificationOutcome, record.value, public=True)
        except Poison as poison:
            log.warning("unreadable", action="record_skipped", topic=record.topic, reason=poison.reason)
            return
        self._outcomes.pop(outcome.verification_id, None)
        self._outcomes[outcome.verification_id] = outcome
        if len(self._outcomes) > KEEP_OUTCOMES:
            self._outcomes.pop(next(iter(self._outcomes)))
        self._awaited.take(outcome)


def _closed() -> UsageError:
    return UsageError("the client is not open (any more); ask it within its `async with`")


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
