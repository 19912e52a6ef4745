"""What all simulated providers share: time, chance, the inbox, the list of calls and the webhooks."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.clock import Clock
from pipeline.simulator.history import Calls, Inbox
from pipeline.simulator.webhooks import Webhooks


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An account at a simulated provider, as one provider instance of the configuration knows it."""

    kind: str
    instance: str
    """The instance's name; its webhooks go to ``<webhook url>/<instance>``."""
    credentials: Mapping[str, str] = field(repr=False)


@dataclass(slots=True, kw_only=True)
class World:
    """Shared by the providers of one simulator."""

    clock: Clock
    rng: random.Random
    """For ids and generated codes."""
    inbox: Inbox
    calls: Calls
    webhooks: Webhooks
    keep: int
    """How many verifications, messages and codes each provider remembers."""
    closing: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the simulator stops: hung requests end."""

    def token(self, characters: int = 24) -> str:
        """A new random id in hex."""
        return f"{self.rng.getrandbits(4 * characters):0{characters}x}"

    def digits(self, length: int) -> str:
        """A new random code without a leading zero."""
        return str(self.rng.randrange(10 ** (length - 1), 10**length))
