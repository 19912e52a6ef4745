"""Promises 1 and 2 where providers fail: the next one takes over, and no message is ever sent twice on a guess."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from tests.acceptance.harness import Simulator
from tests.acceptance.stranger import Stranger, assert_exact, attempts

pytestmark = pytest.mark.kafka

SMS = {"channel": "sms"}
FIRST = {"channel": "sms", "wait_s": 5}
YCLOUD, NEUTRINO = {**FIRST, "provider": "ycloud"}, {**FIRST, "provider": "neutrino"}
CALL = {"channel": "voice", "provider": "neutrino"}
SHORT = "lost for good"
"""The case whose code has to expire; the others have time enough on the busiest machine."""

# How YCloud treats the person of each case, and the steps that are asked for. All cases run side by side.
CASES: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]] = {
    "route refused": ({"refusal": "route"}, [SMS]),
    "account refused": ({"refusal": "account"}, [SMS]),
    "recipient refused": ({"refusal": "recipient"}, [SMS]),
    "recipient refused, then a call": ({"refusal": "recipient"}, [FIRST, CALL]),
    "undelivered": ({"receipt": {"status": "undelivered"}}, [YCLOUD, CALL]),
    "everything refused": ({"refusal": "content"}, [YCLOUD]),
    "no receipt": ({"receipt": {"status": "missing"}}, [YCLOUD, CALL]),
    "lost answer": ({"fault": "close_after_reading"}, [SMS]),
    "reset": ({"fault": "reset_after_reading"}, [SMS]),
    "garbage": ({"fault": "garbage"}, [SMS]),
    "no answer ever": ({"fault": "no_answer"}, [SMS]),
    "error 500, sent": ({"error": "INTERNAL_SERVER_ERROR", "sends": True}, [SMS]),
    SHORT: ({"fault": "close_after_reading", "sends": False}, [SMS]),
    "lost, then a call": (
        {"fault": "close_after_reading", "sends": False},
        [YCLOUD, CALL],
    ),
    "throttled": ({"throttle": {"retry_after_s": 1}, "times": 2}, [YCLOUD]),
    "receipts doubled and out of order": ({"receipt": {"status": "delivered", "copies": 3, "reordered": True}}, [SMS]),
    "receipt before the answer": ({"delay_ms": 800, "receipt": {"status": "delivered", "delay_ms": 0}}, [SMS]),
    "Neutrino": ({}, [NEUTRINO]),
    "Neutrino, then a call": ({}, [NEUTRINO, CALL]),
}


class Case:
    """One verification that meets trouble."""

    def __init__(self, stranger: Stranger, simulator: Simulator, verification_id: str, person: str) -> None:
        self.stranger, self.simulator, self.verification_id, self.person = stranger, simulator, verification_id, person

    def until(self, *expected: tuple[str, str, str], within_s: float = 20.0) -> dict[str, Any]:
        """The first outcome with exactly these attempts: provider, result, status."""
        found = self.stranger.outcome(
            self.verification_id, lambda outcome: attempts(outcome) == list(expected), within_s=within_s
        )
        self.assert_each_attempt_called_once()
        return found

    def assert_each_attempt_called_once(self) -> None:
        """Promise 2, as the providers saw it."""
        calls = self.simulator.calls(self.person)
        references = [call["reference"] for call in calls if call["reference"] is not None]
        assert len(references) == len(set(references)), calls

    def assert_verifies(self) -> None:
        """The code that arrived is accepted."""
        check = self.stranger.check(self.verification_id, self.simulator.code(self.person))
        assert self.stranger.reply(check)["reason"] == "valid"
        assert self.stranger.outcome(self.verification_id)["state"] == "verified"
        assert_exact(self.stranger.history(self.verification_id))


@pytest.fixture(scope="module")
def cases(stranger: Stranger, simulator: Simulator, people: Iterator[str]) -> Iterator[dict[str, Case]]:
    persons = {name: next(people) for name in CASES}
    rules = [{**behaviour, "when": {"recipient": persons[name]}} for name, (behaviour, _) in CASES.items() if behaviour]
    simulator.behave("ycloud", rules=rules)
    yield {
        name: Case(
            stranger,
            simulator,
            stranger.request(recipient=persons[name], steps=steps, expires_in_s=30 if name == SHORT else 120),
            persons[name],
        )
        for name, (_, steps) in CASES.items()
    }
    simulator.behave("ycloud")


@pytest.mark.parametrize("name", ["route refused", "account refused"])
def test_a_provider_that_refuses_is_followed_by_another_in_the_same_step(cases: dict[str, Case], name: str) -> None:
    outcome = cases[name].until(("ycloud", "rejected", "none"), ("neutrino", "accepted", "sent"))
    assert [one["step_index"] for one in outcome["attempts"]] == [0, 0]
    assert [one["attempt_id"].rpartition(".")[2] for one in outcome["attempts"]] == ["1", "2"]
    cases[name].assert_verifies()


def test_a_refused_recipient_is_not_tried_at_another_provider_of_the_channel(
    stranger: Stranger, cases: dict[str, Case]
) -> None:
    case = cases["recipient refused"]
    outcome = stranger.outcome(case.verification_id)
    assert (outcome["state"], outcome["reason"]) == ("failed", "recipient_rejected")
    assert attempts(outcome) == [("ycloud", "rejected", "none")]
    case = cases["recipient refused, then a call"]
    outcome = case.until(("ycloud", "rejected", "none"), ("neutrino", "accepted", "sent"))
    assert [one["channel"] for one in outcome["attempts"]] == ["sms", "voice"]
    case.assert_verifies()


def test_an_undelivered_message_moves_on_to_the_next_step(cases: dict[str, Case]) -> None:
    outcome = cases["undelivered"].until(("ycloud", "accepted", "undelivered"), ("neutrino", "accepted", "sent"))
    assert outcome["attempts"][0]["reason"] == "undelivered"
    assert [one["channel"] for one in outcome["attempts"]] == ["sms", "voice"]
    cases["undelivered"].assert_verifies()


def test_it_fails_when_every_attempt_is_negative_and_no_step_is_left(
    stranger: Stranger, cases: dict[str, Case]
) -> None:
    outcome = stranger.outcome(cases["everything refused"].verification_id)
    assert (outcome["state"], outcome["reason"]) == ("failed", "content_rejected")
    assert_exact(stranger.history(outcome["verification_id"]))


def test_a_step_without_success_is_followed_by_the_next_after_its_wait(cases: dict[str, Case]) -> None:
    case = cases["no receipt"]
    outcome = case.until(("ycloud", "accepted", "none"), ("neutrino", "accepted", "sent"))
    first, second = outcome["attempts"]
    assert 5_000 <= second["sent_at"] - first["sent_at"] < 8_000
    case.assert_verifies()


@pytest.mark.parametrize("name", ["lost answer", "reset", "garbage", "no answer ever", "error 500, sent"])
def test_a_message_whose_answer_was_lost_is_resolved_by_its_receipt_and_never_repeated(
    cases: dict[str, Case], name: str
) -> None:
    outcome = cases[name].until(("ycloud", "in_doubt", "delivered"))
    assert outcome["state"] == "delivered"
    assert len(cases[name].simulator.calls(cases[name].person)) == 1
    cases[name].assert_verifies()


def test_a_message_lost_for_good_is_followed_by_the_next_step_and_not_by_itself(cases: dict[str, Case]) -> None:
    case = cases["lost, then a call"]
    outcome = case.until(("ycloud", "in_doubt", "none"), ("neutrino", "accepted", "sent"))
    assert outcome["attempts"][0]["reason"] == "in_doubt"
    assert [(call["provider"], call["channel"]) for call in case.simulator.calls(case.person)] == [
        ("ycloud", "sms"),
        ("neutrino", "voice"),
    ]
    case.assert_verifies()


def test_a_throttled_message_is_tried_again_as_the_same_attempt(cases: dict[str, Case]) -> None:
    case = cases["throttled"]
    outcome = case.stranger.outcome(case.verification_id, lambda outcome: outcome["state"] == "delivered")
    assert attempts(outcome) == [("ycloud", "accepted", "delivered")]
    calls = case.simulator.calls(case.person)
    assert [call["answered"][:3] for call in calls] == ["429", "429", "200"]
    assert {call["reference"] for call in calls} == {outcome["attempts"][0]["reference"]}
    # As long as the provider asked for; its clock and ours are the same here.
    assert all(later["at"] - earlier["at"] >= 950 for earlier, later in pairwise(calls))
    assert len(case.simulator.inbox(case.person)) == 1


@pytest.mark.parametrize("name", ["receipts doubled and out of order", "receipt before the answer"])
def test_receipts_in_any_order_lead_to_the_same_outcome(cases: dict[str, Case], name: str) -> None:
    outcome = cases[name].until(("ycloud", "accepted", "delivered"))
    assert outcome["state"] == "delivered"
    cases[name].assert_verifies()


def test_a_provider_without_receipts_verifies_without_ever_being_delivered(cases: dict[str, Case]) -> None:
    outcome = cases["Neutrino"].until(("neutrino", "accepted", "sent"))
    assert (outcome["state"], outcome["number_valid"]) == ("sent", True)
    cases["Neutrino"].assert_verifies()


def test_a_provider_without_receipts_has_a_wait_of_its_own(cases: dict[str, Case]) -> None:
    case = cases["Neutrino, then a call"]
    outcome = case.until(("neutrino", "accepted", "sent"), ("neutrino", "accepted", "sent"))
    first, second = outcome["attempts"]
    assert 6_000 <= second["sent_at"] - first["sent_at"] < 9_000  # no_receipt_wait_s of the settings
    assert [call["channel"] for call in case.simulator.calls(case.person)] == ["sms", "voice"]
    case.assert_verifies()


def test_an_attempt_in_doubt_without_a_receipt_ends_with_the_code(stranger: Stranger, cases: dict[str, Case]) -> None:
    case = cases[SHORT]
    outcome = stranger.outcome(case.verification_id, within_s=45)
    assert (outcome["state"], outcome["reason"]) == ("expired", "expired")
    assert attempts(outcome) == [("ycloud", "in_doubt", "none")]
    assert [call["provider"] for call in case.simulator.calls(case.person)] == ["ycloud"]
    assert_exact(stranger.history(case.verification_id))
