"""CPU per request of the router's pure part: decode, decide, encode outputs and state."""

from __future__ import annotations

from tests.benchmarks.figures import Figures, best, shown
from tests.benchmarks.flow import MIX_OF_REQUESTS, Driven, inputs_of_router, router

WARM_UP, RUN, RUNS = 2_000, 4_000, 5


def measure() -> Figures:
    """``router_us``."""
    records = inputs_of_router(WARM_UP + RUN * RUNS)
    driven = Driven(router())
    driven.run(records[:WARM_UP])
    runs = [driven.run(records[at : at + RUN]) for at in range(WARM_UP, len(records), RUN)]
    assert len(driven.emits) > len(records), "most requests give a decision and a command"
    return {"router_us": best(runs, "us", f"per request; {MIX_OF_REQUESTS}")}


if __name__ == "__main__":
    print(shown(measure()))
