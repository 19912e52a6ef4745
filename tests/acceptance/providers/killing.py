"""Senders of every kind die under load, in calls and between them, and in the end are asked to stop in the middle."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from tests.acceptance.campaign import Blow, Campaign, Wanted
from tests.acceptance.harness import eventually
from tests.acceptance.providers.accounts import KINDS
from tests.acceptance.providers.cases import CASES

SEED: Final = 20_261_126
REQUESTS: Final = 156
LOAD_S: Final = 26.0
"""At least; on a busy machine senders take longer to start, and need requests for longer."""
TYPING_S: Final = 4.0
"""Who types while the provider has not even answered cannot be told whether its code is right."""
SLOW: Final = {"default": {"delay_ms": {"kind": "uniform", "low_ms": 1_000, "high_ms": 3_000}}}
"""So slow that calls are running whenever a sender dies."""
OTHERS: Final = ("correlator", "gateway")
"""Without these two no report would find its attempt; each dies once as well."""

_BY_KIND: Final = {
    # A plan is handed over as a whole only when there is time for its second step: too long to wait for here.
    kind: [case for case in CASES if case.provider == kind and case.fields.get("tenant") != "smart"]
    for kind in KINDS
}


@dataclass(slots=True)
class Killed:
    """What was done, and what came of it."""

    campaign: Campaign
    ended: list[str] = field(default_factory=list)
    """Verification ids of what was under way when all senders were asked to stop."""
    in_calls: dict[str, set[str]] = field(default_factory=dict)
    """By sender: the persons whose message was under way then."""


def kill_all(campaign: Campaign, people: Iterator[str], mailboxes: Iterator[str]) -> Killed:
    """All of it, to the last outcome."""
    random_ = random.Random(SEED)

    def wanted(number: int) -> Wanted:
        """Each kind in its turn; at each every channel and maker of codes in its turn."""
        cases = _BY_KIND[KINDS[number % len(KINDS)]]
        turn = number // len(KINDS)
        case = cases[turn % len(cases)]
        return Wanted(
            recipient=next(mailboxes if case.channel == "email" else people),
            bulk=turn % 5 == 4,
            types=turn % 7 != 6,
            fields={**case.request, "expires_in_s": 30},
        )

    for kind in KINDS:
        campaign.cluster.simulator.behave(kind, **SLOW, seed=SEED)
    disturber = campaign.disturb(_blows(random_), random_, over_s=LOAD_S)
    campaign.load(wanted, requests=REQUESTS, over_s=LOAD_S, beside=disturber)
    disturber.join(1)
    done = Killed(campaign)
    _end_all(done, wanted)
    for kind in KINDS:
        campaign.cluster.simulator.behave(kind)
    campaign.finish(within_s=90)
    return done


def _blows(random_: random.Random) -> list[Blow]:
    """First each sender in a call, then each at any moment, be it while it starts."""
    in_calls = [Blow(kind, "killed in a call") for kind in KINDS]
    between = [Blow(name, "killed") for name in (*KINDS, *OTHERS)]
    random_.shuffle(in_calls)
    random_.shuffle(between)
    return in_calls + between


def _end_all(done: Killed, wanted: Callable[[int], Wanted]) -> None:
    """SIGTERM to all senders at once, each with calls under way; what they had not begun waits for their return."""
    campaign, cluster = done.campaign, done.campaign.cluster
    for child in cluster.children.values():
        child.ready()
    for kind in KINDS:
        cluster.simulator.behave(kind, default={"delay_ms": 3_000})
    done.ended = [campaign.ask(wanted(number)) for number in range(4 * len(KINDS))]
    eventually(lambda: all(campaign.running(kind) for kind in KINDS), 30, lambda: "no call of each is running")
    done.in_calls = {kind: campaign.running(kind) for kind in KINDS}
    campaign.exit_codes += cluster.stop_these(KINDS).items()
    for kind in KINDS:
        cluster.children[kind].start()
