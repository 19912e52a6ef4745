from __future__ import annotations

import pytest

from pipeline import topics
from pipeline.errors import Poison, UnknownWriter
from pipeline.model.keys import KeyRing, seal_public
from pipeline.model.reasons import Reason
from pipeline.records.internal import RoutingEvent
from pipeline.records.public import Step
from pipeline.records.types import Channel, CodeHolder, DecisionKind, RoutingKind, VerificationState
from pipeline.runtime.api import Lane
from pipeline.settings import PolicySettings, Settings
from tests.unit.router.support import (
    CODEC,
    MAIL,
    NOW,
    OTHER,
    PARTITIONS,
    PHONE,
    PROVIDERS,
    RING,
    Router,
    command,
    commands,
    counted,
    decision,
    decisions,
    event,
    events,
    place,
    request,
)

TRACE = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_a_decision_names_the_record_of_its_request_also_when_it_was_passed_on() -> None:
    router = Router()
    direct = decision(router.publish(request()))
    assert (direct.source_topic, direct.source_partition, direct.source_offset) == (topics.REQUESTS, place(PHONE), 1)
    assert direct.recorded_at == NOW
    elsewhere = (place(PHONE) + 1) % PARTITIONS
    (passed,) = router.publish(request(verification_id="v2"), partition=elsewhere, bulk=True).emits
    there = decision(router.deliver(passed))
    assert (there.source_topic, there.source_partition, there.source_offset) == (
        topics.bulk(topics.REQUESTS),
        elsewhere,
        2,
    )


def test_a_request_becomes_a_decision_and_one_command() -> None:
    effects = Router().publish(request(external_id="o1"))
    made, order = decision(effects), command(effects)
    assert made.kind is DecisionKind.ACCEPTED
    assert made.plan is not None
    assert made.attempt is not None
    assert (made.plan.external_id, made.plan.checks_allowed) == ("o1", 3)
    assert (made.attempt.n, made.attempt.provider, made.attempt.channel) == (1, "ycloud", Channel.SMS)
    assert order.attempt_id == order.command_id == "v1.1"
    assert order.reference == made.attempt.reference
    assert order.decision_id == made.decision_id
    assert (order.send_by_at, order.valid_until_at) == (NOW + 300_000, 0)
    assert RING.open(order.recipient_sealed, verification_id="v1", field="recipient") == PHONE.encode()
    assert order.key_recipient_hash == made.plan.recipient_hash
    assert counted(effects) == [{"lane": "interactive", "tenant": "default", "decision": "accepted"}]


def test_outputs_are_keyed_by_id_and_carry_their_headers() -> None:
    trace = (("traceparent", TRACE), ("foreign", b"x"))
    effects = Router().publish(request(), headers=trace)
    to_tracker, to_sender = effects.emits
    assert (to_tracker.topic, to_tracker.key) == (topics.DECISIONS, b"v1")
    assert (to_sender.topic, to_sender.key) == ("verification.send.sms", b"v1")
    assert to_tracker.headers == (("schema", b"Decision"), ("traceparent", TRACE))
    assert ("provider", b"ycloud") in to_sender.headers
    assert ("foreign", b"x") not in to_sender.headers


def test_a_bulk_request_stays_in_its_lane() -> None:
    effects = Router().publish(request(), bulk=True)
    assert [emit.topic for emit in effects.emits] == ["verification.decisions.bulk", "verification.send.sms.bulk"]
    assert command(effects).bulk
    assert command(effects).send_by_at == NOW + 86_400_000


def test_no_output_shows_recipient_code_payee_or_address() -> None:
    router = Router()
    for fields in ({"code": "AbC123", "end_user_ip": "203.0.113.7"}, {"amount": "1.50", "payee": "Jane Doe Ltd"}):
        sms = Step(channel=Channel.SMS, text="{code} {amount} {payee}" if "payee" in fields else None)
        vid = f"v{len(fields)}{next(iter(fields))}"
        for partition in (place(PHONE), (place(PHONE) + 1) % PARTITIONS):
            effects = router.publish(
                request(verification_id=vid + str(partition), steps=[sms], **fields), partition=partition
            )
            written = b"".join(
                (emit.value or b"") + (emit.key or b"") + repr(emit.headers).encode() for emit in effects.emits
            )
            written += b"".join(CODEC.encode(entry) for entry in router.state.values()) + b"".join(router.state)
            for secret in (b"15123456789", b"AbC123", b"203.0.113.7", b"Jane Doe"):
                assert secret not in written


def test_the_same_request_again_changes_nothing_and_is_counted() -> None:
    router = Router()
    router.publish(request(metadata={"a": "1", "b": "2"}))
    before = dict(router.state)
    again = router.publish(request(metadata={"b": "2", "a": "1"}, requested_at=NOW - 5), bulk=True)
    assert not again.emits
    assert not again.refusals
    assert router.state == before
    assert counted(again) == [{"lane": "bulk", "tenant": "default", "decision": "duplicate"}]


@pytest.mark.parametrize(
    "change",
    [
        {"external_id": "o2"},
        {"recipient": "+49 1512 3456789"},
        {"language": "fr"},
        {"steps": [Step(channel=Channel.SMS)]},
        {"metadata": {"a": "b"}},
        {"code": "483920"},
        {"max_checks": 2},
        {"tenant": "other"},
    ],
)
def test_an_id_used_for_other_content_is_a_conflict(change: dict[str, object]) -> None:
    router = Router()
    router.publish(request())
    before = dict(router.state)
    effects = router.publish(request(**change))
    (refusal,) = effects.refusals
    assert (refusal.reason, refusal.verification_id) == ("id_conflict", "v1")
    assert not effects.emits
    assert router.state == before


def test_an_id_used_for_two_recipients_of_one_partition_is_a_conflict() -> None:
    router = Router()
    here = place(PHONE)
    other = next(number for i in range(10, 99) if place(number := f"+49151234567{i}") == here)
    router.publish(request())
    assert router.publish(request(recipient=other), partition=here).refusals[0].reason == "id_conflict"


def test_a_code_sealed_afresh_is_the_same_content() -> None:
    router = Router()
    for _ in range(2):
        sealed = seal_public(RING.public_key(), "483920", verification_id="v1", field="code")
        effects = router.publish(request(code_sealed=sealed))
    assert not effects.refusals
    assert counted(effects)[0]["decision"] == "duplicate"


def test_an_id_is_remembered_for_the_horizon_and_no_longer() -> None:
    router = Router()
    router.publish(request())
    key = b"id:v1"
    deadline = router.stage.deadline(router.state[key])
    assert deadline is not None
    assert (deadline.at_ms, deadline.lane) == (NOW + 172_800_000, None)
    assert not router.stage.fire(key, router.state, deadline.at_ms - 1).state
    assert router.stage.fire(key, router.state, deadline.at_ms).state == {key: None}


def test_a_recipient_is_forgotten_when_nothing_of_it_is_needed() -> None:
    router = Router()
    router.publish(request())
    (key,) = (key for key in router.state if key.startswith(b"to:"))
    deadline = router.stage.deadline(router.state[key])
    assert deadline is not None
    assert deadline.at_ms == NOW + 300_000 + 300_000 + 3_600_000
    assert router.stage.fire(key, router.state, deadline.at_ms).state == {key: None}
    assert not router.stage.fire(b"to:gone", router.state, NOW).state


def test_an_invalid_request_ends_rejected_naming_field_and_reason() -> None:
    effects = Router().publish(request(language="english", external_id="o1", job_id="j", row=3, metadata={"a": "b"}))
    made = decision(effects)
    assert (made.kind, made.state, made.reason) == (
        DecisionKind.REFUSED,
        VerificationState.REJECTED,
        "invalid_language",
    )
    assert made.detail is not None
    assert made.detail.startswith("language: ")
    assert made.plan is not None
    assert (made.plan.external_id, made.plan.job_id, made.plan.row, made.plan.metadata) == ("o1", "j", 3, {"a": "b"})
    assert made.plan.recipient_masked == "+49********789"
    assert not commands(effects)
    assert counted(effects) == [{"lane": "interactive", "tenant": "default", "decision": "rejected"}]


def test_an_unreadable_recipient_is_refused_where_it_lies_and_only_once() -> None:
    router = Router()
    first = router.publish(request(recipient="0151 23456789"), partition=5)
    assert decision(first).reason == "invalid_recipient"
    assert not events(first)
    assert counted(router.publish(request(recipient="0151 23456789"), partition=5))[0]["decision"] == "duplicate"


def test_an_unknown_tenant_is_told_and_counted_as_other() -> None:
    router = Router()
    labels = {"lane": "interactive", "tenant": "other", "decision": "rejected"}
    before = router.metrics.registry.get_sample_value("verification_requests_total", labels) or 0
    made = decision(router.publish(request(tenant="+4915123456789")))
    assert made.reason == "unknown_tenant"
    assert made.plan is not None
    assert made.plan.tenant == "unknown"
    assert router.metrics.registry.get_sample_value("verification_requests_total", labels) == before + 1


@pytest.mark.parametrize(
    ("verification_id", "published"),
    [("x" * 49, "x" * 49), ("a.b:c", "a.b:c"), ("", None), ("+4915123456789", None), (MAIL, None), ("x" * 129, None)],
)
def test_a_bad_id_is_rejected_under_a_name_that_harms_nobody(verification_id: str, published: str | None) -> None:
    made = decision(Router().publish(request(verification_id=verification_id)))
    assert (made.reason, made.state) == ("invalid_field", VerificationState.REJECTED)
    if published is not None:
        assert made.verification_id == published
    else:
        assert made.verification_id.startswith("invalid-")
        assert (
            made.verification_id == decision(Router().publish(request(verification_id=verification_id))).verification_id
        )


def test_a_request_past_its_deadline_is_dropped_not_sent_late() -> None:
    router = Router()
    effects = router.publish(request(send_before_at=NOW - 1))
    made = decision(effects)
    assert (made.state, made.reason) == (VerificationState.EXPIRED, "too_late")
    assert not commands(effects)
    router.now = NOW + 300_001
    assert decision(router.publish(request(verification_id="v2"), recorded_at=NOW)).reason == "too_late"


def test_a_request_appended_after_its_caller_gave_up_is_not_sent() -> None:
    router = Router()
    late = router.publish(request(), headers=(("ack_by", str(NOW - 1).encode()),))
    assert (decision(late).state, decision(late).reason) == (VerificationState.EXPIRED, "too_late")
    assert not commands(late)
    assert commands(router.publish(request(verification_id="v2"), headers=(("ack_by", str(NOW).encode()),)))


@pytest.mark.parametrize("value", [b"", b"soon", b"-1", b"1" * 30, "１".encode()])
def test_a_header_that_is_no_time_is_ignored(value: bytes) -> None:
    assert commands(Router().publish(request(), headers=(("ack_by", value),)))


def test_an_undecodable_record_is_poison() -> None:
    router = Router()
    with pytest.raises(Poison):
        router.feed(router.record(topics.REQUESTS, b"nonsense", partition=0))


# --- misplaced ----------------------------------------------------------------------------------------------------


def test_a_misplaced_request_is_passed_on_once_with_its_time_and_position() -> None:
    router = Router()
    wrong = (place(PHONE) + 1) % PARTITIONS
    effects = router.publish(
        request(), partition=wrong, recorded_at=NOW - 7, bulk=True, headers=(("ack_by", str(NOW).encode()),)
    )
    (emit,) = effects.emits
    assert (emit.topic, emit.partition, emit.key) == ("verification.router-inbox.bulk", place(PHONE), b"v1")
    assert not effects.state
    passed = event(effects)
    assert (passed.source_topic, passed.source_partition, passed.source_offset) == (
        "verification.requests.bulk",
        wrong,
        1,
    )
    assert (passed.recorded_at, passed.ack_by_at, passed.bulk) == (NOW - 7, NOW, True)
    assert counted(effects)[0]["decision"] == "misplaced"
    done = router.deliver(emit)
    assert command(done).bulk
    assert decision(done).plan is not None
    assert command(done).requested_at == NOW - 7


def test_a_large_request_that_is_refused_anywhere_is_refused_where_it_lies() -> None:
    huge = request(metadata={"note": "x" * 900_000})
    refused = decision(Router().publish(huge, partition=(place(PHONE) + 1) % PARTITIONS))
    assert (refused.state, refused.reason) == (VerificationState.REJECTED, Reason.INVALID_FIELD)


def test_a_conflict_found_where_a_request_was_passed_on_to_names_the_record_that_was_published() -> None:
    router = Router()
    router.publish(request())
    wrong = (place(PHONE) + 1) % PARTITIONS
    passed = router.publish(request(code_length=8), partition=wrong, recorded_at=NOW - 7)
    (refusal,) = router.deliver(passed.emits[0]).refusals
    assert refusal.source is not None
    assert (refusal.source.topic, refusal.source.partition, refusal.source.timestamp_ms) == (
        "verification.requests",
        wrong,
        NOW - 7,
    )
    assert refusal.source.value == CODEC.encode(request(code_length=8))


def test_a_passed_on_request_gets_the_decision_id_of_its_first_place() -> None:
    router = Router()
    (emit,) = router.publish(request(), partition=(place(PHONE) + 1) % PARTITIONS).emits
    first = decision(router.deliver(emit)).decision_id
    router.state.clear()
    assert decision(router.deliver(emit)).decision_id == first


def test_what_arrives_in_the_inbox_is_handled_where_it_is() -> None:
    router = Router()
    (emit,) = router.publish(request(), partition=(place(PHONE) + 1) % PARTITIONS).emits
    elsewhere = router.record(emit.topic, emit.value, partition=(place(PHONE) + 2) % PARTITIONS)
    effects = router.feed(elsewhere)
    assert not any(one.kind is RoutingKind.MISPLACED for one in events(effects))
    assert decision(effects).kind is DecisionKind.ACCEPTED


def test_a_late_append_is_judged_by_its_first_record() -> None:
    router = Router()
    (emit,) = router.publish(
        request(), partition=(place(PHONE) + 1) % PARTITIONS, headers=(("ack_by", str(NOW).encode()),)
    ).emits
    router.now = NOW + 1000
    assert commands(router.deliver(emit))


def test_a_key_id_not_known_here_is_waited_for() -> None:
    newer = KeyRing(keys={"t9": bytes(32)}, current="t9", hash_key=bytes(32))
    sealed = newer.seal(b"x", verification_id="v1", field="request", record="RoutingEvent")
    passed = RoutingEvent(verification_id="v1", kind=RoutingKind.MISPLACED, request_sealed=sealed)
    with pytest.raises(UnknownWriter):
        Router().event(passed)


# --- plans over several places --------------------------------------------------------------------------------------


def test_a_first_step_of_another_recipient_is_routed_in_its_own_place() -> None:
    router = Router()
    number = next(number for i in range(10, 99) if place(number := f"+49151234567{i}") != place(PHONE))
    effects = router.publish(request(steps=[Step(channel=Channel.SMS, recipient=number), Step(channel=Channel.SMS)]))
    made = decision(effects)
    assert made.kind is DecisionKind.ACCEPTED
    assert made.attempt is None
    assert not commands(effects)
    follow = event(effects)
    assert (follow.kind, follow.n, follow.step_index) == (RoutingKind.NEXT_STEP, 1, 0)
    assert effects.emits[1].partition == place(number)
    routed = router.deliver(effects.emits[1])
    assert decision(routed).kind is DecisionKind.ROUTED
    order = command(routed)
    assert order.attempt_id == "v1.1"
    assert order.decision_id == made.decision_id
    assert order.recipient_hash == RING.recipient_hash("default", number)
    assert order.key_recipient_hash == RING.recipient_hash("default", PHONE)


def test_the_first_step_that_has_a_route_wins() -> None:
    steps = [Step(channel=Channel.VIBER), Step(channel=Channel.VOICE)]
    effects = Router().publish(request(steps=steps))
    made = decision(effects)
    assert (made.step_index, command(effects).channel) == (1, Channel.VOICE)


def test_without_any_route_the_request_ends_with_the_first_steps_reason() -> None:
    router = Router()
    effects = router.publish(request(steps=[Step(channel=Channel.VIBER), Step(channel=Channel.WHATSAPP)]))
    made = decision(effects)
    assert (made.state, made.reason) == (VerificationState.REJECTED, "no_route")
    assert made.detail is not None
    assert "steps[0]" in made.detail
    assert not [key for key in router.state if key.startswith(b"to:")]


def test_a_callers_code_travels_sealed_to_the_sender() -> None:
    order = command(Router().publish(request(code="AbC123")))
    assert order.code_holder is CodeHolder.CALLER
    assert order.code_sealed is not None
    assert RING.open(order.code_sealed, verification_id="v1", field="code") == b"AbC123"
    assert command(Router().publish(request())).code_sealed is None


def test_a_request_again_for_a_recipient_takes_another_route() -> None:
    router = Router()
    providers = []
    for i in range(4):
        router.now += 1000
        providers.append(command(router.publish(request(verification_id=f"v{i}", max_checks=1))).provider)
    assert providers == ["ycloud", "neutrino", "ycloud", "neutrino"]
    router.now += 600_000
    assert command(router.publish(request(verification_id="later"))).provider == "ycloud"


def test_a_repeat_of_another_recipient_or_channel_is_none() -> None:
    router = Router()
    router.publish(request())
    assert command(router.publish(request(verification_id="v2", recipient=OTHER), recipient=OTHER)).provider == "ycloud"
    voice = request(verification_id="v3", steps=[Step(channel=Channel.VOICE)])
    assert command(router.publish(voice)).provider == "ycloud"


def test_a_test_number_goes_to_the_simulator_only_and_is_marked() -> None:
    settings = Settings(test_numbers=["+15555550100"])
    providers = {**PROVIDERS, "simulator": PROVIDERS["ycloud"]}
    router = Router(settings=settings, providers=providers)
    effects = router.publish(request(recipient="+15555550100"), recipient="+15555550100")
    assert (command(effects).provider, command(effects).test) == ("simulator", True)
    assert command(router.publish(request(verification_id="v2"))).provider == "ycloud"
    without = Router(settings=settings)
    assert decision(without.publish(request(recipient="+15555550100"), recipient="+15555550100")).reason == "no_channel"


def test_inputs_and_lanes_are_the_four_of_the_flow() -> None:
    assert {(one.topic, one.lane) for one in Router().stage.inputs} == {
        ("verification.requests", Lane.INTERACTIVE),
        ("verification.requests.bulk", Lane.BULK),
        ("verification.router-inbox", Lane.INTERACTIVE),
        ("verification.router-inbox.bulk", Lane.BULK),
    }
    assert decisions(Router(settings=Settings(policy=PolicySettings(automatic=["voice"]))).publish(request()))
