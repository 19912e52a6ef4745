"""Rubbish at the public door: a hundred records in a row stop the router, one in a hundred does not.

So whoever may write to the door can stop the router again and again; docs/testing.md says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

import pytest

from tests.acceptance.harness import Deployment, eventually
from tests.acceptance.stranger import Stranger, assert_exact

pytestmark = [pytest.mark.kafka, pytest.mark.campaign, pytest.mark.timeout(300)]

DOOR: Final = "verification.requests"
RUBBISH: Final = b"no record of anybody's"
RUN: Final = 100


def _request(client: Stranger, person: str) -> str:
    steps = [{"channel": "sms", "provider": "ycloud"}]
    return client.request(recipient=person, mode="reach", partition=0, steps=steps, expires_in_s=120)


def test_one_bad_record_in_a_hundred_stops_nothing(house: Deployment, client: Stranger, people: Iterator[str]) -> None:
    asked, bad = [], []
    for number in range(3 * RUN):
        if number % RUN == RUN // 2:
            bad.append(client.produce(DOOR, RUBBISH, partition=0))
        else:
            asked.append(_request(client, next(people)))
    client.flush()
    final = client.final(asked, within_s=100)
    assert Counter(each["state"] for each in final.values()) == {"delivered": len(asked)}
    assert [client.letter(each).fields["reason"] for each in bad] == ["unknown_framing"] * len(bad)
    assert house.children["router"].running


def test_a_hundred_in_a_row_stop_the_router_with_a_clear_message_and_a_restart_goes_on_behind_them(
    house: Deployment, client: Stranger, people: Iterator[str]
) -> None:
    router = house.children["router"]
    before = _request(client, next(people))
    client.final([before], within_s=60)
    bad = [client.produce(DOOR, RUBBISH, partition=0) for _ in range(RUN)]
    client.flush()
    eventually(lambda: not router.running, 60, lambda: "the router goes on")
    # Only now: a good record in the transaction of the last bad ones shows that it is not us, and nothing stops.
    behind = [_request(client, next(people)) for _ in range(3)]
    assert f"{RUN} records in a row could not be handled" in router.logged
    assert router.stop() == 1
    # Nobody else has stopped, and a supervisor starts it again.
    assert all(child.running for name, child in house.children.items() if name != "router")
    router.start().ready()
    final = client.final(behind, within_s=60)
    assert {each["state"] for each in final.values()} == {"delivered"}
    for each in (before, *behind):
        assert_exact(client.history(each))
    # Each has its one dead letter, and nobody is told of it twice.
    assert [client.letter(each).fields["reason"] for each in bad] == ["unknown_framing"] * RUN
