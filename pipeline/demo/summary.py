"""The figures of a run as rows of tables; pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pipeline.demo.asked import kind_of
from pipeline.demo.case import Case
from pipeline.demo.configuration import kind_of as provider_of
from pipeline.demo.evidence import Evidence
from pipeline.demo.providers import CHANNELS, TITLES
from pipeline.demo.verdict import actual_end
from pipeline.records.types import Channel, CommandKind, VerificationState

_SENT: Final = frozenset((VerificationState.SENT, VerificationState.DELIVERED, VerificationState.VERIFIED))
ASKED: Final = (
    CommandKind.SEND,
    CommandKind.CHECK,
    CommandKind.LOOKUP,
    CommandKind.REPORT,
    CommandKind.CANCEL,
)
"""What providers are asked, in the order of the table."""
_ORDER: Final = ("verified", "delivered", "failed", "expired", "canceled", "blocked", "rejected", "dead letter")


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeRow:
    """How many cases ended so, and how many should have."""

    end: str
    reason: str
    expected: int
    actual: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyRow:
    """How long one way took, in milliseconds."""

    way: str
    count: int
    p50_ms: float
    settled_p50_ms: float
    """Of the second half alone: in the first one the broker's and our own code are still being warmed up."""
    p99_ms: float
    max_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ThroughRow:
    """Through which channels of one account people verified."""

    provider: str
    """The account's name."""
    verified: tuple[tuple[Channel, int, int], ...]
    """Channel, how many there should be and how many there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedRow:
    """What one provider was asked, and what it told by itself."""

    provider: str
    """Its kind: all of its accounts together."""
    asked: tuple[int, ...]
    """How often, for each of :data:`ASKED`."""
    receipts: int
    """Webhooks that the gateway took."""


def outcome_rows(cases: Sequence[Case], evidence: Evidence) -> list[OutcomeRow]:
    """One row per final state and reason, good ends first."""
    expected = Counter((case.expected.end, case.expected.why) for case in cases)
    actual = Counter(actual_end(case, evidence) for case in cases)
    place = {end: number for number, end in enumerate(_ORDER)}
    ends = sorted({*expected, *actual}, key=lambda each: (place.get(each[0], len(place)), each))
    return [OutcomeRow(end=end, reason=why, expected=expected[end, why], actual=actual[end, why]) for end, why in ends]


def latency_rows(cases: Sequence[Case], evidence: Evidence) -> list[LatencyRow]:
    """The ways worth knowing, from the moment a request was handed to the producer; ways nobody went are left out."""
    to_call: list[float] = []
    to_first: list[float] = []
    to_sent: list[float] = []
    to_refusal: list[float] = []
    to_reply: list[float] = []
    calls = _first_calls(cases, evidence.calls, evidence)
    for case in cases:
        played = evidence.played.get(case.name)
        history = evidence.outcomes.get(case.name, ())
        if played is None or not played.published_at or not history:
            continue
        since = played.published_at
        to_first.append(history[0].at - since)
        if case.name in calls:
            to_call.append(calls[case.name] - since)
        sent = next((each.at for each in history if each.outcome.state in _SENT), None)
        if sent is not None and case.expected.attempts == 1 and not case.slow:
            to_sent.append(sent - since)
        if not case.slow:
            to_reply += played.reply_ms
        if not case.expected.attempts:
            to_refusal.append(history[-1].at - since)
    ways = (
        ("request → provider call", to_call),
        ("request → first outcome", to_first),
        ("request → outcome says sent", to_sent),
        ("request → final outcome of what is refused", to_refusal),
        ("check → reply", to_reply),
    )
    return [
        LatencyRow(
            way=way,
            count=len(values),
            p50_ms=rank(values, 50),
            settled_p50_ms=rank(values[len(values) // 2 :], 50),
            p99_ms=rank(values, 99),
            max_ms=max(values),
        )
        for way, values in ways
        if values
    ]


def through_rows(cases: Sequence[Case], evidence: Evidence) -> list[ThroughRow]:
    """One row per account, in the order of the settings."""
    expected: Counter[tuple[str | None, Channel | None]] = Counter()
    actual: Counter[tuple[str | None, Channel | None]] = Counter()
    for case in cases:
        if case.expected.state is VerificationState.VERIFIED:
            expected[case.expected.provider, case.expected.channel] += 1
        history = evidence.outcomes.get(case.name, ())
        if history and history[-1].outcome.state is VerificationState.VERIFIED:
            actual[history[-1].outcome.provider, history[-1].outcome.channel] += 1
    return [
        ThroughRow(
            provider=account,
            verified=tuple((channel, expected[account, channel], actual[account, channel]) for channel in CHANNELS),
        )
        for account in TITLES
    ]


def asked_rows(evidence: Evidence) -> list[AskedRow]:
    """One row per kind of provider, in the order of the settings."""
    asked = Counter((call["provider"], kind_of(call)) for call in evidence.calls)
    told = Counter(
        webhook["provider"]
        for webhook in evidence.webhooks
        if webhook["answered"].startswith("2") and webhook["event_type"] != "challenge"
    )
    return [
        AskedRow(
            provider=provider,
            asked=tuple(asked[provider, kind] for kind in ASKED),
            receipts=told[provider],
        )
        for provider in dict.fromkeys(provider_of(account) for account in TITLES)
    ]


def rank(values: Sequence[float], percent: int) -> float:
    """The nearest-rank percentile of at least one value: one that was measured, not one in between."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def _first_calls(cases: Sequence[Case], calls: Sequence[Mapping[str, Any]], evidence: Evidence) -> dict[str, int]:
    """When a provider was first called for each case; by our reference, or by recipient and time where it has none."""
    ours = {case.name for case in cases}
    found: dict[str, int] = {}
    by_recipient: dict[str, list[int]] = {}
    for call in calls:
        if kind_of(call) is not CommandKind.SEND:
            continue
        # Bird names its own verification there.
        name = (call["reference"] or "").split("_", 1)[0]
        if name in ours:
            found.setdefault(name, call["at"])
        else:
            by_recipient.setdefault(call["recipient"], []).append(call["at"])
    for case in cases:
        played = evidence.played.get(case.name)
        if case.name in found or played is None or not case.expected.calls:
            continue
        times = [
            at for recipient in case.recipients for at in by_recipient.get(recipient, ()) if at >= played.published_at
        ]
        if times:
            found[case.name] = min(times)
    return found
