"""Which attempt a receipt may mean, as pure functions on one entry of the state.

A receipt that names a message means the one attempt whose ref names it too, and may come long before that ref: the
sender may be down, and find the message by a look-up when it is back.

A receipt that names only a recipient and a channel may mean every attempt for them that lives. Each has its ref written
before its call, so all refs that matter stand in the log before the receipt; but the two come by different topics, and
whoever has read the receipt first knows perhaps one of two. So it is settled only when both topics are read past it,
whatever was read first. Then exactly one attempt may be meant, or the receipt is given up: never placed with one of
two, nor later with the one that is left.

All times are the brokers': neither a sender's clock nor a provider's decides what came first. A provider's may only
take an attempt away, never give one: a report that it repeats for hours (its webhook found nobody) says how old it is,
and one from long before the only attempt that lives now is about another, which is forgotten.
"""

from __future__ import annotations

from typing import NamedTuple

from msgspec.structs import replace

from pipeline.model.limits import (
    BROKER_SKEW_MS,
    RECEIPT_LIFE_MS,
    RECEIPTS_KEPT,
    REF_LIFE_MS,
    REFS_KEPT,
)
from pipeline.model.told_time import AHEAD_MS
from pipeline.records.correlator_state import CorrelatorState, WaitingReceipt
from pipeline.records.internal import MessageRef, Receipt

_NEVER = -1


class Settled(NamedTuple):
    """An entry after what could be decided was decided."""

    state: CorrelatorState
    placed: list[tuple[MessageRef, Receipt]]
    """Each receipt with the attempt it means, in the order they were read."""
    unmatched: list[Receipt]
    """Given up for good."""


def with_ref(state: CorrelatorState, ref: MessageRef, recorded_at: int) -> CorrelatorState:
    """The entry with one attempt more; an attempt that is known already lives from its later ref on."""
    ref = replace(ref, written_at=recorded_at)
    for index, known in enumerate(state.refs):
        if _identity(known) == _identity(ref):
            newer = max(known, ref, key=lambda each: each.written_at)
            return replace(state, refs=[*state.refs[:index], newer, *state.refs[index + 1 :]])
    if len(state.refs) >= REFS_KEPT:
        # Whichever of them were forgotten, the rest could look like the only ones when it is not.
        return replace(state, crowded_until_at=max(state.crowded_until_at, ref.written_at + REF_LIFE_MS))
    return replace(state, refs=[*state.refs, ref])


def with_receipt(state: CorrelatorState, receipt: Receipt, recorded_at: int) -> CorrelatorState:
    """The entry with one receipt more, unless the same one waits already: providers tell again and again."""
    told = replace(receipt, received_at=0)
    if any(replace(waiting.receipt, received_at=0) == told for waiting in state.receipts):
        return state
    return replace(state, receipts=[*state.receipts, WaitingReceipt(receipt=receipt, recorded_at=recorded_at)])


def settle(state: CorrelatorState, until_ms: int = _NEVER) -> Settled:
    """Place and give up what can be by now; both topics are read past ``until_ms``, by the brokers' time."""
    placed: list[tuple[MessageRef, Receipt]] = []
    unmatched: list[Receipt] = []
    waiting: list[WaitingReceipt] = []
    for each in state.receipts:
        over = _settles_at(each) <= until_ms
        if _names_recipient(each.receipt) and not over:
            waiting.append(each)
            continue
        meant = [ref for ref in state.refs if _may_mean(each, ref)]
        if each.recorded_at <= state.crowded_until_at or len(meant) > 1 or (meant and _is_older(each, meant[0])):
            unmatched.append(each.receipt)
        elif meant:
            placed.append((meant[0], each.receipt))
        elif over:
            unmatched.append(each.receipt)
        else:
            waiting.append(each)
    unmatched += [each.receipt for each in waiting[RECEIPTS_KEPT:]]
    left = replace(
        state,
        refs=[ref for ref in state.refs if _forgotten_at(ref.written_at + REF_LIFE_MS) > until_ms],
        receipts=waiting[:RECEIPTS_KEPT],
        crowded_until_at=0 if _forgotten_at(state.crowded_until_at) <= until_ms else state.crowded_until_at,
    )
    return Settled(left, placed, unmatched)


def is_empty(state: CorrelatorState) -> bool:
    """Whether there is nothing to remember."""
    return not (state.refs or state.receipts or state.crowded_until_at)


def due_at(state: CorrelatorState) -> int | None:
    """When something can be decided or forgotten, if both topics are read past it."""
    times = [_settles_at(waiting) for waiting in state.receipts]
    times += [_forgotten_at(ref.written_at + REF_LIFE_MS) for ref in state.refs]
    if state.crowded_until_at:
        times.append(_forgotten_at(state.crowded_until_at))
    return min(times, default=None)


def _identity(ref: MessageRef) -> tuple[str, str, str | None]:
    """Two decisions can exist for one verification id, each with a message of its own."""
    return ref.attempt_id, ref.decision_id, ref.provider_message_id


def _names_recipient(receipt: Receipt) -> bool:
    return bool(receipt.recipient_key)


def _may_mean(waiting: WaitingReceipt, ref: MessageRef) -> bool:
    by_recipient, at = _names_recipient(waiting.receipt), waiting.recorded_at
    if by_recipient != (ref.provider_message_id is None) or at > ref.written_at + REF_LIFE_MS:
        return False
    return not by_recipient or ref.written_at <= at + BROKER_SKEW_MS


def _is_older(waiting: WaitingReceipt, ref: MessageRef) -> bool:
    """Whether what was reported of a recipient happened before the attempt began, by more than clocks are wrong."""
    if not _names_recipient(waiting.receipt):
        return False
    age_ms = waiting.receipt.received_at - waiting.receipt.occurred_at
    return waiting.recorded_at - age_ms < ref.written_at - AHEAD_MS


def _settles_at(waiting: WaitingReceipt) -> int:
    """When both topics are read so far that no ref it may mean can be missing, or none is waited for any more."""
    by_recipient = _names_recipient(waiting.receipt)
    return waiting.recorded_at + (BROKER_SKEW_MS if by_recipient else RECEIPT_LIFE_MS)


def _forgotten_at(lives_until: int) -> int:
    """Receipts recorded in the last moment of a life settle later, and have to find what lived."""
    return lives_until + BROKER_SKEW_MS
