from __future__ import annotations

from typing import Any

import httpx
import orjson
import pytest

from pipeline.simulator.providers.ycloud.errors import ERRORS
from pipeline.simulator.providers.ycloud.events import sign
from pipeline.simulator.providers.ycloud.fields import LANGUAGES
from pipeline.simulator.world import World
from pipeline.testing.clock import ManualClock

KEY = {"X-API-Key": "simulator"}
START = "/ycloud/v2/verify/verifications"
CHECK = "/ycloud/v2/verify/verificationChecks"
TO = "+16315550100"


async def start(http: httpx.AsyncClient, **body: Any) -> httpx.Response:
    return await http.post(START, json={"channel": "sms", "to": TO} | body, headers=KEY)


def assert_error(answer: httpx.Response, status: int, code: str, target: str | None = None) -> None:
    assert answer.status_code == status
    error = answer.json()["error"]
    assert (error["status"], error["code"], error.get("target")) == (status, code, target)
    assert error["requestId"] == answer.headers["YCloud-Request-ID"]


async def test_a_start_is_answered_with_the_verification_and_without_its_code(http: httpx.AsyncClient) -> None:
    answer = await start(http, code="482913", externalId="job42")
    assert answer.status_code == 200
    assert answer.headers["YCloud-Request-ID"]
    body = answer.json()
    assert body.pop("id")
    assert body == {
        "status": "pending",
        "to": TO,
        "channel": "sms",
        "sendTime": "2025-01-02T03:04:05.000Z",
        "totalPrice": 0.0085,
        "currency": "USD",
        "externalId": "job42",
    }


@pytest.mark.parametrize(
    ("channel", "to", "ours"),
    [
        ("sms", TO, "sms"),
        ("voice", TO, "voice"),
        ("whatsapp", TO, "whatsapp"),
        ("email_code", "jo@example.org", "email"),
    ],
)
async def test_the_person_finds_the_code_on_every_channel(
    http: httpx.AsyncClient, world: World, channel: str, to: str, ours: str
) -> None:
    await start(http, channel=channel, to=to, code="482913")
    (message,) = (await http.get("/inbox", params={"recipient": to})).json()
    assert (message["channel"], message["code"], message["provider"]) == (ours, "482913", "ycloud")
    assert ("4, 8, 2, 9, 1, 3" if channel == "voice" else "482913") in message["text"]


async def test_without_a_code_the_provider_makes_one_of_six_digits(http: httpx.AsyncClient) -> None:
    await start(http)
    (message,) = (await http.get("/inbox")).json()
    assert len(message["code"]) == 6
    assert message["code"].isdecimal()


@pytest.mark.parametrize(
    "headers", [{}, {"X-API-Key": ""}, {"X-API-Key": "Simulator"}, {"X-API-Key": "Bearer simulator"}]
)
async def test_a_wrong_key_is_unauthorized_before_anything_else(
    http: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    assert_error(await http.post(START, content=b"not json", headers=headers), 401, "UNAUTHORIZED")


@pytest.mark.parametrize(
    ("body", "code", "target"),
    [
        ({"channel": None}, "PARAM_MISSING", "channel"),
        ({"to": ""}, "PARAM_MISSING", "to"),
        ({"channel": "email"}, "PARAM_INVALID", "channel"),
        ({"channel": 1}, "PARAM_INVALID", "channel"),
        ({"to": "16315550100"}, "PARAM_INVALID", "to"),
        ({"to": "+1631555"}, None, None),
        ({"to": "jo@example.org"}, "PARAM_INVALID", "to"),
        ({"channel": "email_code"}, "PARAM_INVALID", "to"),
        ({"code": "123"}, "PARAM_INVALID_LENGTH", "code"),
        ({"code": "123456789"}, "PARAM_INVALID_LENGTH", "code"),
        ({"code": "12345678"}, None, None),
        ({"channel": "voice", "code": "1234567"}, "PARAM_INVALID_LENGTH", "code"),
        ({"code": "12ab"}, "PARAM_INVALID", "code"),
        ({"code": 1234}, "PARAM_INVALID", "code"),
        ({"language": "nl"}, "PARAM_INVALID", "language"),
        ({"language": "pt-BR"}, "PARAM_INVALID", "language"),
        ({"channel": "voice", "senderId": "ACME"}, "PARAM_NOT_MATCH", "senderId"),
        ({"channel": "voice", "signature": "ACME"}, "PARAM_NOT_MATCH", "signature"),
        ({"to": "+8613812345678"}, "PARAM_MISSING", "signature"),
        ({"to": "+8613812345678", "signature": "ACME"}, None, None),
        ({"externalId": "x" * 256}, "PARAM_INVALID_LENGTH", "externalId"),
        ({"expiry": 60}, "PARAM_INVALID", "expiry"),
    ],
)
async def test_each_field_is_held_to_its_documented_limits(
    http: httpx.AsyncClient, body: dict[str, Any], code: str | None, target: str | None
) -> None:
    answer = await start(http, **body)
    if code is None:
        assert answer.status_code == 200
    else:
        assert_error(answer, 400, code, target)
        assert (await http.get("/inbox")).json() == []


async def test_all_thirteen_languages_are_taken(http: httpx.AsyncClient) -> None:
    assert len(LANGUAGES) == 13
    for language in LANGUAGES:
        assert (await start(http, language=language)).status_code == 200


@pytest.mark.parametrize(
    ("content", "content_type"),
    [(b"{", "application/json"), (b"[]", "application/json"), (b"{}", "text/plain")],
)
async def test_a_body_that_is_no_json_object_is_a_bad_request(
    http: httpx.AsyncClient, content: bytes, content_type: str
) -> None:
    answer = await http.post(START, content=content, headers=KEY | {"Content-Type": content_type})
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "BAD_REQUEST"


async def test_unknown_paths_and_methods_are_not_found_in_the_same_envelope(http: httpx.AsyncClient) -> None:
    assert_error(await http.get("/ycloud/v2/verify/verifications/1", headers=KEY), 404, "NOT_FOUND")
    assert_error(await http.delete(START, headers=KEY), 404, "NOT_FOUND")


async def test_a_right_code_is_accepted_once_and_wrong_ones_leave_it_open(http: httpx.AsyncClient) -> None:
    verification = (await start(http, code="482913")).json()["id"]

    async def check(code: str) -> tuple[bool, str]:
        body = {"verificationId": verification, "code": code}
        answer = (await http.post(CHECK, json=body, headers=KEY)).json()
        return answer["valid"], answer["status"]

    assert await check("000000") == (False, "pending")
    assert await check("482913") == (True, "approved")
    assert await check("482913") == (False, "approved")


async def test_a_check_by_recipient_finds_the_newest_verification(http: httpx.AsyncClient) -> None:
    await start(http, code="1111")
    await start(http, code="2222")
    answer = await http.post(CHECK, json={"to": TO, "code": "1111"}, headers=KEY)
    assert answer.json()["valid"] is False
    answer = await http.post(CHECK, json={"to": TO, "code": "2222"}, headers=KEY)
    assert answer.json()["valid"] is True


async def test_a_check_is_listed_with_the_person_it_is_about(http: httpx.AsyncClient) -> None:
    """Mostly it names the verification only."""
    verification = (await start(http, code="482913")).json()["id"]
    await http.post(CHECK, json={"verificationId": verification, "code": "482913"}, headers=KEY)
    _, checked = (orjson.loads(line) for line in (await http.get("/calls")).text.splitlines())
    told = [checked[name] for name in ("operation", "recipient", "reference", "code", "answered", "sent")]
    assert told == ["check", TO, verification, "482913", "200", False]


async def test_an_expired_verification_takes_no_code(http: httpx.AsyncClient, clock: ManualClock) -> None:
    await start(http, code="1111")
    clock.advance(600_000)
    answer = (await http.post(CHECK, json={"to": TO, "code": "1111"}, headers=KEY)).json()
    assert (answer["valid"], answer["status"]) == (False, "expired")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"code": "1"}, 400, "PARAM_MISSING"),
        ({"to": TO}, 400, "PARAM_MISSING"),
        ({"verificationId": "nobody", "code": "1"}, 404, "NOT_FOUND"),
        ({"to": TO, "code": 1}, 400, "PARAM_INVALID"),
    ],
)
async def test_a_wrong_check_is_refused(http: httpx.AsyncClient, body: dict[str, Any], status: int, code: str) -> None:
    answer = await http.post(CHECK, json=body, headers=KEY)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


async def test_sent_messages_can_be_listed_page_by_page_newest_first(http: httpx.AsyncClient) -> None:
    for n in range(3):
        await start(http, externalId=f"job{n}")
    await start(http, channel="voice")
    first = (await http.get("/ycloud/v2/sms?limit=2&includeTotal=true", headers=KEY)).json()
    assert [item["externalId"] for item in first["items"]] == ["job2", "job1"]
    assert first["total"] == 3
    second = (await http.get("/ycloud/v2/sms?limit=2&page=2", headers=KEY)).json()
    assert [item["externalId"] for item in second["items"]] == ["job0"]
    assert "total" not in second
    (one,) = (await http.get(f"/ycloud/v2/sms?filter.id={first['items'][0]['id']}", headers=KEY)).json()["items"]
    assert one == first["items"][0]
    (call,) = (await http.get("/ycloud/v2/voices", headers=KEY)).json()["items"]
    assert call["bizType"] == "verify"


async def test_the_list_reaches_back_a_day_unless_asked_for_more(http: httpx.AsyncClient, clock: ManualClock) -> None:
    await start(http)
    clock.advance(86_400_001)
    assert (await http.get("/ycloud/v2/sms", headers=KEY)).json()["items"] == []
    query = {"filter.createTime.gte": "2025-01-01T00:00:00.000Z"}
    assert len((await http.get("/ycloud/v2/sms", params=query, headers=KEY)).json()["items"]) == 1


@pytest.mark.parametrize("query", ["page=0", "limit=101", "page=x", "filter.createTime.gte=now", "what=1"])
async def test_a_wrong_list_query_is_refused(http: httpx.AsyncClient, query: str) -> None:
    answer = await http.get(f"/ycloud/v2/sms?{query}", headers=KEY)
    assert_error(answer, 400, "PARAM_INVALID", query.partition("=")[0])


async def test_sending_is_paid_from_the_balance(http: httpx.AsyncClient) -> None:
    await start(http)
    answer = (await http.get("/ycloud/v2/balance", headers=KEY)).json()
    assert answer == {"amount": 999.9915, "currency": "USD"}


@pytest.mark.parametrize("code", sorted(ERRORS))
async def test_every_error_of_the_table_can_be_asked_for(http: httpx.AsyncClient, code: str) -> None:
    await http.put("/behaviour/ycloud", json={"default": {"error": code}})
    answer = await start(http)
    assert answer.status_code == ERRORS[code][0]
    assert answer.json()["error"]["code"] == code
    assert ("Retry-After" in answer.headers) == (answer.status_code == 429)
    assert (await http.get("/inbox")).json() == []


@pytest.mark.parametrize("status", ["blocked", "undelivered"])
async def test_a_good_answer_may_hold_bad_news(http: httpx.AsyncClient, status: str) -> None:
    await http.put("/behaviour/ycloud", json={"default": {"answer": status}})
    answer = await start(http)
    assert (answer.status_code, answer.json()["status"]) == (200, status)
    assert (await http.get("/inbox")).json() == []


async def test_whatsapp_may_fall_back_to_sms_by_itself(http: httpx.AsyncClient) -> None:
    await http.put("/behaviour/ycloud", json={"default": {"answer": "sms_fallback"}})
    answer = (await start(http, channel="whatsapp")).json()
    assert answer["smsFallbackEnabled"] is True
    (message,) = (await http.get("/inbox")).json()
    assert message["channel"] == "sms"


def test_signatures_are_those_of_the_official_kit_and_of_the_documented_example() -> None:
    official = b'{"id":"evt_01","type":"whatsapp.inbound_message.received","apiVersion":"v2"}'
    assert sign("whsec_test_6c2f0f6c3a6d4b16", official, 1_700_000_000) == (
        "t=1700000000,s=4ee5dc4c43b9d27aa16b9e46a59ea8700d0b3b90d9da6139a302aa7a55cbdaa1"
    )
    example = (
        b'{"id":"evt_sim_1","type":"sms.message.updated","apiVersion":"v2","createTime":"2025-01-02T03:04:05.000Z",'
        b'"sms":{"id":"sms_sim_1","to":"+16315550100","status":"delivered","externalId":"job-42","bizType":"verify",'
        b'"verificationId":"ve_sim_1"}}'
    )
    assert sign("whsec_local_sim_0001", example, 1_735_787_045) == (
        "t=1735787045,s=55fcc1ca9f78f4eac6a7786b5cc0ff966cc591345566049ce0855a9b5fd332c3"
    )
