"""The transaction coordinator: epochs that fence, transactions that are decided once, and markers that follow."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextvars import Context
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline.errors import Fenced
from pipeline.runtime.log import TopicPartition
from pipeline.testing.memory_log.faults import OFFSETS_TOPIC, Faults
from pipeline.testing.memory_log.partition import Fate, Span

if TYPE_CHECKING:
    from pipeline.testing.memory_log.cluster import MemoryCluster


@dataclass(slots=True)
class Transaction:
    """What one writer wrote and has not been told the fate of."""

    began_s: float
    spans: dict[TopicPartition, Span] = field(default_factory=dict)
    offsets: dict[str, dict[TopicPartition, int]] = field(default_factory=dict)


@dataclass(slots=True)
class _Identity:
    """One transactional id. ``completion`` runs while markers of a decided transaction are still to be written."""

    epoch: int = 0
    transaction: Transaction | None = None
    completion: asyncio.Task[None] | None = None


class Transactions:
    """Every check of an epoch and the change it guards happen without an await in between."""

    def __init__(self, cluster: MemoryCluster) -> None:
        self._cluster = cluster
        self._identities: dict[str, _Identity] = {}

    async def start(self, writer: str) -> int:
        """InitProducerId: fence, end what the predecessor left open, wait for its markers; the new epoch."""
        identity = self._identities.setdefault(writer, _Identity())
        identity.epoch += 1
        epoch = identity.epoch
        if identity.transaction is not None:
            self._decide(writer, identity, Fate.ABORTED)
        await self.completed(writer)
        self._check(writer, epoch)
        return epoch

    async def completed(self, writer: str) -> None:
        """Wait until no marker of this id is outstanding (the client's CONCURRENT_TRANSACTIONS loop)."""
        identity = self._identities[writer]
        while identity.completion is not None:
            # Shielded: the broker finishes a decided transaction whatever becomes of the client that waits for it.
            await asyncio.shield(identity.completion)

    def open(self, writer: str, epoch: int) -> Transaction:
        """The running transaction of this writer, begun if there is none; raises Fenced."""
        identity = self._check(writer, epoch)
        if identity.transaction is None:
            identity.transaction = Transaction(self._cluster.clock.monotonic_s())
        return identity.transaction

    def undecided(self, writer: str) -> Transaction | None:
        """What this writer has written and neither committed nor aborted."""
        identity = self._identities.get(writer)
        return None if identity is None else identity.transaction

    def add_offsets(self, writer: str, epoch: int, group: str, offsets: Mapping[TopicPartition, int]) -> None:
        """Put group offsets into the transaction; raises Fenced."""
        self.open(writer, epoch).offsets.setdefault(group, {}).update(offsets)

    def end(self, writer: str, epoch: int, *, commit: bool) -> None:
        """EndTxn: decide; raises Fenced. Markers follow, at once unless a fault delays them."""
        identity = self._check(writer, epoch)
        if identity.transaction is not None:
            self._decide(writer, identity, Fate.COMMITTED if commit else Fate.ABORTED)

    def abort_expired(self, now_s: float, timeout_s: float) -> None:
        """Abort what has been open for too long; like the broker, raise its epoch so that the writer is fenced."""
        for writer, identity in self._identities.items():
            if identity.transaction is not None and now_s - identity.transaction.began_s >= timeout_s:
                identity.epoch += 1
                self._decide(writer, identity, Fate.ABORTED)

    async def settle(self) -> None:
        """Wait until every decided transaction is visible."""
        for writer in list(self._identities):
            await self.completed(writer)

    def _check(self, writer: str, epoch: int) -> _Identity:
        identity = self._identities[writer]
        if identity.epoch != epoch:
            raise Fenced(
                f"transactional id {writer}: epoch {epoch} was replaced by {identity.epoch}; "
                "another owner started, or the transaction timed out"
            )
        return identity

    def _decide(self, writer: str, identity: _Identity, fate: Fate) -> None:
        transaction = identity.transaction
        assert transaction is not None
        identity.transaction = None
        if type(self._cluster.faults).before_marker is Faults.before_marker:
            for partition, span in transaction.spans.items():
                self._mark(partition, span, fate)
            self._publish_offsets(transaction, fate)
        else:
            # In a context of its own: the broker's work goes on when the process that asked for it dies.
            identity.completion = asyncio.get_running_loop().create_task(
                self._complete(writer, identity, transaction, fate), name=f"markers of {writer}", context=Context()
            )

    async def _complete(self, writer: str, identity: _Identity, transaction: Transaction, fate: Fate) -> None:
        try:
            for partition, span in transaction.spans.items():
                await self._cluster.faults.before_marker(writer, partition)
                self._mark(partition, span, fate)
            if transaction.offsets:
                await self._cluster.faults.before_marker(writer, TopicPartition(OFFSETS_TOPIC, 0))
                self._publish_offsets(transaction, fate)
        finally:
            identity.completion = None

    def _mark(self, partition: TopicPartition, span: Span, fate: Fate) -> None:
        self._cluster.partition(partition).close_span(span, fate, self._cluster.clock.now_ms())

    def _publish_offsets(self, transaction: Transaction, fate: Fate) -> None:
        if fate is Fate.COMMITTED:
            for group, offsets in transaction.offsets.items():
                self._cluster.group(group).offsets.update(offsets)
