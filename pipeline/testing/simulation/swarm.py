"""What may go wrong in one run: each seed switches some of it on, as a run with everything hides what few things do."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

FEATURES: Final = {
    "kills": "processes die at any resume of any coroutine",
    "stops": "processes are told to end, and come back",
    "freezes": "processes stand still for up to 12 s",
    "clocks": "clocks of processes differ by up to 2 s",
    "jumps": "clocks of processes are set forwards or back while they run",
    "slow_log": "the log takes its time for each step of a transaction",
    "slow_markers": "what is committed becomes visible late and in parts",
    "lost_commits": "a transaction is decided, and its process is not told",
    "failed_writes": "the log refuses a step of a transaction",
    "lost_sends": "a record of a plain producer is written, and the producer not told",
    "outages": "the log is away for some seconds",
    "members": "a second member of each group comes and goes",
    "expulsions": "the group forgets a member that lives",
    "unreachable": "no connection to a provider",
    "lost_answers": "a provider did it, and its answer is lost",
    "throttled": "a provider has no room for now",
    "odd_answers": "a provider fails, or answers something in no table",
    "slow_providers": "answers take long, up to the timeout",
    "late_arrivals": "a request arrives at its provider after its sender gave up or died",
    "reports": "providers report what became of messages",
    "doubled_reports": "... some of them twice",
    "late_reports": "... and late, in another order",
    "doubled_requests": "a request is published twice",
    "doubled_checks": "a check is published twice",
    "misplaced": "producers use other partitioners",
    "bad_input": "records that nobody can read, or that conflict",
    "bulk": "verifications of the other lane",
    "rush": "two right answers at the same moment",
    "guessing": "people type what was in no message, until nothing is left",
    "commands": "callers resend, fail over, cancel",
    "late_typing": "people type about when the code ends, and after",
    "rejecting": "providers turn messages down for good",
    "away": "one stage is not there for some seconds",
    "bug": "a stage breaks on one verification's records",
    "absence": "one stage is not there for up to half a minute, while everything else goes on",
    "hasty_ends": "a process that is told to end has less time than its calls take",
    "poison_runs": "so many bad records in a row that their stage stops",
    "insisting": "people type a right code once more, whatever became of the first time",
    "impatient": "callers ask for one resend after another",
}
"""By name, what it does."""


@dataclass(frozen=True)
class Swarm:
    """The choice of one seed."""

    on: frozenset[str]

    @classmethod
    def of(cls, chance: random.Random) -> Swarm:
        """Some of :data:`FEATURES`; now and then none that hurts a process or the log, so that all has to be exact."""
        share = chance.choice((0.15, 0.35, 0.35, 0.6))
        on = {name for name in FEATURES if chance.random() < share}
        if chance.random() < 0.15:
            on -= HURTING
        # Each of them is needed to reach most of what is interesting.
        on |= {name for name in ("reports", "commands") if chance.random() < 0.5}
        return cls(frozenset(on))

    def __contains__(self, feature: str) -> bool:
        return feature in self.on


HURTING: Final = frozenset(
    (
        *(
            "kills",
            "stops",
            "freezes",
            "clocks",
            "jumps",
            "slow_markers",
            "lost_commits",
            "failed_writes",
            "lost_sends",
        ),
        *("outages", "members", "expulsions", "away", "bug", "absence", "hasty_ends", "poison_runs"),
    )
)
"""What counters do not survive exactly."""
