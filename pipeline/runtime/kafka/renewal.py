"""A plain producer that goes on after a refusal; the library's own does not.

Each batch takes its place in the sequence of its partition when it leaves, and the place of one that the broker refused
for good stays empty: whatever follows is out of order, for ever (hazard 2, aiokafka#1017; the test
``test_hazard_02_a_refused_record_spoils_the_librarys_producer_for_its_partition`` tells when it is mended). One record
too large would keep a gateway from a partition until somebody restarts it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import aiokafka.errors
import structlog
from aiokafka import AIOKafkaProducer

from pipeline.runtime.kafka.abandon import abandon
from pipeline.runtime.kafka.waiting import within

log = structlog.get_logger(__name__)


class RenewedProducer:
    """Keeps one started producer of the library's at hand, another when that is spoiled.

    ``flush_s`` is how long one that is replaced or stopped may take to deliver what it holds.
    """

    def __init__(self, make: Callable[[], AIOKafkaProducer], *, flush_s: float) -> None:
        self._make = make
        self._flush_s = flush_s
        self._current: AIOKafkaProducer | None = None
        self._renewal: asyncio.Task[None] | None = None
        self._retiring: set[asyncio.Task[None]] = set()
        self._stopped = False

    @property
    def current(self) -> AIOKafkaProducer:
        """The one to send with."""
        assert self._current is not None, "start comes first"
        return self._current

    async def start(self, deadline_s: float) -> None:
        """Connect; raises what the library does, or DeadlinePassed."""
        self._current = await self._started(deadline_s)

    async def failed(self, producer: AIOKafkaProducer, error: Exception, deadline_s: float) -> None:
        """Replace ``producer`` where what it raised has spoiled it; the next failure tries again what fails here."""
        if self._stopped or not _is_spoiled(producer, error):
            return
        if self._renewal is None or self._renewal.done():
            self._renewal = asyncio.create_task(self._renew(producer, deadline_s))
        # One for all whose records were refused together.
        await asyncio.wait({self._renewal})

    async def stop(self) -> None:
        """Deliver what is held, and end everything."""
        self._stopped = True
        if self._renewal is not None:
            self._renewal.cancel()
            await asyncio.wait({self._renewal})
        if self._current is not None:
            with contextlib.suppress(Exception):
                await within(self._current.stop(), self._flush_s, "stop of the producer")
        if self._retiring:
            await asyncio.wait(self._retiring)

    async def _renew(self, spoiled: AIOKafkaProducer, deadline_s: float) -> None:
        if self._current is not spoiled:
            return
        try:
            self._current = await self._started(deadline_s)
        except Exception as error:
            log.warning("producer not renewed", action="producer_not_renewed", cause=repr(error))
            return
        retiring = asyncio.create_task(self._retire(spoiled))
        self._retiring.add(retiring)
        retiring.add_done_callback(self._retiring.discard)

    async def _started(self, deadline_s: float) -> AIOKafkaProducer:
        producer = self._make()
        try:
            await within(producer.start(), deadline_s, "start of the producer")
        except BaseException:
            await abandon(producer)
            raise
        return producer

    async def _retire(self, producer: AIOKafkaProducer) -> None:
        # Records for other partitions may still be on their way, and somebody waits for them.
        try:
            with contextlib.suppress(Exception):
                await within(producer.stop(), self._flush_s, "stop of the producer")
        finally:
            await abandon(producer)


def _is_spoiled(producer: AIOKafkaProducer, error: Exception) -> bool:
    sender_task = producer._sender.sender_task
    if sender_task is not None and sender_task.done():
        # By an error that the library did not expect, and nothing is sent any more
        # (``test_hazard_06_an_error_nobody_expected_kills_the_librarys_sender_and_is_told_as_another``).
        return True
    # One that the library found too large itself, and says how large, has never taken a place.
    ours = isinstance(error, aiokafka.errors.MessageSizeTooLargeError) and bool(error.args)
    return isinstance(error, aiokafka.errors.BrokerResponseError) and not error.retriable and not ours
