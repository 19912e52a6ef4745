"""Whoever speaks Kafka and Avro can verify a person through every provider, on every channel each of them serves."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.acceptance.harness import Deployment, Simulator, eventually
from tests.acceptance.providers.accounts import KINDS, SECOND
from tests.acceptance.providers.cases import CASES, JUDGES, REPORTS_SUCCESS
from tests.acceptance.providers.verifying import Verified, wrong
from tests.acceptance.stranger import Stranger, assert_exact, attempts

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(params=CASES, ids=str)
def one(request: pytest.FixtureRequest, verified: dict[str, Verified]) -> Verified:
    return verified[str(request.param)]


def test_every_channel_of_every_provider_is_here(everything: Deployment) -> None:
    """As the program itself says what is configured and can be done."""
    listed = json.loads(everything.pipeline("providers", "list", "--json"))
    assert {row["kind"] for row in listed} == set(KINDS)
    assert {row["kind"] for row in json.loads(everything.pipeline("providers", "list", "--kinds", "--json"))} == {
        *KINDS
    }
    can = {(row["name"], channel) for row in listed for channel in row["channels"]}
    assert {(case.provider, case.channel) for case in CASES} == can
    makes = {(row["kind"], made) for row in listed for made in _makers(row)}
    assert makes <= {(case.kind, case.made) for case in CASES}


def _makers(row: dict[str, dict[str, dict[str, str]]]) -> set[str]:
    """Who may make the codes of a provider: the words are those of its reference page."""
    words = {
        "ours": ("our code or the caller's", ""),
        "theirs": ("makes codes itself", "asked for a verdict"),
        "told": ("makes codes itself", "told in the answer"),
    }
    return {
        made
        for made, (ability, how) in words.items()
        for can in row["abilities"].values()
        if how in can.get(ability, "-")
        if ability in can
    }


def test_the_credentials_are_taken(everything: Deployment) -> None:
    """By all who can be asked without sending anything; nothing is missing for their reports."""
    rows = {row["name"]: row for row in json.loads(everything.pipeline("providers", "check", "--json"))}
    # Bird has no such question that is documented.
    assert {name: row["ok"] for name, row in rows.items()} == {
        **dict.fromkeys(KINDS, True),
        "bird": None,
        SECOND: None,
    }
    assert [row["missing"] for row in rows.values()] == [[]] * len(rows)


def test_the_person_gets_one_message_with_the_code(one: Verified, outside: Simulator) -> None:
    [message] = outside.inbox(one.person)
    assert (message["provider"], message["channel"]) == (one.case.kind, one.case.channel)
    assert len(message["code"]) == one.case.digits
    spoken = message["channel"] == "voice"
    assert (", ".join(message["code"]) if spoken else message["code"]) in message["text"]
    [sent] = [call for call in outside.calls(one.person) if call["sent"]]
    assert (sent["provider"], sent["operation"], sent["code"]) == (
        one.case.kind,
        one.case.operation,
        message["code"],
    )


def test_the_code_verifies_and_another_one_does_not(one: Verified, client: Stranger) -> None:
    assert (one.mistyped["reason"], one.mistyped["checks_left"]) == ("wrong_code", 2)
    assert (one.typed["reason"], one.typed["state"]) == ("valid", "verified")
    assert (one.final["state"], one.final["failed_checks"]) == ("verified", 1)
    assert one.final["verified_attempt_id"] == f"{one.verification_id}.1"
    assert_exact(client.history(one.verification_id))


def test_the_outcome_says_how_the_person_was_reached(one: Verified) -> None:
    outcome, attempt, case = one.final, one.attempt, one.case
    assert (outcome["provider"], outcome["channel"], outcome["step_index"]) == (case.provider, case.channel, 0)
    assert (attempt["provider"], attempt["channel"], attempt["step_index"]) == (case.provider, case.channel, 0)
    assert attempt["used_channel"] in (case.channel, None)
    assert attempt["attempt_id"] == f"{one.verification_id}.1"
    assert attempt["reference"].startswith(f"{one.verification_id}_1_")
    assert attempt["result"] == "accepted"
    # How long the codes of Smart Verify are, nobody is told before.
    assert outcome["code_length"] == case.digits or case.operation == "smart"
    assert (attempt["provider_message_id"] is None) == (case.kind == "neutrino")
    assert (attempt["number_valid"] is True) == (case.kind == "neutrino")
    assert (attempt["cost"] is not None, attempt["currency"]) == (case.cost, "USD" if case.cost else None)
    masked = one.person[-3:] if case.channel != "email" else "p***@bird-house.example.org"
    assert attempt["recipient_masked"] == outcome["recipient_masked"]
    assert outcome["recipient_masked"].endswith(masked)
    assert one.person not in str(outcome)


def test_its_arrival_is_heard_of_as_the_provider_tells_it(one: Verified, client: Stranger, outside: Simulator) -> None:
    told = [
        status["status"]
        for status in client.records("DeliveryStatus", "verification.statuses")
        if status["attempt_id"] == one.attempt["attempt_id"] and status["provider"] == one.case.provider
    ]
    asked = [call for call in outside.calls(one.person) if call["operation"] == "search"]
    heard = one.case.heard
    assert one.attempt["status"] == ("sent" if heard == "never" else "delivered")
    assert (one.attempt["delivered_at"] is None) == (heard == "never")
    assert ("delivered" in told) == (heard in ("report", "correlator"))
    assert bool(asked) == (heard == "asked")


def test_reports_that_name_nothing_of_ours_go_through_the_correlator_and_no_others(
    client: Stranger, verified: dict[str, Verified]
) -> None:
    through = {record.key.decode().partition(":")[0] for record in client.read("verification.receipts") if record.key}
    heard = {one.case.provider for one in verified.values() if one.case.heard == "correlator"}
    # ThunderSMS's of calls are about messages that nobody knows by that name, and so are placed nowhere.
    assert through == heard | {"thundersms"}
    direct = [one.attempt["provider_message_id"] for one in verified.values() if one.case.heard == "report"]
    keys = b"\n".join(record.key or b"" for record in client.read("verification.receipts"))
    assert not [message_id for message_id in direct if message_id.encode() in keys]


def test_only_who_made_the_code_is_asked_for_it(one: Verified, outside: Simulator) -> None:
    name = JUDGES.get(one.case.kind)
    judged = [
        call["code"]
        for call in outside.calls(kind=one.case.kind)
        if call["operation"] == name and call["code"] and call["reference"] in _names(one)
    ]
    code = one.message["code"]
    assert judged == ([wrong(code), code] if one.case.made == "theirs" else [])


def test_the_provider_hears_of_a_success_where_it_wants_to(one: Verified, outside: Simulator) -> None:
    name = REPORTS_SUCCESS.get(one.case.kind, "")

    def reports() -> list[str]:
        calls = outside.calls(kind=one.case.kind)
        return [call["answered"] for call in calls if call["operation"] == name and call["reference"] in _names(one)]

    # Who made the code judged it, and so knows.
    wanted = bool(name) and one.case.made == "ours"
    eventually(lambda: bool(reports()) or not wanted, 10, lambda: "no report")
    assert reports() == (["200"] if wanted else [])


def _names(one: Verified) -> tuple[str, ...]:
    """What its message may be called at the provider."""
    return one.attempt["provider_message_id"] or "", one.attempt["reference"]


def test_two_accounts_at_one_provider_keep_apart_what_is_theirs(
    client: Stranger, outside: Simulator, people: Iterator[str]
) -> None:
    """The same person, at the same time, through both: reports and codes of the one say nothing of the other."""
    person, ids, codes = next(people), {}, {}
    for account in ("bird", SECOND):
        ids[account] = client.request(
            recipient=person, steps=[{"channel": "sms", "provider": account}], expires_in_s=120
        )
        eventually(lambda: len(outside.inbox(person)) == len(ids), 15, lambda: "no message")
        codes[account] = outside.inbox(person)[-1]["code"]
    for account, verification_id in ids.items():
        outcome = client.outcome(verification_id, lambda outcome: outcome["state"] == "delivered")
        assert attempts(outcome) == [(account, "accepted", "delivered")]
    for account, other in (("bird", SECOND), (SECOND, "bird")):
        assert client.reply(client.check(ids[account], codes[other]))["reason"] == "wrong_code"
        assert client.reply(client.check(ids[account], codes[account]))["reason"] == "valid"
        assert client.outcome(ids[account])["provider"] == account


def test_an_outage_of_who_made_the_code_costs_no_check(
    client: Stranger, outside: Simulator, people: Iterator[str]
) -> None:
    for provider, broken in (("bird", {"refusal": "internal"}), ("thundersms", {"fault": "close_after_reading"})):
        person = next(people)
        rule = {**broken, "when": {"operation": JUDGES[provider], "recipient": person}, "times": 1}
        outside.behave(provider, rules=[rule])
        steps = [{"channel": "whatsapp", "provider": provider}]
        verification_id = client.request(recipient=person, steps=steps, tenant="long", expires_in_s=120)
        code = outside.code(person)
        client.outcome(verification_id, lambda outcome: outcome["attempts"][0]["result"] == "accepted")
        first = client.reply(client.check(verification_id, code))
        assert (first["reason"], first["checks_left"]) == ("provider_unavailable", 3)
        assert client.reply(client.check(verification_id, code))["reason"] == "valid"
        assert client.outcome(verification_id)["failed_checks"] == 0
        outside.behave(provider)


def test_a_message_nobody_wants_any_more_is_withdrawn_where_the_provider_can(
    client: Stranger, outside: Simulator, people: Iterator[str]
) -> None:
    """When the caller cancels, and when the person typed the code of a later message: never the one it came from."""
    canceled, moved_on = next(people), next(people)
    viber = {"channel": "viber", "provider": "thundersms"}
    first = client.request(recipient=canceled, steps=[viber], expires_in_s=120)
    second = client.request(
        recipient=moved_on,
        steps=[viber, {"channel": "sms", "provider": "ycloud"}],
        code_length=8,
        expires_in_s=120,
    )
    for verification_id in (first, second):
        client.outcome(verification_id, lambda outcome: outcome["attempts"][0]["result"] == "accepted")
    assert client.reply(client.command(first, "cancel"))["ok"]
    assert client.outcome(first)["state"] == "canceled"
    assert client.reply(client.command(second, "failover"))["ok"]
    client.outcome(second, lambda outcome: attempts(outcome)[1:] == [("ycloud", "accepted", "delivered")])
    assert client.reply(client.check(second, outside.code(moved_on)))["reason"] == "valid"
    assert client.outcome(second)["verified_attempt_id"] == f"{second}.2"
    eventually(lambda: all(_withdrawals(outside, each) for each in (canceled, moved_on)), 10, lambda: "not withdrawn")
    assert _withdrawals(outside, canceled) == _withdrawals(outside, moved_on) == ["200 success"]


def _withdrawals(outside: Simulator, person: str) -> list[str]:
    """How requests to withdraw the person's messages were answered."""
    return [call["answered"] for call in outside.calls(person) if call["operation"] == "cancel"]
