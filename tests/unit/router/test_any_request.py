"""Whatever a producer publishes ends in exactly one decision, one dead letter, or one passed-on record."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import Poison
from pipeline.model.keys import seal_public
from pipeline.model.reasons import STATE, Reason
from pipeline.records.public import Step, VerificationRequest
from pipeline.records.types import Channel, DecisionKind, RoutingKind, VerificationMode
from tests.unit.router.support import NOW, PARTITIONS, RING, Router, commands, decisions, events

LONG = st.integers(-(2**63), 2**63 - 1)
INT = st.integers(-(2**31), 2**31 - 1)
TEXT = st.text(max_size=20) | st.sampled_from(
    ["", "{code}", "+4915123456789", "0151 23456789", "jane@example.org", "DE", "en", "x" * 300, "\x00", "{"]
)
SEALED = seal_public(RING.public_key(), "483920", verification_id="v1", field="code")


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


NAMES = st.dictionaries(TEXT, TEXT, max_size=3)
STEPS = st.builds(
    Step,
    channel=st.sampled_from(Channel),
    recipient=maybe(TEXT),
    country=maybe(TEXT),
    sender=maybe(TEXT),
    provider=maybe(st.sampled_from(["ycloud", "neutrino", "x"])),
    wait_s=maybe(INT),
    ttl_s=maybe(INT),
    language=maybe(TEXT),
    template=maybe(TEXT),
    text=maybe(TEXT),
    flow_id=maybe(TEXT),
    subject=maybe(TEXT),
    options=NAMES,
)
REQUESTS = st.builds(
    VerificationRequest,
    verification_id=st.sampled_from(["v1", "v2", "v3"]) | TEXT,
    tenant=st.just("default") | TEXT,
    external_id=maybe(TEXT),
    recipient=maybe(st.sampled_from(["+4915123456789", "+493012345678", "jane@example.org"]) | TEXT),
    country=maybe(TEXT),
    mode=st.sampled_from(VerificationMode),
    steps=st.lists(STEPS, max_size=3),
    channel_defaults=st.lists(STEPS, max_size=2),
    prefer_channel=maybe(st.sampled_from(Channel)),
    code=maybe(TEXT),
    code_sealed=maybe(st.binary(max_size=70) | st.just(SEALED)),
    code_length=maybe(INT),
    language=maybe(TEXT),
    brand=maybe(TEXT),
    signature=maybe(TEXT),
    use_case=maybe(TEXT),
    expires_in_s=maybe(INT),
    max_checks=maybe(INT),
    end_user_ip=maybe(TEXT),
    amount=maybe(TEXT),
    payee=maybe(TEXT),
    send_before_at=maybe(LONG),
    job_id=maybe(TEXT),
    row=maybe(LONG),
    metadata=NAMES,
    requested_at=st.just(0) | LONG,
)
# Mostly valid ones, or nearly every example would end at its first wrong field.
PLAUSIBLE = st.builds(
    VerificationRequest,
    verification_id=st.sampled_from(["v1", "v2", "v3", "v4"]),
    recipient=st.sampled_from(["+4915123456789", "+493012345678", "jane@example.org", "0151 23456789"]),
    country=maybe(st.just("DE")),
    steps=st.lists(
        st.builds(
            Step,
            channel=st.sampled_from([Channel.SMS, Channel.VOICE, Channel.VIBER]),
            recipient=maybe(st.sampled_from(["+4915123456780", "+393331234567"])),
            text=maybe(st.just("{code}")),
            provider=maybe(st.sampled_from(["ycloud", "neutrino"])),
        ),
        max_size=3,
    ),
    code=maybe(st.sampled_from(["AbC123", "483920"])),
    max_checks=maybe(st.integers(1, 10)),
)
CLEAR = (b"15123456789", b"3012345678", b"AbC123", b"3331234567")


@settings(max_examples=200, deadline=None)
@given(REQUESTS | PLAUSIBLE, st.booleans(), st.integers(0, PARTITIONS - 1))
def test_any_request_ends_in_one_decision_or_is_passed_on(
    request: VerificationRequest, bulk: bool, partition: int
) -> None:
    router = Router()
    effects = router.publish(request, bulk=bulk, partition=partition)
    passed = [one for one in events(effects) if one.kind is RoutingKind.MISPLACED]
    if passed:
        assert len(effects.emits) == 1
        effects = router.deliver(effects.emits[0])
    (made,) = decisions(effects)
    if made.kind is DecisionKind.REFUSED:
        assert not commands(effects)
        assert not events(effects)
        assert made.state is STATE[Reason(made.reason or "")]
        assert made.detail
        assert made.plan is not None
    else:
        assert made.kind is DecisionKind.ACCEPTED
        assert len(commands(effects)) + len(events(effects)) == 1
    assert len([key for key in router.state if key.startswith(b"id:")]) == 1


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(PLAUSIBLE, st.integers(0, PARTITIONS - 1)), min_size=1, max_size=8))
def test_requests_and_their_twins_in_any_order_are_decided_once_each(
    published: list[tuple[VerificationRequest, int]],
) -> None:
    """One task stands for all partitions, so every conflict is one the router can see."""
    router = Router()
    first: dict[str, VerificationRequest] = {}
    decided: Counter[str] = Counter()
    for request, partition in [*published, *published]:
        effects = router.publish(request, partition=partition)
        if any(one.kind is RoutingKind.MISPLACED for one in events(effects)):
            effects = router.deliver(effects.emits[0])
        decided.update(made.verification_id for made in decisions(effects))
        conflicts = first.setdefault(request.verification_id, request) != request
        assert [refusal.reason for refusal in effects.refusals] == ["id_conflict"] * conflicts
    assert decided == dict.fromkeys(first, 1)


@settings(max_examples=80, deadline=None)
@given(PLAUSIBLE, st.integers(0, PARTITIONS - 1))
def test_no_output_or_state_shows_a_recipient_or_code(request: VerificationRequest, partition: int) -> None:
    router = Router()
    effects = router.publish(request, partition=partition)
    written = b"".join((emit.value or b"") + (emit.key or b"") + repr(emit.headers).encode() for emit in effects.emits)
    written += b"".join(key + router.stage.encode(entry) for key, entry in router.state.items())
    for secret in CLEAR:
        assert secret not in written


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_poison_or_a_request(data: bytes) -> None:
    router = Router()
    with pytest.raises(Poison):
        router.feed(router.record("verification.requests", data, partition=0))


def test_the_same_input_gives_the_same_bytes() -> None:
    """A batch is handled again after an aborted transaction: what it wrote must come out equal."""
    request = VerificationRequest(verification_id="v1", recipient="+4915123456789", code="AbC123")
    one, other = (Router(now=NOW).publish(request) for _ in range(2))
    assert one.emits == other.emits
    assert one.state == other.state
