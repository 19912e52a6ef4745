"""How requests and responses of Kafka's protocol are told apart on a connection. Pure.

Both are a size of four bytes and so much content. A request begins with what it asks for, in which version, the number
its response will carry, and the client's name; a response begins with that number and says nothing else of itself.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

MAX_FRAME_BYTES: Final = 64 << 20
"""More than any request or response of ours; what claims to be larger is not Kafka's protocol."""
SIZE_BYTES: Final = 4

_SIZE: Final = struct.Struct(">i")
_REQUEST: Final = struct.Struct(">hhih")
_CORRELATION: Final = struct.Struct(">i")


class Api(IntEnum):
    """What a request asks for, by the names and numbers of the protocol; only those that clients of ours send."""

    PRODUCE = 0
    FETCH = 1
    LIST_OFFSETS = 2
    METADATA = 3
    OFFSET_COMMIT = 8
    OFFSET_FETCH = 9
    FIND_COORDINATOR = 10
    JOIN_GROUP = 11
    HEARTBEAT = 12
    LEAVE_GROUP = 13
    SYNC_GROUP = 14
    API_VERSIONS = 18
    INIT_PRODUCER_ID = 22
    ADD_PARTITIONS_TO_TXN = 24
    ADD_OFFSETS_TO_TXN = 25
    END_TXN = 26
    TXN_OFFSET_COMMIT = 28


class NotKafka(ValueError):
    """The bytes are no frame of Kafka's protocol."""


@dataclass(frozen=True, slots=True)
class Request:
    """The header of one request."""

    api_key: int
    api_version: int
    correlation_id: int
    client_id: str

    @property
    def name(self) -> str:
        """As in :class:`Api`, or the number of one that is not there."""
        return Api(self.api_key).name if self.api_key in Api._value2member_map_ else str(self.api_key)


def size_of(head: bytes) -> int:
    """How many bytes follow these four; raises NotKafka."""
    (size,) = _SIZE.unpack(head)
    if not _CORRELATION.size <= size <= MAX_FRAME_BYTES:
        raise NotKafka(f"a frame of {size} bytes")
    return int(size)


def request_of(frame: bytes) -> Request:
    """The header of a request, from its whole frame (the size too); raises NotKafka."""
    try:
        key, version, correlation, length = _REQUEST.unpack_from(frame, SIZE_BYTES)
        begin = SIZE_BYTES + _REQUEST.size
        # A client without a name writes its length as -1.
        name = frame[begin : begin + max(0, length)]
        if len(name) < length:
            raise NotKafka("a client's name that is longer than its request")
        return Request(key, version, correlation, name.decode())
    except (struct.error, UnicodeDecodeError) as error:
        raise NotKafka("a request without a whole header") from error


def correlation_of(frame: bytes) -> int:
    """Which request a response answers, from its whole frame; raises NotKafka."""
    try:
        return int(_CORRELATION.unpack_from(frame, SIZE_BYTES)[0])
    except struct.error as error:
        raise NotKafka("a response without a number") from error
