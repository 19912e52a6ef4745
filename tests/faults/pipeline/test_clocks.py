"""One process whose clock is five minutes wrong: no code lives longer for it, and by a slow one none ends early.

What a fast clock does is the known limit of docs/decisions/0007: such a process takes for too late what is not.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

import pytest

from tests.acceptance.harness import Deployment
from tests.acceptance.stranger import Stranger, assert_exact

pytestmark = [pytest.mark.kafka, pytest.mark.campaign, pytest.mark.timeout(300)]

WRONG_MS: Final = 300_000
LIFE_S: Final = 60
SHORT_S: Final = 30
PERSONS: Final = 3
STEPS: Final = [{"channel": "sms", "provider": "ycloud"}]


@pytest.fixture
def wrong(house: Deployment, request: pytest.FixtureRequest) -> Iterator[str]:
    """The process of this name and clock; right again in the end."""
    name, by_ms = request.param
    child = house.children[name]
    assert child.stop() == 0
    child.start(module=("tests.faults.pipeline.skewed", str(by_ms))).ready()
    yield name
    assert child.stop() == 0
    child.start().ready()


def _asked(client: Stranger, people: Iterator[str], **fields: object) -> dict[str, str]:
    return {
        client.request(recipient=person, steps=STEPS, **{"expires_in_s": LIFE_S, **fields}): person
        for person, _ in zip(people, range(PERSONS), strict=False)
    }


@pytest.mark.parametrize(
    "wrong",
    [(name, -WRONG_MS) for name in ("router", "ycloud", "tracker", "gateway")] + [("gateway", WRONG_MS)],
    ids=lambda wrong: f"{wrong[0]} {wrong[1] // 60_000:+} min",
    indirect=True,
)
def test_a_code_typed_in_time_is_valid(house: Deployment, client: Stranger, people: Iterator[str], wrong: str) -> None:
    asked = _asked(client, people)
    # By then whoever takes the code's life to be over has said so.
    arrived = {each: house.simulator.code(person, within_s=30) for each, person in asked.items()}
    for each in asked:
        client.outcome(each, lambda outcome: outcome["sent_at"] is not None)
    checks = {each: client.check(each, code) for each, code in arrived.items()}
    assert {client.reply(check)["reason"] for check in checks.values()} == {"valid"}
    for each in asked:
        assert_exact(client.history(each))


@pytest.mark.parametrize(
    "wrong", [("ycloud", WRONG_MS), ("tracker", -WRONG_MS)], ids=["ycloud +5 min", "tracker -5 min"], indirect=True
)
def test_a_code_typed_too_late_is_not_valid(
    house: Deployment, client: Stranger, people: Iterator[str], wrong: str
) -> None:
    # Asked for with a day to be sent in, as a sender that is fast would else find it too late.
    asked = _asked(client, people, expires_in_s=SHORT_S, send_before_at=round((time.time() + 86_400) * 1_000))
    arrived = {each: house.simulator.code(person, within_s=30) for each, person in asked.items()}
    over_at = time.monotonic() + SHORT_S + 1
    for each in asked:
        client.outcome(each, lambda outcome: outcome["sent_at"] is not None)
    # Each code was there before this wait began, so that its call was too.
    time.sleep(max(0.0, over_at - time.monotonic()))
    late = [client.check(each, code) for each, code in arrived.items()]
    assert [client.reply(check)["reason"] for check in late] == ["expired"] * PERSONS
