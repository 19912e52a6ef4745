"""A header name may be any bytes; its record and its neighbours are read all the same."""

from __future__ import annotations

from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.record import memory_records
from aiokafka.record.default_records import DefaultRecordBatch, _DefaultRecordBatchBuilderPy

from pipeline.runtime.kafka import patches

LZ4 = DefaultRecordBatch.CODEC_LZ4


class NoText(str):
    """A name whose bytes on the wire are no UTF-8; the builder calls ``encode``."""

    def encode(self, *_: Any) -> bytes:
        return b"\xff\xfe"


def batch(first: int, names: list[str], compression: int = 0) -> bytes:
    builder = _DefaultRecordBatchBuilderPy(
        magic=2,
        compression_type=compression,
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=1 << 20,
    )
    for offset, name in enumerate(names):
        builder.append(offset, 1_000 + offset, b"k", b"v%d" % offset, [(name, b"h"), ("bare", None)])
    data = bytearray(builder.build())
    data[0:8] = first.to_bytes(8, "big")
    return bytes(data)


def read(data: bytes, position: int = 0) -> list[Any]:
    patches.apply()
    records = fetcher.MemoryRecords(data)
    partition = TopicPartition("t", 0)
    return list(fetcher.PartitionRecords(partition, records, [], position, None, None, True, fetcher.READ_COMMITTED))


@pytest.mark.parametrize("compression", [0, LZ4])
def test_names_that_are_no_text_come_escaped_and_every_record_comes_once(compression: int) -> None:
    data = batch(0, ["a", "b"], compression) + batch(2, ["c", NoText("x"), "d", NoText("x")], compression)
    found = read(data + batch(6, ["e"], compression))
    assert [record.offset for record in found] == list(range(7))
    assert [record.headers[0][0] for record in found] == ["a", "b", "c", "\\xff\\xfe", "d", "\\xff\\xfe", "e"]
    assert {record.headers[1] for record in found} == {("bare", None)}
    assert [record.timestamp for record in found[2:6]] == [1_000, 1_001, 1_002, 1_003]


def test_reading_begins_in_the_middle_of_such_a_batch() -> None:
    assert [record.offset for record in read(batch(0, ["a", "b", NoText("x"), "c"]), position=1)] == [1, 2, 3]


def test_a_partition_with_nothing_new_says_what_the_library_says_of_it_without_being_read() -> None:
    patches.apply()
    ours, again, theirs = fetcher.MemoryRecords(b""), fetcher.MemoryRecords(b""), memory_records.MemoryRecords(b"")
    assert ours is again
    assert (ours.has_next(), ours.size_in_bytes()) == (theirs.has_next(), theirs.size_in_bytes()) == (False, 0)
    assert fetcher.MemoryRecords(batch(0, ["a"])).has_next()
