"""HTTP and Kafka are two doors of one house: what comes in by one is seen and asked about by the other."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.acceptance.api import Api, new_key
from tests.acceptance.harness import Deployment, Simulator
from tests.acceptance.stranger import Stranger, assert_exact, new_id

pytestmark = pytest.mark.kafka


def test_started_over_http_and_checked_over_kafka(
    api: Api, stranger: Stranger, simulator: Simulator, people: Iterator[str]
) -> None:
    person = next(people)
    verification_id = api.start(recipient=person)
    reply = stranger.reply(stranger.check(verification_id, simulator.code(person)))
    assert (reply["reason"], reply["state"]) == ("valid", "verified")
    assert api.final(verification_id)["state"] == "verified"
    assert_exact(stranger.history(verification_id))


def test_started_over_kafka_and_looked_up_and_checked_over_http(
    api: Api, stranger: Stranger, simulator: Simulator, people: Iterator[str]
) -> None:
    person, job = next(people), new_key()[:8] + "x"
    verification_id = stranger.request(recipient=person, external_id=f"kafka-{job}", expires_in_s=60)
    code = simulator.code(person)
    stranger.outcome(verification_id, lambda outcome: outcome["state"] == "delivered")
    api_seen = [item["verification_id"] for item in api.page(external_id=f"kafka-{job}")["items"]]
    assert api_seen == [verification_id]
    assert api.check(verification_id, code)["valid"]
    final = api.final(verification_id)
    outcome = stranger.outcome(verification_id)
    assert (final["version"], final["recipient_hash"]) == (outcome["version"], outcome["recipient_hash"])


def test_the_same_check_id_over_both_doors_counts_once(
    api: Api, stranger: Stranger, simulator: Simulator, people: Iterator[str]
) -> None:
    person, check_id = next(people), new_key()
    verification_id = api.start(recipient=person)
    code = simulator.code(person)
    bad = code[:-1] + str((int(code[-1]) + 1) % 10)
    first = api.check(verification_id, bad, key=check_id)
    stranger.check(verification_id, bad, check_id=check_id)
    told = stranger.replies(check_id, 2)
    assert [reply["reason"] for reply in told] == ["wrong_code"] * 2
    assert {reply["checks_left"] for reply in told} == {first["checks_left"]}
    assert api.check(verification_id, code)["valid"]
    assert api.final(verification_id)["failed_checks"] == 1


def test_a_request_published_under_an_id_started_over_http_changes_nothing_or_is_a_conflict(
    api: Api, stranger: Stranger, simulator: Simulator, people: Iterator[str]
) -> None:
    person, own = next(people), new_id()
    api.start(verification_id=own, recipient=person, expires_in_s=60)
    simulator.message(person)
    stranger.request(verification_id=own, recipient=person, expires_in_s=60)
    stranger.request(verification_id=own, recipient=next(people), expires_in_s=60)
    stranger.wait(lambda: stranger.letters_of(own), within_s=15, what=f"a dead letter of {own}")
    assert [letter.fields["reason"] for letter in stranger.letters_of(own)] == ["id_conflict"]
    assert len(simulator.inbox(person)) == 1


def test_the_command_line_asks_for_a_resend_and_cancels(
    deployment: Deployment, api: Api, simulator: Simulator, people: Iterator[str]
) -> None:
    person = next(people)
    verification_id = api.start(recipient=person)
    simulator.message(person)
    code, out, _ = deployment.ended("resend", verification_id, "--json")
    assert (code, json.loads(out)["reason"]) == (1, "resend_too_soon")
    code, out, _ = deployment.ended("cancel", verification_id, "--json")
    assert (code, json.loads(out)["reason"]) == (0, "accepted")
    assert api.final(verification_id)["state"] == "canceled"
