"""A transactional producer whose every transaction is one call."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import aiokafka.errors
from aiokafka import AIOKafkaProducer
from aiokafka import TopicPartition as KafkaPartition

from pipeline.errors import DeadlinePassed, Fenced, LogUnavailable, PipelineError, RecordTooLarge, TaskLost
from pipeline.runtime.api import Emit
from pipeline.runtime.kafka.abandon import abandon
from pipeline.runtime.kafka.batching import BATCH_BYTES, batches, by_partition
from pipeline.runtime.kafka.connection import compression, connection_options
from pipeline.runtime.log import TopicPartition
from pipeline.settings import KafkaSettings

T = TypeVar("T")


class KafkaWriter:
    """One transactional id; see :class:`pipeline.runtime.log.Writer` for what is promised."""

    def __init__(
        self, *, settings: KafkaSettings, transactional_id: str, transaction_timeout_ms: int, deadline_s: float
    ) -> None:
        self._settings = settings
        self._prefix = settings.topic_prefix
        self._id = transactional_id
        self._transaction_timeout_ms = transaction_timeout_ms
        self._deadline_s = deadline_s
        self._producer: AIOKafkaProducer | None = None
        self._transacting: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Fence earlier writers; raises DeadlinePassed when the coordinator does not answer in time."""
        self._producer = AIOKafkaProducer(
            **connection_options(self._settings, self._id),
            transactional_id=self._prefix + self._id,
            transaction_timeout_ms=self._transaction_timeout_ms,
            request_timeout_ms=self._settings.request_timeout_ms,
            retry_backoff_ms=20,
            max_batch_size=BATCH_BYTES,
            compression_type=compression(self._settings),
        )
        try:
            await within(self._producer.start(), self._deadline_s, f"start of writer {self._id}")
        except PipelineError:
            raise
        except Exception as error:
            raise self._doubt(error) from error

    async def commit(self, outputs: Sequence[Emit], offsets: Mapping[TopicPartition, int], group: str) -> None:
        """One transaction; on any error this writer is finished."""
        # The whole transaction runs as a task of its own: cancelling or timing out aiokafka's commit trips its
        # state machine of asserts, and by itself it may never end (aiokafka#1101, #1013; the tests
        # ``test_hazard_03_after_a_canceled_commit_the_library_cannot_abort``,
        # ``test_hazard_04_the_library_waits_for_brokers_without_end`` and
        # ``test_hazard_05_offsets_of_a_topic_nobody_has_are_sent_by_the_library_for_ever`` tell when that is mended).
        # So one that does not end is left alone until ``stop`` abandons the whole producer, and the rebuilt task's
        # InitProducerId decides about it.
        self._transacting = asyncio.create_task(self._transaction(outputs, offsets, group))
        try:
            await within(self._transacting, self._deadline_s, f"commit of {self._id}")
        except (DeadlinePassed, LogUnavailable) as error:
            raise TaskLost(str(error)) from error
        except PipelineError:
            raise
        except Exception as error:  # aiokafka raises KafkaError, AssertionError and others here
            raise self._doubt(error) from error

    async def _transaction(self, outputs: Sequence[Emit], offsets: Mapping[TopicPartition, int], group: str) -> None:
        producer = self._started()
        await producer.begin_transaction()
        deliveries: list[asyncio.Future[Any]] = []
        try:
            # Records before offsets: while markers of the previous transaction are being written, only
            # AddPartitionsToTxn uses the short pause of ``patches.BACKOFF_S``, as
            # ``test_trap_only_a_transactions_first_partition_is_tried_again_soon`` sees.
            for (topic, partition), emits in by_partition(outputs).items():
                for batch in batches(producer, emits):
                    delivery = await producer.send_batch(batch, self._prefix + topic, partition=partition)
                    deliveries.append(delivery)
            # commit_transaction() succeeds although a batch was refused for good (hazard 1, until
            # ``test_hazard_01_the_library_commits_although_a_record_was_refused`` fails), so every delivery is
            # awaited. Only then come the offsets: the broker verifies a transaction's first batch for a partition at
            # the coordinator, and refuses it (KAFKA-16386: as NOT_ENOUGH_REPLICAS, which costs a back-off of 20 ms)
            # while AddOffsetsToTxn or another verification of the same transaction is under way there.
            await asyncio.gather(*deliveries)
            if offsets:
                await producer.send_offsets_to_transaction(
                    {KafkaPartition(self._prefix + p.topic, p.partition): offset for p, offset in offsets.items()},
                    self._prefix + group,
                )
        except BaseException:
            # Not awaited: some may never end, and nothing of this transaction matters any more.
            for delivery in deliveries:
                delivery.add_done_callback(retrieve)
            raise
        await producer.commit_transaction()

    def _started(self) -> AIOKafkaProducer:
        if self._producer is None:
            raise TaskLost(f"writer {self._id} was not started")
        return self._producer

    def _doubt(self, error: BaseException) -> TaskLost:
        """Which of our errors an error of the library is."""
        causes = list(_chain(error))
        sender_task = getattr(getattr(self._producer, "_sender", None), "sender_task", None)
        if sender_task is not None and sender_task.done() and not sender_task.cancelled():
            # commit after fencing raises a bare AssertionError; the reason lies in the sender task (aiokafka#1004,
            # ``test_hazard_06_an_error_nobody_expected_kills_the_librarys_sender_and_is_told_as_another``).
            causes += _chain(sender_task.exception())
        # A coordinator that aborted a transaction of ours for its timeout raises the epoch as well; the reaction
        # is the same: somebody else decides who owns the task now.
        if any(isinstance(c, aiokafka.errors.ProducerFenced | aiokafka.errors.InvalidProducerEpoch) for c in causes):
            return Fenced(f"another writer took over {self._id}")
        if any(isinstance(c, aiokafka.errors.MessageSizeTooLargeError) for c in causes):
            return RecordTooLarge(f"the broker refused an output of {self._id} for its size")
        return TaskLost(f"writer {self._id}: " + "; ".join(dict.fromkeys(repr(c) for c in causes)))

    async def stop(self) -> None:
        """Release everything at once; an open transaction is left to the next owner's InitProducerId.

        There is nothing to wait for: what a commit has returned from is delivered, and in what it has not, this writer
        has no say any more.
        """
        producer, self._producer = self._producer, None
        if producer is not None:
            await abandon(producer, *(() if self._transacting is None else (self._transacting,)))


async def within(work: Coroutine[Any, Any, T] | asyncio.Task[T], deadline_s: float, what: str) -> T:
    """Await ``work`` for at most ``deadline_s`` without ever cancelling it; raises DeadlinePassed."""
    task = asyncio.ensure_future(work)
    try:
        done, _ = await asyncio.wait({task}, timeout=deadline_s)
    except asyncio.CancelledError:
        task.add_done_callback(retrieve)
        raise
    if not done:
        task.add_done_callback(retrieve)
        raise DeadlinePassed(f"{what} did not end within {deadline_s:g} s")
    if task.cancelled():
        # The library cancels tasks of its own while it closes without a broker; that is no cancellation of ours.
        raise LogUnavailable(f"{what} was cut off")
    return task.result()


def retrieve(future: asyncio.Future[Any]) -> None:
    """Mark the exception of an abandoned future as seen."""
    if not future.cancelled():
        future.exception()


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
