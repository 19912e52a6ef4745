"""What a provider should do with a request, as data a person writes: delays, errors, lost answers, receipts."""

from __future__ import annotations

import math
import random
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

MAX_DELAY_MS: Final = 600_000


class Part(BaseModel):
    """Base of all parts: an unknown name is an error, and strings are never taken for numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Uniform(Part):
    """Every delay between the two is as likely."""

    kind: Literal["uniform"]
    low_ms: float = Field(ge=0, le=MAX_DELAY_MS)
    high_ms: float = Field(ge=0, le=MAX_DELAY_MS)

    @model_validator(mode="after")
    def _ordered(self) -> Uniform:
        if self.low_ms > self.high_ms:
            raise ValueError("low_ms must not be above high_ms")
        return self

    def sample(self, rng: random.Random) -> float:
        return rng.uniform(self.low_ms, self.high_ms)


class Normal(Part):
    """The bell curve; what falls below zero is zero."""

    kind: Literal["normal"]
    mean_ms: float = Field(ge=0, le=MAX_DELAY_MS)
    deviation_ms: float = Field(ge=0, le=MAX_DELAY_MS)

    def sample(self, rng: random.Random) -> float:
        return rng.gauss(self.mean_ms, self.deviation_ms)


class Lognormal(Part):
    """Half of the delays are below the median; ``sigma`` is the length of the tail (0.5 usual, 1 long)."""

    kind: Literal["lognormal"]
    median_ms: float = Field(gt=0, le=MAX_DELAY_MS)
    sigma: float = Field(ge=0, le=3)

    def sample(self, rng: random.Random) -> float:
        return rng.lognormvariate(math.log(self.median_ms), self.sigma)


class Exponential(Part):
    """Independent arrivals: many short delays, few long ones."""

    kind: Literal["exponential"]
    mean_ms: float = Field(gt=0, le=MAX_DELAY_MS)

    def sample(self, rng: random.Random) -> float:
        return rng.expovariate(1 / self.mean_ms)


def _form(value: object) -> object:
    """Which form of a delay is meant, so that only what is wrong with that one is told."""
    if isinstance(value, dict):
        return value.get("kind")
    return value.kind if isinstance(value, Uniform | Normal | Lognormal | Exponential) else "number"


Delay = Annotated[
    Annotated[Annotated[int, Field(ge=0, le=MAX_DELAY_MS)], Tag("number")]
    | Annotated[Uniform, Tag("uniform")]
    | Annotated[Normal, Tag("normal")]
    | Annotated[Lognormal, Tag("lognormal")]
    | Annotated[Exponential, Tag("exponential")],
    Discriminator(
        _form,
        custom_error_type="delay",
        custom_error_message="must be milliseconds, or have a kind: uniform, normal, lognormal, exponential",
    ),
]


def sample_s(delay: Delay, rng: random.Random) -> float:
    """One delay in seconds, from 0 to ten minutes."""
    delay_ms = delay if isinstance(delay, int) else delay.sample(rng)
    return min(max(delay_ms, 0.0), MAX_DELAY_MS) / 1_000


class Refusal(StrEnum):
    """Why a provider refuses, in words that fit all of them; each maps it to an error of its own table."""

    RECIPIENT = "recipient"
    BLOCKED = "blocked"
    CONTENT = "content"
    ACCOUNT = "account"
    CREDENTIALS = "credentials"
    CREDIT = "credit"
    ROUTE = "route"
    INTERNAL = "internal"


class Fault(StrEnum):
    """What happens to the connection instead of a whole answer."""

    NONE = "none"
    NO_ANSWER = "no_answer"
    CLOSE_BEFORE_READING = "close_before_reading"
    CLOSE_AFTER_READING = "close_after_reading"
    RESET_AFTER_READING = "reset_after_reading"
    GARBAGE = "garbage"
    TRUNCATED = "truncated"
    DRIP = "drip"


class Throttle(Part):
    """Answer that there are too many requests."""

    retry_after_s: int = Field(1, ge=0, le=3_600)
    """Sent as Retry-After where the provider does that."""


class Receipt(Part):
    """What the provider reports later, where it reports at all."""

    status: Literal["delivered", "read", "undelivered", "missing"] = "delivered"
    """``missing``: the person gets the message and nobody tells. ``undelivered``: it reaches nobody."""
    delay_ms: Delay = 200
    """Counted from the sending, not from the answer: a receipt may come before the answer."""
    copies: int = Field(1, ge=1, le=10)
    """How many times each event is delivered."""
    reordered: bool = False
    """Events of one message go out last first, and behind the next message's receipt."""
    error_code: str | None = Field(None, min_length=1, max_length=40)
    """The error code of an undelivered message."""


class Behaviour(Part):
    """How one request is treated. Without anything said, it is taken, sent and confirmed."""

    delay_ms: Delay = 20
    """Time between sending and answering."""
    answer: str | None = None
    """One of the provider's good answers with another meaning, such as YCloud's ``blocked``."""
    error: str | int | None = None
    """A code of the provider's own error table."""
    refusal: Refusal | None = None
    throttle: Throttle | None = None
    fault: Fault = Fault.NONE
    sends: bool | None = None
    """Whether the message goes out. Default: unless an error is answered or nothing was read."""
    receipt: Receipt = Receipt()

    @model_validator(mode="after")
    def _consistent(self) -> Behaviour:
        said = [name for name in ("answer", "error", "refusal", "throttle") if getattr(self, name) is not None]
        if len(said) > 1:
            raise ValueError(f"{' and '.join(said)} contradict each other: give one of them")
        if self.sends and self.fault is Fault.CLOSE_BEFORE_READING:
            raise ValueError("sends must not be true with close_before_reading: what was not read cannot be sent")
        return self

    @property
    def refuses(self) -> bool:
        """An error is answered."""
        return self.error is not None or self.refusal is not None or self.throttle is not None

    @property
    def message_goes_out(self) -> bool:
        """Whether the message leaves the provider, whatever is answered."""
        if self.sends is not None:
            return self.sends
        return not self.refuses and self.fault is not Fault.CLOSE_BEFORE_READING


class When(Part):
    """Which requests a rule is for; what is not named always fits."""

    operation: str | None = None
    """Default: the operations that send. ``*`` is every operation."""
    channel: str | None = None
    recipient: str | None = Field(None, min_length=1, max_length=200)
    """Shell pattern over the canonical recipient, such as ``+49*`` or ``*@example.org``."""

    @property
    def needs_body(self) -> bool:
        """Only the body tells whether the rule fits."""
        return self.channel is not None or self.recipient is not None

    def fits(self, *, operation: str, sends: bool, channel: str | None, recipient: str | None) -> bool:
        """Whether a request is meant; ``sends`` says whether the operation sends messages."""
        if self.operation is None:
            if not sends:
                return False
        elif self.operation not in ("*", operation):
            return False
        if self.channel is not None and self.channel != channel:
            return False
        return self.recipient is None or (recipient is not None and fnmatchcase(recipient, self.recipient))


class Rule(Behaviour):
    """A behaviour for some of the requests; the first rule that fits and takes its chance decides."""

    when: When = When()
    share: float = Field(1.0, gt=0, le=1)
    """The part of the fitting requests it is for, drawn from the seeded generator."""
    times: int | None = Field(None, ge=1)
    """It serves this many requests and is then passed over."""


class Limits(Part):
    """Rates beyond which the provider throttles an account; null is no limit."""

    per_s: float | None = Field(None, gt=0)
    per_hour: int | None = Field(None, ge=1)
    concurrency: int | None = Field(None, ge=1)
    """Requests being answered at one time."""


class ProviderBehaviour(Part):
    """All that can be set for one provider."""

    default: Behaviour = Behaviour()
    rules: list[Rule] = Field([], max_length=200)
    limits: Limits | None = None
    """For the operations that send, all together; without it each has the limits its provider documents."""
    seed: int = 1
    """Seed of the delays and shares."""


class ConnectionBehaviour(Part):
    """What happens to the next connections to the simulator's port, before a byte of them is read."""

    fault: Literal["reset", "close", "hang"] = "reset"
    next: int = Field(0, ge=0, le=10_000)
    """How many connections; a number, so that the simulator is never out of reach for ever."""
