from __future__ import annotations

import asyncio
from typing import Any

import httpx
import orjson
import pytest

from pipeline.simulator.behaviour import Receipt
from pipeline.simulator.providers.thundersms.errors import ERRORS
from pipeline.simulator.providers.thundersms.events import course
from pipeline.testing.clock import ManualClock

BASE = "/thundersms/api/v2"
AUTH = {"Authorization": "Bearer simulator", "Accept": "application/json"}
NUMBER = "4915123456789"


def channel(name: str = "sms", **fields: Any) -> dict[str, Any]:
    return {"name": name, "recipient": {"to": NUMBER}} | fields


def request(*channels: dict[str, Any], **payload: Any) -> dict[str, Any]:
    return {"channels": list(channels) or [channel()], "payload": {"length": 6, "token": "482913"} | payload}


async def send(http: httpx.AsyncClient, body: dict[str, Any] | None = None) -> httpx.Response:
    return await http.post(f"{BASE}/verify/send", json=body or request(), headers=AUTH)


async def started(http: httpx.AsyncClient, body: dict[str, Any] | None = None) -> str:
    answer = await send(http, body)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


async def ask(http: httpx.AsyncClient, *path: str) -> dict[str, Any]:
    answer = await http.get(f"{BASE}/verify/{'/'.join(path)}", headers=AUTH)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def inbox(http: httpx.AsyncClient, **query: str) -> list[dict[str, Any]]:
    return list((await http.get("/inbox", params=query)).json())


async def test_a_start_answers_with_an_id_the_reference_and_times_without_a_zone(http: httpx.AsyncClient) -> None:
    answer = (await send(http, request(foreign_id="job_1_aairem", timeout=60))).json()
    assert answer == {
        "id": answer["id"],
        "status": "sent",
        "foreign_id": "job_1_aairem",
        "created_at": "2025-01-02 03:04:05",
        "expire_at": "2025-01-02 03:05:05",
    }
    (message,) = await inbox(http, recipient=f"+{NUMBER}")
    assert (message["code"], message["channel"], message["text"]) == (
        "482913", "sms", "Your verification code is 482913",
    )  # fmt: skip


async def test_a_code_of_its_own_is_seen_by_the_person_only(http: httpx.AsyncClient) -> None:
    body = request(length="5")
    del body["payload"]["token"]
    answer = await send(http, body)
    (message,) = await inbox(http)
    assert len(message["code"]) == 5
    assert message["code"] not in answer.text
    assert await ask(http, "check", answer.json()["id"], message["code"]) == {
        "id": answer.json()["id"],
        "status": "success",
    }


async def test_our_text_is_used_and_a_voice_says_each_digit(http: httpx.AsyncClient) -> None:
    await started(http, request(template="Acme: {token} is it"))
    await started(http, request(channel("voice", flow_id="12", language="en_US"), template="It is {token}"))
    sms, voice = await inbox(http)
    assert (sms["text"], voice["text"]) == ("Acme: 482913 is it", "It is 4, 8, 2, 9, 1, 3")


async def test_the_reference_is_taken_from_each_place_it_may_belong_to(http: httpx.AsyncClient) -> None:
    for body in (
        request(foreign_id="a"),
        request() | {"foreign_id": "a"},
        request(channel(meta={"foreign_id": "a"})),
    ):
        assert (await send(http, body)).json()["foreign_id"] == "a"
    assert (await send(http)).json()["foreign_id"] is None


async def test_the_token_may_stand_in_the_query(http: httpx.AsyncClient) -> None:
    answer = await http.post(f"{BASE}/verify/send", json=request(), params={"access_token": "simulator"})
    assert answer.status_code == 200
    assert (await http.get(f"{BASE}/auth/me", headers=AUTH)).json()["status"] == "OK"


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer x"}, {"Authorization": "simulator"}])
async def test_a_wrong_token_is_401(http: httpx.AsyncClient, headers: dict[str, str]) -> None:
    answer = await http.post(f"{BASE}/verify/send", json=request(), headers=headers)
    assert (answer.status_code, answer.json()) == (401, {"message": "Unauthenticated."})


WRONG = {
    "channels": {"payload": {"length": 6}},
    "channels.0": request() | {"channels": ["sms"]},
    "channels.0.name": request(channel("email")),
    "channels.0.recipient": {"channels": [{"name": "sms"}], "payload": {"length": 6}},
    "channels.0.recipient.to": request({"name": "sms", "recipient": {"to": "+" + NUMBER}}),
    "channels.0.flow_id": request(channel("voice")),
    "channels.0.language": request(channel("voice", flow_id="1", language="en-US")),
    "channels.1.ttl": request(channel(), channel("viber", ttl=29)),
    "channels.0.ttl": request(channel(ttl=60)),
    "channels.0.wait": request(channel(wait="soon")),
    "channels.0.text": request(channel(text="x")),
    "channels.0.from": request(channel(**{"from": 5})),
    "payload": {"channels": [channel()]},
    "payload.length": request(length=11),
    "payload.token": request(token="4829"),
    "payload.timeout": request(timeout=0),
    "payload.template": request(template="no code"),
    "payload.ip_address": request(ip_address="1.2.3"),
    "payload.message": request(message="x"),
    "webhook_id": request() | {"webhook_id": "x"},
}


@pytest.mark.parametrize(("field", "body"), WRONG.items())
async def test_a_wrong_or_unknown_field_is_422_and_named(
    http: httpx.AsyncClient, field: str, body: dict[str, Any]
) -> None:
    answer = await send(http, body)
    assert answer.status_code == 422
    assert list(answer.json()["errors"]) == [field]
    assert answer.json()["message"] == answer.json()["errors"][field][0]
    assert await inbox(http) == []


async def test_what_is_no_json_has_no_fields_and_broken_json_is_400(http: httpx.AsyncClient) -> None:
    form = await http.post(f"{BASE}/verify/send", data={"channels": "x"}, headers=AUTH)
    assert (form.status_code, list(form.json()["errors"])) == (422, ["channels"])
    headers = AUTH | {"Content-Type": "application/json"}
    assert (await http.post(f"{BASE}/verify/send", content=b"{", headers=headers)).status_code == 400


async def test_each_logical_failure_of_a_check_is_http_200(http: httpx.AsyncClient, clock: ManualClock) -> None:
    first, second = await started(http), await started(http)
    assert (await ask(http, "check", "unknown", "482913"))["status"] == "failed"
    assert (await ask(http, "check", first, "482914"))["status"] == "invalid"
    assert (await ask(http, "check", first, "482913"))["status"] == "success"
    assert (await ask(http, "check", first, "482913"))["status"] == "OTP already verified"
    clock.advance(120_000)
    assert (await ask(http, "check", second, "482913"))["status"] == "expired"
    assert (await ask(http, "search", second))["status"] == "expired"


async def test_a_canceled_request_is_deleted(http: httpx.AsyncClient) -> None:
    verify = await started(http)
    assert await ask(http, "cancel", verify) == {"id": verify, "status": "success"}
    assert (await ask(http, "cancel", verify))["status"] == "failed"
    assert (await ask(http, "check", verify, "482913"))["status"] == "failed"
    assert (await ask(http, "search", verify))["status"] == "deleted"


async def test_a_search_shows_each_message(http: httpx.AsyncClient) -> None:
    await http.put("/behaviour/thundersms", json={"default": {"delay_ms": 0, "receipt": {"status": "missing"}}})
    verify = await started(http, request(channel(**{"from": "ACME"}), foreign_id="a"))
    shown = await ask(http, "search", verify)
    (leg,) = shown.pop("channels")
    assert shown == {
        "id": verify,
        "to": NUMBER,
        "reference": "a",
        "status": "sent",
        "created_at": "2025-01-02 03:04:05",
        "expire_at": "2025-01-02 03:06:05",
    }
    assert leg.pop("event_id").endswith(":1")
    assert leg.pop("id") != verify
    assert leg == {
        "to": NUMBER,
        "from": "ACME",
        "channel": "sms",
        "created_at": "2025-01-02 03:04:05",
        "status": "sent",
    }
    assert await ask(http, "search", "unknown") == {"id": "unknown", "status": "failed"}


async def walked(http: httpx.AsyncClient, receipt: dict[str, Any], *, code: str | None = None) -> list[str]:
    """The channels a person was reached on, of a walk without waits."""
    await http.put("/behaviour/thundersms", json={"default": {"delay_ms": 0, "receipt": {"delay_ms": 0} | receipt}})
    body = request(channel("sms", order=1, wait=0), channel("whatsapp", order=0, wait=0), channel("viber", order=2))
    verify = await started(http, body)
    if code is not None:
        await ask(http, "check", verify, code)
    await asyncio.sleep(0.05)
    shown = await ask(http, "search", verify)
    assert [message["channel"] for message in await inbox(http)] in ([], [leg["channel"] for leg in shown["channels"]])
    return [f"{leg['channel']} {leg['status']}" for leg in shown["channels"]]


async def test_the_walk_goes_in_the_order_told_until_a_message_arrives(http: httpx.AsyncClient) -> None:
    assert await walked(http, {"status": "undelivered"}) == ["whatsapp failed", "sms failed", "viber failed"]
    assert await walked(http, {"status": "undelivered", "error_code": "NO-CREDITS"}) == [
        "whatsapp NO-CREDITS", "sms NO-CREDITS", "viber NO-CREDITS",
    ]  # fmt: skip


async def test_the_walk_ends_with_a_message_that_arrived(http: httpx.AsyncClient) -> None:
    # Its receipt comes before the end of the wait.
    assert await walked(http, {"status": "read"}) == ["whatsapp read"]
    assert len(await inbox(http)) == 1


async def test_after_every_channel_failed_the_whole_has(http: httpx.AsyncClient) -> None:
    await http.put(
        "/behaviour/thundersms", json={"default": {"receipt": {"status": "undelivered", "delay_ms": 0}, "delay_ms": 0}}
    )
    verify = await started(http)
    await asyncio.sleep(0.02)
    shown = await ask(http, "search", verify)
    assert (shown["status"], shown["channels"][0]["status"]) == ("failed", "failed")


async def test_the_next_channel_waits_in_real_time_and_not_for_a_verified_person(
    http: httpx.AsyncClient,
) -> None:
    await http.put("/behaviour/thundersms", json={"default": {"delay_ms": 0, "receipt": {"status": "missing"}}})
    verify = await started(http, request(channel("whatsapp", wait=1), channel("sms")))
    other = await started(http, request(channel("viber", wait=1), channel("sms")))
    assert (await ask(http, "check", other, "482913"))["status"] == "success"
    await asyncio.sleep(0.5)
    assert len((await ask(http, "search", verify))["channels"]) == 1
    await asyncio.sleep(0.7)
    assert [leg["channel"] for leg in (await ask(http, "search", verify))["channels"]] == ["whatsapp", "sms"]
    assert [leg["channel"] for leg in (await ask(http, "search", other))["channels"]] == ["viber"]


async def test_older_deployments_name_the_recipient_and_call_the_reference_so(http: httpx.AsyncClient) -> None:
    await http.put("/behaviour/thundersms", json={"default": {"answer": "old_style"}})
    answer = (await send(http, request(foreign_id="a"))).json()
    assert (answer["to"], answer["reference"], "foreign_id" in answer) == (NUMBER, "a", False)


@pytest.mark.parametrize(("answer", "word"), [("blacklisted", "BLACKLST"), ("undeliverable", "failed")])
async def test_bad_news_is_told_by_a_search_only(http: httpx.AsyncClient, answer: str, word: str) -> None:
    await http.put("/behaviour/thundersms", json={"default": {"answer": answer}})
    verify = await started(http)
    assert (await ask(http, "search", verify))["channels"][0]["status"] == word
    assert await inbox(http) == []


async def test_the_1001st_get_of_a_minute_is_429_and_sending_goes_on(
    http: httpx.AsyncClient, clock: ManualClock
) -> None:
    for _ in range(1_000):
        await ask(http, "search", "unknown")
    assert (await http.get(f"{BASE}/auth/me", headers=AUTH)).status_code == 429
    assert (await send(http)).status_code == 200
    clock.advance(60_000)
    assert (await http.get(f"{BASE}/auth/me", headers=AUTH)).status_code == 200


@pytest.mark.parametrize("code", ERRORS)
async def test_every_error_of_the_table_can_be_asked_for(http: httpx.AsyncClient, code: str) -> None:
    await http.put("/behaviour/thundersms", json={"default": {"error": code}})
    answer = await send(http)
    assert answer.status_code == ERRORS[code][0]
    assert answer.json()["message"] == ERRORS[code][1]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/verify/send", 405),
        ("POST", "/verify/search/x", 405),
        ("GET", "/verify/check/x", 404),
        ("GET", "/", 404),
    ],
)
async def test_an_unknown_path_is_404_and_a_wrong_method_405(
    http: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    assert (await http.request(method, BASE + path, headers=AUTH)).status_code == status


async def test_calls_tell_whose_code_was_sent_and_checked(http: httpx.AsyncClient) -> None:
    verify = await started(http, request(foreign_id="a"))
    await ask(http, "check", verify, "111111")
    sent, checked = map(orjson.loads, (await http.get("/calls")).content.splitlines())
    assert {name: sent[name] for name in ("operation", "recipient", "reference", "code", "channel", "sent")} == {
        "operation": "send", "recipient": f"+{NUMBER}", "reference": "a", "code": "482913", "channel": "sms",
        "sent": True,
    }  # fmt: skip
    assert (checked["operation"], checked["recipient"], checked["code"], checked["answered"]) == (
        "check", f"+{NUMBER}", "111111", "200 invalid",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "receipt", "words"),
    [
        ("sms", Receipt(), ["DELIVRD"]),
        ("sms", Receipt(status="read"), ["DELIVRD"]),
        ("sms", Receipt(status="undelivered", error_code="SPAM"), ["SPAM"]),
        ("voice", Receipt(), ["ANSWER"]),
        ("voice", Receipt(status="undelivered"), ["NOANSWER"]),
        ("whatsapp", Receipt(status="read"), ["sent", "delivered", "read"]),
        ("viber", Receipt(status="undelivered"), ["sent", "failed"]),
    ],
)
def test_each_channel_has_its_own_words(name: str, receipt: Receipt, words: list[str]) -> None:
    assert course(name, receipt) == words
