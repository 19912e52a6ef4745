from __future__ import annotations

import pytest

from pipeline import topics
from pipeline.model.reasons import Reason
from pipeline.records.internal import Decision, Plan
from pipeline.records.types import AttemptResult, AttemptStatus, DecisionKind, VerificationMode, VerificationState
from pipeline.runtime.api import Deadline, Lane
from pipeline.runtime.frontier import Frontier
from pipeline.tracker.stage import TrackerStage
from tests.unit.tracker.world import GRACE_MS, T0, World, make_world

State = VerificationState


def _deadline(world: World) -> Deadline:
    deadline = world.stage.deadline(world.state[b"v1"])
    assert deadline is not None
    return deadline


@pytest.mark.parametrize("grace_ms", [0, GRACE_MS, 5_000])
def test_the_code_expires_right_after_its_last_millisecond_and_the_way_from_a_wrong_partition(grace_ms: int) -> None:
    sent = make_world(misplaced_grace_ms=grace_ms)
    sent.decide(sent.accepted())
    sent.tell()
    sent.advance_to(T0 + 300_000 + grace_ms)
    assert not sent.last.is_final
    sent.advance(1)
    assert (sent.last.state, sent.last.reason, sent.last.is_final) == (State.EXPIRED, Reason.EXPIRED, True)


def test_a_code_that_nobody_saw_expire_does_so_once_when_somebody_looks(sent: World) -> None:
    sent.now_ms = T0 + 4_000_000
    for _ in range(3):
        sent.advance(GRACE_MS)
    finals = [outcome for outcome in sent.outcomes if outcome.is_final]
    assert [(final.state, final.expires_at) for final in finals] == [(State.EXPIRED, T0 + 300_000)]
    assert sent.counted("outcomes_total") == 1


def test_a_delivered_code_expires_too(sent: World) -> None:
    sent.report()
    sent.advance(300_000)
    assert sent.last.state is State.EXPIRED


def test_what_was_never_called_is_too_late_only_when_no_call_can_be_running(world: World) -> None:
    world.decide(world.accepted())
    world.advance_to(T0 + 300_001)
    assert not world.last.is_final
    world.tell(called_at=T0 + 299_999, finished_at=T0 + 301_000)
    assert world.last.state is State.SENT
    assert world.last.expires_at == T0 + 599_999


def test_it_ends_as_too_late_also_when_no_answer_ever_comes(world: World) -> None:
    world.decide(world.accepted())
    world.advance_to(T0 + 360_000)
    assert not world.last.is_final
    world.advance(1)
    assert (world.last.state, world.last.reason) == (State.EXPIRED, Reason.TOO_LATE)


def test_it_ends_once_also_when_no_answer_came_and_nobody_looked(world: World) -> None:
    world.decide(world.accepted())
    world.now_ms = T0 + 3_600_000
    world.fire_due()
    assert not world.last.is_final
    world.advance(GRACE_MS)
    assert (world.last.state, world.last.reason) == (State.EXPIRED, Reason.TOO_LATE)


def test_a_tracker_that_is_always_late_puts_the_end_off_once(sent: World) -> None:
    for _ in range(3):
        deadline = sent.next_deadline_ms()
        assert deadline is not None
        sent.now_ms = deadline + 10_000
        sent.fire_due()
        if sent.last.is_final:
            break
    assert sent.last.is_final
    assert sent.last.updated_at == T0 + 300_001 + GRACE_MS + 10_000 + GRACE_MS + 10_000


def test_a_receipt_that_moves_the_end_gives_the_new_one_its_own_grace(world: World) -> None:
    """The end that was put off was the queue's; the code's life begins with a call that only shows now."""
    world.decide(world.accepted())
    world.now_ms = T0 + 400_000
    world.fire_due()
    world.tell(called_at=T0 + 299_000, finished_at=T0 + 300_000)
    world.now_ms = T0 + 700_000
    world.advance(GRACE_MS - 1)
    assert not world.last.is_final
    world.advance(1)
    assert (world.last.state, world.last.reason) == (State.EXPIRED, Reason.EXPIRED)


def test_reach_mode_has_no_checks_to_wait_for(world: World) -> None:
    world.decide(world.accepted(plan=world.plan(mode=VerificationMode.REACH)))
    world.tell()
    world.advance_to(T0 + 300_000)
    assert not world.last.is_final
    world.advance(1)
    assert (world.last.state, world.last.reason) == (State.EXPIRED, Reason.EXPIRED)


def test_a_receipt_proves_the_call_whose_answer_was_lost(world: World) -> None:
    world.decide(world.accepted())
    world.report(status=AttemptStatus.SENT)
    world.advance_to(T0 + 360_001)
    assert (world.last.state, world.last.reason) == (State.EXPIRED, Reason.EXPIRED)


def test_a_sender_that_says_expired_ends_it_at_the_queue_deadline(world: World) -> None:
    world.decide(world.accepted())
    world.advance_to(T0 + 300_000)
    world.tell(result=AttemptResult.EXPIRED)
    world.advance(1 + GRACE_MS)
    assert (world.last.state, world.last.reason) == (State.EXPIRED, Reason.TOO_LATE)


def test_timers_wait_for_their_own_lane_only(world: World) -> None:
    world.decide(world.accepted())
    assert _deadline(world).lane is Lane.INTERACTIVE
    other = World(stage=world.stage, codec=world.codec, now_ms=T0)
    other.decide(other.accepted(plan=other.plan(bulk=True)))
    assert _deadline(other).lane is Lane.BULK


def test_an_overdue_wait_does_not_expire_what_is_not_read_yet(world: World) -> None:
    """After a long stop several timers are due, but inputs are read up to the first of them only."""
    world.decide(world.accepted(steps=2))
    world.tell()
    world.now_ms = T0 + 3_600_000
    assert _deadline(world).at_ms == T0 + 30_000
    world.fire_due()
    assert not world.last.is_final
    assert world.asked() == [], "the code is dead: nobody wants a call about it"
    assert _deadline(world).at_ms == T0 + 60_000


def test_a_timer_that_fires_early_does_nothing(sent: World) -> None:
    effects = sent.stage.fire(b"v1", sent.state, sent.now_ms)
    assert (effects.state, effects.emits, effects.counts) == ({}, [], [])


def test_a_timer_of_a_forgotten_verification_does_nothing(world: World) -> None:
    effects = world.stage.fire(b"v9", {}, world.now_ms)
    assert (effects.state, effects.emits) == ({}, [])


def test_what_never_gets_a_decision_is_dropped_without_a_word(world: World) -> None:
    world.tell()
    world.report()
    assert _deadline(world) == Deadline(T0 + 600_000, None, None)
    world.advance(600_000)
    assert not world.state
    assert world.emits == []
    assert world.counted("attempts_total") == 1
    assert world.counted("receipts_unmatched_total") == 1


def test_a_check_waits_for_the_decisions_it_may_have_overtaken(world: World) -> None:
    assert world.check("123456", at_ms=T0 - 500) is None
    assert _deadline(world) == Deadline(T0 + 1_500, None, T0 + 2_000)


def test_the_bound_of_that_wait_begins_when_the_check_was_seen(world: World) -> None:
    """A tracker back after a minute finds old checks and has read no decision yet."""
    world.check("123456", at_ms=T0 - 60_000)
    assert _deadline(world).force_at_ms == T0 + 2_000


@pytest.mark.parametrize("after_s", [0, 59, 61, 599, 601])
def test_each_attempt_is_counted_once_per_horizon(sent: World, after_s: int) -> None:
    sent.advance_to(T0 + after_s * 1_000)
    sent.report()
    sent.report()
    sent.advance(90_000_000)
    labels = {"provider": "ycloud", "channel": "sms", "country": "DE"}
    for horizon in (60, 600):
        delivered = "yes" if after_s < horizon else "no"
        assert sent.counted(f"delivery_matured_{horizon}s_total", **labels, delivered=delivered) == 1
        assert sent.counted(f"delivery_matured_{horizon}s_total") == 1
    assert sent.counted("delivery_seconds") >= after_s


def test_a_provider_without_receipts_is_counted_as_unknown(world: World) -> None:
    world.decide(world.accepted(provider="neutrino", has_receipts=False))
    world.tell(provider="neutrino", status=AttemptStatus.SENT)
    world.advance(90_000_000)
    assert world.counted("delivery_matured_60s_total", delivered="unknown") == 1
    assert world.counted("delivery_matured_600s_total", delivered="unknown") == 1


def test_a_rejected_attempt_is_in_no_cohort(world: World) -> None:
    world.decide(world.accepted())
    world.reject()
    world.no_route()
    world.advance(90_000_000)
    assert world.counted("delivery_matured_60s_total") == 0
    assert not world.state


def test_figures_of_one_verified_login(world: World) -> None:
    world.decide(world.accepted())
    world.advance(150)
    world.tell(called_at=T0 + 100)
    world.advance(4_850)
    world.report(occurred_at=T0 + 3_100)
    world.check(world.wrong)
    world.advance(5_000)
    world.check(world.code, "c2")
    assert world.counted("delivery_seconds", provider="ycloud", channel="sms") == pytest.approx(3)
    assert world.counted("time_to_verify_seconds") == pytest.approx(9.9)
    assert world.counted("end_to_end_seconds", lane="interactive") == pytest.approx(10.2)
    assert world.counted("checks_total", reason="wrong_code") == 1
    assert world.counted("checks_total", reason="valid") == 1
    assert world.counted("outcomes_total", state="verified", reason="none", lane="interactive") == 1
    assert world.counted("conversion_matured_total", provider="ycloud", converted="yes") == 1


def test_conversion_has_its_own_value_for_nothing_sent(world: World) -> None:
    world.decide(world.accepted())
    world.advance(400_000)
    assert world.counted("conversion_matured_total", provider="none", channel="none", converted="no_attempt") == 1


def test_conversion_counts_a_refused_request_as_one_without_an_attempt(world: World) -> None:
    world.decide(
        Decision(
            verification_id="v1",
            kind=DecisionKind.REFUSED,
            decision_id="ab",
            plan=Plan(country="DE"),
            reason=Reason.INVALID_RECIPIENT,
        )
    )
    assert world.counted("conversion_matured_total", provider="none", country="DE", converted="no_attempt") == 1
    assert world.counted("conversion_matured_total") == 1


def test_conversion_counts_reach_mode_once_and_never_as_a_code_not_entered(world: World) -> None:
    world.decide(world.accepted(plan=world.plan(mode=VerificationMode.REACH)))
    world.tell()
    world.report()
    assert world.last.is_final
    assert world.counted("conversion_matured_total", provider="ycloud", converted="reach") == 1
    assert world.counted("conversion_matured_total") == 1


def test_conversion_has_its_own_value_for_tests(world: World) -> None:
    world.decide(world.accepted(plan=world.plan(test=True)))
    world.tell()
    world.advance(400_000)
    assert world.counted("conversion_matured_total", converted="test") == 1
    assert world.counted("conversion_matured_total") == 1


def test_an_answer_after_the_end_is_still_counted_in_its_cohort(world: World) -> None:
    world.decide(world.accepted())
    world.check(world.code)
    world.tell()
    world.report()
    world.advance(90_000_000)
    assert world.counted("delivery_matured_60s_total", delivered="yes") == 1
    assert len(world.out(topics.OUTCOMES, type(world.last))) == 2


def test_in_doubt_and_unheard_of_is_neither_delivered_nor_not(world: World) -> None:
    world.decide(world.accepted())
    world.tell(result=AttemptResult.IN_DOUBT)
    world.advance(90_000_000)
    assert world.counted("delivery_matured_600s_total", delivered="unknown") == 1


@pytest.mark.parametrize("is_bulk", [False, True])
@pytest.mark.parametrize(
    ("unread", "waits"),
    [
        (topics.CHECKS, (True, True)),
        (topics.COMMANDS, (True, True)),
        (topics.TRACKER_INBOX, (True, True)),
        *((topic, (True, False)) for topic in (topics.DECISIONS, topics.RESULTS, topics.STATUSES)),
        *((topics.bulk(topic), (False, True)) for topic in (topics.DECISIONS, topics.RESULTS, topics.STATUSES)),
    ],
)
def test_a_deadline_waits_for_whatever_could_still_change_its_end(
    world: World, unread: str, waits: tuple[bool, bool], is_bulk: bool
) -> None:
    """An unread right answer, wherever it lies; but an interactive verification not for a bulk backlog."""
    world.decide(world.accepted(plan=world.plan(bulk=is_bulk)))
    deadline = _deadline(world)
    frontier = Frontier(TrackerStage.inputs)
    ends = {each.topic: 1 for each in TrackerStage.inputs}
    frontier.snapshot(deadline.at_ms + 1_000, ends)
    frontier.reached({**ends, unread: 0})
    assert (frontier.complete_ms(deadline.lane) < deadline.at_ms) is waits[is_bulk]
