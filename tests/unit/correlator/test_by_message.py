"""Receipts that name a message: the ref that names it too says whose it is."""

from __future__ import annotations

import pytest

from pipeline import topics
from pipeline.model.limits import RECEIPT_LIFE_MS, RECEIPTS_KEPT, REF_LIFE_MS
from pipeline.model.reference import REFERENCE_HEADER
from pipeline.records.public import DeliveryStatus
from pipeline.records.types import AttemptStatus
from tests.unit.correlator.world import DECISION, HOUR, MINUTE, T0, World

DELIVERED, SENT, READ = AttemptStatus.DELIVERED, AttemptStatus.SENT, AttemptStatus.READ
TRACE = (("traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),)


def test_a_receipt_becomes_the_status_of_the_attempt_whose_message_it_names(world: World) -> None:
    world.send(2, "job_42", message_id="m-1")
    world.advance(MINUTE)
    world.report(message_id="m-1", reason="undelivered", cost="0.01", currency="EUR")
    (emit,) = world.emits
    assert (emit.topic, emit.key) == ("verification.statuses", b"job_42")
    assert emit.headers == (("schema", b"DeliveryStatus"), (REFERENCE_HEADER, b"job_42_2_vkvkvk"))
    assert world.take(topics.STATUSES, DeliveryStatus) == [
        DeliveryStatus(
            verification_id="job_42",
            attempt_id="job_42.2",
            provider="bird",
            status=DELIVERED,
            reason="undelivered",
            occurred_at=T0 + MINUTE - 1_500,
            received_at=T0 + MINUTE,
            cost="0.01",
            currency="EUR",
        )
    ]
    assert world.unmatched == 0


def test_a_receipt_that_comes_first_waits_for_its_ref_and_keeps_its_order(world: World) -> None:
    for status in (SENT, DELIVERED):
        world.report(status, message_id="m-1")
        world.advance(HOUR)
    assert world.placed == []
    world.send(message_id="m-1")
    assert world.placed == [("v1.1", SENT), ("v1.1", DELIVERED)]


def test_every_receipt_of_a_message_goes_out(world: World) -> None:
    world.send(message_id="m-1")
    for status in (SENT, DELIVERED, READ):
        world.report(status, message_id="m-1")
    assert world.placed == [("v1.1", SENT), ("v1.1", DELIVERED), ("v1.1", READ)]


def test_a_status_travels_in_the_lane_of_its_verification(world: World) -> None:
    world.send(message_id="m-1", bulk=True)
    world.report(message_id="m-1")
    assert [emit.topic for emit in world.emits] == ["verification.statuses.bulk"]


def test_another_providers_message_of_the_same_id_is_another_message(world: World) -> None:
    world.send(message_id="m-1", provider="bird2")
    world.report(message_id="m-1")
    assert world.placed == []


def test_repeats_of_either_change_nothing_that_matters(world: World) -> None:
    for _ in range(3):
        world.report(message_id="m-1", occurred_at=T0)
        world.advance(MINUTE)
    for _ in range(3):
        world.send(message_id="m-1")
    assert world.placed == [("v1.1", DELIVERED)]
    world.report(message_id="m-1", occurred_at=T0)
    world.report(message_id="m-1", occurred_at=T0)
    assert world.placed == [("v1.1", DELIVERED)] * 2
    assert world.unmatched == 0


def test_a_message_id_that_two_attempts_were_given_tells_neither(world: World) -> None:
    world.send(1, message_id="m-1")
    world.send(2, message_id="m-1")
    world.report(message_id="m-1")
    assert (world.placed, world.unmatched) == ([], 1)


def test_the_same_attempt_of_two_decisions_is_two_messages(world: World) -> None:
    world.send(message_id="m-1")
    world.send(message_id="m-1", decision_id="bb" * 16)
    world.report(message_id="m-1")
    assert (world.placed, world.unmatched) == ([], 1)


def test_a_ref_lives_two_hours(world: World) -> None:
    assert REF_LIFE_MS == 2 * HOUR
    world.send(message_id="m-1")
    world.advance(REF_LIFE_MS)
    world.report(message_id="m-1")
    assert world.placed == [("v1.1", DELIVERED)]
    world.advance(1)
    world.report(SENT, message_id="m-1")
    assert world.placed == []
    world.advance(MINUTE)
    assert [len(entry.refs) for entry in world.state.values()] == [0]


def test_a_receipt_waits_a_day_and_is_counted_then(world: World) -> None:
    assert RECEIPT_LIFE_MS == 24 * HOUR
    world.report(message_id="m-1")
    world.advance(RECEIPT_LIFE_MS - 1)
    assert (len(world.state), world.unmatched) == (1, 0)
    world.advance(1)
    assert (world.state, world.unmatched, world.placed) == ({}, 1, [])


def test_nothing_is_remembered_of_what_is_over(world: World) -> None:
    world.send(message_id="m-1")
    world.report(message_id="m-1")
    world.advance(3 * HOUR)
    assert world.state == {}


def test_so_many_receipts_wait_under_one_key_and_more_are_counted(world: World) -> None:
    for n in range(RECEIPTS_KEPT + 3):
        world.report(message_id="m-1", told=f"word-{n}")
    assert world.unmatched == 3
    world.send(message_id="m-1")
    assert len(world.placed) == RECEIPTS_KEPT


def test_the_trace_of_what_completed_the_pair_goes_on(world: World) -> None:
    world.send(message_id="m-1")
    world.give(topics.RECEIPTS, world.receipt(message_id="m-1"), key=b"bird:m-1", headers=TRACE)
    assert dict(world.emits[0].headers)["traceparent"] == TRACE[0][1]


@pytest.mark.parametrize("n", [1, 999_999])
def test_the_reference_names_the_decision_too(world: World, n: int) -> None:
    world.send(n, message_id="m-1", decision_id=DECISION)
    world.report(message_id="m-1")
    assert dict(world.emits[0].headers)[REFERENCE_HEADER] == f"v1_{n}_vkvkvk".encode()
