"""Asking where partitions end, by somebody who goes on without an answer."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import structlog

from pipeline.runtime.log import Log, TopicPartition

logger = structlog.get_logger(__name__)


async def ends_within(
    log: Log, partitions: Iterable[TopicPartition], within_s: float, **asker: str
) -> dict[TopicPartition, int] | None:
    """The high watermarks; None, told in the log with who asked, when brokers do not tell them in time."""
    try:
        async with asyncio.timeout(within_s):
            return await log.end_offsets(partitions)
    except Exception as error:
        logger.warning("no ends", action="ends_unknown", **asker, cause=repr(error))
        return None
