"""What a dead letter keeps sealed: the record as it stood, so that it can be shown and replayed."""

from __future__ import annotations

from pipeline.records.types import AvroRecord, Long, TimeMs


class DeadHeader(AvroRecord, frozen=True, kw_only=True):
    """One header of the record."""

    name: str = ""
    value: bytes | None = None
    """Kafka knows headers without a value."""


class DeadRecord(AvroRecord, frozen=True, kw_only=True):
    """A record, or a state entry whose timer failed, before sealing; never on a topic in this form."""

    topic: str = ""
    """Source topic, without the deployment prefix; for a timer the stage's changelog."""
    partition: int = 0
    offset: Long = -1
    """-1 for a timer."""
    timestamp_at: TimeMs = 0
    key: bytes | None = None
    """The record's key; for a timer the state key."""
    value: bytes | None = None
    """The record's value; for a timer the state entry as the changelog has it."""
    headers: list[DeadHeader] = []
    is_timer: bool = False
