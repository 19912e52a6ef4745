"""A sender killed at each point of a send: no attempt is sent twice, every one ends, what is in doubt is resolved.

Real processes, each killed by itself at its point; the simulated provider is the judge.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from tests.acceptance.harness import Deployment, eventually
from tests.acceptance.installed import visited
from tests.acceptance.stranger import Stranger, assert_exact, shown
from tests.faults.pipeline.doomed import POINTS

pytestmark = [pytest.mark.kafka, pytest.mark.campaign, pytest.mark.timeout(300)]

LIFE_S = 30


@dataclass(frozen=True, slots=True)
class Told:
    """What came of one request."""

    outcome: dict[str, Any]
    results: list[str]
    calls: int
    messages: int

    @property
    def seen(self) -> tuple[str, int, int, str]:
        """Its one result, the calls and messages its provider counted, and how it ended."""
        [result] = self.results
        return result, self.calls, self.messages, self.outcome["state"]


@pytest.fixture(scope="module")
def told(house: Deployment, people: Iterator[str]) -> dict[str, list[Told]]:
    """Everything at once: a sender dies at each point in turn, and then all requests are given time to end."""
    asked: dict[str, dict[str, str]] = {}
    with visited(house) as client:
        # Long enough that a call is running when its sender dies in it.
        house.simulator.behave("ycloud", default={"delay_ms": 900})
        sender = house.children["ycloud"]
        for point in POINTS:
            assert sender.stop() == 0
            sender.start(module=("tests.faults.pipeline.doomed", point)).ready()
            # One at a time: of several, others would be at other points when the process dies.
            person = next(people)
            hurt = _ask(client, person)
            eventually(lambda: not sender.running, 40, lambda: f"nobody died {point}")  # noqa: B023
            sender.kill()  # it is dead; what held its leash is let go
            sender.start().ready()
            # And one behind it, which the next process sends whatever became of the first.
            behind = next(people)
            asked[point] = {hurt: person, _ask(client, behind): behind}
            told_of = partial(_are_told, client, list(asked[point]))
            eventually(told_of, 40, lambda: f"no result {point}")  # noqa: B023
        return _told(house, client, asked)


def _ask(client: Stranger, person: str) -> str:
    return client.request(
        recipient=person, mode="reach", expires_in_s=LIFE_S, steps=[{"channel": "sms", "provider": "ycloud"}]
    )


def _are_told(client: Stranger, ids: list[str]) -> bool:
    return set(ids) <= _results(client).keys()


def _results(client: Stranger) -> dict[str, list[str]]:
    """What senders told of sends, by verification id; as it stands in the log."""
    results: dict[str, list[str]] = {}
    for record in client.records("SendResult", "verification.results"):
        if record["kind"] == "send":
            results.setdefault(record["verification_id"], []).append(record["result"])
    return results


def _told(house: Deployment, client: Stranger, asked: dict[str, dict[str, str]]) -> dict[str, list[Told]]:
    final = client.final([each for ids in asked.values() for each in ids], within_s=LIFE_S + 60)
    results = _results(client)
    for verification_id in final:
        assert_exact(client.history(verification_id))
    sends = Counter(call["recipient"] for call in house.simulator.calls() if call["sent"])
    messages = Counter(message["recipient"] for message in house.simulator.everything(0))
    return {
        point: [
            Told(final[each], results.get(each, []), sends[person], messages[person]) for each, person in ids.items()
        ]
        for point, ids in asked.items()
    }


@pytest.mark.parametrize(
    ("point", "seen"),
    [
        # Nothing was promised to anybody yet: the next process begins anew.
        ("before STARTED", [("accepted", 1, 1, "delivered")]),
        # Nobody can know that it was not called, so nobody calls again.
        ("between STARTED and the call", [("in_doubt", 0, 0, "expired")]),
        # Its provider may have taken it: a report tells, else its end.
        ("during the call", [("in_doubt", 1, 1, "delivered"), ("in_doubt", 1, 0, "expired")]),
        ("between the answer and its commit", [("in_doubt", 1, 1, "delivered")]),
        ("after the commit", [("accepted", 1, 1, "delivered")]),
    ],
)
def test_a_sender_killed_at_this_point_sends_nothing_twice_and_tells_what_is_known(
    told: dict[str, list[Told]], point: str, seen: list[tuple[str, int, int, str]]
) -> None:
    hurt, behind = told[point]
    assert hurt.seen in seen, shown([hurt.outcome])
    assert len(hurt.outcome["attempts"]) == 1
    assert behind.seen == ("accepted", 1, 1, "delivered"), shown([behind.outcome])


def test_each_point_of_a_send_was_met(told: dict[str, list[Told]]) -> None:
    assert list(told) == list(POINTS)
