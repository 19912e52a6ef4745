"""One thing the demo does and what must come of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from pipeline.errors import DeadLetterReason
from pipeline.model.reasons import Reason, ReplyReason
from pipeline.records.public import VerificationRequest
from pipeline.records.types import Channel, VerificationState


class Person(Enum):
    """What the person at the other end does with the message."""

    ABSENT = "does nothing"
    TYPES_IT = "reads the message and types its code"
    MISTYPES = "types a wrong code first, then the right one"
    GUESSES = "types wrong codes until no check is left"
    TYPES_TWICE = "types the right code in two windows at the same moment"
    CLICKS_TWICE = "sends the same check twice"
    TOO_LATE = "types the right code after it has expired"


class Posting(Enum):
    """How the request gets into its topic."""

    CLIENT = "by the client, keyed by the recipient"
    BULK = "by the client, in the bulk lane"
    NO_KEY = "by a producer that sets no key"
    WRONG_PARTITION = "by a producer with another partitioner"
    TWICE = "by a producer that retries"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What must come of a case; None and 0 mean what an outcome without that part shows."""

    state: VerificationState | None = None
    """The final state; None when the record itself ends as a dead letter and has no outcome of its own."""
    reason: Reason | None = None
    dead_letter: DeadLetterReason | None = None
    found_by: str = "router"
    """The stage a dead letter comes from."""
    channel: Channel | None = None
    """Channel of the last attempt."""
    provider: str | None = None
    """Provider of the last attempt."""
    attempts: int = 0
    calls: int = 0
    """Requests the providers get for it: one for each attempt, more only where a provider asks for patience."""
    spare_calls: int = 0
    """How many more there may be, or not."""
    language: str | None = None
    """The language of the last attempt, as the provider names it; None is not looked at."""
    code: str | None = None
    """The code in the message; None is not looked at."""

    @property
    def end(self) -> str:
        """The line of the table it belongs to, without the reason."""
        return "dead letter" if self.state is None else self.state.value

    @property
    def why(self) -> str:
        """The reason on that line."""
        return str(self.dead_letter or self.reason or "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One record put into the request topic, who sits at the other end, and what must come of it."""

    kind: str
    """What it shows, for people; cases of one kind differ in their recipients only."""
    name: str
    """Unique in a run; the verification's id unless the case is about a conflict of ids."""
    request: VerificationRequest | None
    """None for a record that is no request."""
    payload: bytes = b""
    """The record's value where there is no request."""
    expected: Expected
    person: Person = Person.ABSENT
    read_at: str | None = None
    """The canonical recipient at which the person reads the code."""
    recipients: tuple[str, ...] = ()
    """Canonical recipients of every step, for counting calls."""
    posting: Posting = Posting.CLIENT
    after: tuple[str, ...] = ()
    """Names of the cases that must have ended before."""
    slow: bool = False
    """The provider is made to take its time or to say nothing, so it is no measure of latency."""

    @property
    def verification_id(self) -> str | None:
        """The id in the request."""
        return None if self.request is None else self.request.verification_id

    @property
    def replies(self) -> tuple[ReplyReason, ...]:
        """What the person's checks must be answered, in order; at the same moment: in any order."""
        wrong, valid = ReplyReason.WRONG_CODE, ReplyReason.VALID
        if self.person is Person.GUESSES:
            assert self.request is not None
            return (*[wrong] * (self.request.max_checks or 3), ReplyReason.TOO_MANY_CHECKS)
        return {
            Person.ABSENT: (),
            Person.TYPES_IT: (valid,),
            Person.MISTYPES: (wrong, valid),
            Person.TYPES_TWICE: (valid, ReplyReason.ALREADY_VERIFIED),
            Person.CLICKS_TWICE: (valid, valid),
            Person.TOO_LATE: (ReplyReason.EXPIRED,),
        }[self.person]
