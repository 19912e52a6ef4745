"""What senders tell each other of their provider over the topic ``provider-health``: that it asked for patience.

A provider counts the calls of one credential, whoever makes them. So when it asks one process to wait, every process of
the group holds back; else each of them runs into the same refusal by itself, and keeps the provider annoyed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Final

from pipeline.clock import Clock
from pipeline.records.codec import Codec
from pipeline.records.internal import ProviderHealth
from pipeline.runtime.api import Record
from pipeline.senders.told import MAX_RETRY_AFTER_S

Pause = Callable[[float], None]
"""Begin no call for so many seconds (:meth:`pipeline.senders.permits.Permits.pause`)."""

_NEVER: Final = float("-inf")


class Pauses:
    """The pauses that any process was told, for the senders of this one.

    They are kept until they are over, for a sender that comes to listen only when its first task begins.
    """

    def __init__(self, *, codec: Codec, clock: Clock) -> None:
        self._codec = codec
        self._clock = clock
        self._until_s: dict[str, float] = {}
        """By provider instance, on this process's monotonic clock."""
        self._listeners: defaultdict[str, list[Pause]] = defaultdict(list)

    def listen(self, instance: str, pause: Pause) -> None:
        """Have ``pause`` called for this provider instance: at once with what is left, later as it is told."""
        self._listeners[instance].append(pause)
        left_s = self._until_s.get(instance, _NEVER) - self._clock.monotonic_s()
        if left_s > 0:
            pause(left_s)

    def apply(self, record: Record) -> None:
        """Take one record of the topic; what is over says nothing. Raises PipelineError for one it cannot read."""
        if record.value is None:
            return
        health = self._codec.decode(ProviderHealth, record.value, public=False)
        left_s = self._left_s(health)
        until_s = self._clock.monotonic_s() + left_s
        if left_s <= 0 or until_s <= self._until_s.get(health.provider, _NEVER):
            return
        self._until_s[health.provider] = until_s
        for pause in self._listeners[health.provider]:
            pause(left_s)

    def _left_s(self, health: ProviderHealth) -> float:
        """What is left of the pause by our clock, which may not be the one it was told by.

        It is never longer than the provider asked for, nor than we would wait if we had been told. By a clock of ours
        that is ahead it may be over early: then the provider tells us itself.
        """
        until_at = min(health.paused_until_at, health.valid_until_at)
        longest_ms = min(until_at - health.updated_at, MAX_RETRY_AFTER_S * 1_000)
        return min(until_at - self._clock.now_ms(), longest_ms) / 1_000
