"""What no sender or gateway of ours would write, and what the stage may not stumble over."""

from __future__ import annotations

import msgspec
import pytest

from pipeline import topics
from pipeline.errors import DeadLetterReason, UnpublishedSchema
from pipeline.runtime.api import Record
from tests.unit.correlator.world import CODEC, MINUTE, T0, World


def record(topic: str, value: bytes | None, key: bytes | None = b"bird:m-1") -> Record:
    return Record(topic=topic, partition=0, offset=7, timestamp_ms=T0, key=key, value=value)


@pytest.mark.parametrize("topic", [topics.RECEIPTS, topics.MESSAGE_REFS])
@pytest.mark.parametrize("value", [None, b"", b"rubbish", b"\xc3\x01"])
def test_what_cannot_be_read_is_a_dead_letter(world: World, topic: str, value: bytes | None) -> None:
    world.handle(record(topic, value))
    assert len(world.refusals) == 1
    assert not world.state


@pytest.mark.parametrize("topic", [topics.RECEIPTS, topics.MESSAGE_REFS])
def test_a_schema_nobody_knows_yet_is_waited_for(world: World, topic: str) -> None:
    with pytest.raises(UnpublishedSchema):
        world.stage.handle(record(topic, b"\xc3\x01" + b"\x07" * 8 + b"\x00"), world.state, T0)


@pytest.mark.parametrize("key", [None, b"", b"\xff\xfe"])
def test_a_record_without_a_key_has_no_place(world: World, key: bytes | None) -> None:
    world.handle(record(topics.RECEIPTS, CODEC.encode(world.receipt(message_id="m-1")), key))
    world.handle(record(topics.MESSAGE_REFS, CODEC.encode(world.ref(message_id="m-1")), key))
    assert [refusal.reason for refusal in world.refusals] == [DeadLetterReason.UNDECODABLE] * 2
    assert not world.state


@pytest.mark.parametrize("missing", [{"provider": ""}, {"provider_message_id": None}, {"provider_message_id": ""}])
def test_a_receipt_that_names_no_message_and_no_recipient_is_a_dead_letter(
    world: World, missing: dict[str, str | None]
) -> None:
    receipt = msgspec.structs.replace(world.receipt(message_id="m-1"), **missing)
    world.give(topics.RECEIPTS, receipt, key=b"bird:m-1")
    assert [refusal.reason for refusal in world.refusals] == [DeadLetterReason.UNDECODABLE]


@pytest.mark.parametrize(
    "wrong",
    [
        {"verification_id": ""},
        {"verification_id": "v2"},
        {"attempt_id": ""},
        {"attempt_id": "v1.2"},
        {"reference": ""},
        {"reference": "v1_2_vkvkvk"},
    ],
)
def test_a_ref_whose_reference_is_not_its_attempts_is_a_dead_letter(world: World, wrong: dict[str, str]) -> None:
    ref = msgspec.structs.replace(world.ref(message_id="m-1"), **wrong)
    world.give(topics.MESSAGE_REFS, ref, key=b"bird:m-1")
    assert [refusal.reason for refusal in world.refusals] == [DeadLetterReason.UNDECODABLE]
    assert not world.state


def test_a_topic_that_is_no_input_is_a_bug(world: World) -> None:
    with pytest.raises(ValueError, match="no input of the correlator"):
        world.stage.handle(record(topics.RESULTS, b""), {}, T0)


def test_a_record_taken_out_of_the_way_leaves_the_entry_as_it_is(world: World) -> None:
    world.report(message_id="m-1")
    before = dict(world.state)
    world.apply(world.stage.quarantine(record(topics.RECEIPTS, b"x"), world.state, T0))
    assert world.state == before


def test_an_entry_whose_timer_keeps_failing_is_forgotten_and_its_receipts_are_counted(world: World) -> None:
    world.report(message_id="m-1")
    world.apply(world.stage.quarantine(b"bird:m-1", world.state, T0))
    assert (world.state, world.unmatched) == ({}, 1)
    assert world.stage.quarantine(b"bird:m-1", world.state, T0).counts == []


def test_a_timer_of_an_entry_that_is_gone_does_nothing(world: World) -> None:
    effects = world.stage.fire(b"bird:m-1", {}, T0)
    assert (effects.state, effects.emits, effects.counts) == ({}, [], [])


def test_a_timer_settles_no_more_than_was_read(world: World) -> None:
    """Two receipts are due; the topics may be read past the first only, so the second has to wait for its own turn."""
    world.send()
    world.report(at_ms=T0)
    world.report(at_ms=T0 + MINUTE, told="again")
    (key,) = world.state
    world.apply(world.stage.fire(key, world.state, T0 + 10 * MINUTE))
    assert len(world.placed) == 1
    world.apply(world.stage.fire(key, world.state, T0 + 10 * MINUTE))
    assert len(world.placed) == 1


def test_the_same_record_gives_the_same_bytes_from_the_same_state(world: World) -> None:
    """A batch is handled again after an aborted transaction."""
    world.send(message_id="m-1")
    receipt = record(topics.RECEIPTS, CODEC.encode(world.receipt(message_id="m-1")))
    one, other = (world.stage.handle(receipt, world.state, T0 + n) for n in range(2))
    assert (one.emits, one.state) == (other.emits, other.state)
