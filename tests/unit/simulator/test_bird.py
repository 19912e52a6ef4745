from __future__ import annotations

from typing import Any

import httpx
import pytest

from pipeline.settings import BirdSettings
from pipeline.simulator.app import DEVELOPMENT_CREDENTIALS
from pipeline.simulator.providers.bird.errors import ERRORS
from pipeline.simulator.providers.bird.events import sign, statuses
from pipeline.simulator.providers.bird.provider import Bird
from pipeline.simulator.server import accounts_of
from pipeline.simulator.world import World
from pipeline.testing.clock import ManualClock

IDS = DEVELOPMENT_CREDENTIALS["bird"]
KEY = {"Authorization": "AccessKey simulator"}
VERIFY = f"/bird/workspaces/{IDS['workspace_id']}/verify"
TO = "+31612345678"
ADDRESS = "jo@example.org"
SMS = {"navigatorId": IDS["navigator_id"]}
EMAIL = {"channelId": IDS["channels.email"]}
TEMPLATE = {"projectId": "6f0c1f6e-0d1b-4c1e-9b0a-3f5d2c7e8a90", "version": "0b1d6f0c-1f6e-4c1e-9b0a-3f5d2c7e8a90"}
WHATSAPP = {"channelId": IDS["channels.whatsapp"], "template": TEMPLATE}
MISSING = "6f0c1f6e-0d1b-4c1e-9b0a-3f5d2c7e8a90"


async def create(http: httpx.AsyncClient, **body: Any) -> httpx.Response:
    asked = {"identifier": {"phonenumber": TO}, "steps": [SMS]} | body
    return await http.post(VERIFY, json={name: each for name, each in asked.items() if each is not None}, headers=KEY)


async def created(http: httpx.AsyncClient, **body: Any) -> str:
    verification: str = (await create(http, **body)).json()["id"]
    return f"{VERIFY}/{verification}"


async def code_of(http: httpx.AsyncClient, recipient: str = TO) -> str:
    messages = (await http.get("/inbox", params={"recipient": recipient})).json()
    code: str = messages[-1]["code"]
    return code


async def check(http: httpx.AsyncClient, path: str, code: str) -> httpx.Response:
    return await http.post(path, json={"code": code}, headers=KEY)


def wrong(code: str) -> str:
    return code[:-1] + ("1" if code[-1] == "0" else "0")


def assert_error(answer: httpx.Response, status: int) -> None:
    assert answer.status_code == status
    assert set(answer.json()) == {"code", "message"}


async def test_a_create_is_accepted_with_its_defaults_and_without_the_code(http: httpx.AsyncClient) -> None:
    answer = await create(http)
    assert answer.status_code == 202
    body = answer.json()
    assert len(body.pop("id")) == 36
    assert body == {
        "identifier": {"phonenumber": TO},
        "locale": "nl-NL",
        "maxAttempts": 3,
        "failedAttempts": 0,
        "timeout": 600,
        "codeLength": 6,
        "status": "accepted",
        "currentStepIndex": 0,
        "steps": [SMS],
        "createdAt": "2025-01-02T03:04:05Z",
        "updatedAt": "2025-01-02T03:04:05Z",
        "expiresAt": "2025-01-02T03:14:05Z",
    }
    assert await code_of(http) not in answer.text


@pytest.mark.parametrize(
    ("step", "identifier", "to", "channel"),
    [
        (SMS, {"phonenumber": TO}, TO, "sms"),
        ({"channelId": IDS["channels.sms"]}, {"phonenumber": TO}, TO, "sms"),
        (WHATSAPP, {"phonenumber": TO}, TO, "whatsapp"),
        (EMAIL, {"emailaddress": ADDRESS}, ADDRESS, "email"),
        (EMAIL | {"identifier": {"emailaddress": ADDRESS}}, {"phonenumber": TO}, ADDRESS, "email"),
    ],
)
async def test_the_person_finds_a_code_of_birds_on_every_channel(
    http: httpx.AsyncClient, step: dict[str, Any], identifier: dict[str, str], to: str, channel: str
) -> None:
    assert (await create(http, identifier=identifier, steps=[step], codeLength=12)).status_code == 202
    (message,) = (await http.get("/inbox", params={"recipient": to})).json()
    assert (message["channel"], message["provider"], len(message["code"])) == (channel, "bird", 12)
    assert message["code"] in message["text"]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"locale": "pl-PL"}, "Twój kod"),
        ({"locale": "af"}, "Jou verifikasiekode"),
        ({}, "Je verificatiecode"),
        ({"steps": [WHATSAPP | {"template": TEMPLATE | {"locale": "fr"}}]}, "Votre code"),
        ({"identifier": {"emailaddress": ADDRESS}, "steps": [EMAIL]}, "Your verification code"),
    ],
)
async def test_the_text_is_in_the_locale_the_templates_or_the_numbers(
    http: httpx.AsyncClient, body: dict[str, Any], text: str
) -> None:
    await create(http, **body)
    (message,) = (await http.get("/inbox")).json()
    assert message["text"].startswith(text)


@pytest.mark.parametrize(
    "key", [None, "", "simulator", "Bearer simulator", "AccessKey Simulator", "accesskey simulator"]
)
async def test_a_wrong_key_is_refused_before_anything_else(http: httpx.AsyncClient, key: str | None) -> None:
    headers = {} if key is None else {"Authorization": key}
    assert_error(await http.post(VERIFY, content=b"no json", headers=headers), 401)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"code": "123456"}, 422),
        ({"reference": "x"}, 422),
        ({"identifier": None}, 422),
        ({"identifier": {}}, 422),
        ({"identifier": TO}, 422),
        ({"identifier": {"phonenumber": "31612345678"}}, 422),
        ({"identifier": {"phonenumber": TO, "name": "Jo"}}, 422),
        ({"identifier": {"emailaddress": "jo"}}, 422),
        ({"identifier": {"emailaddress": ADDRESS}}, 422),
        ({"identifier": {"phonenumber": TO, "emailaddress": ADDRESS}}, 202),
        ({"steps": None}, 422),
        ({"steps": []}, 422),
        ({"steps": [7]}, 422),
        ({"steps": [{}]}, 422),
        ({"steps": [SMS | EMAIL]}, 422),
        ({"steps": [{"channelId": "sms"}]}, 422),
        ({"steps": [{"channelId": MISSING}]}, 404),
        ({"steps": [{"navigatorId": MISSING}]}, 404),
        ({"steps": [SMS | {"channel": "sms"}]}, 422),
        ({"steps": [SMS | {"identifier": {}}]}, 422),
        ({"steps": [{"channelId": IDS["channels.whatsapp"]}]}, 422),
        ({"steps": [WHATSAPP | {"template": {"projectId": "x", "version": "y"}}]}, 422),
        ({"steps": [WHATSAPP | {"template": TEMPLATE | {"variables": {}}}]}, 422),
        ({"steps": [WHATSAPP | {"template": TEMPLATE | {"locale": 7}}]}, 422),
        ({"steps": [WHATSAPP | {"template": "welcome"}]}, 422),
        ({"steps": [SMS, WHATSAPP]}, 202),
        ({"steps": [SMS, EMAIL]}, 422),
        ({"locale": "pt_BR"}, 422),
        ({"locale": "zh-Hant-TW"}, 202),
        ({"maxAttempts": 0}, 422),
        ({"maxAttempts": 11}, 422),
        ({"maxAttempts": "3"}, 422),
        ({"maxAttempts": True}, 422),
        ({"timeout": 29}, 422),
        ({"timeout": 30}, 202),
        ({"timeout": 3600}, 202),
        ({"timeout": 3601}, 422),
        ({"codeLength": 5}, 422),
        ({"codeLength": 12}, 202),
        ({"codeLength": 13}, 422),
    ],
)
async def test_each_field_is_held_to_its_documented_limits(
    http: httpx.AsyncClient, body: dict[str, Any], status: int
) -> None:
    answer = await create(http, **body)
    assert answer.status_code == status
    if status != 202:
        assert_error(answer, status)
        assert (await http.get("/inbox")).json() == []


@pytest.mark.parametrize(
    ("content", "content_type"), [(b"{", "application/json"), (b"[]", "application/json"), (b"{}", "text/plain")]
)
async def test_a_body_that_is_no_json_object_is_a_bad_request(
    http: httpx.AsyncClient, content: bytes, content_type: str
) -> None:
    assert_error(await http.post(VERIFY, content=content, headers=KEY | {"Content-Type": content_type}), 400)


async def test_unknown_paths_workspaces_and_verifications_are_not_found(http: httpx.AsyncClient) -> None:
    known = await created(http)
    for method, path in (
        ("PUT", VERIFY),
        ("DELETE", known),
        ("GET", f"{known}/resend"),
        ("POST", f"{known}/cancel"),
        ("POST", "/bird/verify"),
        ("POST", f"/bird/workspaces/{MISSING}/verify"),
        ("POST", f"{VERIFY}/{MISSING}"),
        ("GET", f"{VERIFY}/{MISSING}"),
    ):
        assert_error(await http.request(method, path, json={"code": "1"}, headers=KEY), 404)


# Checks --------------------------------------------------------------------------------------------------------------


async def test_a_right_code_is_accepted_once(http: httpx.AsyncClient) -> None:
    path = await created(http)
    code = await code_of(http)
    answer = await check(http, path, code)
    assert (answer.status_code, answer.json()["status"]) == (200, "verified")
    assert_error(await check(http, path, code), 400)


async def test_wrong_codes_use_up_the_attempts_and_then_no_code_is_right(http: httpx.AsyncClient) -> None:
    path = await created(http, maxAttempts=2)
    code = await code_of(http)
    assert_error(await check(http, path, wrong(code)), 400)
    assert (await http.get(path, headers=KEY)).json()["failedAttempts"] == 1
    assert_error(await check(http, path, wrong(code)), 400)
    shown = (await http.get(path, headers=KEY)).json()
    assert (shown["failedAttempts"], shown["status"]) == (2, "failed")
    assert_error(await check(http, path, code), 400)


async def test_a_code_ends_with_its_timeout(http: httpx.AsyncClient, clock: ManualClock) -> None:
    path = await created(http, timeout=30)
    code = await code_of(http)
    clock.advance(30_000)
    assert_error(await check(http, path, code), 400)
    assert (await http.get(path, headers=KEY)).json()["status"] == "expired"


@pytest.mark.parametrize("body", [{}, {"code": 123456}, {"code": ""}, {"code": "1", "to": TO}])
async def test_a_wrong_check_is_refused_and_costs_no_attempt(http: httpx.AsyncClient, body: dict[str, Any]) -> None:
    path = await created(http)
    assert_error(await http.post(path, json=body, headers=KEY), 422)
    assert (await http.get(path, headers=KEY)).json()["failedAttempts"] == 0


# Resend, failover, list ----------------------------------------------------------------------------------------------


async def test_a_resend_sends_the_same_code_by_the_step_that_is_named(http: httpx.AsyncClient) -> None:
    path = await created(http, steps=[SMS, WHATSAPP])
    for body in ({}, {"stepIndex": None}, {"stepIndex": 1}):
        assert (await http.post(f"{path}/resend", json=body, headers=KEY)).status_code == 202
    messages = (await http.get("/inbox")).json()
    assert [message["channel"] for message in messages] == ["sms", "sms", "sms", "whatsapp"]
    assert len({message["code"] for message in messages}) == 1


async def test_a_failover_goes_on_to_the_next_step_when_asked_and_only_then(http: httpx.AsyncClient) -> None:
    identifier = {"phonenumber": TO, "emailaddress": ADDRESS}
    path = await created(http, identifier=identifier, steps=[SMS, WHATSAPP, EMAIL])
    assert (await http.post(f"{path}/failover", headers=KEY)).json()["currentStepIndex"] == 1
    assert (await http.post(f"{path}/failover", json={"stepIndex": 2}, headers=KEY)).json()["currentStepIndex"] == 2
    assert_error(await http.post(f"{path}/failover", headers=KEY), 422)
    assert [message["channel"] for message in (await http.get("/inbox")).json()] == ["sms", "whatsapp", "email"]
    assert (await check(http, path, await code_of(http, ADDRESS))).status_code == 200


@pytest.mark.parametrize(
    "body", [{"stepIndex": 1}, {"stepIndex": -1}, {"stepIndex": "0"}, {"stepIndex": True}, {"x": 0}]
)
async def test_a_step_that_is_not_there_is_refused(http: httpx.AsyncClient, body: dict[str, Any]) -> None:
    path = await created(http)
    assert_error(await http.post(f"{path}/resend", json=body, headers=KEY), 422)
    assert len((await http.get("/inbox")).json()) == 1


async def test_nothing_is_sent_for_a_verification_that_is_over(http: httpx.AsyncClient) -> None:
    path = await created(http)
    await check(http, path, await code_of(http))
    assert_error(await http.post(f"{path}/resend", headers=KEY), 400)
    assert_error(await http.post(f"{VERIFY}/{MISSING}/resend", headers=KEY), 404)
    assert len((await http.get("/inbox")).json()) == 1


async def listed(http: httpx.AsyncClient, **query: str) -> tuple[list[str], str | None]:
    answer = await http.get(VERIFY, params=query, headers=KEY)
    assert answer.status_code == 200
    body = answer.json()
    return [each["identifier"]["phonenumber"] for each in body["results"]], body.get("nextPageToken")


async def test_verifications_are_listed_page_by_page_either_way_and_by_time(
    http: httpx.AsyncClient, clock: ManualClock
) -> None:
    phones = [f"+3161234567{n}" for n in range(3)]
    for phone in phones:
        await create(http, identifier={"phonenumber": phone})
        clock.advance(60_000)
    first, token = await listed(http, limit="2")
    assert first == [phones[2], phones[1]]
    assert token is not None
    assert await listed(http, limit="2", pageToken=token) == ([phones[0]], None)
    assert await listed(http, reverse="true") == (phones, None)
    window = {"startAt": "2025-01-02T03:05:00Z", "endAt": "2025-01-02T03:05:30Z"}
    assert await listed(http, **window) == ([phones[1]], None)


@pytest.mark.parametrize(
    ("query", "status"),
    [("limit=0", 422), ("limit=101", 422), ("limit=x", 422), ("reverse=yes", 422), ("startAt=now", 422),
     ("endAt=2025-01-02T03:05:00", 422), ("what=1", 422), ("pageToken=x", 400)],
)  # fmt: skip
async def test_a_wrong_list_query_is_refused(http: httpx.AsyncClient, query: str, status: int) -> None:
    assert_error(await http.get(f"{VERIFY}?{query}", headers=KEY), status)


# Behaviours, calls, events -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(ERRORS))
async def test_every_error_can_be_asked_for(http: httpx.AsyncClient, name: str) -> None:
    await http.put("/behaviour/bird", json={"default": {"error": name}})
    answer = await create(http)
    assert_error(answer, ERRORS[name][0])
    assert ("Retry-After" in answer.headers) == (answer.status_code == 429)
    assert (await http.get("/inbox")).json() == []


@pytest.mark.parametrize("status", ["failed", "canceled"])
async def test_a_good_answer_may_hold_bad_news(http: httpx.AsyncClient, status: str) -> None:
    await http.put("/behaviour/bird", json={"default": {"answer": status}})
    answer = await create(http)
    assert (answer.status_code, answer.json()["status"]) == (202, status)
    assert (await http.get("/inbox")).json() == []


async def test_calls_tell_who_got_which_code_by_which_verification(http: httpx.AsyncClient, world: World) -> None:
    path = await created(http)
    code = await code_of(http)
    await check(http, path, code)
    sent, checked = world.calls.lines()
    for call, operation, answered, out in ((sent, "create", "202", True), (checked, "check", "200", False)):
        assert (call["operation"], call["answered"], call["sent"]) == (operation, answered, out)
        assert (call["recipient"], call["channel"], call["code"]) == (TO, "sms", code)
        assert path.endswith(call["reference"])


def test_the_signature_is_that_of_the_reference_page() -> None:
    body = b'{"service":"channels","event":"sms.outbound","payload":{"id":"m-1","status":"delivered"}}'
    signature = sign("local-signing-key", "https://example.test/hooks/bird", body, 1_735_787_045)
    assert signature == "BAq66tW2q28MdSf9KRUaSJ4TVJLYI7r18/aTAAc+8Uo="


def test_messages_go_through_these_statuses_and_events_are_repeated_for_eight_hours() -> None:
    assert statuses("delivered") == statuses("read") == ["sent", "delivered"]
    assert statuses("undelivered") == ["sent", "delivery_failed"]
    schedule = list(Bird.retries.schedule_s) if Bird.retries is not None else []
    assert sum(schedule) == 8 * 3_600
    assert schedule == sorted(schedule)


def test_an_account_brings_the_ids_of_its_own_channels() -> None:
    own = {"workspace_id": MISSING, "access_key": "k", "channels": {"email": MISSING}}
    (account,) = accounts_of({"second": BirdSettings.model_validate(own)})
    assert account.credentials == {
        "workspace_id": MISSING,
        "access_key": "k",
        "signing_key": "",
        "navigator_id": "",
        "channels.sms": "",
        "channels.email": MISSING,
        "channels.whatsapp": "",
    }
