"""What the correlator remembers under one key: references that wait for receipts, and receipts that wait for them."""

from __future__ import annotations

from pipeline.records.internal import MessageRef, Receipt
from pipeline.records.types import AvroRecord


class CorrelatorState(AvroRecord, frozen=True, kw_only=True):
    """Everything under ``<provider>:<message id>`` or ``<provider>:<recipient key>:<channel>``."""

    key: str
    refs: list[MessageRef] = []
    """Oldest first; each lives two hours."""
    receipts: list[Receipt] = []
    """Not placed yet, oldest first; each lives 24 hours."""
