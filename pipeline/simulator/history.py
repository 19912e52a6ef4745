"""What people received and what was asked of the providers, both bounded."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message as a person sees (or hears) it."""

    recipient: str
    channel: str
    provider: str
    text: str
    code: str
    at: int
    """Epoch milliseconds."""


class Inbox:
    """The newest ``limit`` messages of everybody, found by recipient without a search."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._all: deque[Message] = deque()
        self._of: dict[str, deque[Message]] = {}

    def add(self, message: Message) -> None:
        """Keep a message; the oldest one goes when there are too many."""
        self._all.append(message)
        self._of.setdefault(message.recipient, deque()).append(message)
        if len(self._all) > self._limit:
            oldest = self._all.popleft()
            own = self._of[oldest.recipient]
            own.popleft()
            if not own:
                del self._of[oldest.recipient]

    def find(self, *, recipient: str | None = None, since: int = 0) -> list[dict[str, Any]]:
        """Messages not older than ``since`` (epoch milliseconds), oldest first."""
        messages = self._all if recipient is None else self._of.get(recipient, ())
        return [asdict(message) for message in messages if message.at >= since]

    def clear(self) -> None:
        """Forget everything."""
        self._all.clear()
        self._of.clear()


@dataclass(slots=True, kw_only=True)
class Call:
    """One request to a provider; it is in the list from the moment it came, whatever becomes of it."""

    at: int
    """Epoch milliseconds of its arrival."""
    provider: str
    operation: str
    recipient: str | None = None
    reference: str | None = None
    code: str | None = None
    answered: str | None = None
    """Status and error code, or what happened to the connection; null while nothing was answered."""
    channel: str | None = None
    sent: bool = False
    """Whether a message left for the person."""


@dataclass(slots=True)
class Calls:
    """The newest ``limit`` requests in order."""

    limit: int
    _calls: deque[Call] = field(init=False)

    def __post_init__(self) -> None:
        self._calls = deque(maxlen=self.limit)

    def begin(self, *, at: int, provider: str, operation: str) -> Call:
        """Note a request; the caller fills in the rest as it learns it."""
        call = Call(at=at, provider=provider, operation=operation)
        self._calls.append(call)
        return call

    def lines(self) -> Iterator[dict[str, Any]]:
        """All requests, oldest first."""
        return (asdict(call) for call in list(self._calls))

    def clear(self) -> None:
        """Forget everything."""
        self._calls.clear()
