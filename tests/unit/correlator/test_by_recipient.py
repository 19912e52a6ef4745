"""Receipts that name only a recipient and a channel: of two attempts that may be meant neither is."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.model.limits import BROKER_SKEW_MS, REF_LIFE_MS, REFS_KEPT
from pipeline.model.told_time import AHEAD_MS
from pipeline.records.types import AttemptStatus, Channel
from pipeline.runtime.api import Deadline
from tests.unit.correlator.world import HOUR, MINUTE, SECOND, T0, World

DELIVERED, SENT, READ = AttemptStatus.DELIVERED, AttemptStatus.SENT, AttemptStatus.READ


def test_the_only_attempt_that_lives_is_meant(world: World) -> None:
    world.send()
    for status in (SENT, DELIVERED, READ):
        world.advance(3 * SECOND)
        world.report(status)
    world.advance(BROKER_SKEW_MS)
    assert world.placed == [("v1.1", SENT), ("v1.1", DELIVERED), ("v1.1", READ)]
    assert world.unmatched == 0


def test_a_receipt_is_settled_when_both_topics_are_read_past_it_and_not_before(world: World) -> None:
    world.send()
    world.report()
    assert world.placed == []
    (entry,) = world.state.values()
    assert world.stage.deadline(entry) == Deadline(T0 + BROKER_SKEW_MS, lane=None)


def test_a_ref_read_after_the_receipt_it_was_written_before_still_counts(world: World) -> None:
    """The two topics are read independently: behind a backlog the second attempt's ref is not known yet."""
    world.send(1)
    world.advance(MINUTE)
    world.report()
    world.send(2, at_ms=world.now_ms - 5 * SECOND)
    world.advance(MINUTE)
    assert (world.placed, world.unmatched) == ([], 1)


def test_a_receipt_read_before_the_only_ref_is_placed_all_the_same(world: World) -> None:
    world.report(at_ms=T0 + SECOND)
    world.send()
    world.advance(MINUTE)
    assert world.placed == [("v1.1", DELIVERED)]


def test_a_resend_while_the_first_attempt_lives_makes_receipts_ambiguous_and_they_are_dropped_for_good(
    world: World,
) -> None:
    world.send(1)
    world.advance(MINUTE)
    world.send(2)
    world.advance(10 * SECOND)
    world.report()
    world.advance(MINUTE)
    assert (world.placed, world.unmatched) == ([], 1)
    world.advance(REF_LIFE_MS)  # the first attempt is forgotten, and nobody comes back to the receipt
    assert (world.placed, world.unmatched, world.state) == ([], 1, {})


def test_what_was_received_before_the_second_attempt_began_is_of_the_first(world: World) -> None:
    world.send(1)
    world.advance(20 * SECOND)
    world.report()
    world.advance(BROKER_SKEW_MS + 1)
    world.send(2)
    assert world.placed == [("v1.1", DELIVERED)]


def test_a_ref_may_seem_younger_than_the_receipt_by_what_the_brokers_clocks_differ(world: World) -> None:
    """Two topics are led by two brokers: what was written before the call may carry a later time than the receipt."""
    world.send(at_ms=T0 + BROKER_SKEW_MS)
    world.report()
    world.report(SENT, at_ms=T0 - 1)
    world.advance(MINUTE)
    assert (world.placed, world.unmatched) == ([("v1.1", DELIVERED)], 1)


def test_the_second_attempt_is_meant_once_the_first_is_forgotten(world: World) -> None:
    world.send(1)
    world.advance(HOUR)
    world.send(2)
    world.advance(HOUR)
    world.report()
    world.advance(1)
    world.report(READ)
    world.advance(MINUTE)
    assert (world.placed, world.unmatched) == ([("v1.2", READ)], 1)


@pytest.mark.parametrize("wrong_by", [-3 * HOUR, 3 * HOUR])
def test_the_clock_of_a_sender_or_provider_decides_nothing(world: World, wrong_by: int) -> None:
    world.send(written_at=T0 + wrong_by)
    world.advance(10 * SECOND)
    world.report(occurred_at=T0 + wrong_by, received_at=T0 + wrong_by + SECOND)
    world.advance(MINUTE)
    assert world.placed == [("v1.1", DELIVERED)]


def test_a_report_repeated_for_hours_is_not_about_the_attempt_that_lives_when_it_comes(world: World) -> None:
    """Bird repeats for eight hours what nobody took; its message is forgotten after two."""
    world.send(1, "v1")
    happened_at = T0 + 5 * SECOND
    world.advance(REF_LIFE_MS + MINUTE)
    world.send(1, "v2")
    world.advance(10 * SECOND)
    world.report(occurred_at=happened_at)
    world.advance(MINUTE)
    assert (world.placed, world.unmatched) == ([], 1)
    world.report()
    world.advance(MINUTE)
    assert world.placed == [("v2.1", DELIVERED)]


@pytest.mark.parametrize(("behind_ms", "placed"), [(AHEAD_MS, 1), (AHEAD_MS + 1, 0)])
def test_a_clock_may_be_as_wrong_as_a_signature_may_be_old(world: World, behind_ms: int, placed: int) -> None:
    world.send()
    world.report(occurred_at=T0 - behind_ms)
    world.advance(MINUTE)
    assert (len(world.placed), world.unmatched) == (placed, 1 - placed)


def test_how_old_a_report_is_never_chooses_between_two(world: World) -> None:
    world.send(1)
    world.advance(HOUR)
    world.send(2)
    world.advance(10 * SECOND)
    world.report(occurred_at=T0 + 5 * SECOND)
    world.advance(MINUTE)
    assert (world.placed, world.unmatched) == ([], 1)


def test_another_verification_of_the_same_person_is_another_candidate(world: World) -> None:
    world.send(1, "v1")
    world.send(1, "v2")
    world.report()
    world.advance(MINUTE)
    assert (world.placed, world.unmatched) == ([], 1)


@pytest.mark.parametrize("apart", [{"channel": Channel.VOICE}, {"provider": "bird2"}, {"recipient_key": "j" * 32}])
def test_an_attempt_on_another_channel_provider_or_recipient_is_none(world: World, apart: dict[str, Any]) -> None:
    world.send(1)
    world.send(2, **apart)
    world.report()
    world.advance(MINUTE)
    assert world.placed == [("v1.1", DELIVERED)]


def test_the_same_attempt_begun_again_is_still_one(world: World) -> None:
    """Throttled: the same attempt is started once more, and lives from then on."""
    world.send()
    world.advance(MINUTE)
    world.send()
    world.advance(REF_LIFE_MS)
    world.report()
    world.advance(MINUTE)
    assert world.placed == [("v1.1", DELIVERED)]


def test_a_message_id_of_the_same_attempt_takes_nothing_away(world: World) -> None:
    world.send()
    world.send(message_id="m-1")
    world.report()
    world.report(READ, message_id="m-1")
    world.advance(MINUTE)
    assert world.placed == [("v1.1", READ), ("v1.1", DELIVERED)]


def test_a_receipt_without_an_attempt_is_counted_as_soon_as_it_is_certain(world: World) -> None:
    """Its ref would have been written before the call; what comes later is another message's."""
    world.report()
    world.advance(BROKER_SKEW_MS)
    assert (world.state, world.unmatched) == ({}, 1)
    world.send()
    world.advance(MINUTE)
    assert world.placed == []


def test_a_channel_that_the_provider_did_not_name_is_none_of_ours(world: World) -> None:
    world.send()
    world.report(channel=None)
    world.advance(MINUTE)
    assert (world.placed, world.unmatched) == ([], 1)


def test_a_repeat_before_it_is_settled_is_one_receipt(world: World) -> None:
    world.send()
    world.report(occurred_at=T0)
    world.now_ms += 100
    world.report(occurred_at=T0)
    world.advance(MINUTE)
    assert world.placed == [("v1.1", DELIVERED)]


def test_with_more_attempts_than_are_remembered_nothing_is_placed_until_all_are_over(world: World) -> None:
    """Of seventeen the newest is left out; once the sixteen are forgotten, another would look like the only one."""
    for n in range(1, REFS_KEPT + 1):
        world.send(n)
    world.advance(HOUR)
    world.send(REFS_KEPT + 1)
    world.advance(HOUR + MINUTE)
    world.send(REFS_KEPT + 2)
    world.advance(MINUTE)
    world.report()
    world.advance(MINUTE)
    assert (world.placed, world.unmatched) == ([], 1)
    world.advance(HOUR)
    world.report()
    world.advance(MINUTE)
    assert world.placed == [(f"v1.{REFS_KEPT + 2}", DELIVERED)]
    world.advance(3 * HOUR)
    assert world.state == {}


def test_what_lies_unread_for_hours_is_settled_by_its_own_time(world: World) -> None:
    """A correlator back from three hours away reads all of it before a timer fires."""
    world.send(at_ms=T0)
    world.now_ms += 3 * HOUR
    world.report(at_ms=T0 + 10 * SECOND)
    world.report(READ, at_ms=T0 + REF_LIFE_MS)
    world.advance(0)
    assert world.placed == [("v1.1", DELIVERED), ("v1.1", READ)]
