from __future__ import annotations

from typing import Any

import msgspec
import pytest

from pipeline import topics
from pipeline.errors import Poison
from pipeline.records.internal import Decision, RoutingEvent
from pipeline.records.public import Step
from pipeline.records.types import Channel, DecisionKind, RoutingKind, VerificationState
from pipeline.router import stage
from pipeline.runtime.api import Effects
from pipeline.settings import PolicySettings, Settings
from tests.unit.router.support import (
    CODEC,
    NOW,
    PARTITIONS,
    PHONE,
    PROVIDERS,
    RING,
    Router,
    command,
    commands,
    counted,
    decision,
    place,
    request,
)

KEY = RING.recipient_key(PHONE)


def ended(vid: str, *, failed: int = 0, kind: RoutingKind = RoutingKind.CLOSED) -> RoutingEvent:
    return RoutingEvent(verification_id=vid, kind=kind, recipient_key=KEY, failed_checks=failed)


def allowed(effects: Effects[Any]) -> int:
    made = decision(effects)
    assert made.plan is not None
    return made.plan.checks_allowed if made.kind is DecisionKind.ACCEPTED else 0


def test_verifications_at_once_share_the_recipients_guesses() -> None:
    router = Router(settings=Settings(policy=PolicySettings(max_failures_per_recipient=8)))
    given = [allowed(router.publish(request(verification_id=f"v{i}"))) for i in range(5)]
    assert given == [3, 3, 2, 0, 0]


def test_a_recipient_without_guesses_left_is_blocked() -> None:
    router = Router(settings=Settings(policy=PolicySettings(max_failures_per_recipient=3)))
    router.publish(request())
    effects = router.publish(request(verification_id="v2"))
    made = decision(effects)
    assert (made.state, made.reason) == (VerificationState.BLOCKED, "too_many_failures")
    assert not commands(effects)
    assert counted(effects, "protections_total") == [{"name": "failures_per_recipient", "mode": "enforce"}]


@pytest.mark.parametrize("kind", [RoutingKind.VERIFIED, RoutingKind.CLOSED])
def test_the_end_returns_what_was_not_used_and_counts_what_was_wrong(kind: RoutingKind) -> None:
    router = Router(settings=Settings(policy=PolicySettings(max_failures_per_recipient=4)))
    router.publish(request(max_checks=4))
    assert allowed(router.publish(request(verification_id="v2"))) == 0
    router.event(ended("v1", failed=1, kind=kind))
    assert allowed(router.publish(request(verification_id="v3", max_checks=10))) == 3


def test_an_end_told_twice_counts_once() -> None:
    router = Router(settings=Settings(policy=PolicySettings(max_failures_per_recipient=10)))
    router.publish(request())
    router.event(ended("v1", failed=2))
    router.event(ended("v1", failed=2))
    assert allowed(router.publish(request(verification_id="v2", max_checks=10))) == 8


def test_a_new_code_does_not_reset_the_failures_but_time_does() -> None:
    router = Router(settings=Settings(policy=PolicySettings(max_failures_per_recipient=5)))
    router.publish(request())
    router.event(ended("v1", failed=3))
    assert allowed(router.publish(request(verification_id="v2"))) == 2
    router.event(ended("v2"))
    router.now += 86_400_001
    assert allowed(router.publish(request(verification_id="v3"))) == 3


def test_a_refused_request_reserves_nothing() -> None:
    router = Router(settings=Settings(policy=PolicySettings(max_failures_per_recipient=3)))
    router.publish(request(steps=[Step(channel=Channel.VIBER)]))
    router.publish(request(verification_id="v2", language="?"))
    assert allowed(router.publish(request(verification_id="v3"))) == 3


def test_a_verification_never_heard_of_again_returns_its_guesses() -> None:
    router = Router(settings=Settings(policy=PolicySettings(max_failures_per_recipient=3)))
    router.publish(request())
    router.now += 300_000 + 300_000 + 3_600_000
    assert allowed(router.publish(request(verification_id="v2"))) == 3


def test_the_end_of_an_unknown_recipient_leaves_no_entry() -> None:
    router = Router()
    assert not router.event(ended("v1")).state
    router.publish(request(max_checks=1))
    router.now += 700_000
    router.event(ended("v1"))
    assert not [key for key in router.state if key.startswith(b"to:")]


def test_test_numbers_are_free_to_guess_wrong() -> None:
    settings = Settings(policy=PolicySettings(max_failures_per_recipient=1), test_numbers=[PHONE])
    router = Router(settings=settings, providers={"simulator": PROVIDERS["ycloud"]})
    assert [allowed(router.publish(request(verification_id=f"v{i}"))) for i in range(3)] == [3, 3, 3]


def test_limits_live_with_the_person_over_all_tenants() -> None:
    settings = Settings(policy=PolicySettings(max_failures_per_recipient=3))
    settings = settings.model_copy(update={"tenants": settings.tenants | {"b": settings.tenants["default"]}})
    router = Router(settings=settings)
    router.publish(request())
    assert decision(router.publish(request(verification_id="v2", tenant="b"))).reason == "too_many_failures"


# --- next steps -------------------------------------------------------------------------------------------------


def accepted(router: Router, **fields: Any) -> Decision:
    return decision(router.publish(request(**fields)))


def wish(made: Decision, **fields: Any) -> RoutingEvent:
    values: dict[str, Any] = {
        "verification_id": made.verification_id,
        "kind": RoutingKind.NEXT_STEP,
        "decision_id": made.decision_id,
        "plan": made.plan,
        "n": 2,
        "send_by_at": NOW + 240_000,
        "valid_until_at": NOW + 240_000,
        "sent_at": NOW,
    }
    return RoutingEvent(**(values | fields))


def test_a_next_attempt_takes_a_provider_not_tried_yet() -> None:
    router = Router()
    made = accepted(router)
    effects = router.event(wish(made, used_providers=["ycloud"]))
    answer, order = decision(effects), command(effects)
    assert (answer.kind, answer.n, answer.decision_id) == (DecisionKind.ROUTED, 2, made.decision_id)
    assert answer.plan is None
    assert (order.provider, order.attempt_id, order.n) == ("neutrino", "v1.2", 2)
    assert order.reference.startswith("v1_2_")
    assert (order.send_by_at, order.valid_until_at) == (NOW + 240_000, NOW + 240_000)


def test_a_next_step_uses_its_channel() -> None:
    router = Router()
    assert command(router.event(wish(accepted(router), step_index=1))).channel is Channel.VOICE


def test_when_every_provider_was_tried_the_tracker_is_told() -> None:
    router = Router()
    effects = router.event(wish(accepted(router), used_providers=["ycloud", "neutrino"]))
    answer = decision(effects)
    assert (answer.kind, answer.reason, answer.step_index, answer.n) == (DecisionKind.UNROUTABLE, "no_route", 0, 2)
    assert not commands(effects)


@pytest.mark.parametrize("late", [{"valid_until_at": NOW + 14_000}, {"send_by_at": NOW - 1}])
def test_too_little_time_left_sends_nothing(late: dict[str, int]) -> None:
    router = Router()
    answer = decision(router.event(wish(accepted(router), **late)))
    assert (answer.kind, answer.reason) == (DecisionKind.UNROUTABLE, "too_late")


def test_a_next_step_stays_in_the_verifications_lane() -> None:
    router = Router()
    made = decision(router.publish(request(), bulk=True))
    effects = router.event(wish(made, bulk=True))
    assert {emit.topic for emit in effects.emits} == {"verification.decisions.bulk", "verification.send.sms.bulk"}


def test_a_next_step_carries_the_code_that_is_asked_for_to_sender_and_tracker() -> None:
    router = Router()
    made = accepted(router)
    for generation in (0, 2):
        effects = router.event(wish(made, generation=generation))
        route = decision(effects).attempt
        assert route is not None
        assert route.generation == command(effects).generation == generation


def test_a_next_step_carries_the_callers_code_and_its_limits() -> None:
    router = Router()
    made = accepted(router, code="ABCDEF")
    assert decision(router.event(wish(made, used_providers=["ycloud"]))).kind is DecisionKind.UNROUTABLE
    assert command(router.event(wish(made))).code_sealed is not None


def test_a_routing_event_of_no_known_kind_is_poison() -> None:
    with pytest.raises(Poison):
        Router().event(RoutingEvent(verification_id="v1", kind=RoutingKind.UNKNOWN))
    with pytest.raises(Poison):
        Router().event(RoutingEvent(verification_id="v1", kind=RoutingKind.NEXT_STEP))


# --- quarantine ---------------------------------------------------------------------------------------------------


def test_a_request_the_router_fails_on_still_ends() -> None:
    router = Router()
    record = router.record(topics.REQUESTS, CODEC.encode(request()), partition=place(PHONE))
    effects = router.stage.quarantine(record, router.state, NOW)
    made = decision(effects)
    assert (made.kind, made.state, made.reason) == (
        DecisionKind.REFUSED,
        VerificationState.FAILED,
        "route_unavailable",
    )
    assert made.verification_id == "v1"


def test_quarantine_does_not_end_what_was_decided_before() -> None:
    router = Router()
    router.publish(request())
    record = router.record(topics.REQUESTS, CODEC.encode(request()), partition=place(PHONE))
    assert not router.stage.quarantine(record, router.state, NOW).emits


@pytest.mark.parametrize("passed_on", [False, True])
def test_the_same_request_once_more_changes_nothing_of_one_that_the_router_failed_on(passed_on: bool) -> None:
    router = Router()
    record = router.record(topics.REQUESTS, CODEC.encode(request()), partition=place(PHONE))
    if passed_on:
        (emit,) = router.publish(request(), partition=(place(PHONE) + 1) % PARTITIONS).emits
        record = router.record(emit.topic, emit.value, partition=place(PHONE))
    router.apply(router.stage.quarantine(record, router.state, NOW))
    again = router.publish(request())
    assert (again.emits, again.refusals) == ([], [])
    assert router.publish(request(brand="another")).refusals[0].reason == "id_conflict"


def test_a_request_still_ends_when_the_router_cannot_even_say_what_makes_it_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    router = Router()
    monkeypatch.setattr(stage, "content_hash", None)
    record = router.record(topics.REQUESTS, CODEC.encode(request()), partition=place(PHONE))
    assert decision(router.stage.quarantine(record, router.state, NOW)).kind is DecisionKind.REFUSED


def test_quarantine_of_events_answers_the_tracker_where_it_waits() -> None:
    router = Router()
    event = wish(accepted(router))
    record = router.record(topics.ROUTER_INBOX, CODEC.encode(event), partition=0)
    assert decision(router.stage.quarantine(record, router.state, NOW)).kind is DecisionKind.UNROUTABLE
    record = router.record(topics.ROUTER_INBOX, CODEC.encode(ended("v1")), partition=0)
    assert not router.stage.quarantine(record, router.state, NOW).emits
    (emit,) = router.publish(request(verification_id="v7"), partition=(place(PHONE) + 1) % PARTITIONS).emits
    record = router.record(emit.topic, emit.value, partition=place(PHONE))
    assert decision(router.stage.quarantine(record, router.state, NOW)).verification_id == "v7"


def test_quarantine_never_raises() -> None:
    router = Router()
    record = router.record(topics.ROUTER_INBOX, b"nonsense", partition=0)
    assert router.stage.quarantine(record, router.state, NOW) == Effects()
    assert router.stage.quarantine(b"to:x", router.state, NOW).state == {b"to:x": None}


def test_the_state_survives_its_encoding() -> None:
    router = Router()
    router.publish(request())
    router.event(ended("v0", failed=1))
    for entry in router.state.values():
        assert router.stage.decode(router.stage.encode(entry)) == entry


def test_a_hot_recipients_entry_does_not_grow() -> None:
    router = Router(settings=Settings(policy=PolicySettings(max_failures_per_recipient=20)))
    for i in range(200):
        router.now += 1
        router.publish(request(verification_id=f"v{i}"))
        router.event(ended(f"v{i}", failed=i % 4))
    (entry,) = (entry for key, entry in router.state.items() if key.startswith(b"to:"))
    assert len(msgspec.json.encode(entry)) < 3_000


def test_a_recipients_entry_stays_small_however_many_senders_it_was_written_to_from() -> None:
    router = Router()
    for number in range(100):
        step = Step(channel=Channel.SMS, sender=f"{number:0>4}" + "\U0001f600" * 250)
        assert allowed(router.publish(request(verification_id=f"v{number}", steps=[step]))) > 0
        router.event(ended(f"v{number}"))
    entry = router.state[b"to:" + KEY.encode()]
    assert len(router.stage.encode(entry)) < 40_000
    assert [route.sender for route in entry.routes][-1] == step.sender
