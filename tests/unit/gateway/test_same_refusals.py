"""The gateway refuses exactly what the router would, with the same reason."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import orjson
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline import topics
from pipeline.gateway.contract import contract, reasons
from pipeline.readmodel.view import rfc3339
from pipeline.records.public import Step, VerificationRequest
from pipeline.records.types import Channel, DecisionKind
from pipeline.router.content import content_hash
from pipeline.senders import registry
from tests.unit.gateway.api_bench import NOW, RING, SETTINGS, ApiBench
from tests.unit.router.support import Router, decision
from tests.unit.router.test_any_request import PLAUSIBLE, REQUESTS

START = contract()["paths"]["/v1/verifications"]["post"]
DECIDABLE = set(reasons(START["responses"]["422"])) - {"idempotency_key_reused"}
TIMES = st.none() | st.integers(-1, NOW + 10**11)
OVER_HTTP = st.builds(
    lambda request, before: msgspec.structs.replace(
        request, tenant="default", code_sealed=None, job_id=None, row=None, requested_at=0, send_before_at=before
    ),
    REQUESTS | PLAUSIBLE,
    TIMES,
)
_API = ApiBench()
_PROVIDERS = registry.capabilities(SETTINGS)


def body_of(request: VerificationRequest) -> bytes:
    fields: dict[str, Any] = msgspec.to_builtins(request)
    for name in ("tenant", "job_id", "row", "code_sealed", "requested_at"):
        del fields[name]
    if request.send_before_at is not None:
        fields["send_before_at"] = rfc3339(request.send_before_at)
    return orjson.dumps(fields)


def decided(request: VerificationRequest) -> Any:
    """What a router makes of a request as the gateway would write it, in the place it belongs to."""
    request = msgspec.structs.replace(request, requested_at=NOW)
    router = Router(settings=SETTINGS, providers=_PROVIDERS, now=NOW)
    effects = router.publish(request, partition=0, recorded_at=NOW)
    return decision(router.deliver(effects.emits[0]) if topics.ROUTER_INBOX in effects.emits[0].topic else effects)


def _one(**fields: Any) -> VerificationRequest:
    return VerificationRequest(verification_id="v1", **fields)


@settings(max_examples=300, deadline=None)
@given(OVER_HTTP)
@example(_one(recipient="+4915123456789", steps=[Step(channel=Channel.SMS, template="plain")]))
@example(_one(recipient="+4915123456789", steps=[Step(channel=Channel.SMS, template="fancy")]))
@example(_one(recipient=SETTINGS.test_numbers[0]))
@example(_one(recipient="+4915123456789", steps=[Step(channel=Channel.SMS, recipient=SETTINGS.test_numbers[0])]))
@example(_one(recipient="+4915123456789", brand="Shop", steps=[Step(channel=Channel.SMS, text="{brand} {code}")]))
def test_whatever_is_started_over_http_is_refused_as_the_router_would_refuse_it(request: VerificationRequest) -> None:
    _API.producer.written.clear()
    _API.model.tables.verifications.clear()
    _API.model.tables.starts.clear()
    answer = asyncio.run(_API.start(body_of(request), caller="default"))
    made = decided(request)
    if made.kind is DecisionKind.REFUSED and made.reason in DECIDABLE:
        assert answer.status_code == 422
        assert (answer.json()["reason"], answer.json()["detail"]) == (made.reason, made.detail)
        assert _API.written() == []
    else:
        assert answer.status_code == 202, answer.text


@settings(max_examples=100, deadline=None)
@given(PLAUSIBLE)
def test_what_the_gateway_remembers_of_a_start_is_what_makes_it_the_same_for_the_router(
    request: VerificationRequest,
) -> None:
    """Else the gateway would call a conflict what the router calls the same, or the other way round."""
    _API.producer.written.clear()
    _API.model.tables.starts.clear()
    _API.model.tables.verifications.clear()
    answer = asyncio.run(_API.start(body_of(request), caller="default"))
    if answer.status_code != 202:
        return
    (written,) = _API.requests()
    later = msgspec.structs.replace(written, requested_at=NOW + 60_000)
    remembered = _API.model.tables.starts[request.verification_id]
    assert remembered == ("default", content_hash(later, RING, Router().stage._validator))
