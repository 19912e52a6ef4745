"""The one place where private parts of aiokafka are changed, and why.

1. ``BACKOFF_OVERRIDE``: after a commit the coordinator answers CONCURRENT_TRANSACTIONS until the markers are
   written (KAFKA-5477). aiokafka then sleeps 20 ms; markers take about 3 ms, so 4 ms halves a hop under load. See
   ``test_trap_the_librarys_pause_between_transactions_is_longer_than_markers_take``.
2. Fetched batches may have header names that are no UTF-8; see :mod:`pipeline.runtime.kafka.header_names`.
3. Messages are written and read by functions made for their schemas; see :mod:`pipeline.runtime.kafka.wire`.
4. Records that we fetch come without the library's object around each; see :mod:`pipeline.runtime.kafka.lean_records`.

The tests named here and beside other workarounds are in ``tests/faults/hazards``: they see that the library still does
what is worked around, fail on the release that does not, and say then what may go.

The functions replaced or relied upon are recognised by a digest of their source; another release of the library stops
the program with a message instead of running unprotected.
"""

from __future__ import annotations

import hashlib
import inspect
from functools import wraps
from io import BytesIO
from typing import Any

import aiokafka
import aiokafka.errors
from aiokafka.consumer import fetcher
from aiokafka.producer import sender
from aiokafka.protocol.struct import Struct
from aiokafka.record.default_records import DefaultRecordBatch

from pipeline.errors import Misconfigured
from pipeline.runtime.kafka import wire
from pipeline.runtime.kafka.header_names import records_of
from pipeline.runtime.kafka.lean_records import LeanRecords

BACKOFF_S = 0.004
"""Pause between two transactions of one task while the markers of the first are being written."""

KNOWN = {
    "client.AIOKafkaClient.bootstrap": "198943b004e55849",
    "client.AIOKafkaClient.send": "246b277687d7b687",
    "client.AIOKafkaClient._wait_on_metadata": "52b0a5ee78ef3aa0",
    "client.AIOKafkaClient.coordinator_lookup": "19cc69fb75f8d667",
    "client.AIOKafkaClient.force_metadata_update": "cb7befef21c8f3f9",
    "producer.message_accumulator.BatchBuilder": "8050802ca7514186",
    "producer.sender.BaseHandler": "41fc76293ab9b0b3",
    "producer.sender.InitPIDHandler": "4f466dcfc4b1f233",
    "producer.sender.Sender._coordinator_dead": "2776709866dba370",
    "producer.sender.Sender._do_init_pid": "38139a8cce4f5925",
    "producer.producer.AIOKafkaProducer.create_batch": "c4efda4bb7a09741",
    "producer.producer.AIOKafkaProducer._partition": "e45fa9c539d431d1",
    "producer.sender.Sender._maybe_wait_for_pid": "577189636b56f6d9",
    "producer.sender.Sender._find_coordinator": "33001a36bf6a0ae0",
    "producer.sender.AddPartitionsToTxnHandler": "112129b2ac04fe8e",
    "producer.sender.AddOffsetsToTxnHandler": "320ed303271e07ec",
    "producer.sender.TxnOffsetCommitHandler": "7f296a144356cb01",
    "producer.sender.EndTxnHandler": "47656efcfc994fbe",
    "producer.sender.SendProduceReqHandler": "708c9da866caf440",
    "producer.transaction_manager.TransactionManager": "d0932794d69a6780",
    "producer.message_accumulator.MessageAccumulator": "562530971ca9bd19",
    "producer.message_accumulator.MessageBatch": "36a7b1dac89d2910",
    "consumer.fetcher.Fetcher._proc_fetch_request": "59bf948fff47eed5",
    "consumer.fetcher.FetchResult.getall": "3e717e30de5068d5",
    "consumer.fetcher.PartitionRecords.__init__": "8ec1c2ae6ea1af87",
    "consumer.fetcher.PartitionRecords.__iter__": "b411eeeaeb7c31dc",
    "consumer.fetcher.PartitionRecords.__next__": "63ac34a08c309098",
    "consumer.fetcher.PartitionRecords._consumer_record": "e668541600b047ab",
    "consumer.fetcher.PartitionRecords._unpack_records": "b803e6d46480732c",
    "record.default_records._DefaultRecordBatchPy.__init__": "adc08a5cd162e8c2",
    "record.default_records._DefaultRecordBatchPy._maybe_uncompress": "c9d0dc2bed50cc86",
    "record.default_records._DefaultRecordBatchPy._read_msg": "0997ab7a58505c93",
    "record.default_records._DefaultRecordBatchPy.__iter__": "492967e59f459124",
    "record.default_records._DefaultRecordBatchPy.__next__": "d05784bae3cbcfb9",
    "protocol.struct.Struct.encode": "ede5976c899dd66a",
    "protocol.struct.Struct.decode": "cc0ed4fa7c76b8dc",
    "protocol.types.Schema.encode": "0cf5f9852ba23fc4",
    "protocol.types.Schema.decode": "ae22dc1b8b941a5f",
    "protocol.types.Array.encode": "26bc52f6c02ab6c3",
    "protocol.types.Array.decode": "bba2d51d3f58483a",
    "protocol.types.String.encode": "8de2bea329c26eb2",
    "protocol.types.String.decode": "68c6bf0d65b184fe",
    "protocol.types.Bytes.encode": "ca5c8b815204d333",
    "protocol.types.Bytes.decode": "91b889b79b38d121",
}
"""First digits of the SHA-256 of what is replaced or relied upon, in the release this was written against: also of
what reads a name that is replaced, since under another one it would go on as before."""


# Their originals stay to be found at ``__wrapped__``: :func:`digest` looks there when this is applied again.
_struct_encode, _struct_decode = Struct.encode, Struct.__dict__["decode"].__func__


@wraps(_struct_encode)
def _encode(self: Any) -> bytes:
    return wire.encode(self, theirs=_struct_encode)


@wraps(_struct_decode)
def _decode(cls: Any, data: BytesIO | bytes) -> Any:
    return wire.decode(cls, data, theirs=_struct_decode)


def digest(function: Any) -> str:
    """Digest of a function of the library."""
    return hashlib.sha256(inspect.getsource(function).encode()).hexdigest()


def apply() -> None:
    """Change the library; harmless to repeat. Raises Misconfigured when it is not the release we know."""
    if not __debug__:
        # Until ``test_hazard_03_without_assertions_the_librarys_state_machine_takes_every_step`` fails.
        raise Misconfigured(
            "aiokafka guards its transactions by assertions, which python -O leaves out; run without -O, and without "
            "PYTHONOPTIMIZE"
        )
    for name, known in KNOWN.items():
        function = _found(name)
        if function is None or not digest(function).startswith(known):
            raise _unknown(name)
    if not DefaultRecordBatch.__module__.endswith("_crecords.default_records"):
        raise Misconfigured(
            "aiokafka runs without its C extension and would read a hundred times slower; "
            "unset AIOKAFKA_NO_EXTENSIONS or install a wheel for this platform"
        )
    _replace(sender, "BACKOFF_OVERRIDE", BACKOFF_S)
    _replace(fetcher, "MemoryRecords", records_of)
    _replace(Struct, "encode", _encode)
    _replace(Struct, "decode", classmethod(_decode))
    _replace(fetcher, "PartitionRecords", LeanRecords)


def _replace(owner: Any, name: str, ours: Any) -> None:
    if not hasattr(owner, name):
        raise _unknown(f"{owner.__name__.removeprefix('aiokafka.')}.{name}")
    setattr(owner, name, ours)


def _found(name: str) -> Any:
    """What the library has under this name; None for nothing."""
    found: Any = aiokafka
    for part in name.split("."):
        found = getattr(found, part, None)
        if found is LeanRecords:
            found = LeanRecords.__base__  # patched before
    return found


def _unknown(name: str) -> Misconfigured:
    return Misconfigured(
        f"aiokafka {aiokafka.__version__} does not have {name} as this version knows it; "
        "install the release pinned in pyproject.toml"
    )
