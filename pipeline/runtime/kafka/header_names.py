"""Records whose header names are no UTF-8: brokers and other clients take them, aiokafka fails on them.

It fails out of ``getmany``, after the positions of other partitions have moved, so that their records would be skipped;
and again after each restart, since the record stays where it is. One such record would stop a stage until retention.
``test_trap_a_header_name_that_is_no_text_stops_the_librarys_reader`` tells when it does not.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

from aiokafka.record.default_records import DefaultRecordBatch, _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords

_BATCH_START = struct.Struct(">qi")
"""Base offset and length of what follows; the first fields of a batch in every format."""


class TolerantRecords(MemoryRecords):  # type: ignore[misc]
    """The batches of a fetched partition, each able to show header names of any bytes."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._data = data

    def next_batch(self) -> Any:
        """The next batch; those of old formats have no headers and come as they are."""
        batch = super().next_batch()
        return TolerantBatch(batch, self._data) if isinstance(batch, DefaultRecordBatch) else batch


class _Nothing:
    """The records of a partition that has none."""

    def has_next(self) -> bool:
        return False

    def size_in_bytes(self) -> int:
        return 0


_NOTHING = _Nothing()


def records_of(data: bytes) -> TolerantRecords | _Nothing:
    """The batches of a fetched partition. Most of those a fetch names have nothing new: they share one object."""
    return TolerantRecords(data) if data else _NOTHING


class TolerantBatch:
    """A batch read by the C extension, and again by the library's Python code when that fails on a name."""

    def __init__(self, batch: Any, data: bytes) -> None:
        self._batch = batch
        self._data = data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        try:
            yield from self._batch
        except UnicodeDecodeError:
            # From its first record again: the fetcher passes over those it has had.
            again = _DefaultRecordBatchPy(_slice(self._data, self._batch.base_offset))
            iter(again)  # decompresses
            again._buffer = _AnyNames(again._buffer)
            yield from again


class _AnyNames(bytearray):
    """Bytes whose slices decode whatever they are; bytes that are no UTF-8 as backslash escapes."""

    def __getitem__(self, at: Any) -> Any:
        found = super().__getitem__(at)
        return _AnyNames(found) if isinstance(at, slice) else found

    def decode(self, encoding: str = "utf-8", errors: str = "backslashreplace") -> str:
        return super().decode(encoding, errors)


def _slice(data: bytes, base_offset: int) -> bytes:
    """The bytes of the batch that begins with this offset."""
    at = 0
    while True:
        offset, length = _BATCH_START.unpack_from(data, at)
        end = at + _BATCH_START.size + length
        if offset == base_offset:
            return data[at:end]
        at = end
