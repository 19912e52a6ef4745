"""What the correlator remembers under one key: refs that wait for receipts, and receipts that wait for them."""

from __future__ import annotations

from pipeline.records.internal import MessageRef, Receipt
from pipeline.records.types import AvroRecord, TimeMs


class WaitingReceipt(AvroRecord, frozen=True, kw_only=True):
    """A receipt that is not placed yet."""

    receipt: Receipt
    recorded_at: TimeMs = 0
    """The broker's time of its record, which all waiting is measured from."""


class CorrelatorState(AvroRecord, frozen=True, kw_only=True):
    """Everything under ``<provider>:<message id>`` or ``<provider>:<recipient key>:<channel>``."""

    key: str
    refs: list[MessageRef] = []
    """One for each attempt, in the order they were read; each lives two hours from ``written_at``, here the broker's
    time of its record."""
    receipts: list[WaitingReceipt] = []
    """Not placed yet, in the order they were read; each waits for 24 hours at most."""
    crowded_until_at: TimeMs = 0
    """More attempts than are kept live until then, so nothing received by then can be placed."""
