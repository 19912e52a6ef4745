"""A transaction request by request, in the coroutine that wants it.

The library does the same in a background routine that is woken for each step, and each wake-up takes turns of the
event loop: some thirty in one transaction, on a busy loop a few milliseconds each. More than half of a transaction
was spent between its requests there. Here only answers are waited for. Requests, answers, errors, sequence numbers and
batches are the library's own (its handlers, transaction manager and accumulator), and its routine is never started;
what this relies on is listed in :mod:`pipeline.runtime.kafka.patches`.

It also tells more than the library's own way does:

- A batch that was refused is raised before anything is decided. ``commit_transaction`` succeeds without it (hazard 1,
  until ``test_hazard_01_the_library_commits_although_a_record_was_refused`` fails).
- A transactional request whose answer was lost is raised, not repeated with the same epoch. The first copy may still be
  on its way, and an EndTxn or TxnOffsetCommit that arrives late is applied to the *next* transaction of that epoch
  (KIP-890 describes it; clients of the first protocol version cannot tell). Once raised, the task is rebuilt:
  InitProducerId raises the epoch, the late copy is refused, and the re-read position says which way it went. See
  ``test_trap_the_library_repeats_in_silence_what_may_have_been_applied``.
- An error is raised as what it is. The library's routine dies of those it does not expect, and its callers are told of
  another one (hazard 6, ``test_hazard_06_an_error_nobody_expected_kills_the_librarys_sender_and_is_told_as_another``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import aiokafka.errors
from aiokafka import AIOKafkaProducer
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.client import CoordinationType
from aiokafka.producer import sender as library
from aiokafka.structs import OffsetAndMetadata

from pipeline.runtime.api import Emit
from pipeline.runtime.kafka.batching import batches
from pipeline.runtime.kafka.waiting import retrieve


class AnswerLost(aiokafka.errors.KafkaError):  # type: ignore[misc]
    """The answer to a transactional request was lost; whether it was applied is unknown."""


class Transactions:
    """The transactions of one producer, one after the other; after any error there is no further one.

    They raise the library's errors, and have no deadline: brokers that are away are asked again and again.
    """

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self.producer = producer
        self._sender = producer._sender
        self._manager = producer._txn_manager
        self._accumulator = producer._message_accumulator
        self.under_way: set[asyncio.Task[None]] = set()
        """Requests to several leaders at once, which outlive a transaction that is given up."""

    async def start(self) -> None:
        """Connect and fence earlier producers of this transactional id."""
        client = self.producer.client
        await client.bootstrap()
        # A broker that has just come back may name no broker, not even itself. The library takes that for an answer,
        # and fails by an assertion when it then looks for the coordinator.
        while not client.cluster.brokers():
            await asyncio.sleep(self._sender._retry_backoff)
            await client.force_metadata_update()
        await self._sender._maybe_wait_for_pid()

    async def run(
        self, outputs: Mapping[KafkaPartition, Sequence[Emit]], offsets: Mapping[KafkaPartition, int], group: str
    ) -> None:
        """Write these outputs and these offsets of the group, or neither."""
        self._manager.begin_transaction()
        # Records before offsets: while markers of the previous transaction are being written, only
        # AddPartitionsToTxn uses the short pause of ``patches.BACKOFF_S``, as
        # ``test_trap_only_a_transactions_first_partition_is_tried_again_soon`` sees. And the broker verifies a
        # transaction's first batch for a partition at the coordinator, and refuses it (KAFKA-16386: as
        # NOT_ENOUGH_REPLICAS, which costs a back-off of 20 ms) while AddOffsetsToTxn is under way there.
        await self._write(outputs)
        if offsets:
            await self._send_offsets({place: OffsetAndMetadata(at, "") for place, at in offsets.items()}, group)
        await self._commit()

    async def _write(self, outputs: Mapping[KafkaPartition, Sequence[Emit]]) -> None:
        """Return when every record is acknowledged."""
        written = []
        for place, emits in outputs.items():
            await self.producer.client._wait_on_metadata(place.topic)
            self.producer._partition(place.topic, place.partition, None, None, None, None)  # raises when unknown
            written += [self._accumulator._append_batch(batch, place) for batch in batches(self.producer, emits)]
        while missing := self._manager.partitions_to_add():
            await self._ask(library.AddPartitionsToTxnHandler(self._sender, set(missing)))
        while self._accumulator._batches:
            await self._produce()
            _raise_refused(written)

    async def _produce(self) -> None:
        """Offer each partition's next batch to its leader; what may be tried again is queued anew."""
        ready, leaderless = self._accumulator.drain_by_nodes(ignore_nodes=())
        requests = [library.SendProduceReqHandler(self._sender, found).do(node) for node, found in ready.items()]
        if len(requests) == 1:
            await requests[0]
        elif requests:
            self.under_way = {asyncio.create_task(request) for request in requests}
            await asyncio.gather(*self.under_way)
        if leaderless:
            await self.producer.client.force_metadata_update()
            await asyncio.sleep(self._sender._retry_backoff)

    async def _send_offsets(self, offsets: Mapping[KafkaPartition, OffsetAndMetadata], group: str) -> None:
        self._manager.add_offsets_to_txn(dict(offsets), group).add_done_callback(retrieve)
        while (added := self._manager.consumer_group_to_add()) is not None:
            await self._ask(library.AddOffsetsToTxnHandler(self._sender, added))
        while (left := self._manager.offsets_to_commit()) is not None:
            node = await self._sender._find_coordinator(CoordinationType.GROUP, group)
            await ask(library.TxnOffsetCommitHandler(self._sender, *left), node)

    async def _commit(self) -> None:
        self._manager.committing_transaction()
        if self._manager.is_empty_transaction():
            self._manager.complete_transaction()
        while (result := self._manager.needs_transaction_commit()) is not None:
            await self._ask(library.EndTxnHandler(self._sender, result))

    async def _ask(self, handler: Any) -> None:
        node = await self._sender._find_coordinator(CoordinationType.TRANSACTION, self._manager.transactional_id)
        await ask(handler, node)
        self._check()

    def _check(self) -> None:
        """Raise what a handler has only noted: a topic or group that this client may not write to.

        A commit would raise it as well, but records would be written before.
        """
        noted = self._manager.wait_for_transaction_end()
        if noted.done():
            noted.result()


def _raise_refused(written: Sequence[Any]) -> None:
    """Raise why the first of these batches was refused; all are looked at, as each error wants to be seen."""
    refused = [error for batch in written if batch.future.done() and (error := batch.future.exception())]
    if refused:
        raise refused[0]


async def ask(handler: Any, node: int) -> None:
    """Send a transactional request once; raises AnswerLost.

    An answer that asks to try again was not applied, so it is safe to: the handler's state says whether it has to be.
    """
    request = handler.create_request()
    try:
        response = await handler._sender.client.send(node, request, group=handler.group)
    except aiokafka.errors.KafkaError as error:
        raise AnswerLost(f"{type(request).__name__}: {error!r}") from error
    backoff_s = handler.handle_response(response)
    if backoff_s is not None:
        await asyncio.sleep(backoff_s)
