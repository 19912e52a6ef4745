"""The one place where private parts of aiokafka are changed, and why.

1. ``BACKOFF_OVERRIDE``: after a commit the coordinator answers CONCURRENT_TRANSACTIONS until the markers are
   written (KAFKA-5477). aiokafka then sleeps 20 ms; markers take about 3 ms, so 4 ms halves a hop under load.
2. Transactional requests whose answer was lost are raised, not repeated. aiokafka repeats AddPartitionsToTxn,
   AddOffsetsToTxn, TxnOffsetCommit and EndTxn silently with the same epoch. The first copy may still be on its
   way, and an EndTxn or TxnOffsetCommit that arrives late is applied to the *next* transaction of that epoch
   (KIP-890 describes it; clients of the first protocol version cannot tell). Once raised, the task is rebuilt:
   InitProducerId raises the epoch, the late copy is refused, and the re-read position says which way it went.
3. Fetched batches may have header names that are no UTF-8; see :mod:`pipeline.runtime.kafka.header_names`.

The functions replaced or relied upon are recognised by a digest of their source; another release of the library stops
the program with a message instead of running unprotected.
"""

from __future__ import annotations

import hashlib
import inspect
from typing import Any

import aiokafka
import aiokafka.errors
from aiokafka.consumer import fetcher
from aiokafka.producer import sender
from aiokafka.record.default_records import DefaultRecordBatch, _DefaultRecordBatchPy

from pipeline.errors import Misconfigured
from pipeline.runtime.kafka.header_names import TolerantRecords

BACKOFF_S = 0.004
"""Pause between two transactions of one task while the markers of the first are being written."""

KNOWN = {
    sender.BaseHandler.do: "1106439a38fe7943",
    fetcher.PartitionRecords._unpack_records: "b803e6d46480732c",
    _DefaultRecordBatchPy._read_msg: "0997ab7a58505c93",
}
"""First digits of the SHA-256 of what is replaced or relied upon, in the release this was written against."""


class AnswerLost(aiokafka.errors.KafkaError):  # type: ignore[misc]
    """The answer to a transactional request was lost; whether it was applied is unknown."""


async def _do_once(self: Any, node_id: int) -> bool:
    """``BaseHandler.do`` without the silent repetition after a lost answer."""
    request = self.create_request()
    try:
        response = await self._sender.client.send(node_id, request, group=self.group)
    except aiokafka.errors.KafkaError as error:
        raise AnswerLost(f"{type(request).__name__}: {error!r}") from error
    backoff_s = self.handle_response(response)
    if backoff_s is None:
        return True
    # An answer that asks to try again was not applied, so repeating is safe.
    await sender.asyncio.sleep(backoff_s)
    return False


HANDLERS = (
    sender.AddPartitionsToTxnHandler,
    sender.AddOffsetsToTxnHandler,
    sender.TxnOffsetCommitHandler,
    sender.EndTxnHandler,
)


def digest(function: Any) -> str:
    """Digest of a function of the library."""
    return hashlib.sha256(inspect.getsource(function).encode()).hexdigest()


def apply() -> None:
    """Change the library; harmless to repeat. Raises Misconfigured when it is not the release we know."""
    for function, known in KNOWN.items():
        if not digest(function).startswith(known):
            raise Misconfigured(
                f"aiokafka {aiokafka.__version__} does {function.__qualname__} in a way this version does not know; "
                "install the release pinned in pyproject.toml"
            )
    if not DefaultRecordBatch.__module__.endswith("_crecords.default_records"):
        raise Misconfigured(
            "aiokafka runs without its C extension and would read a hundred times slower; "
            "unset AIOKAFKA_NO_EXTENSIONS or install a wheel for this platform"
        )
    sender.BACKOFF_OVERRIDE = BACKOFF_S
    fetcher.MemoryRecords = TolerantRecords
    for handler in HANDLERS:
        handler.do = _do_once
