"""What a sender's task asks of its shell (actions) and what it is woken by (events), beside :class:`CallFinished`."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.senders.calls import Call


@dataclass(frozen=True, slots=True)
class Attach:
    """Action: tell the permits how to wake this task."""


@dataclass(frozen=True, slots=True)
class Begin:
    """Action: make a call whose STARTED is committed."""

    call: Call


@dataclass(frozen=True, slots=True)
class Adopt:
    """Action: get the result of a call an earlier task began."""

    key: str


@dataclass(frozen=True, slots=True)
class Forget:
    """Action: the result is committed."""

    key: str


@dataclass(frozen=True, slots=True)
class WakeAfter:
    """Action: look again after some time."""

    seconds: float
    at_s: float


@dataclass(frozen=True, slots=True)
class PermitAvailable:
    """Event: permits are reserved for this task."""


@dataclass(frozen=True, slots=True)
class Tick:
    """Event: the moment of the WakeAfter with this monotonic time has come."""

    at_s: float
