"""Delivering events to the receiver of our users, at least once, as providers do: retries, copies, disorder."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp

from pipeline.clock import Clock

HOLD_S: Final = 2.0
"""How long a reordered event waits for another one to overtake it."""
_READ_BYTES: Final = 4_096


@dataclass(slots=True, kw_only=True)
class Event:
    """One event on its way to a receiver."""

    provider: str
    instance: str
    """The provider instance of the receiver: the last part of its path."""
    event_id: str
    event_type: str
    body: bytes
    sign: Callable[[bytes, int], Mapping[str, str]]
    """Headers for a body at a time in epoch seconds; every try is signed anew, as the receiver's window is short."""
    url: str = ""
    """Where the request wanted it; empty: the instance's place below the receiver's base."""
    policy: RetryPolicy | None = None
    """Of this event, where the provider has more than one; None: the provider's usual one."""
    query: str = ""
    """Goes behind the receiver's address."""
    takes: Callable[[int, bytes], bool] = lambda status, body: 200 <= status < 300
    """Whether an answer, its status and first bytes, means that the event arrived."""
    then: Callable[[bool], None] | None = None
    """Told after each try whether it arrived."""
    tries: int = 0


@dataclass(slots=True, kw_only=True)
class Delivery:
    """One try, for people and tests."""

    at: int
    provider: str
    event_id: str
    event_type: str
    attempt: int
    answered: str
    """Status, or what went wrong."""


@dataclass(slots=True, kw_only=True)
class RetryPolicy:
    """When an event that did not arrive is tried again; seconds as the provider documents them."""

    schedule_s: Sequence[float]
    timeout_s: float


class Webhooks:
    """All events of all providers. Bounded: beyond ``max_pending`` new events are dropped and counted."""

    def __init__(
        self,
        *,
        url: str,
        clock: Clock,
        policies: Mapping[str, RetryPolicy],
        time_factor: float = 1.0,
        max_pending: int = 50_000,
        keep: int = 10_000,
    ) -> None:
        """``url`` is the receiver's base to which ``/<instance>`` is added; empty sends nothing.

        ``time_factor`` above 1 shortens the retry schedule (60: a minute becomes a second), never the delays of
        receipts.
        """
        self.url = url.rstrip("/")
        self.dropped = 0
        self._clock = clock
        self._policies = policies
        self._time_factor = time_factor
        self._max_pending = max_pending
        self._log: deque[Delivery] = deque(maxlen=keep)
        self._held: deque[Event] = deque()
        self._timers: set[asyncio.TimerHandle] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession | None = None

    @property
    def pending(self) -> int:
        """Events that are waiting or being delivered."""
        return len(self._timers) + len(self._tasks)

    def start(self) -> None:
        """Begin; needs a running loop."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=100), cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False
        )

    async def stop(self) -> None:
        """Forget what was not delivered and release connections."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        for task in list(self._tasks):
            task.cancel()
        for task in list(self._tasks):
            with contextlib.suppress(asyncio.CancelledError):
                await task
        if self._session is not None:
            await self._session.close()
            self._session = None

    def post(self, event: Event, *, after_s: float, hold: bool = False) -> None:
        """Deliver an event after a delay; a held one waits behind the next event of anybody (or two seconds).

        An event for an address that is neither below the receiver's base nor on this machine is only listed: whoever
        can ask the simulator for a message must not make it call anybody.
        """
        if event.url and not self._is_ours(event.url):
            self._note(event, "not_ours")
        elif event.url or self.url:
            self.later(after_s, lambda: self._hold(event) if hold else self._begin(event))

    def later(self, delay_s: float, call: Callable[[], None]) -> None:
        """Run ``call`` after a delay unless too much is pending or the simulator ends first."""
        if self.pending >= self._max_pending:
            self.dropped += 1
        else:
            self._after(delay_s, call)

    def lines(self) -> Iterator[dict[str, Any]]:
        """All tries, oldest first."""
        return (asdict(delivery) for delivery in list(self._log))

    def _is_ours(self, url: str) -> bool:
        if self.url and url.startswith(f"{self.url}/"):
            return True
        host = urlsplit(url).hostname or ""
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"

    def _note(self, event: Event, answered: str) -> None:
        self._log.append(
            Delivery(
                at=self._clock.now_ms(),
                provider=event.provider,
                event_id=event.event_id,
                event_type=event.event_type,
                attempt=event.tries,
                answered=answered,
            )
        )

    def _after(self, delay_s: float, call: Callable[[], None]) -> None:
        def fire() -> None:
            self._timers.discard(timer)
            call()

        timer = asyncio.get_running_loop().call_later(delay_s, fire)
        self._timers.add(timer)

    def _hold(self, event: Event) -> None:
        self._held.append(event)
        self._after(HOLD_S, lambda: self._release(event))

    def _release(self, event: Event) -> None:
        # It may have gone already behind another event.
        with contextlib.suppress(ValueError):
            self._held.remove(event)
            self._begin(event)

    def _begin(self, event: Event) -> None:
        task = asyncio.get_running_loop().create_task(self._try(event))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _try(self, event: Event) -> None:
        event.tries += 1
        policy = event.policy or self._policies[event.provider]
        arrived, answered = await self._send(event, policy.timeout_s)
        self._note(event, answered)
        if event.then is not None:
            event.then(arrived)
        if not arrived and event.tries <= len(policy.schedule_s):
            self._after(policy.schedule_s[event.tries - 1] / self._time_factor, lambda: self._begin(event))
        while self._held:
            self._begin(self._held.popleft())

    async def _send(self, event: Event, timeout_s: float) -> tuple[bool, str]:
        assert self._session is not None, "start() comes first"
        try:
            async with self._session.post(
                (event.url or f"{self.url}/{event.instance}") + (f"?{event.query}" if event.query else ""),
                data=event.body,
                headers={
                    "Content-Type": "application/json",
                    **event.sign(event.body, self._clock.now_ms() // 1_000),
                },
                timeout=aiohttp.ClientTimeout(total=timeout_s),
                allow_redirects=False,
            ) as response:
                return event.takes(response.status, await response.content.read(_READ_BYTES)), str(response.status)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return False, type(error).__name__
