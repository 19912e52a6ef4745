"""One call of the tracker: the state as it is being changed, and what shall happen."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec

from pipeline.model import lifecycle
from pipeline.model.keys import KeyRing
from pipeline.records.codec import Codec
from pipeline.records.internal import Plan
from pipeline.records.tracker_state import TrackedAttempt, TrackerState
from pipeline.records.types import AvroRecord
from pipeline.runtime.api import Effects, Emit, Headers
from pipeline.settings import PolicySettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What every turn needs and none changes."""

    codec: Codec
    key_ring: KeyRing
    policy: PolicySettings


@dataclass(slots=True, kw_only=True)
class Turn:
    """State is replaced, never changed in place, so the one before stays whole for comparison and for a replay."""

    tools: Tools
    state: TrackerState
    now_ms: int
    trace: Headers = ()
    effects: Effects[TrackerState] = field(default_factory=Effects)
    began_as: TrackerState = field(init=False)
    """The state at the start, also of a verification never heard of before."""

    def __post_init__(self) -> None:
        self.began_as = self.state

    @property
    def key(self) -> bytes:
        """Key of the state and of most outputs."""
        return self.state.verification_id.encode()

    @property
    def plan(self) -> Plan:
        """The plan of the joined decision; only asked for once there is one."""
        assert self.state.plan is not None
        return self.state.plan

    @property
    def is_final(self) -> bool:
        """Whether the last outcome was, or is about to be, published."""
        return is_final(self.state)

    def put(self, **changes: Any) -> None:
        """Replace fields of the state."""
        self.state = msgspec.structs.replace(self.state, **changes)

    def put_attempt(self, attempt: TrackedAttempt) -> None:
        """Replace the attempt of the same number, or add it as the next one."""
        attempts = list(self.state.attempts)
        attempts[attempt.n - 1 : attempt.n] = [attempt]
        self.put(attempts=attempts)

    def emit(self, topic: str, record: AvroRecord, *, partition: int | None = None, headers: Headers = ()) -> None:
        """Write one record keyed by the verification id."""
        codec = self.tools.codec
        self.effects.emits.append(
            Emit(topic, self.key, codec.encode(record), partition, codec.headers(record) + headers + self.trace)
        )

    def count(self, metric: str, value: float = 1.0, /, **labels: str) -> None:
        """Measure after the commit."""
        self.effects.count(metric, value, **labels)


def is_final(state: TrackerState) -> bool:
    """Whether nothing shown can change any more."""
    return state.plan is not None and lifecycle.is_final(state.state, state.plan.mode)
