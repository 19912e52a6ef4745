"""The thin shell of a sender's task: what its committed actions do to calls, permits and timers."""

from __future__ import annotations

from typing import Any

from pipeline.clock import Clock
from pipeline.runtime.api import Post
from pipeline.senders.actions import Adopt, Attach, Begin, Forget, PermitAvailable, Tick, WakeAfter
from pipeline.senders.answers import not_sent
from pipeline.senders.calls import STALE, CallFinished, Calls
from pipeline.senders.permits import Permits


class Launcher:
    """Carries out the actions of the task of ``partition``."""

    def __init__(self, *, calls: Calls, permits: Permits, partition: int, clock: Clock) -> None:
        self._calls = calls
        self._permits = permits
        self._partition = partition
        self._clock = clock

    def launch(self, action: Any, post: Post, *, unwanted: bool) -> None:
        """Begin committed work, unless it is unwanted by now. Raises TypeError for an action that is not ours."""
        match action:
            case Begin(call) if unwanted:
                # Certainly not called; when the task is given up, the release still gets into its last transaction.
                self._permits.free(call.key)
                answer = not_sent(detail="not wanted any more")
                post(
                    CallFinished(
                        key=call.key,
                        kind=call.command.kind,
                        answer=answer,
                        called_at=None,
                        finished_at=self._clock.now_ms(),
                        failure=STALE,
                    )
                )
            case Begin(call):
                self._calls.begin(call, post)
            case Adopt(key):
                self._calls.adopt(key, post)
            case Forget(key):
                self._calls.forget(key)
            case WakeAfter(seconds, at_s):
                self._calls.later(seconds, lambda: post(Tick(at_s)))
            case Attach():
                self._permits.own(self._partition, lambda: post(PermitAvailable()))
                post(PermitAvailable())
            case _:
                raise TypeError(f"not an action of this stage: {type(action).__name__}")
