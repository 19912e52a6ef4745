"""The simulator's inbox as the people read it: one poll for all of them."""

from __future__ import annotations

import asyncio
import contextlib
from types import TracebackType
from typing import Any, Final

import httpx

from pipeline.errors import DeadlinePassed

_POLL_S: Final = 0.05
_LOOK_BACK_MS: Final = 2_000


class Inbox:
    """An async context manager; messages are kept by recipient."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        """``client`` has the simulator's URL as its base."""
        self._client = client
        self._messages: dict[str, list[dict[str, Any]]] = {}
        self._newest = 0
        self._arrived = asyncio.Condition()
        self._polling: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Inbox:
        self._polling = asyncio.create_task(self._poll(), name="inbox")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._polling is not None
        self._polling.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._polling

    async def read(
        self, recipient: str, *, channel: str | None, provider: str | None, since: int, timeout_s: float
    ) -> dict[str, Any]:
        """The first message to ``recipient`` by this channel and provider at or after ``since`` (epoch milliseconds).

        Raises DeadlinePassed.
        """

        def found() -> dict[str, Any] | None:
            for message in self._messages.get(recipient, ()):
                if message["at"] >= since and (message["channel"], message["provider"]) == (channel, provider):
                    return message
            return None

        try:
            async with asyncio.timeout(timeout_s), self._arrived:
                while (message := found()) is None:
                    await self._arrived.wait()
                return message
        except TimeoutError as error:
            others = [f"{each['channel']} by {each['provider']}" for each in self._messages.get(recipient, ())]
            got = f"; there are: {', '.join(others)}" if others else ""
            raise DeadlinePassed(f"no {channel} message by {provider} within {timeout_s:g} s{got}") from error

    async def _poll(self) -> None:
        while True:
            with contextlib.suppress(httpx.HTTPError):
                answer = await self._client.get("/inbox", params={"since": max(0, self._newest - _LOOK_BACK_MS)})
                answer.raise_for_status()
                await self._take(answer.json())
            await asyncio.sleep(_POLL_S)

    async def _take(self, messages: list[dict[str, Any]]) -> None:
        news = False
        for message in messages:
            own = self._messages.setdefault(message["recipient"], [])
            if message not in own:
                own.append(message)
                news = True
                self._newest = max(self._newest, message["at"])
        if news:
            async with self._arrived:
                self._arrived.notify_all()
