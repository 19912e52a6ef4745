"""The ledger over the database: whoever asks while a transaction is written goes into the next one together."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import structlog

from pipeline.errors import PipelineError, ReadModelUnavailable
from pipeline.readmodel.database import Database, UnfitValue
from pipeline.readmodel.ledger_write import Answer, Batch, Beginning, LedgerWriter, Written
from pipeline.readmodel.ports import Begun, Kept, Known, Start, Started

log = structlog.get_logger(__name__)

MOST_IN_A_BATCH: Final = 500
"""So that nobody waits long for a transaction that began before he came."""
LOOK_EVERY_S: Final = 0.25
"""How often those who have waited too long are told."""

Asked = Start | Beginning | Answer


class _Waiting(NamedTuple):
    """Somebody who asked."""

    asked: Asked
    answer: asyncio.Future[Any]
    until_s: float


class SqlLedger:
    """See :class:`pipeline.readmodel.ports.Ledger`; answers nobody but while :meth:`run` runs.

    A batch is written as soon as the one before it is: at low load each request is a batch of its own and waits for
    nobody, under load the batches grow. More than ``max_waiting`` requests at once, or one that is not answered within
    the database's time limit, are told ReadModelUnavailable; what became of it then is unknown, and asking again tells.
    """

    def __init__(self, *, database: Database, horizon_ms: int, max_waiting: int) -> None:
        self._database = database
        self._write = LedgerWriter(is_postgresql=database.is_postgresql, horizon_ms=horizon_ms)
        self._max_waiting = max_waiting
        self._waiting: deque[_Waiting] = deque()
        self._patient: deque[_Waiting] = deque()
        """Everybody not yet answered, in the order in which their patience ends."""
        self._came = asyncio.Event()
        self._running = False

    async def start(self, entry: Start) -> Started:
        """Remember a start before it is published."""
        found: Started = await self._ask(entry)
        return found

    async def begin(self, begun: Begun, *, created_at: int) -> Kept:
        """Remember the Idempotency-Key of a check or command."""
        found: Kept = await self._ask(Beginning(begun, created_at))
        return found

    async def answered(self, begun: Begun, *, status: int, answer: bytes) -> None:
        """Keep the first answer of a check or command."""
        await self._ask(Answer(begun, status, answer))

    def _ask(self, asked: Asked) -> asyncio.Future[Any]:
        if not self._running:
            raise ReadModelUnavailable("the ledger is not ready")
        if len(self._patient) >= self._max_waiting:
            self._forget_answered()
            if len(self._patient) >= self._max_waiting:
                raise ReadModelUnavailable(f"{self._max_waiting} requests wait for the database of verifications")
        loop = asyncio.get_running_loop()
        waiting = _Waiting(asked, loop.create_future(), loop.time() + self._database.timeout_s)
        self._waiting.append(waiting)
        self._patient.append(waiting)
        self._came.set()
        return waiting.answer

    async def run(self) -> None:
        """Answer until canceled; whoever waits then is told ReadModelUnavailable."""
        look = asyncio.create_task(self._look(), name="ledger patience")
        self._running = True
        try:
            while True:
                await self._came.wait()
                self._came.clear()
                while batch := self._next_batch():
                    await self._answer(batch)
        finally:
            self._running = False
            look.cancel()
            self._waiting.clear()
            for one in self._patient:
                _fail(one, ReadModelUnavailable("the ledger was stopped"))
            self._patient.clear()

    async def _look(self) -> None:
        """Tell whoever has waited too long; one look for all costs less than a timer for each."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            self._forget_answered()
            while self._patient and self._patient[0].until_s <= loop.time():
                _fail(
                    self._patient.popleft(),
                    ReadModelUnavailable(f"no answer of the database within {self._database.timeout_s:g} s"),
                )

    def _forget_answered(self) -> None:
        # They are answered in about the order in which they came, so the answered ones are at the head.
        while self._patient and self._patient[0].answer.done():
            self._patient.popleft()

    def _next_batch(self) -> list[_Waiting]:
        """Those who come next; whoever asks for what another one of them does waits for the next batch."""
        batch: list[_Waiting] = []
        taken: set[str] = set()
        later: list[_Waiting] = []
        while self._waiting and len(batch) < MOST_IN_A_BATCH:
            one = self._waiting.popleft()
            if one.answer.done():
                continue  # it was canceled, or its patience has ended: nobody would publish it
            names = _names(one.asked)
            if taken.isdisjoint(names):
                batch.append(one)
            else:
                later.append(one)
            taken |= names
        self._waiting.extendleft(reversed(later))
        return batch

    async def _answer(self, batch: Sequence[_Waiting]) -> None:
        asked = [one.asked for one in batch]
        told = Batch(
            starts=[one for one in asked if isinstance(one, Start)],
            beginnings=[one for one in asked if isinstance(one, Beginning)],
            answers=[one for one in asked if isinstance(one, Answer)],
        )
        try:
            written = await self._database.write(lambda connection: self._write(connection, told))
        except UnfitValue as error:
            await self._find_unfit(batch, error)
        except Exception as error:
            if not isinstance(error, PipelineError):
                log.exception("ledger failed", action="ledger_failed")
            for one in batch:
                _fail(one, type(error)(str(error)) if isinstance(error, ReadModelUnavailable) else error)
        else:
            for one in batch:
                if not one.answer.done():
                    one.answer.set_result(_answer_of(one.asked, written))

    async def _find_unfit(self, batch: Sequence[_Waiting], error: UnfitValue) -> None:
        """Write it again by halves, so that nobody but the one with the unfit value is refused."""
        if len(batch) == 1:
            log.error("entry refused", action="ledger_entry_refused", cause=str(error))
            _fail(batch[0], error)
            return
        middle = len(batch) // 2
        await self._answer(batch[:middle])
        await self._answer(batch[middle:])


def _names(asked: Asked) -> set[str]:
    """What no two of a batch may have in common: the verification id, the key's hash."""
    if isinstance(asked, Start):
        names = {f"id {asked.verification_id}"}
        return names | {f"key {asked.begun.key_hash}"} if asked.begun is not None else names
    return {f"key {asked.begun.key_hash}"}


def _answer_of(asked: Asked, written: Written) -> Started | Kept | None:
    if isinstance(asked, Start):
        return written.started[asked.verification_id]
    if isinstance(asked, Beginning):
        # Not there: its key was purged in this moment, so it is a new one.
        return written.kept.get(asked.begun.key_hash, Kept(Known.NEW))
    return None


def _fail(one: _Waiting, error: Exception) -> None:
    if not one.answer.done():
        one.answer.set_exception(error)
        with contextlib.suppress(asyncio.InvalidStateError):
            # Whoever asked may be gone: nobody else shall be told that this was never looked at.
            one.answer.exception()
