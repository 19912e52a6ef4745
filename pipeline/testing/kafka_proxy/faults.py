"""What can go wrong between a client and a broker, and when. Pure but for the wait for it to have happened."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum

from pipeline.testing.kafka_proxy.framing import Api, Request


class Direction(Enum):
    """Which way a frame goes."""

    REQUEST = "request"
    """From the client to the broker."""
    RESPONSE = "response"
    """From the broker to the client."""


@dataclass(frozen=True, slots=True)
class Drop:
    """The frame is not passed on; the connection stays and what comes behind it passes."""


@dataclass(frozen=True, slots=True)
class Delay:
    """The frame, and with it all behind it on its connection, passes ``seconds`` later.

    It is passed on also when the side that sent it has closed its connection meanwhile: so it is in a network.
    """

    seconds: float


@dataclass(frozen=True, slots=True)
class Hold:
    """A black hole: the frame and all behind it wait until the fault is healed, and then pass, however late."""


@dataclass(frozen=True, slots=True)
class Reset:
    """The frame is not passed on, and both sides are told at once that the connection is broken (RST)."""


@dataclass(frozen=True, slots=True)
class HalfClose:
    """The frame and all behind it are not passed on; their receiver is told that nothing more will come (FIN)."""


Action = Drop | Delay | Hold | Reset | HalfClose


class Fault:
    """An action, and which frames it befalls.

    ``apis`` are names of :class:`Api` (none: all frames, and connections that are closed or opened), ``client`` is a
    regular expression that the whole client id must match, ``direction`` None is both. Of the frames that match, the
    ``first``-th (counted from 1) and the ``times - 1`` after it are hit; ``times`` None is all until it is healed.
    A response has the api and client of the request that it answers.
    """

    def __init__(
        self,
        action: Action,
        *apis: str,
        client: str = ".*",
        direction: Direction | None = None,
        first: int = 1,
        times: int | None = 1,
    ) -> None:
        unknown = [name for name in apis if name not in Api.__members__]
        if unknown:
            raise ValueError(f"no request of Kafka's is called {', '.join(unknown)}")
        if first < 1 or (times is not None and times < 1):
            raise ValueError("frames are counted from 1, and at least one must be hit")
        self.action = action
        self.matched = 0
        """Frames that matched, hit or not."""
        self.hit = 0
        """Frames that it befell. A test whose fault hit nothing has shown nothing."""
        self._apis: Collection[str] = frozenset(apis)
        self._client = re.compile(client)
        self._direction = direction
        self._first = first
        self._times = times
        self._healed = asyncio.Event()
        self._changed = asyncio.Event()

    @property
    def total(self) -> bool:
        """It befalls whatever goes over a connection, its opening and closing too."""
        return not self._apis

    def concerns(self, direction: Direction, client_id: str) -> bool:
        """Whether it lies upon connections of this client in this direction."""
        return self._direction in (None, direction) and self._client.fullmatch(client_id) is not None

    def befalls(self, direction: Direction, request: Request) -> bool:
        """Whether this frame is hit; counts it."""
        if not self.concerns(direction, request.client_id) or (self._apis and request.name not in self._apis):
            return False
        self.matched += 1
        beyond = self.matched - self._first
        if beyond < 0 or (self._times is not None and beyond >= self._times):
            return False
        self.hit += 1
        self._changed.set()
        return True

    def heal(self) -> None:
        """What is held passes; no further frame is hit once the proxy has taken it out."""
        self._healed.set()

    async def healed(self) -> None:
        """Wait for :meth:`heal`."""
        await self._healed.wait()

    async def has_hit(self, times: int = 1, *, within_s: float = 30.0) -> None:
        """Wait until so many frames were hit; raises AssertionError when they are not in time."""
        try:
            async with asyncio.timeout(within_s):
                while self.hit < times:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(f"{self!r} did not hit {times} frames within {within_s:g} s") from None

    def __repr__(self) -> str:
        what = "/".join(sorted(self._apis)) or "everything"
        return f"<{self.action} of {what} of {self._client.pattern}: {self.hit} of {self.matched} hit>"
