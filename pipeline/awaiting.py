"""Waiting for an outcome of one verification while the outcomes of all are read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from pipeline.records.public import VerificationOutcome

Until = Callable[[VerificationOutcome], bool]


class _Waiter(NamedTuple):
    until: Until
    news: asyncio.Future[VerificationOutcome | None]


class Awaiting:
    """Who waits for what; each outcome is shown to them as it is read.

    Not later: one fetch may bring the next outcome too, before whoever waits gets a turn.
    """

    def __init__(self) -> None:
        self._waiters: dict[str, list[_Waiter]] = {}

    async def news(self, verification_id: str, until: Until) -> VerificationOutcome | None:
        """The next outcome for which ``until`` holds; None when it is time to look why none comes."""
        waiter = _Waiter(until, asyncio.get_running_loop().create_future())
        self._waiters.setdefault(verification_id, []).append(waiter)
        try:
            return await waiter.news
        finally:
            waiters = self._waiters[verification_id]
            # By identity: two who wait for the same may differ in nothing else.
            waiters[:] = [each for each in waiters if each is not waiter]
            if not waiters:
                del self._waiters[verification_id]

    def take(self, outcome: VerificationOutcome) -> None:
        """Show an outcome to those who wait for one of its verification."""
        for waiter in self._waiters.get(outcome.verification_id, ()):
            if waiter.news.done():
                continue
            try:
                if waiter.until(outcome):
                    waiter.news.set_result(outcome)
            except Exception as error:
                # The mistake of this caller, which must hurt nobody else who reads.
                waiter.news.set_exception(error)

    def wake(self) -> None:
        """Let everybody look again."""
        for waiters in self._waiters.values():
            for waiter in waiters:
                if not waiter.news.done():
                    waiter.news.set_result(None)
