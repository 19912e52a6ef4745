"""How a record's bytes say which schema wrote them.

Two framings are read, told apart by their first bytes: Avro single-object encoding (C3 01, then the CRC-64-AVRO
fingerprint of the writer schema's Parsing Canonical Form, eight bytes little-endian) and Confluent's version 0 (00,
then a registry's schema id, four bytes big-endian). Confluent's version 1 (01 and a GUID) is not read.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final, Protocol

SINGLE_OBJECT: Final = b"\xc3\x01"
CONFLUENT: Final = b"\x00"

_FINGERPRINT: Final = struct.Struct("<2sQ")
_ID: Final = struct.Struct(">BI")


class UnknownFraming(ValueError):
    """The first bytes are of no framing we read."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What the first bytes say; exactly one of the two is set."""

    body: int
    """Where the record's own bytes begin."""
    fingerprint: int | None = None
    schema_id: int | None = None


class Registry(Protocol):
    """What is known of a schema registry right now, without waiting: the records are read and written synchronously.

    Whoever talks to the registry (over HTTP, beforehand) fills it. Not knowing yet is Infrastructure, never an answer:
    a registry that is away must not turn good records into dead letters.
    """

    def schema(self, schema_id: int) -> str | None:
        """The schema's JSON; None when the registry was asked and has no such id. Raises Infrastructure until then."""

    def schema_id(self, fingerprint: int) -> int:
        """The id under which our schema of this fingerprint is registered. Raises Infrastructure until it is."""


def single_object(fingerprint: int) -> bytes:
    """The ten bytes before a record in single-object encoding."""
    return _FINGERPRINT.pack(SINGLE_OBJECT, fingerprint)


def confluent(schema_id: int) -> bytes:
    """The five bytes before a record in Confluent's framing, version 0."""
    return _ID.pack(0, schema_id)


def split(data: bytes) -> Frame:
    """Find the framing of a record. Raises UnknownFraming."""
    if data[:2] == SINGLE_OBJECT and len(data) >= _FINGERPRINT.size:
        return Frame(body=_FINGERPRINT.size, fingerprint=_FINGERPRINT.unpack_from(data)[1])
    if data[:1] == CONFLUENT and len(data) >= _ID.size:
        return Frame(body=_ID.size, schema_id=_ID.unpack_from(data)[1])
    if not data:
        raise UnknownFraming("the value has no bytes")
    raise UnknownFraming(
        "the value begins neither like Avro single-object encoding (C3 01 and 8 bytes) nor like Confluent's (00 and 4)"
    )
