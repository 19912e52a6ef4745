"""Promise 5: no code in clear in any topic we write, log or metric; no full recipient outside requests and checks."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import pytest

from pipeline.model.public_seal import PublicKey, seal_public
from tests.acceptance.harness import Deployment, Simulator
from tests.acceptance.leaks import CLEAR, by_topic, leaks
from tests.acceptance.stranger import Stranger, new_id

pytestmark = pytest.mark.kafka

EMAIL = "canary.person@bird-house.example.org"
ADDRESS, PAYEE = "203.0.113.77", "Canary & Söhne"


def fresh_code() -> str:
    """Eight digits that are nowhere by chance."""
    return str(10_000_000 + secrets.randbelow(90_000_000))


@pytest.fixture(scope="module")
def canaries(
    deployment: Deployment, stranger: Stranger, simulator: Simulator, people: Iterator[str]
) -> Iterator[list[str]]:
    """Secrets that went through everything the pipeline does."""
    persons = [next(people) for _ in range(6)]
    codes = [fresh_code() for _ in range(5)]
    public = PublicKey.parse(deployment.public_key())
    simulator.behave(
        "ycloud",
        rules=[
            {"refusal": "recipient", "when": {"recipient": persons[0]}},
            {"refusal": "route", "when": {"recipient": persons[1]}},
            {"fault": "garbage", "when": {"recipient": persons[2]}},
            {"error": "INTERNAL_SERVER_ERROR", "sends": True, "when": {"recipient": persons[3]}},
            {"throttle": {"retry_after_s": 1}, "times": 1, "when": {"recipient": persons[4]}},
            {"receipt": {"status": "undelivered"}, "when": {"recipient": persons[5]}},
        ],
    )
    ended: list[str] = []

    def another() -> str:
        persons.append(next(people))
        return persons[-1]

    def ask(recipient: str, *, key: bytes | None = None, **fields: Any) -> str:
        verification_id = stranger.request(
            recipient=recipient, key=key, **{"end_user_ip": ADDRESS, "max_checks": 2, **fields}
        )
        ended.append(verification_id)
        return verification_id

    ycloud = [{"channel": "sms", "provider": "ycloud"}]
    for person in persons[:6]:
        ask(person, key=person.encode(), mode="reach", code=codes[0], steps=ycloud)
    at_neutrino = ask(another(), code=codes[1], steps=[{"channel": "voice", "provider": "neutrino"}])
    own = ask(another(), code=codes[1])
    sealed_id = new_id()
    sealed = seal_public(public, codes[2], verification_id=sealed_id, field="code")
    ask(another(), verification_id=sealed_id, code_sealed=sealed, bulk=True)
    longest = another()
    derived = ask(longest, code_length=8, steps=ycloud)
    mail = ask(EMAIL, code=codes[1])
    # Refused, conflicting and unreadable ones keep their secrets too.
    ask(another(), code=codes[3], language="no language")
    ask(another(), code=codes[3], steps=[{"channel": "sms", "text": "no code in it"}])
    ask(another(), code=codes[3], steps=[{"channel": "viber"}])
    ask(another(), amount="12.50", payee=PAYEE)
    ask(another() + "x", code=codes[3])
    ask(another(), code=codes[3], metadata={"who": EMAIL})
    stranger.outcome(own, lambda outcome: True)  # of two with one id, either may come first
    for _ in range(2):
        stranger.request(recipient=another(), verification_id=own, code=codes[4])
    content = stranger.request_schema.write({"verification_id": another(), "recipient": EMAIL, "code": codes[4]})
    for value in (content[:-3], content[:10] + content[10:][::-1], content + b"x", content[10:]):
        stranger.produce("verification.requests", value, key=EMAIL.encode(), headers={"code": codes[4].encode()})
    stranger.produce("verification.checks", b"\xff" + codes[4].encode(), key=persons[0].encode())
    stranger.produce("verification.requests", content[:-3] + b"0" * 950_000, key=EMAIL.encode())
    ours = simulator.code(longest)
    typed = {own: codes[1], at_neutrino: codes[1], sealed_id: codes[2], derived: ours, mail: codes[1]}
    for verification_id, code in typed.items():
        stranger.outcome(verification_id, lambda outcome: outcome["state"] in ("sent", "delivered"))
        wrong = fresh_code()
        codes.append(wrong)
        stranger.check(verification_id, wrong, end_user_ip=ADDRESS, key=persons[0].encode())
        stranger.check(verification_id, code, end_user_ip=ADDRESS)
    final = stranger.final(ended, within_s=50)
    assert {final[one]["state"] for one in typed} == {"verified"}
    yield [*(person[3:] for person in persons), *codes, ours, EMAIL, EMAIL.partition("@")[0], ADDRESS, PAYEE]
    simulator.behave("ycloud")


def test_the_search_finds_what_other_software_wrote(stranger: Stranger, canaries: list[str]) -> None:
    """Else finding nothing would mean nothing."""
    found = leaks(canaries, by_topic(stranger.read(*CLEAR)))
    assert {line.split()[1] for line in found} >= {
        str(number) for number, secret in enumerate(canaries) if secret.isdigit() and len(secret) > 8
    }


def test_no_secret_is_in_any_record_we_write(stranger: Stranger, canaries: list[str]) -> None:
    """Keys, values and headers of every topic, of aborted transactions too."""
    topics = [topic for topic in stranger.topics() if topic not in CLEAR]
    written = by_topic(stranger.read(*topics))
    for expected in ("router-inbox", "router-state", "tracker-state", "attempts.ycloud", "send.sms", "dead-letters"):
        assert f"verification.{expected}" in written
    assert leaks(canaries, written) == []


def test_no_secret_is_in_any_log_or_metric(deployment: Deployment, canaries: list[str]) -> None:
    shown = {}
    for name, child in deployment.children.items():
        shown[f"log of {name}"], shown[f"metrics of {name}"] = child.logged.encode(), child.metrics.encode()
    assert all(len(text) > 100 for text in shown.values())
    assert leaks(canaries, shown) == []


def test_no_id_is_in_a_metric(deployment: Deployment, stranger: Stranger, canaries: list[str]) -> None:
    metrics = deployment.children["all"].metrics
    assert not [one for one in stranger.published if len(one) == 36 and one in metrics]
