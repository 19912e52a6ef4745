"""A transactional producer whose every transaction is one call."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence

import aiokafka.errors
from aiokafka import AIOKafkaProducer
from aiokafka import TopicPartition as KafkaPartition

from pipeline.errors import DeadlinePassed, Fenced, LogUnavailable, PipelineError, RecordTooLarge, TaskLost
from pipeline.runtime.api import Emit
from pipeline.runtime.kafka.abandon import abandon
from pipeline.runtime.kafka.batching import BATCH_BYTES, by_partition
from pipeline.runtime.kafka.connection import compression, connection_options, no_broker
from pipeline.runtime.kafka.transaction import Transactions
from pipeline.runtime.kafka.waiting import within
from pipeline.runtime.log import TopicPartition
from pipeline.settings import KafkaSettings


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
        self._transactions: Transactions | None = None
        self._work: asyncio.Task[None] | None = None
        """What was begun last, which :meth:`stop` ends."""

    async def start(self) -> None:
        """Fence earlier writers; LogUnavailable: no broker answers, DeadlinePassed: no coordinator does in time."""
        producer = AIOKafkaProducer(
            **connection_options(self._settings, self._id),
            transactional_id=self._prefix + self._id,
            transaction_timeout_ms=self._transaction_timeout_ms,
            request_timeout_ms=self._settings.request_timeout_ms,
            retry_backoff_ms=20,
            max_batch_size=BATCH_BYTES,
            compression_type=compression(self._settings),
        )
        self._transactions = Transactions(producer)
        self._work = asyncio.create_task(self._transactions.start())
        try:
            await within(self._work, self._deadline_s, f"start of writer {self._id}")
        except PipelineError:
            raise
        except aiokafka.errors.KafkaConnectionError as error:
            raise no_broker(self._settings.bootstrap_servers) from error
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
        transactions = self._started()
        written = {KafkaPartition(self._prefix + t, p): found for (t, p), found in by_partition(outputs).items()}
        handled = {KafkaPartition(self._prefix + p.topic, p.partition): offset for p, offset in offsets.items()}
        self._work = asyncio.create_task(transactions.run(written, handled, self._prefix + group))
        try:
            await within(self._work, self._deadline_s, f"commit of {self._id}")
        except (DeadlinePassed, LogUnavailable) as error:
            raise TaskLost(str(error)) from error
        except PipelineError:
            raise
        except Exception as error:  # aiokafka raises KafkaError, AssertionError and others here
            raise self._doubt(error) from error

    def _started(self) -> Transactions:
        if self._transactions is None:
            raise TaskLost(f"writer {self._id} was not started")
        return self._transactions

    def _doubt(self, error: BaseException) -> TaskLost:
        """Which of our errors an error of the library is."""
        causes = list(_chain(error))
        # A coordinator that aborted a transaction of ours for its timeout raises the epoch as well; the reaction
        # is the same: somebody else decides who owns the task now.
        if any(isinstance(c, aiokafka.errors.ProducerFenced) for c in causes):
            return Fenced(f"another writer took over {self._id}")
        if any(isinstance(c, aiokafka.errors.MessageSizeTooLargeError) for c in causes):
            return RecordTooLarge(f"the broker refused an output of {self._id} for its size")
        return TaskLost(f"writer {self._id}: " + "; ".join(dict.fromkeys(repr(c) for c in causes)))

    async def stop(self) -> None:
        """Release everything at once; an open transaction is left to the next owner's InitProducerId.

        There is nothing to wait for: what a commit has returned from is delivered, and in what it has not, this writer
        has no say any more.
        """
        transactions, self._transactions = self._transactions, None
        if transactions is not None:
            begun = () if self._work is None else (self._work,)
            await abandon(transactions.producer, *transactions.under_way, *begun)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
