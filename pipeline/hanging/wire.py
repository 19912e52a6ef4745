"""The two requests about other clients' transactions that aiokafka does not know, and what the coordinator writes.

Both requests are taken in these versions by 3.9 and 4.x. ``__transaction_state`` holds versions 0 and 1 of one record.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from io import BytesIO
from typing import Any, Final

from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    Array,
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Int64,
    Schema,
    String,
    TaggedFields,
)

_TAGS: Final = ("tags", TaggedFields)


class DescribeProducersResponse(Response):  # type: ignore[misc]
    """Who wrote to partitions, and with what still open."""

    API_KEY = 61
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "topics",
            CompactArray(
                ("name", CompactString()),
                (
                    "partitions",
                    CompactArray(
                        ("partition", Int32),
                        ("error_code", Int16),
                        ("error_message", CompactString()),
                        (
                            "producers",
                            CompactArray(
                                ("producer_id", Int64),
                                ("producer_epoch", Int32),
                                ("last_sequence", Int32),
                                ("last_timestamp", Int64),
                                ("coordinator_epoch", Int32),
                                ("start_offset", Int64),
                                _TAGS,
                            ),
                        ),
                        _TAGS,
                    ),
                ),
                _TAGS,
            ),
        ),
        _TAGS,
    )


class DescribeProducersStruct(RequestStruct):  # type: ignore[misc]
    """Version 0."""

    API_KEY = 61
    API_VERSION = 0
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = DescribeProducersResponse
    SCHEMA = Schema(
        ("topics", CompactArray(("name", CompactString()), ("partitions", CompactArray(Int32)), _TAGS)), _TAGS
    )


class DescribeProducers(Request[DescribeProducersStruct]):  # type: ignore[misc]
    """Asked of the leader of these partitions."""

    API_KEY = 61

    def __init__(self, partitions: list[tuple[str, list[int]]]) -> None:
        self._partitions = partitions

    def build(self, request_struct_class: type[DescribeProducersStruct]) -> DescribeProducersStruct:
        return request_struct_class([(topic, numbers, {}) for topic, numbers in self._partitions], {})


class WriteTxnMarkersResponse(Response):  # type: ignore[misc]
    """What became of the markers."""

    API_KEY = 27
    API_VERSION = 1
    SCHEMA = Schema(
        (
            "markers",
            CompactArray(
                ("producer_id", Int64),
                (
                    "topics",
                    CompactArray(
                        ("name", CompactString()),
                        ("partitions", CompactArray(("partition", Int32), ("error_code", Int16), _TAGS)),
                        _TAGS,
                    ),
                ),
                _TAGS,
            ),
        ),
        _TAGS,
    )


class WriteTxnMarkersStruct(RequestStruct):  # type: ignore[misc]
    """Version 1."""

    API_KEY = 27
    API_VERSION = 1
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = WriteTxnMarkersResponse
    SCHEMA = Schema(
        (
            "markers",
            CompactArray(
                ("producer_id", Int64),
                ("producer_epoch", Int16),
                ("committed", Boolean),
                ("topics", CompactArray(("name", CompactString()), ("partitions", CompactArray(Int32)), _TAGS)),
                ("coordinator_epoch", Int32),
                _TAGS,
            ),
        ),
        _TAGS,
    )


class WriteTxnMarker(Request[WriteTxnMarkersStruct]):  # type: ignore[misc]
    """One marker for one partition, asked of its leader: what a coordinator sends."""

    API_KEY = 27

    def __init__(
        self, *, producer: tuple[int, int], coordinator_epoch: int, committed: bool, topic: str, partition: int
    ) -> None:
        topics: list[Any] = [(topic, [partition], {})]
        self._marker: Any = (*producer, committed, topics, coordinator_epoch, {})

    def build(self, request_struct_class: type[WriteTxnMarkersStruct]) -> WriteTxnMarkersStruct:
        return request_struct_class([self._marker], {})


class Status(IntEnum):
    """Where a coordinator stands with a transaction."""

    EMPTY = 0
    ONGOING = 1
    PREPARE_COMMIT = 2
    PREPARE_ABORT = 3
    COMPLETE_COMMIT = 4
    COMPLETE_ABORT = 5
    DEAD = 6
    PREPARE_EPOCH_FENCE = 7


@dataclass(frozen=True, slots=True)
class Step:
    """One record of ``__transaction_state``."""

    transactional_id: str
    producer_id: int
    epoch: int
    status: Status
    partitions: frozenset[tuple[str, int]]
    at_ms: int


def step(key: bytes, value: bytes) -> Step | None:
    """A record of ``__transaction_state``; None for what this does not know."""
    reader, kept = BytesIO(key), BytesIO(value)
    if Int16.decode(reader) != 0:
        return None
    version = Int16.decode(kept)
    if version not in (0, 1):
        return None
    producer_id, epoch, _, status = struct.unpack(">qhib", kept.read(15))
    found = _PARTITIONS[version].decode(kept) or ()
    partitions = frozenset((part[0], number) for part in found for number in part[1])
    return Step(str(String().decode(reader)), producer_id, epoch, Status(status), partitions, Int64.decode(kept))


_PARTITIONS: Final = (
    Array(("topic", String()), ("partitions", Array(Int32))),
    CompactArray(("topic", CompactString()), ("partitions", CompactArray(Int32)), _TAGS),
)
