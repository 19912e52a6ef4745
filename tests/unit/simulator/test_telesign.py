from __future__ import annotations

import asyncio
import base64
import hmac
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

import httpx
import orjson
import pytest

from pipeline.simulator.providers.telesign.auth import sign, string_to_sign
from pipeline.simulator.providers.telesign.errors import ERRORS, STATUSES
from pipeline.simulator.webhooks import Event
from pipeline.simulator.world import World
from pipeline.testing.clock import ManualClock

KEY = "c2ltdWxhdG9y"
BASIC = {"Authorization": "Basic " + base64.b64encode(f"simulator:{KEY}".encode()).decode()}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
NUMBER = "4915123456789"
HOOK = "http://127.0.0.1:8080/v1/webhooks/telesign/v1_1_aairem.token"


async def ask(http: httpx.AsyncClient, operation: str = "sms", **fields: str) -> httpx.Response:
    form = {"phone_number": NUMBER} | fields
    return await http.post(f"/telesign/v1/verify/{operation}", data=form, headers=BASIC)


async def status(http: httpx.AsyncClient, reference_id: str, **query: str) -> httpx.Response:
    return await http.get(f"/telesign/v1/verify/{reference_id}", params=query, headers=BASIC)


def assert_error(answer: httpx.Response, code: int, http: int | None = None) -> None:
    usual, told, _ = ERRORS[str(code)]
    assert answer.status_code == (http or usual)
    body = answer.json()
    assert [error["code"] for error in body["errors"]] == [code]
    assert body["status"]["code"] == told


# Messages ------------------------------------------------------------------------------------------------------------


async def test_an_sms_is_in_progress_and_has_seven_digits_of_telesigns(http: httpx.AsyncClient) -> None:
    answer = (await ask(http)).json()
    assert len(answer.pop("reference_id")) == 32
    assert answer == {
        "sub_resource": "sms",
        "errors": [],
        "status": {
            "code": 290,
            "description": "Message in progress",
            "updated_on": "2025-01-02T03:04:05.000000Z",
        },
        "verify": {"code_state": "UNKNOWN", "code_entered": ""},
    }
    (message,) = (await http.get("/inbox", params={"recipient": f"+{NUMBER}"})).json()
    assert (message["channel"], len(message["code"]), message["provider"]) == ("sms", 7, "telesign")


async def test_a_call_is_in_progress_and_has_five_digits(http: httpx.AsyncClient) -> None:
    answer = (await ask(http, "call", language="de-DE")).json()
    assert (answer["status"]["code"], answer["sub_resource"]) == (103, "call")
    (message,) = (await http.get("/inbox")).json()
    assert (message["channel"], len(message["code"])) == ("voice", 5)
    assert message["text"] == "Ihr Bestätigungscode lautet " + ", ".join(message["code"])


@pytest.mark.parametrize(
    ("number", "fields", "channel"),
    [
        (NUMBER, {}, "sms"),
        (NUMBER, {"preference": "call"}, "voice"),
        (NUMBER, {"preference": "Voice Verify"}, "voice"),
        (NUMBER, {"preference": "SMS"}, "sms"),
        ("4930123456", {"preference": "sms"}, "voice"),
    ],
)
async def test_smart_verify_picks_the_channel(
    http: httpx.AsyncClient, number: str, fields: dict[str, str], channel: str
) -> None:
    answer = (await ask(http, "smart", phone_number=number, ucid="ATCK", ignore_risk="true", **fields)).json()
    assert answer["sub_resource"] == channel
    (message,) = (await http.get("/inbox")).json()
    assert message["channel"] == channel


@pytest.mark.parametrize(
    ("operation", "fields", "text"),
    [
        (
            "sms",
            {"template": "$$PAYEE$$ $$AMOUNT$$: $$CODE$$", "transaction_payee": "Jo", "transaction_amount": "12.50"},
            "Jo 12.50: 48291",
        ),
        ("call", {"tts_message": "$$CODE$$. Again: $$CODE$$", "language": "en"}, "4, 8, 2, 9, 1. Again: 4, 8, 2, 9, 1"),
        ("smart", {"sms_message": "Smart $$CODE$$", "verify_code": "48291"}, "Smart 48291"),
    ],
)  # fmt: skip
async def test_texts_of_the_customer_have_their_places_filled(
    http: httpx.AsyncClient, operation: str, fields: dict[str, str], text: str
) -> None:
    assert (await ask(http, operation, **({"verify_code": "48291"} | fields))).status_code == 200
    (message,) = (await http.get("/inbox")).json()
    assert (message["text"], message["code"]) == (text, "48291")


@pytest.mark.parametrize(
    ("operation", "fields", "named"),
    [
        ("sms", {"phone_number": "+4915123456789"}, "PhoneNumber"),
        ("sms", {"phone_number": " 4915123456789"}, "PhoneNumber"),
        ("sms", {"verify_code": "12"}, "VerifyCode"),
        ("sms", {"verify_code": "12345678"}, "VerifyCode"),
        ("call", {"verify_code": "012"}, "VerifyCode"),
        ("call", {"verify_code": "123456"}, "VerifyCode"),
        ("sms", {"ucid": "NOPE"}, "Ucid"),
        ("sms", {"originating_ip": "home"}, "OriginatingIp"),
        ("sms", {"template": "no place"}, "Template"),
        ("sms", {"template": "$$CODE$$" + "x" * 153}, "Template"),
        ("sms", {"template": "$$CODE$$ $$PAYEE$$"}, "TransactionPayee"),
        ("sms", {"transaction_amount": "1"}, "TransactionPayee"),
        ("sms", {"sender_id": "x" * 21}, "SenderId"),
        ("sms", {"is_primary": "yes"}, "IsPrimary"),
        ("sms", {"callback_url": "ftp://x"}, "CallbackUrl"),
        ("sms", {"ignore_risk": "true"}, "IgnoreRisk"),
        ("call", {"tts_message": "$$CODE$$"}, "Language"),
        ("call", {"tts_message": "$$CODE$$", "language": "en", "pressx": "1"}, "Pressx"),
        ("call", {"prompt_digit": "7"}, "PromptMessage"),
        ("call", {"extension_template": "1"}, "ExtensionType"),
        ("smart", {"preference": "pigeon"}, "Preference"),
        ("smart", {"callback_url": HOOK}, "CallbackUrl"),
        ("smart", {"sender_id": "ACME"}, "SenderId"),
        ("sms", {"external_id": "x"}, "ExternalId"),
    ],
)
async def test_each_parameter_is_held_to_its_documented_limits(
    http: httpx.AsyncClient, operation: str, fields: dict[str, str], named: str
) -> None:
    answer = await ask(http, operation, **fields)
    assert_error(answer, -10001)
    assert answer.json()["errors"][0]["description"] == f"Invalid Request: {named} Parameter"
    assert (await http.get("/inbox")).json() == []


@pytest.mark.parametrize(
    ("headers", "content", "code", "http_status"),
    [
        (FORM, b"", -40007, 400),
        ({"Content-Type": "application/json"}, b'{"phone_number":"1"}', -40006, 400),
        (FORM, b"phone_number=%ff", -40006, 400),
        (FORM, b"language=en", -10001, 400),
        (FORM, b"phone_number=4915123456789&phone_number=4915123456789", -10001, 400),
    ],
)
async def test_a_body_that_is_no_form_is_refused(
    http: httpx.AsyncClient, headers: dict[str, str], content: bytes, code: int, http_status: int
) -> None:
    answer = await http.post("/telesign/v1/verify/sms", content=content, headers=BASIC | headers)
    assert_error(answer, code, http_status)


async def test_unknown_paths_and_methods_are_told_apart(http: httpx.AsyncClient) -> None:
    assert_error(await http.get("/telesign/v1/messaging", headers=BASIC), -40004)
    assert_error(await http.get("/telesign/v1/verify/sms", headers=BASIC), -40005)
    assert_error(await http.post("/telesign/v1/verify/completion/x", headers=BASIC), -40005)


# Authentication ------------------------------------------------------------------------------------------------------

CUSTOMER = "FFFFFFFF-EEEE-DDDD-1234-AB1234567890"
PUBLISHED_KEY = "EXAMPLE----TE8sTgg45yusumoN6BYsBVkh+yRJ5czgsnCehZaOYldPJdmFh6NeX8kunZ2zU1YWaUw/0wV6xfw=="
PUBLISHED = {
    "date": "Wed, 14 Dec 2016 18:20:12 GMT",
    "x-ts-auth-method": "HMAC-SHA256",
    "x-ts-nonce": "A1592C6F-E384-4CDB-BC42-C3AB970369E9",
}


@pytest.mark.parametrize(
    ("method", "body", "signature"),
    [
        ("POST", b"test=param", "2xVlmbrxLjYrrPun3G3WMNG6Jon4yKcTeOoK9DjXJ/Q="),
        ("POST", b"test=%CF%BF", "h8d4I0RTxErbxYXuzCOtNqb/f0w3Ck8e5SEkGNj01+8="),
        ("GET", b"", "aUm7I+9GKl3ww7PNeeJntCT0iS7b+EmRKEE4LnRzChQ="),
    ],
)
def test_signatures_are_those_of_telesigns_own_sdk(method: str, body: bytes, signature: str) -> None:
    headers = PUBLISHED | ({"content-type": FORM["Content-Type"]} if method == "POST" else {})
    assert sign(PUBLISHED_KEY, string_to_sign(method, "/v1/resource", headers, body)) == signature
    assert sign(PUBLISHED_KEY, b"{'test': 123}") == "B97g3N9lPdVaptvifxRau7bzVAC5hhRBZ6HKXABN744="


Digest = Callable[..., Any]


@pytest.fixture
def digest(http: httpx.AsyncClient, clock: ManualClock) -> Digest:
    """Ask with digest authentication; what is None in ``differences`` is left out."""

    async def ask(body: bytes = b"phone_number=4915123456789", **differences: str | None) -> httpx.Response:
        headers: dict[str, str | None] = {
            "content-type": FORM["Content-Type"],
            "date": formatdate(clock.now_ms() / 1_000, usegmt=True),
            "x-ts-auth-method": "HMAC-SHA256",
            "x-ts-nonce": "0123456789abcdef",
        }
        headers |= {name.replace("_", "-"): value for name, value in differences.items()}
        sent = {name: value for name, value in headers.items() if value is not None}
        if "authorization" not in headers:
            signed = sign(KEY, string_to_sign("POST", "/v1/verify/sms", sent, body))
            sent["authorization"] = f"TSA simulator:{signed}"
        return await http.post("/telesign/v1/verify/sms", content=body, headers=sent)

    return ask


async def test_a_digest_is_taken_once(digest: Digest) -> None:
    assert (await digest()).status_code == 200
    assert_error(await digest(), -30012)
    assert (await digest(x_ts_nonce="another-nonce")).status_code == 200


async def test_a_date_of_telesigns_own_header_takes_the_place_of_the_other(digest: Digest, clock: ManualClock) -> None:
    date = formatdate(clock.now_ms() / 1_000, usegmt=True)
    assert (await digest(date=None, x_ts_date=date)).status_code == 200


@pytest.mark.parametrize(
    ("differences", "code"),
    [
        ({"authorization": None}, -30004),
        ({"authorization": "Bearer x"}, -30005),
        ({"authorization": "TSA simulator"}, -30005),
        ({"authorization": "TSA nobody:x"}, -30000),
        ({"authorization": "TSA simulator:x"}, -30006),
        ({"authorization": "Basic ?"}, -30005),
        ({"authorization": "Basic " + base64.b64encode(b"nobody:x").decode()}, -30000),
        ({"authorization": "Basic " + base64.b64encode(b"simulator:x").decode()}, -30015),
        ({"date": None}, -30007),
        ({"date": "yesterday"}, -30009),
        ({"date": "Thu, 02 Jan 2025 02:58:00 GMT"}, -30010),
        ({"date": "Thu, 02 Jan 2025 03:10:00 GMT"}, -30010),
        ({"x_ts_nonce": "short"}, -30011),
        ({"x_ts_nonce": "x" * 65}, -30011),
        ({"x_ts_auth_method": "MD5"}, -30008),
        ({"x_ts_auth_method": None}, -30008),
    ],
)
async def test_who_is_not_known_is_told_why_before_anything_else(
    digest: Digest, differences: dict[str, str | None], code: int
) -> None:
    assert_error(await digest(b"not=checked", **differences), code)


async def test_a_wrong_signature_is_answered_with_what_was_signed(digest: Digest) -> None:
    answer = await digest(authorization="TSA simulator:x")
    assert answer.json()["signature_string"].endswith("\nphone_number=4915123456789\n/v1/verify/sms")


# Codes, completion, status -------------------------------------------------------------------------------------------


async def test_a_code_is_checked_three_times_at_most(http: httpx.AsyncClient) -> None:
    reference = (await ask(http, verify_code="048291")).json()["reference_id"]

    async def check(code: str) -> str:
        return str((await status(http, reference, verify_code=code)).json()["verify"]["code_state"])

    assert (await status(http, reference)).json()["verify"]["code_state"] == "UNKNOWN"
    assert await check("048291") == "VALID"
    assert [await check("1") for _ in range(4)] == ["INVALID"] * 3 + ["MAX_ATTEMPTS_EXCEEDED"]
    assert await check("048291") == "MAX_ATTEMPTS_EXCEEDED"


async def test_a_code_dies_after_five_minutes_and_a_status_after_twelve_hours(
    http: httpx.AsyncClient, clock: ManualClock
) -> None:
    reference = (await ask(http, verify_code="048291")).json()["reference_id"]
    clock.advance(300_000)
    body = (await status(http, reference, verify_code="048291")).json()
    assert body["verify"] == {"code_state": "EXPIRED", "code_entered": "048291"}
    clock.advance(43_200_000)
    assert_error(await status(http, reference), -10004)


async def test_nobody_sees_a_message_that_is_not_there(http: httpx.AsyncClient) -> None:
    answer = await status(http, "0" * 32)
    assert_error(answer, -10001, 404)
    assert_error(await http.put(f"/telesign/v1/verify/completion/{'0' * 32}", headers=BASIC | FORM), -30013)
    reference = (await ask(http)).json()["reference_id"]
    assert_error(await status(http, reference, code="1"), -10001)


async def test_a_completion_is_noted_with_a_code_that_is_text(http: httpx.AsyncClient) -> None:
    reference = (await ask(http)).json()["reference_id"]
    answer = await http.put(f"/telesign/v1/verify/completion/{reference}", headers=BASIC | FORM)
    body = answer.json()
    assert (body["reference_id"], body["subresource"], body["status"]["code"]) == (reference, "sms", "1900")


async def test_every_call_is_listed_with_what_names_its_message(http: httpx.AsyncClient) -> None:
    reference = (await ask(http, callback_url=HOOK, verify_code="048291")).json()["reference_id"]
    await status(http, reference, verify_code="1")
    sent, checked = (orjson.loads(line) for line in (await http.get("/calls")).text.splitlines())
    told = ("operation", "recipient", "reference", "code", "answered", "channel", "sent")
    assert [sent[name] for name in told] == [
        "sms", f"+{NUMBER}", "v1_1_aairem.token", "048291", "200", "sms", True,
    ]  # fmt: skip
    assert [checked[name] for name in told] == ["status", f"+{NUMBER}", reference, "1", "200", "sms", False]


async def test_a_rule_for_one_recipient_also_meets_the_checks_of_its_messages(http: httpx.AsyncClient) -> None:
    """Only the reference id says whose message is asked about."""
    reference = (await ask(http)).json()["reference_id"]
    rule = {"when": {"operation": "status", "recipient": f"+{NUMBER}"}, "times": 1, "error": "-90001"}
    (await http.put("/behaviour/telesign", json={"rules": [rule]})).raise_for_status()
    assert_error(await status(http, reference, verify_code="1"), -90001)
    assert (await status(http, reference, verify_code="1")).status_code == 200


# Faults --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", sorted(ERRORS))
async def test_every_error_of_the_table_can_be_asked_for(http: httpx.AsyncClient, code: str) -> None:
    await http.put("/behaviour/telesign", json={"default": {"error": int(code)}})
    assert_error(await ask(http), int(code))
    assert (await http.get("/inbox")).json() == []


@pytest.mark.parametrize("code", sorted(set(STATUSES) - {230}))
async def test_every_status_can_be_asked_for(http: httpx.AsyncClient, code: int) -> None:
    await http.put("/behaviour/telesign", json={"default": {"error": code}})
    answer = await ask(http)
    assert (answer.status_code, answer.json()["status"]["code"]) == (200, code)


@pytest.mark.parametrize(("operation", "code"), [("sms", 230), ("call", 130), ("smart", 2028)])
@pytest.mark.parametrize("how", [{"answer": "blocked"}, {"refusal": "blocked"}])
async def test_a_good_answer_may_hold_bad_news(
    http: httpx.AsyncClient, operation: str, code: int, how: dict[str, str]
) -> None:
    await http.put("/behaviour/telesign", json={"default": how})
    answer = await ask(http, operation)
    assert (answer.status_code, answer.json()["status"]["code"]) == (200, code)
    assert (await http.get("/inbox")).json() == []


async def test_what_left_is_never_told_as_not_attempted(http: httpx.AsyncClient) -> None:
    await http.put("/behaviour/telesign", json={"default": {"refusal": "internal", "sends": True}})
    answer = await ask(http)
    assert (answer.status_code, answer.json()["status"]["code"]) == (503, 599)
    assert len((await http.get("/inbox")).json()) == 1


async def test_more_than_fifty_a_second_are_too_many(http: httpx.AsyncClient) -> None:
    await http.put("/behaviour/telesign", json={"default": {"delay_ms": 0}})
    answers = [await ask(http, "call") for _ in range(51)]
    assert_error(answers[-1], -40007)
    assert "Retry-After" not in answers[-1].headers


# Callbacks -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def posted(world: World, monkeypatch: pytest.MonkeyPatch) -> list[Event]:
    """The callbacks that would be delivered."""
    events: list[Event] = []
    monkeypatch.setattr(world.webhooks, "post", lambda event, *, after_s, hold: events.append(event))
    return events


@pytest.mark.parametrize(
    ("operation", "status", "course"),
    [("sms", "delivered", [203, 200]), ("call", "delivered", [100]), ("sms", "undelivered", [203, 207]),
     ("smart", "delivered", [203, 200]), ("sms", "missing", [])],
)  # fmt: skip
async def test_each_step_of_a_message_is_told_signed(
    http: httpx.AsyncClient, posted: list[Event], operation: str, status: str, course: list[int]
) -> None:
    await http.put(
        "/behaviour/telesign", json={"default": {"delay_ms": 0, "receipt": {"status": status, "delay_ms": 0}}}
    )
    fields = {} if operation == "smart" else {"callback_url": HOOK}
    reference = (await ask(http, operation, **fields)).json()["reference_id"]
    await asyncio.sleep(0.05)
    bodies = [orjson.loads(event.body) for event in posted]
    assert [body["status"]["code"] for body in bodies] == course
    assert {body["reference_id"] for body in bodies} <= {reference}
    for event in posted:
        signature = base64.b64encode(hmac.digest(b"simulator", event.body, "sha256")).decode()
        assert event.sign(event.body, 0) == {
            "Authorization": f"TSA simulator:{signature}",
            "X-TS-Authorization": signature,
        }
        assert event.url == fields.get("callback_url", "")
        assert event.instance == "telesign"
    if status == "delivered" and operation == "sms":
        assert (await http.get(f"/telesign/v1/verify/{reference}", headers=BASIC)).json()["status"]["code"] == 200


async def test_an_undelivered_message_may_end_with_any_status(http: httpx.AsyncClient, posted: list[Event]) -> None:
    receipt = {"status": "undelivered", "delay_ms": 0, "error_code": "510"}
    await http.put("/behaviour/telesign", json={"default": {"receipt": receipt}})
    await ask(http)
    await asyncio.sleep(0.05)
    assert [orjson.loads(event.body)["status"]["code"] for event in posted] == [203, 510]


async def test_nobody_far_away_is_called_because_a_request_says_so(http: httpx.AsyncClient, world: World) -> None:
    await http.put("/behaviour/telesign", json={"default": {"receipt": {"delay_ms": 0}}})
    await ask(http, callback_url="https://192.0.2.1/v1/webhooks/telesign/x")
    await asyncio.sleep(0.05)
    lines = [orjson.loads(line) for line in (await http.get("/webhooks")).text.splitlines()]
    assert [(line["provider"], line["answered"]) for line in lines] == [("telesign", "not_ours")] * 2
    assert world.webhooks.pending == 0
