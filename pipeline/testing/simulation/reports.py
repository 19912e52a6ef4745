"""Providers that report what became of their messages: late, twice, in any order, or wrongly signed."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from typing import Final

from pipeline.testing.simulation.line import Lines, Taken
from pipeline.testing.simulation.webhooks import from_bird, from_telesign, from_thundersms, from_ycloud
from pipeline.testing.simulation.world import World

GOOD: Final = {"bird": "delivered", "telesign": 200, "thundersms": "DELIVRD", "ycloud": "delivered"}
OTHERS: Final = {
    "bird": ("delivery_failed",),
    "telesign": (207, 203),
    "thundersms": ("UNDELIV", "sent"),
    "ycloud": ("undelivered", "sent"),
}
PATIENCE_S: Final = 3.0


class Reporters:
    """The reporting side of all providers in one run."""

    def __init__(self, world: World, lines: Lines, chance: random.Random) -> None:
        self._world = world
        self._lines = lines
        self._chance = chance
        self._swarm = lines.swarm
        self.delivered: set[str] = set()
        """Attempts whose message was told to be delivered, or will be told so at a look-up."""
        self.count = 0
        self.answers: list[int] = []
        """What the gateway said to each report."""

    async def run(self, seconds: float) -> None:
        """Report on whatever was taken, for so long."""
        if "reports" not in self._swarm:
            return
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + seconds
        reported = 0
        under_way: list[asyncio.Task[None]] = []
        while loop.time() < ends_at:
            await asyncio.sleep(0.5)
            under_way += [loop.create_task(self._report(taken)) for taken in self._lines.taken[reported:]]
            reported = len(self._lines.taken)
        await asyncio.gather(*under_way)

    async def _report(self, taken: Taken) -> None:
        chance, name = self._chance, taken.provider
        if name not in GOOD or chance.random() < 0.2:
            return
        late = "late_reports" in self._swarm
        await asyncio.sleep(chance.choice((0.1, 1.0, 6.0, 20.0)) if late else chance.uniform(0.05, 1.0))
        good = chance.random() < 0.6
        word = GOOD[name] if good else chance.choice(OTHERS[name])
        if good:
            self.delivered.add(taken.command.attempt_id)
            if name in ("ycloud", "telesign"):
                taken.message.status = word
        for _ in range(2 if "doubled_reports" in self._swarm else 1):
            for _ in range(4):
                if await self._told(taken, word) // 100 == 2:
                    break
                await asyncio.sleep(1.0)
            if chance.random() < 0.5:
                await asyncio.sleep(chance.uniform(0, 2))
        if name == "ycloud" and chance.random() < 0.1:
            with suppress(TimeoutError):
                self.answers.append(await from_ycloud(self._world, taken.message, str(word), key="somebody else's"))

    async def _told(self, taken: Taken, word: object) -> int:
        world, message = self._world, taken.message
        self.count += 1
        self._lines.steps.note(f"{taken.provider} reports {word} of {taken.command.attempt_id}")
        try:
            async with asyncio.timeout(PATIENCE_S):
                if taken.provider == "bird":
                    status = await from_bird(
                        world, message.recipient, str(word), channel_id=self._chance.choice(message.channels)
                    )
                elif taken.provider == "telesign":
                    assert isinstance(word, int)
                    status = await from_telesign(world, message, word)
                elif taken.provider == "thundersms":
                    status = await from_thundersms(world, message, message.channels[0], str(word))
                else:
                    status = await from_ycloud(world, message, str(word))
        except TimeoutError:
            return 0
        self.answers.append(status)
        return status
