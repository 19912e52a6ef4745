"""What failed before, over rebuilds of a task, and when failures are so many that they must be ours."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable

from pipeline.errors import DeadLetterReason, PoisonRun
from pipeline.runtime.api import Record

QUARANTINE_AFTER = 3
"""So many rebuilds at the same record or timer, and it is taken out of the way."""

Item = Hashable


def item_of(work: Record | bytes) -> Item:
    """What identifies a record or a timer over rebuilds."""
    return (work.topic, work.partition, work.offset) if isinstance(work, Record) else work


class Failures:
    """Counts crashes per record or timer of one task; survives the task's rebuilds, not the process."""

    def __init__(self) -> None:
        self._crashes: dict[Item, int] = {}
        self._reasons: dict[Item, DeadLetterReason] = {}
        self._held: dict[str, Item] = {}
        self.careful = 0
        """So many further items are to be committed one by one, to find the one that spoils its transaction."""

    def crashed(self, work: Record | bytes) -> None:
        """The stage raised something that is a bug."""
        item = item_of(work)
        self._crashes[item] = self._crashes.get(item, 0) + 1

    def condemn(self, work: Record | bytes, reason: DeadLetterReason) -> None:
        """No further try: the same input would fail for ever."""
        item = item_of(work)
        self._crashes[item] = max(self._crashes.get(item, 0) + 1, QUARANTINE_AFTER)
        self._reasons[item] = reason

    def condemned(self, work: Record | bytes) -> DeadLetterReason | None:
        """The dead-letter reason when the work is to be quarantined, else None."""
        if not self._crashes:
            return None
        item = item_of(work)
        if self._crashes.get(item, 0) < QUARANTINE_AFTER:
            return None
        return self._reasons.get(item, DeadLetterReason.HANDLER_REFUSED)

    def quarantines(self, work: Record | bytes) -> int:
        """How often it was taken out of the way in vain: what was to end it failed as well."""
        return max(0, self._crashes.get(item_of(work), 0) - QUARANTINE_AFTER)

    def first_hold(self, topic: str, item: Item) -> bool:
        """Whether this record has to wait for the first time; of each topic one waits at a time."""
        if self._held.get(topic) == item:
            return False
        self._held[topic] = item
        return True

    def __bool__(self) -> bool:
        return bool(self._crashes)

    def forget(self, work: Record | bytes) -> None:
        """The work is out of the way."""
        self._crashes.pop(item_of(work), None)
        self._reasons.pop(item_of(work), None)


class PoisonLimit:
    """Bad producers make some records bad; when suddenly everything is bad, it is us.

    Told only of what is committed: a lost transaction is handled again, and a stage that stops has its dead letters
    behind it, so that a restart goes on after them.
    """

    WINDOW = 1_000

    def __init__(self, *, max_run: int, max_share: float) -> None:
        self._max_run = max_run
        self._max_share = max_share
        self._run = 0
        self._window: deque[bool] = deque(maxlen=self.WINDOW)
        self._bad = 0
        self._reason = ""

    def note(self, poison: str | None) -> None:
        """A record was handled, or was poison for this reason."""
        self._run = self._run + 1 if poison else 0
        self._reason = poison or self._reason
        if len(self._window) == self.WINDOW:
            self._bad -= self._window[0]
        self._window.append(poison is not None)
        self._bad += poison is not None

    def check(self) -> None:
        """Raises PoisonRun when there was too much of it."""
        if self._run >= self._max_run:
            raise PoisonRun(
                f"{self._run} records in a row could not be handled (last: {self._reason}); this looks like a fault of "
                "this release or its configuration, so the stage stops instead of emptying its topics into dead letters"
            )
        if len(self._window) == self.WINDOW and self._bad > self._max_share * self.WINDOW:
            share = self._bad / self.WINDOW
            raise PoisonRun(
                f"{share:.0%} of the last {self.WINDOW} records could not be handled (last: {self._reason}); "
                "the stage stops"
            )
