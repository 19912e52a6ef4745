"""CPU per input record of the tracker's pure part: decode, join, encode outputs and state."""

from __future__ import annotations

from pipeline.records.tracker_state import TrackerState
from pipeline.records.types import VerificationState
from tests.benchmarks.arguments import expect_none
from tests.benchmarks.figures import Figures, best, shown
from tests.benchmarks.flow import MIX_OF_EVENTS, Driven, inputs_of_router, inputs_of_tracker, router, tracker

WARM_UP, RUN, RUNS = 500, 1_000, 5


def states(verifications: int) -> list[TrackerState]:
    """What the tracker remembers of so many verifications, at all points of their lives."""
    decided = Driven(router())
    decided.run(inputs_of_router(verifications))
    driven = Driven(tracker())
    records = list(inputs_of_tracker(decided.emits))
    # All would be final in the end; at four fifths some wait for their codes.
    driven.run(records[: len(records) * 4 // 5])
    return list(driven.state.values())


def measure() -> Figures:
    """``tracker_us``."""
    decided = Driven(router())
    driven = Driven(tracker())
    runs: list[float] = []
    first = 0
    for count in (WARM_UP, *[RUN] * RUNS):
        decided.emits.clear()
        decided.run(inputs_of_router(count, first=first))
        runs.append(driven.run(list(inputs_of_tracker(decided.emits))))
        first += count
    ended = [state for state in driven.state.values() if state.state is VerificationState.VERIFIED]
    assert len(ended) > 0.9 * len(driven.state), "most verifications end with the right code"
    return {"tracker_us": best(runs[1:], "us", f"per input record; {MIX_OF_EVENTS}")}


if __name__ == "__main__":
    expect_none(__doc__)
    print(shown(measure()))
