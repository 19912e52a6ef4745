"""Records that cannot be, and what the runtime asks for when one was too much."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from pipeline import topics
from pipeline.errors import DeadLetterReason, Poison, UnknownWriter
from pipeline.model.limits import UNKNOWN_ID_WAIT_MS
from pipeline.model.reasons import Reason
from pipeline.records.public import CodeCheck, Command, DeliveryStatus
from pipeline.records.types import CommandAction, CommandKind, DecisionKind, VerificationState
from pipeline.runtime.api import Record
from pipeline.runtime.partition import partition_for
from tests.unit.tracker.world import CODEC, PARTITIONS, T0, World


def _record(topic: str, value: bytes, key: bytes | None = b"v1") -> Record:
    return Record(topic=topic, partition=0, offset=7, timestamp_ms=T0, key=key, value=value)


@pytest.mark.parametrize("changes", [{"plan": None}, {"decision_id": ""}, {"kind": DecisionKind.REFUSED, "plan": None}])
def test_a_decision_that_begins_nothing_is_a_dead_letter(world: World, changes: dict[str, Any]) -> None:
    world.decide(msgspec.structs.replace(world.accepted(), **changes))
    assert [refusal.reason for refusal in world.refusals] == [DeadLetterReason.UNDECODABLE]
    assert not world.state


def test_an_attempt_out_of_turn_is_a_dead_letter_and_leaves_no_gap(world: World) -> None:
    world.decide(msgspec.structs.replace(world.accepted(), attempt=world.attempt(2, 0, "ycloud")))
    assert [refusal.reason for refusal in world.refusals] == [DeadLetterReason.UNDECODABLE]
    assert world.outcomes == []


def test_a_kind_of_decision_from_a_later_release_makes_the_task_wait(world: World) -> None:
    with pytest.raises(UnknownWriter):
        world.decide(msgspec.structs.replace(world.accepted(), kind=DecisionKind.UNKNOWN))


@pytest.mark.parametrize("attempt_id", ["v1", "v1.", "v1.0", "v1.01", "v1.x", "v2.1", "v1.99999", "v1.\u0661"])
def test_a_report_of_no_attempt_of_ours_is_unmatched(sent: World, attempt_id: str) -> None:
    before = dict(sent.state)
    sent.give(topics.STATUSES, msgspec.structs.replace(sent.status(), attempt_id=attempt_id))
    assert sent.counted("receipts_unmatched_total", provider="ycloud") == 1
    assert sent.state == before


def test_a_report_with_an_id_no_verification_can_have_is_a_dead_letter(world: World) -> None:
    world.give(topics.STATUSES, DeliveryStatus(verification_id="a b", attempt_id="a b.1"))
    assert [refusal.reason for refusal in world.refusals] == [DeadLetterReason.UNDECODABLE]
    assert not world.state


@pytest.mark.parametrize("topic", [topics.CHECKS, topics.COMMANDS, topics.STATUSES])
def test_bytes_that_are_no_record_are_dead_letters(world: World, topic: str) -> None:
    world.handle(_record(topic, b"\x00rubbish"))
    assert len(world.refusals) == 1
    assert not world.state


@pytest.mark.parametrize(
    "check",
    [
        CodeCheck(check_id="", verification_id="v1", code="1"),
        CodeCheck(check_id="x" * 129, verification_id="v1", code="1"),
        CodeCheck(check_id="c1", verification_id="v1", code_sealed=b"opens nowhere"),
        CodeCheck(check_id="c1", verification_id="", code="1"),
        CodeCheck(check_id="c1", verification_id="x" * 49, code="1"),
        CodeCheck(check_id="c1", verification_id="+4915123456789", code="1"),
        CodeCheck(check_id="c1", verification_id="jo@example.org", code="1"),
        CodeCheck(check_id="+49 151 23456789", verification_id="v1", code="1"),
        CodeCheck(check_id="jo@example.org", verification_id="v1", code="1"),
    ],
)
def test_a_bad_check_is_a_dead_letter_where_its_producer_put_it(world: World, check: CodeCheck) -> None:
    """Also in a wrong partition: passed on, its dead letter would name a record that its producer never saw."""
    for partition in range(PARTITIONS):
        record = msgspec.structs.replace(_record(topics.CHECKS, CODEC.encode(check)), partition=partition)
        with pytest.raises(Poison):
            world.stage.handle(record, {}, T0)


@pytest.mark.parametrize(
    ("command_id", "verification_id"),
    [("m1", "+4915123456789"), ("+4915123456789", "v1"), ("jo@example.org", "v1"), ("", "v1"), ("x" * 129, "v1")],
)
def test_no_reply_and_no_dead_letters_detail_repeats_a_strangers_number(
    world: World, command_id: str, verification_id: str
) -> None:
    command = Command(command_id=command_id, verification_id=verification_id, action=CommandAction.CANCEL)
    world.give(topics.COMMANDS, command)
    assert world.emits == []
    (refusal,) = world.refusals
    assert refusal.reason is DeadLetterReason.UNDECODABLE
    assert refusal.verification_id == (verification_id if verification_id == "v1" else None)
    assert not any(secret in refusal.detail for secret in ("4915123456789", "jo@", "xx"))


def test_ids_of_nothing_but_digits_are_ids(world: World) -> None:
    check = CodeCheck(check_id="4915123456789", verification_id="15123456789", code="1")
    world.give(topics.CHECKS, check, partition=partition_for(b"15123456789", PARTITIONS))
    world.advance(UNKNOWN_ID_WAIT_MS)
    assert [(reply.request_id, reply.verification_id) for reply in world.replies] == [("4915123456789", "15123456789")]
    assert world.refusals == []


@pytest.mark.parametrize("kind", [CommandKind.REPORT, CommandKind.CANCEL, CommandKind.CHECK])
def test_answers_to_other_commands_are_no_answers_to_the_send(world: World, kind: CommandKind) -> None:
    world.decide(world.accepted())
    world.tell(kind=kind)
    assert len(world.outcomes) == 1


def test_a_topic_that_is_no_input_is_a_bug(world: World) -> None:
    with pytest.raises(ValueError, match="no input of the tracker"):
        world.stage.handle(_record("verification.requests", b""), {}, T0)


def test_a_check_too_much_ends_the_verification_it_names_whatever_its_key(sent: World) -> None:
    check = CODEC.encode(CodeCheck(check_id="c1", verification_id="v1", code="1"))
    sent.apply(sent.stage.quarantine(_record(topics.CHECKS, check, key=b"anything"), sent.state, T0))
    assert (sent.last.state, sent.last.reason) == (VerificationState.FAILED, Reason.IN_DOUBT)


def test_rubbish_too_much_ends_nothing(sent: World) -> None:
    effects = sent.stage.quarantine(_record(topics.CHECKS, b"rubbish"), sent.state, T0)
    assert (effects.state, effects.emits) == ({}, [])


def test_a_timer_that_keeps_failing_on_a_finished_entry_is_stopped(sent: World) -> None:
    sent.check(sent.code)
    final = sent.last
    sent.apply(sent.stage.quarantine(b"v1", sent.state, T0))
    assert not sent.state
    assert sent.last == final


def test_an_entry_that_cannot_even_be_ended_is_dropped(sent: World) -> None:
    broken = msgspec.structs.replace(sent.state[b"v1"], state=VerificationState.UNKNOWN)
    sent.apply(sent.stage.quarantine(b"v1", {b"v1": broken}, T0))
    assert not sent.state


def test_a_report_of_another_decisions_message_is_not_believed(sent: World) -> None:
    """The same id used twice: both messages carry the attempt id ``v1.1``, and only the reference tells which it is."""
    before = dict(sent.state)
    sent.report(reference="v1_1_zzzzzz")
    assert sent.counted("receipts_unmatched_total", provider="ycloud") == 1
    assert sent.state == before
    sent.report(reference="v1_1_abcdef")
    assert sent.last.state is VerificationState.DELIVERED


def test_an_early_report_is_held_to_its_reference_as_well(world: World) -> None:
    world.report(reference="v1_1_zzzzzz")
    world.decide(world.accepted())
    assert world.last.state is VerificationState.PENDING
    assert world.counted("receipts_unmatched_total") == 1


def test_early_reports_of_two_decisions_do_not_hide_each_other(world: World) -> None:
    for reference in ("v1_1_zzzzzz", "v1_1_abcdef"):
        world.report(reference=reference)
    world.decide(world.accepted())
    assert world.last.state is VerificationState.DELIVERED


@pytest.mark.parametrize("reference", ["", "rubbish", "v1_2_abcdef", "v2_1_abcdef", "x" * 5_000])
def test_a_reference_of_another_attempt_is_unmatched_at_once(world: World, reference: str) -> None:
    world.report(reference=reference)
    assert world.counted("receipts_unmatched_total") == 1
    assert not world.state


def test_a_providers_name_that_nobody_knows_does_not_become_a_label(sent: World) -> None:
    sent.report(provider="+4915112345678")
    sent.report(7, provider="not_of_ours", reference="rubbish")
    assert sent.counted("receipts_unmatched_total", provider="other") == 2
    assert sent.counted("receipts_unmatched_total") == 2
