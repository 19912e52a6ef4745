"""Fetched records as the C extension made them, without an object of the library's around each.

That object costs 3 us a record with the layers it passes through, and ours is made of it at once anyway. Asked for by
handing a consumer :data:`LEAN` as its ``value_deserializer``; all other consumers of the process are as they were.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from aiokafka.consumer.fetcher import PartitionRecords


def LEAN(value: bytes | None) -> bytes | None:
    """Marks a consumer whose records come as they are."""
    return value


class LeanRecords(PartitionRecords):  # type: ignore[misc]
    """The records of one fetched partition."""

    def __iter__(self) -> Iterator[Any]:
        # The generator itself, not one call of Python code more for each record.
        return self._records_iterator  # type: ignore[no-any-return]

    def _consumer_record(self, tp: Any, record: Any) -> Any:
        if self._value_deserializer is LEAN:
            return record
        return super()._consumer_record(tp, record)
