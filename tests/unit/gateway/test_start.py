from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from pipeline.model.reasons import Reason
from pipeline.readmodel.view import rfc3339
from pipeline.records.public import VerificationOutcome
from pipeline.records.types import VerificationState
from tests.unit.gateway.api_bench import MAX_BODY, NOW, PHONE, RING, ApiBench
from tests.unit.gateway.bench import assert_problem

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
async def api() -> AsyncIterator[ApiBench]:
    made = ApiBench()
    yield made
    await made.http.aclose()


def outcome(verification_id: str, *, version: int, tenant: str = "shop") -> VerificationOutcome:
    return VerificationOutcome(
        verification_id=verification_id,
        version=version,
        tenant=tenant,
        state=VerificationState.SENT,
        created_at=NOW,
        updated_at=NOW + version,
        expires_at=NOW + 300_000,
    )


def named(answer: Any) -> dict[str, str]:
    return {error["field"]: error["reason"] for error in answer.json()["errors"]}


async def test_a_start_is_told_with_its_whole_state_and_where_to_look_it_up(api: ApiBench) -> None:
    answer = await api.start({"recipient": PHONE, "verification_id": "v1", "external_id": "order-1"})
    assert answer.status_code == 202
    assert answer.headers["Location"] == "/v1/verifications/v1"
    assert answer.headers["Content-Type"] == "application/json"
    told = answer.json()
    assert set(told) == set(VerificationOutcome.__struct_fields__)
    assert (told["version"], told["state"], told["tenant"], told["external_id"]) == (0, "pending", "shop", "order-1")
    assert told["created_at"] == rfc3339(NOW)
    assert told["expires_at"] == rfc3339(NOW + 300_000)
    assert [step["channel"] for step in told["steps"]] == ["sms", "voice"]
    assert PHONE not in answer.text
    assert (await api.get("/v1")).json() == told


async def test_a_start_is_one_record_keyed_by_its_recipient(api: ApiBench) -> None:
    await api.start({"recipient": "0151 23456789", "country": "de", "verification_id": "v1", "metadata": {"a": "b"}})
    (emit,), (request,) = api.written(), api.requests()
    assert emit.key == PHONE.encode()
    assert dict(emit.headers)["schema"]
    assert (request.verification_id, request.tenant, request.recipient) == ("v1", "shop", "0151 23456789")
    assert (request.requested_at, request.metadata) == (NOW, {"a": "b"})


async def test_every_field_that_a_body_may_hold_arrives(api: ApiBench) -> None:
    body = {
        "verification_id": "v1",
        "external_id": "e",
        "recipient": PHONE,
        "country": "DE",
        "mode": "reach",
        "steps": [{"channel": "sms", "wait_s": 20, "ttl_s": 60, "sender": "Shop", "provider": "ycloud"}],
        "channel_defaults": [{"channel": "sms", "language": "de"}],
        "code_length": 8,
        "language": "pt_BR",
        "brand": "Shop",
        "signature": "Shop",
        "use_case": "BACF",
        "expires_in_s": 120,
        "max_checks": 5,
        "end_user_ip": "192.0.2.7",
        "amount": "12.50",
        "payee": "Shop",
        "send_before_at": "2025-01-02T04:10:00.5+01:00",
        "metadata": {"a": "b"},
    }
    assert (await api.start(body)).status_code == 202
    (request,) = api.requests()
    for name, value in body.items():
        if name not in ("steps", "channel_defaults", "send_before_at"):
            assert getattr(request, name) == value, name
    assert (request.steps[0].wait_s, request.steps[0].provider, request.channel_defaults[0].language) == (
        20,
        "ycloud",
        "de",
    )
    assert request.send_before_at is not None
    assert rfc3339(request.send_before_at) == "2025-01-02T03:10:00.500Z"


async def test_an_own_code_is_in_no_record_in_clear_and_opens_for_the_router(api: ApiBench) -> None:
    answer = await api.start({"recipient": PHONE, "verification_id": "v1", "code": "Abc123xy"})
    assert answer.status_code == 202
    (emit,), (request,) = api.written(), api.requests()
    assert emit.value is not None
    assert b"Abc123xy" not in emit.value
    assert request.code is None
    assert request.code_sealed is not None
    assert RING.open_public(request.code_sealed, verification_id="v1", field="code") == "Abc123xy"
    assert "Abc123xy" not in answer.text


async def test_the_id_is_the_bodys_else_the_keys_else_a_random_one(api: ApiBench) -> None:
    body = {"recipient": PHONE}
    first = (await api.start(body, key="k-1")).json()["verification_id"]
    assert first == RING.fingerprint("verification-id", b"shop", b"k-1")
    assert (await api.start(body | {"verification_id": "own"}, key="k-2")).json()["verification_id"] == "own"
    assert (await api.start(body)).json()["verification_id"].startswith("made-")
    other = (await api.start(body, key="k-1", caller="other")).json()["verification_id"]
    assert other != first


async def test_only_a_start_that_cannot_be_repeated_must_be_written_in_time(api: ApiBench) -> None:
    await api.start({"recipient": PHONE})
    await api.start({"recipient": PHONE}, key="k")
    await api.start({"recipient": PHONE, "verification_id": "own"})
    told = [dict(emit.headers).get("ack_by") for emit in api.written()]
    assert told == [str(NOW + 50).encode(), None, None]


async def test_the_trace_of_the_caller_goes_on_in_kafka(api: ApiBench) -> None:
    await api.start({"recipient": PHONE}, headers={"traceparent": TRACE})
    await api.start({"recipient": PHONE}, headers={"traceparent": "no trace"})
    assert [dict(emit.headers).get("traceparent") for emit in api.written()] == [TRACE.encode(), None]


async def test_a_known_id_with_the_same_content_is_told_as_it_stands_and_written_no_more(api: ApiBench) -> None:
    body = {"recipient": PHONE, "verification_id": "v1", "code": "123456"}
    assert (await api.start(body)).status_code == 202
    api.model.fold(outcome("v1", version=2))
    api.clock.advance(1_000)
    answer = await api.start(body)
    assert answer.status_code == 202
    assert (answer.json()["version"], answer.json()["state"]) == (2, "sent")
    assert len(api.written()) == 1


async def test_a_known_id_that_the_router_may_never_have_read_is_written_again(api: ApiBench) -> None:
    body = {"recipient": PHONE, "verification_id": "v1"}
    api.producer.fail = 1
    assert_problem(await api.start(body), 503, "log_unavailable")
    assert api.written() == []
    assert (await api.start(body)).status_code == 202
    assert len(api.written()) == 1


async def test_a_known_id_with_other_content_is_a_conflict(api: ApiBench) -> None:
    await api.start({"recipient": PHONE, "verification_id": "v1"})
    assert_problem(await api.start({"recipient": PHONE, "verification_id": "v1", "brand": "X"}), 409, "id_conflict")
    body = {"recipient": PHONE, "verification_id": "v1"}
    assert_problem(await api.start(body, caller="other"), 409, "id_conflict")
    assert len(api.written()) == 1


async def test_the_same_key_gets_its_first_answer_and_another_body_with_it_is_refused(api: ApiBench) -> None:
    first = await api.start({"recipient": PHONE, "brand": "X"}, key="k")
    api.model.fold(outcome(first.json()["verification_id"], version=3))
    again = await api.start(b'{ "brand":"X", "recipient":"%s"}' % PHONE.encode(), key="k")
    assert (again.status_code, again.content) == (202, first.content)
    assert again.headers["Location"] == first.headers["Location"]
    assert_problem(await api.start({"recipient": PHONE}, key="k"), 422, "idempotency_key_reused")
    assert len(api.written()) == 1


@pytest.mark.parametrize("away", ["silent", "failing"])
async def test_without_kafka_nobody_is_told_2xx(api: ApiBench, away: str) -> None:
    if away == "silent":
        api.producer.silent = True
    else:
        api.producer.fail = 1
    answer = await api.start({"recipient": PHONE})
    assert_problem(answer, 503, "log_unavailable")
    assert int(answer.headers["Retry-After"]) >= 1


async def test_without_the_database_nobody_is_told_2xx_and_nothing_is_written(api: ApiBench) -> None:
    api.model.away = True
    answer = await api.start({"recipient": PHONE})
    assert_problem(answer, 503, "readmodel_unavailable")
    assert int(answer.headers["Retry-After"]) >= 1
    assert api.written() == []


async def test_every_wrong_field_is_named_in_one_answer(api: ApiBench) -> None:
    body = {
        "recipient": "+49 30 1",
        "brand": 5,
        "tenant": "other",
        "colour": "red",
        "max_checks": 99,
        "language": "klingon language",
        "send_before_at": "tomorrow",
        "metadata": {"a": 1},
        "steps": [{"channel": "sms", "wait_s": "30"}, 7, {"channel": "sms", "colour": "red"}],
    }
    answer = await api.start(body)
    assert_problem(answer, 422, "invalid_field")
    assert named(answer) == {
        "brand": "invalid_field",
        "tenant": "invalid_field",
        "colour": "invalid_field",
        "send_before_at": "invalid_field",
        "metadata": "invalid_field",
        "steps[0].wait_s": "invalid_field",
        "steps[1]": "invalid_field",
        "steps[2].colour": "invalid_field",
        "recipient": "invalid_recipient",
        "max_checks": "invalid_field",
        "language": "invalid_language",
    }
    assert answer.json()["detail"] == answer.json()["errors"][0]["detail"]
    assert api.written() == []
    assert api.model.tables.verifications == {}


async def test_what_follows_only_from_the_absence_of_a_wrong_field_is_not_told(api: ApiBench) -> None:
    assert named(await api.start({"recipient": 7})) == {"recipient": "invalid_field"}
    assert named(await api.start({"recipient": PHONE, "amount": 5, "payee": "x"})) == {"amount": "invalid_field"}


@pytest.mark.parametrize("name", ["tenant", "job_id", "row", "code_sealed", "requested_at"])
@pytest.mark.parametrize("value", [None, "default", 0])
async def test_what_only_the_key_or_a_bulk_job_may_say_is_refused(api: ApiBench, name: str, value: object) -> None:
    answer = await api.start({"recipient": PHONE, name: value})
    assert_problem(answer, 422, "invalid_field")
    assert named(answer) == {name: "invalid_field"}


@pytest.mark.parametrize(
    ("body", "field", "reason"),
    [
        ({}, "recipient", Reason.MISSING_FIELD),
        ({"recipient": "015123456789"}, "recipient", Reason.INVALID_RECIPIENT),
        ({"recipient": PHONE, "verification_id": ""}, "verification_id", Reason.INVALID_FIELD),
        ({"recipient": PHONE, "verification_id": "a" * 49}, "verification_id", Reason.INVALID_FIELD),
        ({"recipient": PHONE, "prefer_channel": "fax"}, "prefer_channel", Reason.INVALID_CHANNEL),
        ({"recipient": PHONE, "steps": [{"channel": "fax"}]}, "steps[0].channel", Reason.INVALID_CHANNEL),
        ({"recipient": PHONE, "steps": [{}]}, "steps[0].channel", Reason.INVALID_CHANNEL),
        ({"recipient": PHONE, "mode": "guess"}, "mode", Reason.INVALID_FIELD),
        ({"recipient": PHONE, "code": "12"}, "code", Reason.INVALID_CODE_LENGTH),
        ({"recipient": PHONE, "code_length": 5}, "code_length", Reason.INVALID_CODE_LENGTH),
        ({"recipient": PHONE, "max_checks": 10**40}, "max_checks", Reason.INVALID_FIELD),
        ({"recipient": PHONE, "max_checks": 3.0}, "max_checks", Reason.INVALID_FIELD),
        ({"recipient": PHONE, "send_before_at": "0001-01-01T00:00:00Z"}, "send_before_at", Reason.INVALID_FIELD),
        ({"recipient": PHONE, "send_before_at": "2025-01-02T03:04:05"}, "send_before_at", Reason.INVALID_FIELD),
        ({"recipient": PHONE, "send_before_at": NOW}, "send_before_at", Reason.INVALID_FIELD),
        ({"recipient": PHONE, "metadata": None}, "metadata", Reason.INVALID_FIELD),
        ({"recipient": PHONE, "metadata": {"to": PHONE}}, "metadata", Reason.INVALID_FIELD),
        (
            {"steps": [{"channel": "sms", "recipient": "015123456789", "country": ""}]},
            "steps[0].country",
            Reason.INVALID_COUNTRY,
        ),
    ],
)
async def test_a_wrong_field_is_refused_by_its_name_with_the_routers_reason(
    api: ApiBench, body: dict[str, Any], field: str, reason: Reason
) -> None:
    answer = await api.start(body)
    assert_problem(answer, 422, reason)
    assert named(answer) == {field: reason}
    assert api.written() == []


async def test_a_value_that_was_refused_is_never_repeated(api: ApiBench) -> None:
    answer = await api.start({"recipient": "+49 secret", "code": "sec-ret", "payee": {"secret": 1}, "amount": "secret"})
    assert answer.status_code == 422
    assert "secret" not in answer.text


@pytest.mark.parametrize(
    ("content", "status", "reason"),
    [
        (b"", 400, "malformed_json"),
        (b"{", 400, "malformed_json"),
        (b"[]", 400, "malformed_json"),
        (b"null", 400, "malformed_json"),
        (b'\xef\xbb\xbf{"recipient":"+4915123456789"}', 400, "malformed_json"),
        (b'{"brand":"\xff"}', 400, "malformed_json"),
        (b'{"brand":"\\ud800"}', 400, "malformed_json"),
        (b'{"colour":1,"brand":}', 400, "malformed_json"),
        (b'{"colour":' + b"[" * 30_000 + b"]" * 30_000 + b"}", 400, "malformed_json"),
        (b'{"max_checks":1e999999}', 422, "invalid_field"),
        (b'{"max_checks":' + b"9" * 6_000 + b"}", 422, "invalid_field"),
        (b'{"brand":"' + b"x" * MAX_BODY + b'"}', 413, "too_large"),
    ],
    ids=lambda value: value[:24].decode(errors="replace") if isinstance(value, bytes) else str(value),
)
async def test_a_body_that_cannot_be_read_is_refused(api: ApiBench, content: bytes, status: int, reason: str) -> None:
    answer = await api.start(content)
    assert_problem(answer, status, reason)
    assert (answer.headers.get("Connection") == "close") == (status == 413)
    assert api.written() == []


@pytest.mark.parametrize(
    ("media_type", "taken"),
    [
        ("application/json", True),
        ("Application/JSON; charset=UTF-8", True),
        ('application/json;charset="utf-8"', True),
        ("application/json; charset=latin-1", False),
        ("application/jsonp", False),
        ("text/plain", False),
        ("application/x-www-form-urlencoded", False),
        ("", False),
    ],
)
async def test_only_json_in_utf_8_is_taken(api: ApiBench, media_type: str, taken: bool) -> None:
    answer = await api.start(orjson.dumps({"recipient": PHONE}), headers={"Content-Type": media_type})
    if taken:
        assert answer.status_code == 202
    else:
        assert_problem(answer, 415, "unsupported_media_type")


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "br", "deflate, identity", "utf-8"])
async def test_a_body_in_a_coding_is_refused_by_that_name_and_told_what_is_taken(api: ApiBench, coding: str) -> None:
    body = gzip.compress(orjson.dumps({"recipient": PHONE}))
    answer = await api.start(body, headers={"Content-Type": "application/json", "Content-Encoding": coding})
    assert_problem(answer, 415, "unsupported_encoding")
    assert answer.headers["Accept-Encoding"] == "identity"
    assert api.producer.written == []


@pytest.mark.parametrize("coding", ["identity", "Identity", ""])
async def test_a_body_that_says_it_came_as_it_is_is_taken(api: ApiBench, coding: str) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": coding}
    assert (await api.start(orjson.dumps({"recipient": PHONE}), headers=headers)).status_code == 202


async def test_it_needs_a_key_with_the_scope_start(api: ApiBench) -> None:
    assert_problem(await api.start({"recipient": PHONE}, caller="nobody"), 401, "unauthenticated")
    for scope in ("read", "check", "manage"):
        assert_problem(await api.start({"recipient": PHONE}, caller=f"shop.{scope}"), 403, "missing_scope")
    assert (await api.start({"recipient": PHONE}, caller="shop.start")).status_code == 202
