"""Writing records to the log for somebody who waits on the line."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple

from pipeline.errors import DeadlinePassed, LogUnavailable, RecordTooLarge
from pipeline.runtime.api import Emit
from pipeline.runtime.log import Producer

FLIGHTS: Final = 8
"""Batches on their way at once: one partition whose broker is slow does not hold up the others."""
MOST_IN_A_FLIGHT: Final = 500
GATHER_S: Final = 0.003
"""How long the next batch gathers while others are on their way: each costs a request to every broker, however few
records are in it, and what waits behind the others would not be acknowledged before them anyway."""


class _Waiting(NamedTuple):
    emit: Emit
    written: asyncio.Future[None]
    until_s: float


class Publisher:
    """Returns when the log has acknowledged everything, or says in bounded time that it has not.

    Whatever is published in one turn of the loop, or within :data:`GATHER_S` while a batch is on its way, is written
    together: at low load each record leaves at once, under load the batches grow.
    """

    def __init__(self, *, producer: Producer, timeout_s: float, max_waiting: int = 5_000) -> None:
        """``max_waiting`` bounds the records on their way: with Kafka away they would pile up behind each caller."""
        self._producer = producer
        self._timeout_s = timeout_s
        self._max_waiting = max_waiting
        self._queue: deque[_Waiting] = deque()
        self._patient: deque[_Waiting] = deque()
        """Who still waits, those who came first in front."""
        self._flights: set[asyncio.Task[None]] = set()
        self._records = 0
        """In the queue and on their way."""
        self._leaving = False
        self._alarm: asyncio.TimerHandle | None = None

    async def publish(self, emits: Sequence[Emit]) -> None:
        """Write all; raises LogUnavailable, DeadlinePassed, or the producer's error.

        After an error any part may have been written, so the caller's repetition must be harmless.
        """
        if self._records + len(emits) > self._max_waiting:
            raise LogUnavailable(f"{self._records} records already wait for Kafka")
        if len(emits) == 1:
            await self._put(emits[0])
        elif emits:
            await asyncio.gather(*[self._put(emit) for emit in emits])

    async def publish_one(self, emit: Emit) -> None:
        """The same for one."""
        await self.publish((emit,))

    async def drain(self) -> None:
        """Wait for what is on its way, at most one more timeout."""
        until_s = asyncio.get_running_loop().time() + self._timeout_s
        while self._records and (left_s := until_s - asyncio.get_running_loop().time()) > 0:
            if self._flights:
                await asyncio.wait(set(self._flights), timeout=left_s)
            else:
                await asyncio.sleep(0)

    def _put(self, emit: Emit) -> asyncio.Future[None]:
        loop = asyncio.get_running_loop()
        one = _Waiting(emit, loop.create_future(), loop.time() + self._timeout_s)
        self._queue.append(one)
        self._patient.append(one)
        self._records += 1
        if not self._leaving:
            self._leaving = True
            if self._flights:
                loop.call_later(GATHER_S, self._leave)
            else:
                # In the next turn, so that whoever publishes in this one goes along.
                loop.call_soon(self._leave)
        if self._alarm is None:
            self._alarm = loop.call_at(one.until_s, self._ring)
        return one.written

    def _leave(self) -> None:
        self._leaving = False
        while self._queue and len(self._flights) < FLIGHTS:
            batch = [self._queue.popleft() for _ in range(min(len(self._queue), MOST_IN_A_FLIGHT))]
            flight = asyncio.get_running_loop().create_task(self._fly(batch))
            self._flights.add(flight)
            flight.add_done_callback(self._landed)

    def _landed(self, flight: asyncio.Task[None]) -> None:
        self._flights.discard(flight)
        if self._queue and not self._leaving:
            # They were more than may be on their way at once.
            self._leave()

    async def _fly(self, batch: Sequence[_Waiting]) -> None:
        """Not cut short at anybody's deadline: that would not take back what is in the producer."""
        try:
            await self._producer.send_all([one.emit for one in batch])
        except RecordTooLarge as error:
            if len(batch) > 1:
                for one in batch:
                    await self._fly([one])
                return
            _tell(batch, error)
        except Exception as error:
            _tell(batch, error)
        else:
            for one in batch:
                if not one.written.done():
                    one.written.set_result(None)
        self._records -= len(batch)

    def _ring(self) -> None:
        """Tell whoever has waited long enough; one clock for all costs less than one for each."""
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        while self._patient and (self._patient[0].written.done() or self._patient[0].until_s <= now_s):
            _tell([self._patient.popleft()], DeadlinePassed(f"Kafka did not acknowledge within {self._timeout_s:g} s"))
        self._alarm = loop.call_at(self._patient[0].until_s, self._ring) if self._patient else None


def _tell(batch: Sequence[_Waiting], error: Exception) -> None:
    for one in batch:
        if not one.written.done():
            one.written.set_exception(error)
            # Marks it as seen: whoever waited may be gone.
            one.written.exception()
