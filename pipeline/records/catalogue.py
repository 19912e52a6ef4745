"""Which records exist on topics and in changelogs; what is nested in one of them is not listed.

A record that is missing here would not be published with its schema, released or checked for compatibility; a test
holds the list against the modules of this folder.
"""

from __future__ import annotations

from typing import Final

from pipeline.records.correlator_state import CorrelatorState
from pipeline.records.dead_record import DeadRecord
from pipeline.records.internal import (
    ControlEntry,
    Decision,
    MessageRef,
    ProviderHealth,
    Receipt,
    RoutingEvent,
    SendCommand,
    SendResult,
)
from pipeline.records.journal import JournalEntry
from pipeline.records.public import (
    CodeCheck,
    Command,
    DeadLetter,
    DeliveryStatus,
    Reply,
    VerificationOutcome,
    VerificationRequest,
)
from pipeline.records.router_state import RouterState
from pipeline.records.tracker_state import TrackerForward, TrackerState
from pipeline.records.types import AvroRecord

PUBLIC: Final[tuple[type[AvroRecord], ...]] = (
    VerificationRequest,
    VerificationOutcome,
    DeliveryStatus,
    CodeCheck,
    Command,
    Reply,
    DeadLetter,
)
"""Contract with other software: read or written by any service."""

INTERNAL: Final[tuple[type[AvroRecord], ...]] = (
    Decision,
    SendCommand,
    SendResult,
    MessageRef,
    Receipt,
    RoutingEvent,
    ProviderHealth,
    ControlEntry,
    DeadRecord,
    TrackerForward,
)
"""Between our own stages."""

STATE: Final[tuple[type[AvroRecord], ...]] = (JournalEntry, RouterState, TrackerState, CorrelatorState)
"""Entries of the stages' changelogs."""

RECORDS: Final[tuple[type[AvroRecord], ...]] = PUBLIC + INTERNAL + STATE
