"""A tracker away for 45 s with receipts and right codes unread: no step fires early, and no code in time is refused."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.acceptance.installed import each_alone, installed, visited
from tests.acceptance.stranger import Stranger, assert_exact, shown

pytestmark = [pytest.mark.kafka, pytest.mark.campaign, pytest.mark.timeout(300)]

AWAY_S = 45
WAIT_S = 15
"""The first step's; it passes while nobody looks."""
LIFE_S = 40
"""So does the code's."""
RECEIPT_S = 8
"""By then the tracker is away."""
PERSONS = 20


def _ask(client: Stranger, person: str, *, mode: str) -> str:
    steps = [
        {"channel": "sms", "provider": "ycloud", "wait_s": WAIT_S},
        {"channel": "voice", "provider": "neutrino"},
    ]
    return client.request(recipient=person, mode=mode, expires_in_s=LIFE_S, steps=steps)


def test_what_was_written_while_it_was_away_is_handled_before_what_fell_due(
    kafka: str, tmp_path_factory: pytest.TempPathFactory, people: Iterator[str]
) -> None:
    folder, processes = tmp_path_factory.mktemp("away"), each_alone("ycloud", "neutrino")
    with installed(kafka=kafka, folder=folder, processes=processes) as house, visited(house) as client:
        house.simulator.behave("ycloud", default={"receipt": {"delay_ms": RECEIPT_S * 1_000}})
        persons = [next(people) for _ in range(PERSONS)]
        asked = {_ask(client, person, mode=("verify", "reach")[n % 2]): person for n, person in enumerate(persons)}
        typing, reached = list(asked)[::2], list(asked)[1::2]
        codes = {each: house.simulator.code(asked[each]) for each in asked}
        # It knows when each message was sent: what it finds when it is back has been due for half a minute.
        for each in asked:
            client.outcome(each, lambda outcome: [one["result"] for one in outcome["attempts"]] == ["accepted"])
        tracker = house.children["tracker"]
        tracker.kill()
        gone = time.monotonic()
        time.sleep(RECEIPT_S + 2)
        checks = {each: client.check(each, codes[each]) for each in typing}
        client.flush()
        time.sleep(max(0, AWAY_S - (time.monotonic() - gone)))
        tracker.start().ready()
        final = client.final(asked, within_s=60)
        for each in asked:
            assert_exact(client.history(each))
            assert len(final[each]["attempts"]) == 1, shown([final[each]])
        assert {client.reply(checks[each])["reason"] for each in typing} == {"valid"}
        assert {final[each]["state"] for each in typing} == {"verified"}
        assert {final[each]["state"] for each in reached} == {"delivered"}
        # Nobody was called, which the second step would have done.
        assert not house.simulator.calls(kind="neutrino")
