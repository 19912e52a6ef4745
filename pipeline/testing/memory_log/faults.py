"""Where a simulation may let things go wrong: every point at which a real process or broker can die or dawdle."""

from __future__ import annotations

from typing import Final

from pipeline.runtime.log import TopicPartition

OFFSETS_TOPIC: Final = "__consumer_offsets"
"""Stands for a group's committed offsets where a hook names a partition; always partition 0."""


class Faults:
    """All hooks do nothing; override what a test wants to break.

    A hook may wait (the operation takes that long, others go on meanwhile) or raise. A LogUnavailable or another
    Exception is the broker's or network's failure and reaches the caller as the port says. A BaseException such as
    CancelledError is the death of the calling process at this very point: nothing after it happens. Names are the
    cluster's, with the deployment prefix.
    """

    async def before_start(self, writer: str) -> None:
        """A writer is about to fence its predecessors."""

    async def before_append(self, writer: str, partition: TopicPartition) -> None:
        """A transaction is about to write its records, or its offsets, to this partition."""

    async def before_commit(self, writer: str) -> None:
        """Everything of the transaction is written, nothing is decided."""

    async def before_marker(self, writer: str, partition: TopicPartition) -> None:
        """The transaction is decided and about to become visible in this partition.

        The broker does this by itself after it has answered the client, so a hook here may only wait: readers see the
        transaction late and in parts, while the next transaction of this id and the next start wait for it.
        """

    async def before_reply(self, writer: str) -> None:
        """The transaction is committed, the writer does not know it yet: raising here is a lost answer."""

    async def before_send(self, partition: TopicPartition) -> None:
        """A plain producer's record is about to be written."""

    async def before_send_reply(self, partition: TopicPartition) -> None:
        """A plain producer's record is written, the producer does not know it yet."""

    async def before_revoke(self, group: str, instance: str) -> None:
        """A member is to join anew and still has everything; a hook here may only wait."""

    async def before_join(self, group: str, instance: str) -> None:
        """A member has revoked what it had and is about to join the rebalance."""

    async def before_fetch(self, reader: str) -> None:
        """A member (``group/instance``) or a reader without a group (empty name) asks for records."""
