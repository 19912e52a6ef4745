"""Whatever is read first, and whenever a timer gets its turn: the same receipts reach the same attempts."""

from __future__ import annotations

import random
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import topics
from pipeline.model.limits import BROKER_SKEW_MS, REF_LIFE_MS
from pipeline.records.internal import MessageRef, Receipt
from pipeline.records.public import DeliveryStatus
from tests.unit.correlator.world import HOUR, SECOND, T0, World, key_of, new_world

# Seconds: lives begin and end among the receipts, and within the skew of the brokers.
TIMES = st.integers(0, 4 * 3_600) | st.integers(0, 10) | st.integers(7_195, 7_215)


class History(NamedTuple):
    """What senders and the gateway wrote, each with the broker's time, in the order of its topic.

    Each receipt is known by the time at which it says it occurred.
    """

    refs: list[tuple[int, MessageRef]]
    receipts: list[tuple[int, Receipt]]


class Found(NamedTuple):
    """What became of the receipts."""

    placed: set[tuple[str, int]]
    """Attempt and receipt; a repeat of a placed one goes out again, which is harmless."""
    unmatched: int


def history(sent: list[int], told: list[int], message_id: str | None = None) -> History:
    """Refs of as many attempts, and as many receipts, at these seconds."""
    world = new_world()
    refs = [(T0 + at * SECOND, world.ref(n, message_id=message_id)) for n, at in enumerate(sorted(sent), start=1)]
    receipts = [(T0 + at * SECOND, _told(world, at, n, message_id)) for n, at in enumerate(sorted(told))]
    return History(refs, receipts)


def _told(world: World, at_s: int, n: int, message_id: str | None) -> Receipt:
    at_ms = T0 + at_s * SECOND
    return world.receipt(message_id=message_id, occurred_at=at_ms + n, received_at=at_ms)


def read(written: History, chance: random.Random) -> Found:
    """A task reads both topics, in their order but not at one pace; some records come twice, timers in their turn.

    As in the runtime a timer fires, now or later, when both topics are read past its deadline.
    """
    world = new_world()
    unread: dict[str, list[tuple[int, MessageRef]] | list[tuple[int, Receipt]]] = {
        topics.MESSAGE_REFS: list(written.refs),
        topics.RECEIPTS: list(written.receipts),
    }
    while any(unread.values()):
        topic = chance.choice([topic for topic, left in unread.items() if left])
        at_ms, record = unread[topic].pop(0)
        for _ in range(chance.choice((1, 1, 2))):
            world.give(topic, record, key=key_of(record), at_ms=at_ms)
        if chance.random() < 0.7:
            read_past = min((left[0][0] - 1 for left in unread.values() if left), default=T0)
            world.advance_to(max(world.now_ms, read_past))
    world.advance(48 * HOUR)
    assert world.state == {}
    assert world.refusals == []
    return found(world)


def found(world: World) -> Found:
    statuses = world.out(topics.STATUSES, DeliveryStatus)
    return Found({(status.attempt_id, status.occurred_at) for status in statuses}, int(world.unmatched))


def meant(written: History, told_at: int) -> list[str]:
    """By the promise: the attempts that live when a receipt comes."""
    return [
        ref.attempt_id
        for at_ms, ref in written.refs
        if told_at <= at_ms + REF_LIFE_MS and (ref.provider_message_id or at_ms <= told_at + BROKER_SKEW_MS)
    ]


def promised(written: History) -> Found:
    candidates = [(receipt.occurred_at, meant(written, at_ms)) for at_ms, receipt in written.receipts]
    placed = {(attempts[0], told) for told, attempts in candidates if len(attempts) == 1}
    return Found(placed, len(candidates) - len(placed))


@settings(max_examples=300, deadline=None)
@given(st.lists(TIMES, max_size=5), st.lists(TIMES, max_size=6), st.randoms(use_true_random=False))
def test_of_a_recipient_exactly_one_live_attempt_is_meant_or_none(
    sent: list[int], told: list[int], chance: random.Random
) -> None:
    written = history(sent, told)
    assert read(written, chance) == promised(written)


@settings(max_examples=150, deadline=None)
@given(TIMES, st.lists(TIMES, max_size=6), st.randoms(use_true_random=False))
def test_of_a_message_every_receipt_within_its_life_is_placed_whichever_comes_first(
    sent: int, told: list[int], chance: random.Random
) -> None:
    written = history([sent], told, "m-1")
    assert read(written, chance) == promised(written)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 4 * 3_600), min_size=17, max_size=40),
    st.lists(TIMES, max_size=8),
    st.randoms(use_true_random=False),
)
def test_with_more_attempts_than_are_remembered_receipts_are_lost_but_never_guessed(
    sent: list[int], told: list[int], chance: random.Random
) -> None:
    written = history(sent, told)
    result = read(written, chance)
    assert result.placed <= promised(written).placed
    assert len(result.placed) + result.unmatched == len(told)
