"""One thing the demo does and what must come of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from pipeline.errors import DeadLetterReason
from pipeline.model.reasons import Reason, ReplyReason
from pipeline.records.public import VerificationRequest
from pipeline.records.types import Channel, VerificationState


class Person(Enum):
    """What the person at the other end does with the message."""

    ABSENT = "does nothing"
    TYPES_IT = "reads the message and types its code"
    MISTYPES = "types a wrong code first, then the right one"
    PERSISTS = "types the right code again until somebody can judge it"
    GUESSES = "types wrong codes until no check is left"
    TYPES_TWICE = "types the right code in two windows at the same moment"
    CLICKS_TWICE = "sends the same check twice"
    TOO_LATE = "types the right code after it has expired"
    ASKS_FOR_A_CALL = "asks to be called instead and types what the call says"
    LEAVES = "goes back to the cart, so that the caller cancels"


class Posting(Enum):
    """How the request gets into its topic."""

    CLIENT = "by the client, keyed by the recipient"
    HTTP = "over the REST API, as are its checks and commands"
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
    """Provider of the last attempt, by the name of its account."""
    attempts: int = 0
    calls: int = 0
    """Sends the providers get for it: one for each attempt, more only where a provider asks for patience."""
    spare_calls: int = 0
    """How many more there may be, or not."""
    operation: str | None = None
    """The provider's own name of what must send it; None is not looked at."""
    made: bool = False
    """Whether the provider makes the code."""
    checks: int = 0
    """How often a provider is asked whether a typed code is the one it made."""
    reported: bool = False
    """Whether a provider must hear of the success; elsewhere one that wants to may, or may have to."""
    cancels: int = 0
    """How often a provider is asked to leave a message."""
    looked_up: bool = False
    """Whether its provider must have been asked what became of the message."""
    language: str | None = None
    """The language of the last attempt, as the provider names it; None is not looked at."""
    code: str | None = None
    """The code in the message; None is not looked at."""
    digits: int | None = None
    """Length of the code in the message; None is not looked at."""
    shows: tuple[str, ...] = ()
    """What must stand in the message; ``{code}`` is its code."""

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
    read_on: Channel | None = None
    """The channel on which the person reads it; None is that of the last attempt."""
    recipients: tuple[str, ...] = ()
    """Canonical recipients of every step, for counting calls."""
    posting: Posting = Posting.CLIENT
    after: tuple[str, ...] = ()
    """Names of the cases that must have ended before."""
    slow: bool = False
    """The provider is made to take its time or to say nothing, so it is no measure of latency."""
    rules: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Kind of provider → a rule of its simulated behaviour that this case needs, for its recipient alone."""

    @property
    def verification_id(self) -> str | None:
        """The id in the request."""
        return None if self.request is None else self.request.verification_id

    def expecting(self, **more: Any) -> Case:
        """The same, with more said of what must come of it."""
        return replace(self, expected=replace(self.expected, **more))

    def ruled(self, provider: str, rule: Mapping[str, Any]) -> Case:
        """The same, with a rule for the simulated provider of this kind."""
        return replace(self, rules={**self.rules, provider: rule})

    @property
    def is_patient(self) -> bool:
        """Whether the person must not type before the provider's answer to the send is known to us.

        Nobody reads and types within the milliseconds which that takes, but the simulator's message may be here before.
        Where the provider is asked for something about its message afterwards, that needs its answer. Bulk gives way to
        logins, so that on a machine with too much to do its decisions may be read seconds after its messages.
        """
        wanted, bulk = self.expected, self.posting is Posting.BULK
        return self.person is not Person.PERSISTS and bool(wanted.made or wanted.reported or wanted.cancels or bulk)

    @property
    def replies(self) -> tuple[ReplyReason, ...]:
        """What the person's checks must be answered, in order; at the same moment: in any order.

        Of the answers to somebody who persists, those that are alike and follow each other are one.
        """
        wrong, valid = ReplyReason.WRONG_CODE, ReplyReason.VALID
        if self.person is Person.GUESSES:
            assert self.request is not None
            return (*[wrong] * (self.request.max_checks or 3), ReplyReason.TOO_MANY_CHECKS)
        return {
            Person.ABSENT: (),
            Person.TYPES_IT: (valid,),
            Person.MISTYPES: (wrong, valid),
            Person.PERSISTS: (ReplyReason.PROVIDER_UNAVAILABLE, valid),
            Person.TYPES_TWICE: (valid, ReplyReason.ALREADY_VERIFIED),
            Person.CLICKS_TWICE: (valid, valid),
            Person.TOO_LATE: (ReplyReason.EXPIRED,),
            Person.ASKS_FOR_A_CALL: (ReplyReason.ACCEPTED, valid),
            Person.LEAVES: (ReplyReason.ACCEPTED, ReplyReason.NOT_ACTIVE),
        }[self.person]
