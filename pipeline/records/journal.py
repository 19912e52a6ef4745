"""The senders' journal: what is known of each call that may have been made.

One entry per command in ``verification.attempts.<provider>``, key: ``<attempt id>:<decision id>``. It
is what makes a sender honest after a crash: STARTED is committed before the first byte leaves, so whatever may have
been sent is written down.
"""

from __future__ import annotations

from enum import StrEnum

from pipeline.records.internal import SendResult
from pipeline.records.types import AvroRecord, Long, TimeMs


class JournalState(StrEnum):
    """Where one command stands."""

    STARTED = "started"
    """A call may be under way; without a result after a crash it is in doubt."""
    RELEASED = "released"
    """Certainly not sent (throttled, frozen, stopped): the command may be started again."""
    FINISHED = "finished"
    """Its result is emitted; the same command again changes nothing."""
    UNKNOWN = "unknown"


class JournalEntry(AvroRecord, frozen=True, kw_only=True):
    """One command in the journal."""

    state: JournalState = JournalState.UNKNOWN
    topic: str = ""
    """Where the command stands; the entry goes only when the committed position has passed it."""
    offset: Long = 0
    bulk: bool = False
    """The lane its result travels in."""
    process: str = ""
    """The process that committed STARTED; only that one can have made the call."""
    started_at: TimeMs = 0
    """When the latest STARTED was written."""
    tries: int = 0
    """How often it was started."""
    throttled: bool = False
    """The provider refused the latest call because of its rate."""
    repeated: bool = False
    """It was asked again at once with fresh values, which happens once."""
    result: SendResult | None = None
    """While not finished: the result to emit should nobody ever learn more (in doubt)."""
    keep_until_at: TimeMs = 0
    """Finished entries are forgotten then: the command's deadline and an hour."""
