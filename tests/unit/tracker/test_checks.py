from __future__ import annotations

import pytest

from pipeline import topics
from pipeline.errors import DeadLetterReason
from pipeline.model.addressee import TENANT_HEADER
from pipeline.model.keys import seal_public
from pipeline.model.limits import UNKNOWN_ID_WAIT_MS
from pipeline.model.reasons import Reason, ReplyReason
from pipeline.records.internal import Decision
from pipeline.records.public import CodeCheck, Command
from pipeline.records.tracker_state import TrackerForward, TrackerState
from pipeline.records.types import (
    AttemptResult,
    AttemptStatus,
    CodeHolder,
    CommandAction,
    DecisionKind,
    ReplyKind,
    RoutingKind,
    VerificationMode,
    VerificationState,
)
from pipeline.runtime.api import Record
from tests.unit.tracker.world import RING, T0, World

State = VerificationState


def test_the_right_code_is_accepted(sent: World) -> None:
    reply = sent.check(sent.code)
    assert reply is not None
    assert (reply.ok, reply.reason, reply.kind) == (True, ReplyReason.VALID, ReplyKind.CHECK)
    assert (reply.state, reply.checks_left, reply.step_index) == (State.VERIFIED, 3, 0)
    assert reply.expires_at == T0 + 300_000
    assert sent.emits[-1].key == b"v1"


def test_a_second_right_answer_is_refused(sent: World) -> None:
    first = sent.check(sent.code, "c1")
    second = sent.check(sent.code, "c2")
    assert first is not None
    assert second is not None
    assert (first.ok, second.ok, second.reason) == (True, False, ReplyReason.ALREADY_VERIFIED)
    assert sum(outcome.state is State.VERIFIED for outcome in sent.outcomes) == 1


def test_the_same_check_id_gets_the_same_reply_and_counts_once(sent: World) -> None:
    first = sent.check(sent.wrong, "c1")
    sent.advance(10)
    assert sent.check(sent.wrong, "c1") == first
    assert sent.check(sent.code, "c1") == first
    assert sent.last.failed_checks == 1
    assert sent.counted("checks_total") == 1


def test_a_reply_that_was_given_is_not_repeated_to_another_tenant(sent: World) -> None:
    first = sent.check(sent.code, "c1", tenant="default")
    for strange in (sent.check(sent.code, "c1", tenant="shop"), sent.check(sent.code, "c9", tenant="shop")):
        assert strange is not None
        assert (strange.ok, strange.reason) == (False, ReplyReason.UNKNOWN_VERIFICATION)
        assert (strange.state, strange.checks_left, strange.expires_at) == (State.UNKNOWN, 0, None)
    assert sent.check(sent.code, "c1") == first


def test_what_another_tenant_was_told_before_the_decision_is_no_reply_to_its_own_one(world: World) -> None:
    world.check(world.wrong, "c1", tenant="shop")
    world.advance(UNKNOWN_ID_WAIT_MS)
    assert world.replies[-1].reason == ReplyReason.UNKNOWN_VERIFICATION
    # Nor does it answer a check that overtook its request.
    assert world.check(world.code, "c1", tenant="default") is None
    world.decide(world.accepted())
    own = world.replies[-1]
    assert (own.request_id, own.ok, own.reason) == ("c1", True, ReplyReason.VALID)
    strange = world.check(world.code, "c1", tenant="shop")
    assert strange is not None
    assert strange.reason == ReplyReason.UNKNOWN_VERIFICATION


@pytest.mark.parametrize("first", [None, "default"])
@pytest.mark.parametrize("again", [None, "default"])
def test_a_check_told_unknown_before_the_decision_is_told_so_again(
    world: World, first: str | None, again: str | None
) -> None:
    world.check(world.wrong, "c1", tenant=first)
    world.advance(UNKNOWN_ID_WAIT_MS)
    told = world.replies[-1]
    world.check(world.code, "c1", tenant=again)
    world.decide(world.accepted())
    assert world.check(world.code, "c1", tenant=again) == told
    assert world.state[b"v1"].failed_checks == 0


def test_each_reply_says_whose_question_it_answers(world: World) -> None:
    for tenant in ("shop", "default", None):
        world.check(world.wrong, "c1", tenant=tenant)
    world.decide(world.accepted())
    for tenant in ("shop", "default", None, "+4915123456789"):
        world.check(world.wrong, "c1", tenant=tenant)
    told = [
        (dict(emit.headers)[TENANT_HEADER], reply.reason)
        for emit, reply in zip([e for e in world.emits if e.topic == topics.REPLIES], world.replies, strict=True)
    ]
    foreign, own = ReplyReason.UNKNOWN_VERIFICATION, ReplyReason.WRONG_CODE
    assert [each for each in told if each[1] == own] == [(b"default", own)] * 4
    assert [each for each in told if each[1] == foreign] == [(b"shop", foreign), (b"shop", foreign), (b"", foreign)]


def test_of_checks_that_wait_under_one_id_another_tenants_does_not_hide_the_right_one(world: World) -> None:
    world.check(world.wrong, "c1", tenant="shop")
    world.check(world.wrong, "c1", tenant="default")
    world.check(world.wrong, "c1")
    world.decide(world.accepted())
    reasons = [reply.reason for reply in world.replies]
    assert reasons.count(ReplyReason.UNKNOWN_VERIFICATION) == 1
    assert set(reasons) == {ReplyReason.UNKNOWN_VERIFICATION, ReplyReason.WRONG_CODE}
    assert world.state[b"v1"].failed_checks == 1


def test_a_check_and_a_command_of_one_id_are_two_requests(sent: World) -> None:
    sent.check(sent.wrong, "x")
    reply = sent.command(CommandAction.CANCEL, "x")
    assert reply is not None
    assert (reply.kind, reply.ok) == (ReplyKind.COMMAND, True)


def test_wrong_codes_use_up_the_checks(sent: World) -> None:
    left = []
    for i in range(3):
        reply = sent.check(sent.wrong, f"c{i}")
        assert reply is not None
        assert (reply.ok, reply.reason) == (False, ReplyReason.WRONG_CODE)
        left.append(reply.checks_left)
    assert left == [2, 1, 0]
    assert (sent.last.state, sent.last.reason, sent.last.is_final) == (State.FAILED, Reason.CHECKS_EXHAUSTED, True)
    reply = sent.check(sent.code, "c9")
    assert reply is not None
    assert (reply.ok, reply.reason) == (False, ReplyReason.TOO_MANY_CHECKS)
    assert [(event.kind, event.failed_checks) for event in sent.closing()] == [(RoutingKind.CLOSED, 3)]


def test_checks_cut_short_by_earlier_failures_of_the_person_say_so(world: World) -> None:
    world.decide(world.accepted(plan=world.plan(checks_allowed=1)))
    world.tell()
    world.check(world.wrong, "c1")
    reply = world.check(world.code, "c2")
    assert reply is not None
    assert reply.reason == ReplyReason.TOO_MANY_FAILURES
    assert (world.last.max_checks, world.last.checks_left) == (3, 0)


def test_a_check_in_the_last_millisecond_is_in_time_however_late_it_is_read(sent: World) -> None:
    sent.now_ms = T0 + 400_000
    reply = sent.check(sent.code, at_ms=T0 + 300_000)
    assert reply is not None
    assert reply.ok
    assert sent.last.verified_at == T0 + 300_000


def test_a_check_one_millisecond_late_is_expired_and_not_counted(sent: World) -> None:
    reply = sent.check(sent.code, at_ms=T0 + 300_001)
    assert reply is not None
    assert (reply.ok, reply.reason, reply.checks_left) == (False, ReplyReason.EXPIRED, 3)
    assert sent.last.failed_checks == 0


def test_after_the_expiry_a_check_is_told_so(sent: World) -> None:
    sent.advance(400_000)
    reply = sent.check(sent.code)
    assert reply is not None
    assert (reply.reason, reply.state) == (ReplyReason.EXPIRED, State.EXPIRED)


def test_another_tenant_learns_nothing_and_costs_nothing(sent: World) -> None:
    reply = sent.check(sent.code, tenant="other")
    assert reply is not None
    assert (reply.reason, reply.state, reply.checks_left) == (ReplyReason.UNKNOWN_VERIFICATION, State.UNKNOWN, 0)
    assert reply.expires_at is None
    own = sent.check(sent.code, tenant="default")
    assert own is not None
    assert own.ok


def test_digits_of_any_script_and_spaces_are_what_the_person_meant(sent: World) -> None:
    arabic = "".join(chr(0x0660 + int(digit)) for digit in sent.code)
    reply = sent.check(f" {arabic[:3]} {arabic[3:]} ")
    assert reply is not None
    assert reply.ok


def test_the_callers_own_code_is_compared_without_case(world: World) -> None:
    sealed = RING.seal(b"AbC123", verification_id="v1", field="code")
    world.decide(world.accepted(plan=world.plan(code_holder=CodeHolder.CALLER, code_sealed=sealed)))
    world.tell()
    wrong = world.check(world.code, "c1")
    right = world.check("aBc123", "c2")
    assert wrong is not None
    assert right is not None
    assert (wrong.ok, right.ok) == (False, True)


def test_a_code_bound_to_a_payment_is_derived_with_it(world: World) -> None:
    payee = RING.seal(b"Shop", verification_id="v1", field="payee")
    world.decide(world.accepted(plan=world.plan(amount="12.50", payee_sealed=payee)))
    world.tell()
    code = RING.code(
        "t2", verification_id="v1", recipient_hash="r" * 32, generation=0, amount="12.50", payee="Shop", length=6
    )
    reply = world.check(code)
    assert reply is not None
    assert reply.ok


def test_a_typed_code_may_come_sealed(sent: World) -> None:
    sealed = seal_public(RING.public_key(), sent.code, verification_id="v1", field="code", record="CodeCheck")
    sent.give(topics.CHECKS, CodeCheck(check_id="c1", verification_id="v1", code_sealed=sealed))
    assert sent.replies[-1].ok


def test_a_sealed_code_that_does_not_open_is_a_dead_letter(sent: World) -> None:
    sent.give(topics.CHECKS, CodeCheck(check_id="c1", verification_id="v1", code_sealed=b"rubbish"))
    assert [refusal.reason for refusal in sent.refusals] == ["undecodable"]
    assert sent.replies == []


@pytest.mark.parametrize("code", [None, "", "1" * 10_000])
def test_no_code_or_a_page_of_it_is_a_wrong_one(sent: World, code: str | None) -> None:
    sent.give(topics.CHECKS, CodeCheck(check_id="c1", verification_id="v1", code=code))
    assert sent.replies[-1].reason == ReplyReason.WRONG_CODE


def test_a_check_id_without_end_is_a_dead_letter(sent: World) -> None:
    sent.check(sent.code, "c" * 129)
    assert [refusal.reason for refusal in sent.refusals] == ["undecodable"]


def test_a_check_is_answered_by_a_decision_made_a_moment_after_it(world: World) -> None:
    """Its request may have been published before it, and the router takes a moment."""
    assert world.check(world.code) is None
    world.advance(1_000)
    world.decide(world.accepted())
    world.advance(5_000)
    assert [reply.reason for reply in world.replies] == [ReplyReason.VALID]


@pytest.mark.parametrize("verification_id", ["", "a b", "x" * 49, "é"])
def test_an_id_no_verification_can_have_is_a_dead_letter(world: World, verification_id: str) -> None:
    world.give(topics.CHECKS, CodeCheck(check_id="c1", verification_id=verification_id, code="1"))
    assert [refusal.reason for refusal in world.refusals] == [DeadLetterReason.UNDECODABLE]
    assert (world.emits, world.state) == ([], {})


def test_an_unknown_id_is_answered_once_decisions_are_read(world: World) -> None:
    assert world.check("123456") is None
    world.advance(1_499)
    assert world.replies == []
    world.advance(1)
    (reply,) = world.replies
    assert (reply.reason, reply.state) == (ReplyReason.UNKNOWN_VERIFICATION, State.UNKNOWN)
    assert world.check("123456") == reply
    world.advance(600_000)
    assert not world.state


def test_a_check_that_overtook_its_decision_is_answered_with_it(world: World) -> None:
    assert world.check(world.code) is None
    world.decide(world.accepted())
    (reply,) = world.replies
    assert reply.ok
    assert [(each.version, each.state) for each in world.outcomes] == [(1, State.VERIFIED)]


def test_checks_that_waited_are_answered_in_the_order_they_were_written(world: World) -> None:
    world.check(world.code, "late", at_ms=T0 + 5)
    world.check(world.wrong, "early", at_ms=T0 + 1)
    world.decide(world.accepted())
    assert [(reply.request_id, reply.ok) for reply in world.replies] == [("early", False), ("late", True)]


def test_a_waiting_code_rests_sealed(world: World) -> None:
    world.check("918273")
    value = world.state[b"v1"]
    assert b"918273" not in world.stage.encode(value)
    assert b"918273" not in repr(value).encode()


def test_a_flood_of_checks_for_an_unknown_id_is_bounded(world: World) -> None:
    for i in range(100):
        world.check("123456", f"c{i}")
    value = world.state[b"v1"]
    assert isinstance(value, TrackerState)
    assert len(value.waiting) == 32
    assert len(world.replies) == 68


def test_only_the_last_ten_replies_that_changed_nothing_are_kept(sent: World) -> None:
    for i in range(30):
        sent.check(sent.code, f"c{i}", at_ms=T0 + 999_999)
    assert [reply.request_id for reply in sent.state[b"v1"].replies] == [f"c{i}" for i in range(20, 30)]


def test_commands_push_no_reply_to_a_check_out_and_checks_none_to_a_command(sent: World) -> None:
    wrong = sent.check(sent.wrong, "c0")
    for i in range(30):
        sent.command(CommandAction.FAILOVER, f"m{i}", step_index=9)
    assert sent.check(sent.wrong, "c0") == wrong
    assert sent.last.failed_checks == 1
    kept = sent.state[b"v1"].replies
    assert [reply.request_id for reply in kept] == ["c0", *(f"m{i}" for i in range(20, 30))]


def test_a_check_whose_time_cannot_be_judged_yet_waits_for_the_answer(world: World) -> None:
    """Called at the last moment of the queue: nobody knows when the code's life began until the answer is read."""
    world.decide(world.accepted())
    world.now_ms = T0 + 310_000
    assert world.check(world.code) is None
    world.tell(called_at=T0 + 299_000)
    assert world.replies[-1].ok


def test_a_check_appended_within_the_queue_deadline_is_judged_at_once_though_it_is_read_after_it(world: World) -> None:
    """Whatever the answer of the running call will be: kept waiting, it would end with the verification."""
    world.decide(world.accepted())
    world.now_ms = T0 + 310_000
    reply = world.check(world.code, at_ms=T0 + 300_000)
    assert reply is not None
    assert reply.ok


def test_it_waits_no_longer_than_an_answer_can_take(world: World) -> None:
    world.decide(world.accepted())
    world.now_ms = T0 + 310_000
    world.check(world.code)
    world.advance_to(T0 + 360_001)
    assert world.replies[-1].reason == ReplyReason.EXPIRED
    assert world.last.reason == Reason.TOO_LATE


def test_more_checks_than_can_wait_for_a_call_are_too_many_and_not_of_an_unknown_verification(world: World) -> None:
    world.decide(world.accepted())
    world.now_ms = T0 + 310_000
    assert [world.check(world.wrong, f"c{i}") for i in range(32)] == [None] * 32
    reply = world.check(world.code, "c32")
    assert reply is not None
    assert (reply.reason, reply.state, reply.checks_left) == (ReplyReason.TOO_MANY_CHECKS, State.PENDING, 3)
    world.tell(called_at=T0 + 299_000)
    reasons = [each.reason for each in world.replies[1:]]
    assert reasons == [ReplyReason.WRONG_CODE] * 3 + [ReplyReason.TOO_MANY_CHECKS] * 29


def test_another_tenants_checks_take_no_place_of_those_that_wait_for_a_call(world: World) -> None:
    world.decide(world.accepted())
    world.now_ms = T0 + 310_000
    for i in range(32):
        foreign = world.check(world.code, f"c{i}", tenant="other")
        assert foreign is not None
        assert foreign.reason == ReplyReason.UNKNOWN_VERIFICATION
    assert world.check(world.code) is None
    world.tell(called_at=T0 + 299_000)
    assert world.replies[-1].ok


def test_a_check_in_reach_mode_waits_for_no_call(world: World) -> None:
    world.decide(world.accepted(plan=world.plan(mode=VerificationMode.REACH)))
    world.now_ms = T0 + 310_000
    reply = world.check(world.code)
    assert reply is not None
    assert reply.reason == ReplyReason.NOT_ACTIVE


def test_the_code_held_by_the_provider_cannot_be_judged_here(world: World) -> None:
    world.decide(world.accepted(code_holder=CodeHolder.PROVIDER))
    world.tell(code_holder=CodeHolder.PROVIDER)
    reply = world.check("123456")
    assert reply is not None
    assert (reply.reason, reply.checks_left) == (ReplyReason.PROVIDER_UNAVAILABLE, 3)
    assert world.last.failed_checks == 0


def test_there_is_nothing_to_check_in_reach_mode(world: World) -> None:
    world.decide(world.accepted(plan=world.plan(mode=VerificationMode.REACH)))
    world.tell()
    reply = world.check(world.code)
    assert reply is not None
    assert reply.reason == ReplyReason.NOT_ACTIVE


@pytest.mark.parametrize(
    ("reason", "answer"),
    [
        (Reason.INVALID_FIELD, ReplyReason.NOT_ACTIVE),
        (Reason.KILL_SWITCH, ReplyReason.NOT_ACTIVE),
        (Reason.TOO_MANY_FAILURES, ReplyReason.TOO_MANY_FAILURES),
        (Reason.TOO_LATE, ReplyReason.EXPIRED),
    ],
)
def test_a_refused_verification_cannot_be_checked(world: World, reason: Reason, answer: ReplyReason) -> None:
    world.decide(
        Decision(verification_id="v1", kind=DecisionKind.REFUSED, decision_id="ab", plan=world.plan(), reason=reason)
    )
    reply = world.check(world.code)
    assert reply is not None
    assert reply.reason == answer


def test_a_right_code_credits_the_last_accepted_attempt_before_it(world: World) -> None:
    world.decide(world.accepted(steps=2))
    world.tell()
    world.advance(30_000)
    world.route("neutrino")
    world.tell(2, AttemptResult.IN_DOUBT, provider="neutrino")
    world.check(world.code)
    assert world.last.verified_attempt_id == "v1.1"


def test_a_right_code_credits_an_unanswered_attempt_before_one_reported_undelivered(world: World) -> None:
    world.decide(world.accepted(steps=2))
    world.tell()
    world.report(status=AttemptStatus.UNDELIVERED)
    world.route("neutrino")
    world.check(world.code)  # a quick person: the message of the second attempt is read before its answer
    assert world.last.verified_attempt_id == "v1.2"


def test_a_right_code_nobody_is_known_to_have_sent_credits_the_attempt_in_doubt(world: World) -> None:
    world.decide(world.accepted())
    world.tell(result=AttemptResult.IN_DOUBT)
    world.check(world.code)
    assert world.last.verified_attempt_id == "v1.1"
    assert world.last.state is State.VERIFIED


def test_a_misplaced_check_is_passed_on_sealed_and_judged_by_its_first_time(sent: World) -> None:
    there = sent.partition
    here = (there + 1) % 4
    sent.give(topics.CHECKS, CodeCheck(check_id="c1", verification_id="v1", code=sent.code), partition=here)
    (emit,) = [emit for emit in sent.emits if emit.topic == topics.TRACKER_INBOX]
    assert (emit.partition, emit.key) == (there, b"v1")
    assert sent.code.encode() not in (emit.value or b"")
    assert sent.replies == []
    forward = sent.codec.decode(TrackerForward, emit.value, public=False)
    assert (forward.recorded_at, forward.source_partition) == (sent.now_ms, here)

    sent.now_ms = T0 + 299_000_000
    sent.handle(_record(emit.value, there))
    assert sent.replies[-1].ok


def test_what_was_passed_on_is_handled_where_it_is(sent: World) -> None:
    sent.give(
        topics.COMMANDS,
        Command(command_id="m1", verification_id="v1", action=CommandAction.CANCEL),
        partition=(sent.partition + 1) % 4,
    )
    (emit,) = [emit for emit in sent.emits if emit.topic == topics.TRACKER_INBOX]
    sent.handle(_record(emit.value, (sent.partition + 2) % 4))
    assert sent.last.state is State.CANCELED
    assert sum(emit.topic == topics.TRACKER_INBOX for emit in sent.emits) == 1


def _record(value: bytes | None, partition: int) -> Record:
    return Record(
        topic=topics.TRACKER_INBOX,
        partition=partition,
        offset=0,
        timestamp_ms=T0 + 299_000_000,
        key=b"v1",
        value=value,
    )
