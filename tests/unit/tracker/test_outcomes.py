from __future__ import annotations

from typing import Any

import pytest

from pipeline import topics
from pipeline.dead_letters import SealedDeadLetters, open_dead_letter, replayed
from pipeline.errors import DeadLetterReason
from pipeline.model.reasons import Reason
from pipeline.records.internal import Decision, Plan
from pipeline.records.public import DeadLetter, VerificationOutcome
from pipeline.records.types import (
    AttemptResult,
    AttemptStatus,
    Channel,
    DecisionKind,
    ResultClass,
    RoutingKind,
    VerificationMode,
    VerificationState,
)
from tests.unit.tracker.world import CODEC, RING, T0, World, make_world

State = VerificationState


def test_the_dead_letter_of_a_conflict_names_the_request_and_cannot_be_replayed_as_one(world: World) -> None:
    world.decide(world.accepted())
    other = Decision(
        verification_id="v1",
        kind=DecisionKind.ACCEPTED,
        decision_id="bb" * 16,
        plan=world.plan(recipient_hash="x" * 32),
        attempt=world.attempt(1, 0, "ycloud"),
        source_topic=topics.REQUESTS,
        source_partition=0,
        source_offset=6,
        recorded_at=T0 - 300,
    )
    world.decide(other)
    (refusal,) = world.refusals
    assert refusal.source is not None
    letters = SealedDeadLetters(codec=CODEC, key_ring=RING)
    letter = CODEC.decode(DeadLetter, letters.for_record("tracker", refusal.source, refusal, T0).value, public=True)
    assert (letter.reason, letter.topic, letter.partition, letter.offset) == ("id_conflict", topics.REQUESTS, 0, 6)
    dead = open_dead_letter(CODEC, RING, letter)
    assert dead is not None
    assert CODEC.decode(Decision, dead.value, public=False) == other
    with pytest.raises(ValueError, match="is no record of"):
        replayed(dead)


@pytest.mark.parametrize("told", [-62_135_596_800_000, 1, T0 - 2 * 86_400_000, T0 + 3_600_000, 2**62])
def test_a_delivery_told_of_an_impossible_time_happened_when_it_was_told(sent: World, told: int) -> None:
    sent.report(occurred_at=told, received_at=told)
    assert (sent.last.delivered_at, sent.last.attempts[0].delivered_at) == (T0 + 1_000, T0 + 1_000)


def test_a_decision_a_call_a_receipt_and_the_right_code_make_four_versions(world: World) -> None:
    world.decide(world.accepted())
    world.advance(50)
    world.tell()
    world.advance(2_000)
    world.report()
    world.advance(5_000)
    world.check(world.code)

    assert [(each.version, each.state, each.is_final) for each in world.outcomes] == [
        (1, State.PENDING, False),
        (2, State.SENT, False),
        (3, State.DELIVERED, False),
        (4, State.VERIFIED, True),
    ]
    last = world.last
    assert (last.sent_at, last.delivered_at, last.verified_at) == (T0 + 50, T0 + 2_050, T0 + 7_050)
    assert last.expires_at == T0 + 50 + 300_000
    assert last.verified_attempt_id == "v1.1"
    assert last.channel is Channel.SMS
    assert (last.provider, last.step_index, last.reason) == ("ycloud", 0, None)
    assert all(emit.key == b"v1" for emit in world.emits if emit.topic == topics.OUTCOMES)


def test_until_the_first_call_the_expiry_shown_is_the_queue_deadline(world: World) -> None:
    world.decide(world.accepted())
    assert world.last.expires_at == T0 + 300_000
    assert world.last.sent_at is None


def test_a_refused_request_has_one_final_outcome_that_says_why(world: World) -> None:
    refused = Decision(
        verification_id="v1",
        kind=DecisionKind.REFUSED,
        decision_id="ab",
        plan=Plan(tenant="shop", external_id="order-7", requested_at=T0),
        state=State.REJECTED,
        reason=Reason.INVALID_STEPS,
        detail="steps: the second never starts before the expiry",
    )
    world.decide(refused)
    world.decide(refused)

    (outcome,) = world.outcomes
    assert (outcome.version, outcome.state, outcome.is_final) == (1, State.REJECTED, True)
    assert (outcome.reason, outcome.detail) == (Reason.INVALID_STEPS, refused.detail)
    assert (outcome.tenant, outcome.external_id) == ("shop", "order-7")
    assert world.inbox() == []
    assert world.counted("outcomes_total", state="rejected", reason="invalid_steps", lane="interactive") == 1


def test_a_blocked_request_ends_as_blocked_whatever_state_the_record_says(world: World) -> None:
    world.decide(
        Decision(
            verification_id="v1",
            kind=DecisionKind.REFUSED,
            decision_id="ab",
            plan=Plan(),
            reason=Reason.TOO_MANY_FAILURES,
        )
    )
    assert world.last.state is State.BLOCKED


def test_a_step_routed_in_another_partition_starts_without_an_attempt(world: World) -> None:
    decided = world.accepted(steps=2)
    world.decide(Decision(**{**_fields(decided), "attempt": None}))
    assert world.asked() == [], "the router has passed the question on itself"
    world.decide(
        Decision(
            verification_id="v1",
            kind=DecisionKind.ROUTED,
            decision_id=decided.decision_id,
            attempt=world.attempt(1, 0, "neutrino"),
            n=1,
        )
    )
    assert [each.attempt_id for each in world.last.attempts] == ["v1.1"]


def _fields(record: Decision) -> dict[str, Any]:
    return {name: getattr(record, name) for name in record.__struct_fields__}


def test_the_same_decision_twice_changes_nothing(world: World) -> None:
    world.decide(world.accepted())
    world.decide(world.accepted())
    assert len(world.outcomes) == 1
    assert world.refusals == []


def test_a_second_request_with_the_same_content_is_counted_as_duplicate(world: World) -> None:
    world.decide(world.accepted())
    again = world.plan(requested_at=T0 + 9, queue_deadline_at=T0 + 9_000, checks_allowed=1, bulk=True, kid="t1")
    world.decide(Decision(**{**_fields(world.accepted(plan=again)), "decision_id": "bb"}))
    assert len(world.outcomes) == 1
    assert world.refusals == []
    assert world.counted("requests_total", lane="bulk", decision="duplicate") == 1


def test_the_same_invalid_request_in_two_partitions_is_a_duplicate(world: World) -> None:
    """Nobody's partition is known without a valid recipient, so each is decided where it lies."""
    for partition in (0, 3):
        world.decide(
            Decision(
                verification_id="v1",
                kind=DecisionKind.REFUSED,
                decision_id=f"b{partition}",
                plan=Plan(tenant="default", recipient_partition=partition),
                reason=Reason.INVALID_RECIPIENT,
            )
        )
    assert world.refusals == []
    assert world.counted("requests_total", decision="duplicate") == 1


def test_an_id_used_for_two_people_is_a_dead_letter_and_the_first_one_stands(world: World) -> None:
    world.decide(world.accepted())
    other = world.plan(recipient_hash="s" * 32)
    world.decide(Decision(**{**_fields(world.accepted(plan=other)), "decision_id": "bb"}))
    (refusal,) = world.refusals
    assert (refusal.reason, refusal.verification_id) == (DeadLetterReason.ID_CONFLICT, "v1")
    assert len(world.outcomes) == 1
    assert world.last.recipient_hash == "r" * 32


def test_a_decision_that_lost_gives_its_reserved_guesses_back_and_the_winner_keeps_its_own(world: World) -> None:
    world.decide(world.accepted())
    other = world.plan(recipient_hash="s" * 32, recipient_key="o" * 32, recipient_partition=3)
    world.decide(Decision(**{**_fields(world.accepted(plan=other)), "decision_id": "bb"}))
    (closed,) = world.closing()
    assert (closed.kind, closed.decision_id, closed.recipient_key) == (RoutingKind.CLOSED, "bb", "o" * 32)
    assert (closed.verification_id, closed.failed_checks, closed.provider) == ("v1", 0, None)
    assert [emit.partition for emit in world.emits if emit.topic == topics.ROUTER_INBOX] == [3]
    assert not world.last.is_final


def test_a_loser_of_the_same_recipient_or_without_a_reservation_gives_nothing_back(world: World) -> None:
    """The router knows a recipient's reservations by verification id: closing this one would free the winner's."""
    world.decide(world.accepted())
    same_person = world.plan(tenant="other")
    elsewhere = world.plan(recipient_key="o" * 32)
    for kind, plan in ((DecisionKind.ACCEPTED, same_person), (DecisionKind.REFUSED, elsewhere)):
        changes = {"decision_id": "bb", "kind": kind, "reason": Reason.INVALID_FIELD}
        world.decide(Decision(**{**_fields(world.accepted(plan=plan)), **changes}))
    assert world.closing() == []


def test_a_refused_request_with_an_id_in_use_is_a_dead_letter_too(sent: World) -> None:
    versions = len(sent.outcomes)
    sent.decide(
        Decision(
            verification_id="v1",
            kind=DecisionKind.REFUSED,
            decision_id="bb",
            plan=Plan(tenant="other"),
            reason=Reason.INVALID_FIELD,
        )
    )
    assert [refusal.reason for refusal in sent.refusals] == [DeadLetterReason.ID_CONFLICT]
    assert len(sent.outcomes) == versions


def test_what_belongs_to_a_decision_that_lost_is_dropped(world: World) -> None:
    world.decide(world.accepted())
    world.tell(decision_id="bb")
    world.report(provider="neutrino")
    assert world.last.state is State.PENDING
    assert world.counted("receipts_unmatched_total", provider="other") == 1


def test_reach_mode_ends_when_the_message_arrived(world: World) -> None:
    world.decide(world.accepted(plan=world.plan(mode=VerificationMode.REACH)))
    world.tell()
    world.report()
    assert (world.last.state, world.last.is_final) == (State.DELIVERED, True)
    assert [event.kind for event in world.closing()] == [RoutingKind.CLOSED]
    world.advance(86_400_000)
    assert (world.last.state, len(world.outcomes)) == (State.DELIVERED, 3)


def test_an_answer_that_says_nothing_new_makes_no_version(sent: World) -> None:
    versions = len(sent.outcomes)
    sent.tell(called_at=T0, finished_at=T0)
    sent.report(status=AttemptStatus.UNKNOWN)
    assert len(sent.outcomes) == versions


def test_the_state_never_moves_back(sent: World) -> None:
    sent.report()
    sent.report(status=AttemptStatus.SENT)
    sent.report(status=AttemptStatus.UNDELIVERED, reason=Reason.UNDELIVERED)
    sent.tell(result=AttemptResult.IN_DOUBT)
    assert sent.last.state is State.DELIVERED
    assert sent.last.attempts[0].status is AttemptStatus.DELIVERED
    assert sent.last.attempts[0].result is AttemptResult.ACCEPTED
    assert sent.last.attempts[0].reason is None
    assert sent.asked() == []


def test_a_refusal_that_comes_with_a_status_keeps_its_reason(world: World) -> None:
    world.decide(world.accepted())
    world.reject(kind=ResultClass.RECIPIENT, reason=Reason.RECIPIENT_BLOCKED, status=AttemptStatus.UNDELIVERED)
    assert world.last.reason == Reason.RECIPIENT_BLOCKED
    assert world.last.attempts[0].reason == Reason.RECIPIENT_BLOCKED


@pytest.mark.parametrize("language", ["zh_HK", None])
def test_an_attempt_shows_the_language_as_the_provider_names_it_before_and_after_its_answer(
    world: World, language: str | None
) -> None:
    """None where the provider chooses one: it would be untrue to show the wish it could not honour."""
    world.decide(world.accepted(language=language))
    before = world.last.attempts[0].language
    world.tell(language="zh-Hant-TW")
    assert (before, world.last.attempts[0].language) == (language, language)


def test_the_length_shown_is_that_of_the_code_in_the_latest_message(world: World) -> None:
    """A provider that makes its own code need not make one as long as ours."""
    world.decide(world.accepted(steps=2, plan=world.plan(2, code_length=12), code_length=7))
    assert world.last.code_length == 7
    world.reject()
    world.route("bird", code_length=12)
    assert [outcome.code_length for outcome in world.outcomes][-1] == 12


def test_nothing_is_published_after_the_final_outcome(sent: World) -> None:
    sent.check(sent.code)
    final = sent.last
    sent.report()
    sent.report(status=AttemptStatus.READ)
    sent.reject()
    sent.advance(86_000_000)
    assert sent.last == final


def test_costs_are_added_over_attempts_without_rounding(world: World) -> None:
    world.decide(world.accepted(steps=2))
    world.tell(cost="0.1", currency="EUR")
    world.report(status=AttemptStatus.UNDELIVERED)
    world.route("neutrino")
    world.tell(2, provider="neutrino", cost="0.2", currency="EUR")
    assert (world.last.cost, world.last.currency) == ("0.3", "EUR")
    assert world.counted("cost_total", currency="EUR") == 0.1 + 0.2


def test_a_cost_told_by_answer_and_receipts_counts_once(sent: World) -> None:
    sent.tell(cost="0.04", currency="EUR")
    sent.report(cost="0.05", currency="EUR")
    sent.report(cost="0.05", currency="EUR")
    assert sent.last.cost == "0.05"


def test_costs_in_another_currency_are_left_out_and_that_is_said(world: World) -> None:
    world.decide(world.accepted(steps=2))
    world.tell(cost="0.1", currency="EUR")
    world.report(status=AttemptStatus.UNDELIVERED)
    world.route("neutrino")
    world.tell(2, provider="neutrino", cost="0.2", currency="USD")
    assert (world.last.cost, world.last.currency) == ("0.1", "EUR")
    assert "EUR" in (world.last.detail or "")


def test_a_cost_that_is_no_decimal_is_ignored(sent: World) -> None:
    sent.report(cost="NaN", currency="EUR")
    sent.report(cost="1e9", currency="EUR")
    sent.report(cost="1", currency="free")
    sent.report(cost="٠.٠٤", currency="EUR")
    assert sent.last.cost is None


def test_the_router_learns_of_the_end_where_the_recipient_lives(sent: World) -> None:
    sent.check(sent.wrong)
    sent.check(sent.code, "c2")
    (event,) = sent.closing()
    assert (event.kind, event.recipient_key, event.failed_checks) == (RoutingKind.VERIFIED, "k" * 32, 1)
    assert (event.provider, event.channel) == ("ycloud", Channel.SMS)
    assert [emit.partition for emit in sent.emits if emit.topic == topics.ROUTER_INBOX] == [2]


def test_bulk_travels_in_its_own_lane(world: World) -> None:
    world.decide(world.accepted(steps=2, plan=world.plan(2, bulk=True)))
    world.reject()
    assert {emit.topic for emit in world.emits} == {topics.OUTCOMES, topics.bulk(topics.ROUTER_INBOX)}


def test_the_trace_goes_on(world: World) -> None:
    trace = (("traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),)
    world.give(topics.DECISIONS, world.accepted(), headers=trace)
    assert trace[0] in world.emits[0].headers


def test_an_outcome_shows_no_secret(sent: World) -> None:
    sent.check(sent.wrong)
    written = b"".join(emit.value or b"" for emit in sent.emits)
    assert sent.code.encode() not in written
    assert sent.wrong.encode() not in written
    assert isinstance(sent.last, VerificationOutcome)


def test_a_record_the_handler_cannot_bear_ends_its_verification(sent: World) -> None:
    sent.apply(sent.stage.quarantine(b"v1", sent.state, sent.now_ms))
    assert (sent.last.state, sent.last.reason, sent.last.is_final) == (State.FAILED, Reason.IN_DOUBT, True)
    again = sent.stage.quarantine(b"v2", sent.state, sent.now_ms)
    assert (again.state, again.emits) == ({}, [])


def test_final_state_is_forgotten_after_its_time(sent: World) -> None:
    sent.check(sent.code)
    ended = sent.now_ms
    sent.advance_to(ended + 86_400_000 - 1)
    assert sent.state
    sent.advance(1)
    assert not sent.state


def test_a_short_retention_still_counts_the_cohorts() -> None:
    world = make_world(final_state_s=60)
    world.decide(world.accepted())
    world.tell()
    world.check(world.code)
    world.advance(700_000)
    assert not world.state
    assert world.counted("delivery_matured_600s_total") == 1
