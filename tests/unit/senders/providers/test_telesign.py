"""Telesign's requests and answers as its reference page says. Tables, one row per published fact."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
from pydantic import ValidationError

from pipeline import __version__
from pipeline.model.capabilities import provider_language
from pipeline.model.messages import Catalogue, Message
from pipeline.model.reasons import Reason
from pipeline.records.internal import WalkStep
from pipeline.records.types import AttemptResult, AttemptStatus, Channel, CommandKind, ResultClass
from pipeline.senders.provider import Answer, Opened, Probe, Unsendable
from pipeline.senders.providers.telesign import CAPABILITIES, Telesign, able
from pipeline.senders.providers.telesign.auth import Signer, key_bytes, signature
from pipeline.senders.providers.telesign.tables import ERRORS, STATUSES
from pipeline.senders.registry import capabilities
from pipeline.senders.shown import ABILITIES
from pipeline.settings import Settings, TelesignSettings, TenantSettings
from tests.unit.senders.doubles import PHONE, command

CUSTOMER = "FFFFFFFF-EEEE-DDDD-1234-AB1234567890"
KEY = "EXAMPLE----TE8sTgg45yusumoN6BYsBVkh+yRJ5czgsnCehZaOYldPJdmFh6NeX8kunZ2zU1YWaUw/0wV6xfw=="
NONCE = "A1592C6F-E384-4CDB-BC42-C3AB970369E9"
AT_MS = 1_481_739_612_000
DATE = "Wed, 14 Dec 2016 18:20:12 GMT"
ID = "3F0A9C5D77E2418BA6D10C94E85B2F61"
HOOK = "https://verify.example.org/v1/webhooks/telesign"


def telesign(webhook_url: str = "", **settings: Any) -> Telesign:
    wanted = TelesignSettings.model_validate({"customer_id": CUSTOMER, "api_key": KEY, **settings})
    return Telesign(
        instance="telesign",
        settings=wanted,
        capabilities=able(wanted, CAPABILITIES),
        webhook_url=webhook_url,
        new_nonce=lambda: NONCE,
    )


PROVIDER = telesign()

# Authentication ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "body", "signed"),
    [
        ("POST", b"test=param", "2xVlmbrxLjYrrPun3G3WMNG6Jon4yKcTeOoK9DjXJ/Q="),
        ("POST", b"test=%CF%BF", "h8d4I0RTxErbxYXuzCOtNqb/f0w3Ck8e5SEkGNj01+8="),
        ("GET", b"", "aUm7I+9GKl3ww7PNeeJntCT0iS7b+EmRKEE4LnRzChQ="),
    ],
)
def test_the_published_vectors_of_digest_authentication_hold(method: str, body: bytes, signed: str) -> None:
    signer = Signer(customer_id=CUSTOMER, api_key=KEY, method="digest", new_nonce=lambda: NONCE)
    assert signer.headers(method, "/v1/resource", body, AT_MS) == {
        "Authorization": f"TSA {CUSTOMER}:{signed}",
        "Date": DATE,
        "Content-Type": "application/x-www-form-urlencoded" if method == "POST" else "",
        "x-ts-auth-method": "HMAC-SHA256",
        "x-ts-nonce": NONCE,
    }


def test_basic_authentication_shows_id_and_key_and_dates_the_request_all_the_same() -> None:
    signer = Signer(customer_id="Aladdin", api_key="b3BlbiBzZXNhbWU=", method="basic", new_nonce=lambda: NONCE)
    assert signer.headers("GET", "/v1/verify/x", b"", AT_MS) == {
        "Authorization": "Basic QWxhZGRpbjpiM0JsYmlCelpYTmhiV1U9",
        "Date": DATE,
        "Content-Type": "",
        "x-ts-auth-method": "Basic",
        "x-ts-nonce": NONCE,
    }


def test_each_request_has_a_nonce_of_its_own() -> None:
    provider = Telesign(instance="t", settings=TelesignSettings.model_validate({"customer_id": "c", "api_key": KEY}))
    nonces = {provider.build(command(), Opened(recipient=PHONE, code="4829"), 0).headers["x-ts-nonce"] for _ in "123"}
    assert len(nonces) == 3
    assert {len(nonce) for nonce in nonces} == {36}


# Requests ------------------------------------------------------------------------------------------------------------

VOICE: dict[str, Any] = {"channel": Channel.VOICE}
WALK: dict[str, Any] = {"walk": [WalkStep(index=1, channel=Channel.VOICE)]}
TEXT = Message(template="{brand}: {code}", values={"brand": "Äcme"}, language="de", wished=True)
PLAIN = Message(template="Ihr Code: {code}", language="de")
PAYMENT = Message(template="{amount} an {payee}: {code}", values={"amount": "12.50", "payee": "Jo"}, language="de")

REQUESTS: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any], str, bytes]] = {
    "sms": ({}, {}, {}, "sms", b"phone_number=491711234567&verify_code=048291&language=de"),
    "sms with a code of Telesign's": ({}, {"code": None}, {}, "sms", b"phone_number=491711234567&language=de"),
    "sms with all that can be wished": (
        {
            "use_case": "ATCK",
            "sender": "ACME",
            "language": "pt-BR",
            "options": {
                "is_primary": "false",
                "dlt_template_id": "1107",
                "dlt_entity_id": "1",
                "sim_swap_check": "true",
            },
        },
        {"end_user_ip": "2001:db8::1"},
        {},
        "sms",
        b"phone_number=491711234567&ucid=ATCK&originating_ip=2001%3Adb8%3A%3A1&verify_code=048291&language=pt-BR"
        b"&sender_id=ACME&dlt_entity_id=1&dlt_template_id=1107&is_primary=false&sim_swap_check=true",
    ),
    "sms in words that were wished": (
        {},
        {"message": TEXT},
        {},
        "sms",
        b"phone_number=491711234567&verify_code=048291&template=%C3%84cme%3A+%24%24CODE%24%24",
    ),
    "our wording by setting": (
        {},
        {"message": PLAIN},
        {"own_texts": True},
        "sms",
        b"phone_number=491711234567&verify_code=048291&template=Ihr+Code%3A+%24%24CODE%24%24",
    ),
    "a brand takes our wording": (
        {"brand": "Äcme"},
        {"message": PLAIN},
        {},
        "sms",
        b"phone_number=491711234567&verify_code=048291&template=Ihr+Code%3A+%24%24CODE%24%24",
    ),
    "a payment by sms": (
        {"amount": "12.50"},
        {"payee": "Jo", "message": PAYMENT},
        {},
        "sms",
        b"phone_number=491711234567&verify_code=048291&transaction_amount=12.50&transaction_payee=Jo"
        b"&template=%24%24AMOUNT%24%24+an+%24%24PAYEE%24%24%3A+%24%24CODE%24%24",
    ),
    "a payee too long for its field stands in the text itself": (
        {"amount": "12.50"},
        {"payee": "J" * 41, "message": PAYMENT},
        {},
        "sms",
        b"phone_number=491711234567&verify_code=048291&template=12.50+an+Jo%3A+%24%24CODE%24%24",
    ),
    "voice": (
        VOICE | {"language": "en-US"},
        {"code": "48291"},
        {},
        "call",
        b"phone_number=491711234567&verify_code=48291&language=en-US",
    ),
    "a longer code by call, by setting": (
        VOICE | {"language": "en-US"},
        {"code": "4829130"},
        {"max_call_digits": 7},
        "call",
        b"phone_number=491711234567&verify_code=4829130&language=en-US",
    ),
    "a language that the account is known to have": (
        {"language": "pt-BR"},
        {},
        {"languages": ["pt", "de-DE"]},
        "sms",
        b"phone_number=491711234567&verify_code=048291&language=pt",
    ),
    "a language that the account is known to lack is left to telesign": (
        {"language": "sw"},
        {},
        {"languages": ["pt", "de-DE"]},
        "sms",
        b"phone_number=491711234567&verify_code=048291",
    ),
    "voice with all that can be wished": (
        VOICE
        | {
            "use_case": "TRVF",
            "sender": "+15550100000",
            "options": {
                "extension_type": "1",
                "extension_template": "12,,3",
                "prompt_message": "Press 7",
                "prompt_digit": "7",
                "call_forward_action": "block",
                "redial": "false",
            },
        },
        {"code": None, "end_user_ip": "192.0.2.1"},
        {},
        "call",
        b"phone_number=491711234567&ucid=TRVF&originating_ip=192.0.2.1&language=de&caller_id=15550100000"
        b"&call_forward_action=block&extension_template=12%2C%2C3&extension_type=1&prompt_digit=7"
        b"&prompt_message=Press+7&redial=false",
    ),
    "the number a call shows may be an option": (
        VOICE | {"options": {"caller_id": "15550100000"}},
        {"code": None},
        {},
        "call",
        b"phone_number=491711234567&language=de&caller_id=15550100000",
    ),
    "a spoken text goes with its language, in the wished accent": (
        VOICE | {"language": "de-AT"},
        {"code": "48291", "message": TEXT},
        {},
        "call",
        b"phone_number=491711234567&verify_code=48291&tts_message=%C3%84cme%3A+%24%24CODE%24%24&language=de-AT",
    ),
    "a spoken text is never read in another language's sounds": (
        VOICE | {"language": "fr-FR"},
        {"code": "48291", "message": TEXT},
        {},
        "call",
        b"phone_number=491711234567&verify_code=48291&tts_message=%C3%84cme%3A+%24%24CODE%24%24&language=de",
    ),
    "a payment by voice is told in the text": (
        VOICE | {"amount": "12.50"},
        {"code": "48291", "payee": "Jo", "message": PAYMENT},
        {},
        "call",
        b"phone_number=491711234567&verify_code=48291&tts_message=12.50+an+Jo%3A+%24%24CODE%24%24&language=de",
    ),
    "smart": (
        WALK | {"use_case": "PWRT", "prefer_channel": Channel.VOICE, "options": {"ignore_risk": "true"}},
        {"code": None},
        {},
        "smart",
        b"phone_number=491711234567&ucid=PWRT&language=de&ignore_risk=true",
    ),
    "smart with a code and a preference, by setting": (
        WALK | {"prefer_channel": Channel.VOICE},
        {"code": "48291"},
        {"smart_own_code": True, "smart_preference": True},
        "smart",
        b"phone_number=491711234567&verify_code=48291&language=de&preference=call",
    ),
    "smart prefers sms": (
        WALK | {"prefer_channel": Channel.SMS},
        {"code": None},
        {"smart_preference": True},
        "smart",
        b"phone_number=491711234567&language=de&preference=sms",
    ),
    "smart has one text for eyes and ears, without the line for browsers": (
        WALK,
        {"code": None, "message": Message(template="Code {code}\n@acme.example #{code}", language="en", wished=True)},
        {},
        "smart",
        b"phone_number=491711234567&sms_message=Code+%24%24CODE%24%24%0A%40acme.example+%23%24%24CODE%24%24"
        b"&tts_message=Code+%24%24CODE%24%24&language=en",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("wishes", "opened", "settings", "path", "body"), REQUESTS.values(), ids=REQUESTS)
def test_a_command_becomes_exactly_this_request(
    wishes: dict[str, Any], opened: dict[str, Any], settings: dict[str, Any], path: str, body: bytes
) -> None:
    given = Opened(**({"recipient": PHONE, "code": "048291"} | opened))
    request = telesign(**settings).build(command(provider="telesign", **wishes), given, AT_MS)
    assert request.method == "POST"
    assert str(request.url) == f"https://rest-ww.telesign.com/v1/verify/{path}"
    assert request.content == body
    signed = signature(
        key_bytes(KEY),
        f"POST\napplication/x-www-form-urlencoded\n{DATE}\nx-ts-auth-method:HMAC-SHA256\nx-ts-nonce:{NONCE}\n".encode()
        + body
        + f"\n/v1/verify/{path}".encode(),
    )
    assert dict(request.headers) == {
        "host": "rest-ww.telesign.com",
        "authorization": f"TSA {CUSTOMER}:{signed}",
        "date": DATE,
        "x-ts-auth-method": "HMAC-SHA256",
        "x-ts-nonce": NONCE,
        "content-type": "application/x-www-form-urlencoded",
        "accept": "application/json",
        "accept-encoding": "identity",
        "user-agent": f"verification-pipeline/{__version__}",
        "content-length": str(len(body)),
    }


@pytest.mark.parametrize(
    ("kind", "code", "method", "target"),
    [
        (CommandKind.CHECK, "48 29&", "GET", f"/v1/verify/{ID}?verify_code=48+29%26"),
        (CommandKind.LOOKUP, None, "GET", f"/v1/verify/{ID}"),
        (CommandKind.REPORT, "048291", "PUT", f"/v1/verify/completion/{ID}"),
    ],
)
def test_a_question_about_a_message_is_signed_without_its_query(
    kind: CommandKind, code: str | None, method: str, target: str
) -> None:
    asked = command(kind=kind, provider_message_id=ID)
    request = PROVIDER.build(asked, Opened(recipient="", code=code), AT_MS)
    path = target.partition("?")[0]
    content_type = "" if method == "GET" else "application/x-www-form-urlencoded"
    signed = signature(
        key_bytes(KEY),
        f"{method}\n{content_type}\n{DATE}\nx-ts-auth-method:HMAC-SHA256\nx-ts-nonce:{NONCE}\n{path}".encode(),
    )
    assert (request.method, str(request.url), request.content) == (
        method,
        f"https://rest-ww.telesign.com{target}",
        b"",
    )
    assert request.headers["authorization"] == f"TSA {CUSTOMER}:{signed}"
    assert request.headers["content-type"] == content_type


@pytest.mark.parametrize(
    ("wishes", "settings", "wanted"),
    [
        ({}, {}, False),
        ({"language": "pt-BR"}, {}, False),
        ({}, {"own_texts": True}, True),
        ({"text": "{code}"}, {}, True),
        ({"template": "short"}, {}, True),
        ({"brand": "Acme"}, {}, True),
        ({"amount": "10.00"}, {}, True),
    ],
)
def test_our_text_is_composed_only_where_it_says_what_telesigns_wording_does_not(
    wishes: dict[str, Any], settings: dict[str, Any], wanted: bool
) -> None:
    assert telesign(**settings).wants_text(command(**wishes)) is wanted


def test_callbacks_of_a_message_go_to_an_address_of_its_own() -> None:
    provider = telesign(webhook_url=HOOK)
    for channel in (Channel.SMS, Channel.VOICE):
        request = provider.build(command(channel=channel), Opened(recipient=PHONE, code="4829"), AT_MS)
        address = httpx.QueryParams(request.content.decode())["callback_url"]
        token = address.removeprefix(HOOK + "/")
        assert token.startswith("v1_1_aairem.")
        assert len(token.partition(".")[2]) == 22
    smart = provider.build(command(**WALK), Opened(recipient=PHONE), AT_MS)
    assert b"callback_url" not in smart.content


@pytest.mark.parametrize(
    ("wishes", "opened", "settings", "reason"),
    [
        ({"channel": Channel.EMAIL}, {}, {}, Reason.UNSUPPORTED_BY_PROVIDER),
        ({"kind": CommandKind.CANCEL}, {}, {}, Reason.UNSUPPORTED_BY_PROVIDER),
        ({"kind": CommandKind.LOOKUP}, {}, {}, Reason.UNSUPPORTED_BY_PROVIDER),
        ({"kind": CommandKind.CHECK, "provider_message_id": "../x"}, {}, {}, Reason.UNSUPPORTED_BY_PROVIDER),
        ({}, {"code": "12"}, {}, Reason.UNSUPPORTED_BY_PROVIDER),
        ({}, {"code": "12345678"}, {}, Reason.UNSUPPORTED_BY_PROVIDER),
        ({}, {"code": "12a4"}, {}, Reason.UNSUPPORTED_BY_PROVIDER),
        ({}, {"code": "١٢٣٤"}, {}, Reason.UNSUPPORTED_BY_PROVIDER),
        (VOICE, {"code": "482913"}, {}, Reason.UNSUPPORTED_BY_PROVIDER),
        (VOICE, {"code": "0829"}, {}, Reason.UNSUPPORTED_BY_PROVIDER),
        (VOICE, {"code": "4829130"}, {"max_call_digits": 6}, Reason.UNSUPPORTED_BY_PROVIDER),
        (VOICE, {"code": "0829130"}, {"max_call_digits": 7}, Reason.UNSUPPORTED_BY_PROVIDER),
        (WALK, {"code": "48291"}, {}, Reason.UNSUPPORTED_BY_PROVIDER),
        (WALK, {"code": "4829"}, {"smart_own_code": True}, Reason.UNSUPPORTED_BY_PROVIDER),
        (WALK, {"code": "04829"}, {"smart_own_code": True}, Reason.UNSUPPORTED_BY_PROVIDER),
        (WALK | {"sender": "ACME"}, {"code": None}, {}, Reason.UNSUPPORTED_BY_PROVIDER),
        (WALK | {"options": {"is_primary": "true"}}, {"code": None}, {}, Reason.UNKNOWN_OPTION),
        ({"options": {"ignore_risk": "true"}}, {}, {}, Reason.UNKNOWN_OPTION),
        ({"options": {"redial": "true"}}, {}, {}, Reason.UNKNOWN_OPTION),
        ({"options": {"is_primary": "yes"}}, {}, {}, Reason.INVALID_FIELD),
        ({"options": {"dlt_entity_id": "1" * 41}}, {}, {}, Reason.INVALID_FIELD),
        ({"sender": "A" * 21}, {}, {}, Reason.INVALID_FIELD),
        (VOICE | {"sender": "ACME"}, {"code": None}, {}, Reason.INVALID_FIELD),
        (
            VOICE | {"sender": "+15550100000", "options": {"caller_id": "15550100001"}},
            {"code": None},
            {},
            Reason.INVALID_FIELD,
        ),
        (VOICE | {"options": {"caller_id": "1,2"}}, {"code": None}, {}, Reason.INVALID_FIELD),
        (VOICE | {"options": {"caller_id": "0155501"}}, {"code": None}, {}, Reason.INVALID_FIELD),
        (VOICE | {"options": {"extension_template": "1"}}, {"code": None}, {}, Reason.INVALID_FIELD),
        (VOICE | {"options": {"prompt_digit": "7"}}, {"code": None}, {}, Reason.INVALID_FIELD),
        (
            VOICE | {"options": {"extension_template": "1;2", "extension_type": "1"}},
            {"code": None},
            {},
            Reason.INVALID_FIELD,
        ),
        (VOICE | {"options": {"pressx": "1"}}, {"code": None, "message": TEXT}, {}, Reason.INVALID_FIELD),
        ({}, {"message": Message(template="{code}" + "x" * 153, wished=True)}, {}, Reason.INVALID_TEXT),
        (
            WALK,
            {"code": None, "message": Message(template="{code}" + "x" * 33, wished=True)},
            {"max_text_chars": 40},
            Reason.INVALID_TEXT,
        ),
    ],
)
def test_wishes_that_cannot_be_carried_are_never_dropped_silently(
    wishes: dict[str, Any], opened: dict[str, Any], settings: dict[str, Any], reason: Reason
) -> None:
    given = Opened(**({"recipient": PHONE, "code": "048291"} | opened))
    with pytest.raises(Unsendable) as problem:
        telesign(**settings).build(command(**wishes), given, AT_MS)
    assert problem.value.reason is reason
    assert not given.code or given.code not in problem.value.detail


def test_a_text_of_exactly_the_accounts_length_is_sent() -> None:
    message = Message(template="{code}" + "x" * 152, wished=True)
    request = PROVIDER.build(command(), Opened(recipient=PHONE, code="4829", message=message), AT_MS)
    assert b"x" * 152 in request.content


@pytest.mark.parametrize(("length", "line"), [(130, True), (131, False), (154, False)])
@pytest.mark.parametrize("wishes", [{}, WALK])
def test_a_text_too_long_with_the_autofill_line_goes_without_it(
    wishes: dict[str, Any], length: int, line: bool
) -> None:
    catalogue = Catalogue(tenants={"default": TenantSettings(domain="acme.example")})
    code = {"code": None} if wishes else {"code": "48291"}
    own = "x" * (length - 3) + " {code}"
    message = catalogue.message(channel=Channel.SMS, tenant="default", language="en", valid_s=300, text=own)
    form = parse_qs(PROVIDER.build(command(**wishes), Opened(recipient=PHONE, message=message, **code), AT_MS).content)
    [sent] = form[b"sms_message" if wishes else b"template"]
    assert sent == own.replace("{code}", "$$CODE$$").encode() + (b"\n@acme.example #$$CODE$$" if line else b"")


# Capabilities --------------------------------------------------------------------------------------------------------


def test_capabilities_hold_what_the_requests_need() -> None:
    sms, voice = CAPABILITIES.channels[Channel.SMS], CAPABILITIES.channels[Channel.VOICE]
    assert (sms.code_min, sms.code_max, sms.code_leading_zero, sms.provider_code) == (3, 7, True, (7, 7))
    assert (voice.code_min, voice.code_max, voice.code_leading_zero, voice.provider_code) == (3, 5, False, (5, 5))
    assert sms.walk is None
    assert sms.check
    assert not sms.finds_lost_s


def test_what_is_published_twice_or_not_at_all_is_set_for_the_account() -> None:
    sms, voice = (telesign(max_call_digits=6).capabilities.channels[each] for each in (Channel.SMS, Channel.VOICE))
    assert (sms.code_max, voice.code_max) == (7, 6)
    assert (sms.languages, voice.languages) == (None, None)
    known = telesign(languages=["pt-BR", "en"]).capabilities.channels
    for each in known.values():
        assert provider_language(each, "pt-BR") == ("pt-BR", True)
        assert provider_language(each, "en-GB") == ("en", True)
        assert provider_language(each, "sw") == (None, False)
    # Texts of ours are written already, whatever Telesign's own wording knows.
    ours = telesign(languages=["en"], own_texts=True).capabilities.channels
    assert ours[Channel.SMS].languages is None
    assert ours[Channel.VOICE].languages == {"en": "en"}
    assert {each.always_text for each in ours.values()} == {True}
    told = dict(ABILITIES)
    assert (told["languages"](ours[Channel.SMS]), told["languages"](sms)) == ("17, else en", "any")
    assert told["sender"](voice) == "a number of 3-15 digits"
    assert {each.always_text for each in PROVIDER.capabilities.channels.values()} == {False}


@pytest.mark.parametrize("settings", [{"max_call_digits": 8}, {"max_call_digits": 4}, {"languages": ["english, us"]}])
def test_settings_that_telesign_could_never_have_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TelesignSettings.model_validate(settings)


def test_what_an_account_can_do_follows_its_settings() -> None:
    def channels(**section: Any) -> Any:
        account = {"kind": "telesign", "enabled": True, "customer_id": "c", "api_key": KEY} | section
        return capabilities(Settings.model_validate({"providers": {"telesign": account}}))["telesign"].channels

    for receipts in (True, False):
        able = channels(requires_receipts=receipts)[Channel.VOICE]
        assert (able.receipts, able.lookups_s) == (receipts, (180, 300, 600)), "a callback may never come"
    assert channels(report_success=False)[Channel.SMS].report is False
    assert channels()[Channel.SMS].report is True


def test_a_plan_is_handed_over_as_a_whole_only_when_both_channels_are_used_and_somebody_wished_it() -> None:
    def walk(**section: Any) -> Any:
        return telesign(**section).capabilities.channels[Channel.SMS].walk

    assert walk() is None
    handed = walk(smart_verify=True)
    assert handed.channels == {Channel.VOICE}
    assert (handed.any_plan, handed.own_code, handed.provider_code) == (False, False, (5, 7))
    own = walk(smart_verify=True, smart_own_code=True)
    assert (own.own_code, own.code_min, own.code_max) == (True, 5, 5)
    assert [walk(smart_verify=True, smart_preference=told).keeps_first for told in (False, True)] == [False, True]
    assert "ignore_risk" in telesign(smart_verify=True).capabilities.channels[Channel.SMS].options


# Answers -------------------------------------------------------------------------------------------------------------

A, C, R, S = AttemptResult, ResultClass, Reason, AttemptStatus
Row = tuple[AttemptResult, ResultClass, Reason | None]


def answer_to(
    http: int,
    body: dict[str, Any] | bytes,
    kind: CommandKind = CommandKind.SEND,
    headers: dict[str, str] | None = None,
) -> Answer:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    response = httpx.Response(http, content=content, headers=headers)
    return PROVIDER.interpret(command(kind=kind), Opened(recipient=PHONE, code="048291"), response)


def reply(status: Any = 290, *errors: tuple[Any, str], **fields: Any) -> dict[str, Any]:
    return {
        "reference_id": ID,
        "sub_resource": "sms",
        "errors": [{"code": code, "description": text} for code, text in errors],
        "status": {"code": status, "description": "…", "updated_on": "2026-01-15T09:30:11.204518Z"},
        "verify": {"code_state": "UNKNOWN", "code_entered": ""},
    } | fields


def shown(answer: Answer) -> Row:
    return answer.result, answer.result_class, answer.reason


OK = (A.ACCEPTED, C.NONE, None)
LATER = (A.REJECTED, C.ROUTE, R.UNDELIVERED)
BLOCKED = (A.REJECTED, C.RECIPIENT, R.RECIPIENT_BLOCKED)
UNREACHABLE = (A.REJECTED, C.RECIPIENT, R.RECIPIENT_REJECTED)
CONTENT = (A.REJECTED, C.CONTENT, R.CONTENT_REJECTED)
NO_ROUTE = (A.REJECTED, C.ROUTE, R.ROUTE_UNAVAILABLE)
ACCOUNT = (A.REJECTED, C.ACCOUNT, R.ACCOUNT_REJECTED)
FOREIGN = (A.REJECTED, C.ROUTE, R.PROVIDER_ERROR)
UNTRIED = (A.NOT_SENT, C.ROUTE, R.ROUTE_UNAVAILABLE)
DOUBT = (A.IN_DOUBT, C.NONE, R.IN_DOUBT)

PUBLISHED_STATUSES: dict[int, tuple[Row, AttemptStatus]] = {
    **dict.fromkeys((290, 291, 2000, 105), (OK, S.QUEUED)),
    **dict.fromkeys((203, 292, 103, 201, 250, 251), (OK, S.SENT)),
    **dict.fromkeys((200, 100), (OK, S.DELIVERED)),
    295: (OK, S.NONE),
    **dict.fromkeys((211, 222, 507, 510), (UNREACHABLE, S.UNDELIVERED)),
    **dict.fromkeys((231, 508, 509, 515, 517, 520, 521), (CONTENT, S.UNDELIVERED)),
    **dict.fromkeys((220, 513, 237, 238, 519), (NO_ROUTE, S.UNDELIVERED)),
    **dict.fromkeys((229, 230, 232, 233, 286, 518, 129, 130, 2028), (BLOCKED, S.UNDELIVERED)),
    **dict.fromkeys(
        (207, 210, 503, 505, 511, 512, 514, 101, 106, 107, 108, 502, 504, 506), (LATER, S.UNDELIVERED)
    ),
    221: (LATER, S.EXPIRED),
    500: (UNTRIED, S.FAILED),
    501: (ACCOUNT, S.FAILED),
    599: (DOUBT, S.NONE),
}  # fmt: skip


@pytest.mark.parametrize(("code", "row"), PUBLISHED_STATUSES.items())
def test_each_published_status_of_an_answer_means_this(code: int, row: tuple[Row, AttemptStatus]) -> None:
    answer = answer_to(200, reply(code))
    assert (shown(answer), answer.status, answer.unmapped) == (*row, False)
    assert (answer.provider_message_id, answer.used_channel) == (ID, Channel.SMS)


def test_no_published_status_is_missing_from_the_table() -> None:
    assert set(STATUSES) == set(PUBLISHED_STATUSES)


def test_the_pages_own_answers_are_understood() -> None:
    ok = (
        b'{"reference_id":"3F0A9C5D77E2418BA6D10C94E85B2F61","sub_resource":"sms","errors":[],"status":{"code":290,'
        b'"description":"Message in progress","updated_on":"2026-01-15T09:30:11.204518Z"},'
        b'"verify":{"code_state":"UNKNOWN","code_entered":""}}'
    )
    assert answer_to(200, ok) == Answer(
        result=A.ACCEPTED, status=S.QUEUED, provider_message_id=ID, used_channel=Channel.SMS
    )
    bad = (
        b'{"reference_id":"7C21E4B09D5F4A3E8B6617F2A0C93D58","sub_resource":"sms","errors":[{"code":-10001,'
        b'"description":"Invalid Request: PhoneNumber Parameter"}],"status":{"code":500,'
        b'"description":"Transaction not attempted","updated_on":"2026-01-15T09:30:11.204518Z"}}'
    )
    answer = answer_to(400, bad)
    assert (shown(answer), answer.detail) == (UNREACHABLE, "HTTP 400 error -10001 status 500")


@pytest.mark.parametrize(
    ("sub_resource", "channel"),
    [("sms", Channel.SMS), ("voice", Channel.VOICE), ("call", Channel.VOICE), ("push", None), (None, None), (7, None)],
)
def test_smart_verify_says_which_channel_it_took(sub_resource: Any, channel: Channel | None) -> None:
    assert answer_to(200, reply(2000, sub_resource=sub_resource)).used_channel is channel


ACCOUNT_ERRORS = (
    -10009, -10033, -20001, -20002, -20003, -30000, -30001, -30002, -30003, -30004, -30005, -30006, -30007, -30008,
    -30009, -30015, -40002, -40008, -50054, -50055, -30010, -30011, -30012,
)  # fmt: skip
PUBLISHED_ERRORS: dict[int, Row] = {
    **dict.fromkeys(ACCOUNT_ERRORS, ACCOUNT),
    -10030: (A.REJECTED, C.ACCOUNT, R.CREDIT_EXHAUSTED),
    **dict.fromkeys((-10001, -40006, -50057), CONTENT),
    -40009: UNREACHABLE,
    -20004: NO_ROUTE,
    **dict.fromkeys((-10004, -40004, -40005, -30013), FOREIGN),
    **dict.fromkeys((-50002, -50003, -50051, -50052, -50056, -50058, -60002), FOREIGN),
    -90001: UNTRIED,
    **dict.fromkeys((-40001, -50059, -50001), DOUBT),
}


@pytest.mark.parametrize(("code", "row"), PUBLISHED_ERRORS.items())
def test_each_published_error_means_this(code: int, row: Row) -> None:
    answer = answer_to(400, reply(500, (code, f"no {PHONE}")))
    assert (shown(answer), answer.unmapped) == (row, False)
    assert answer.detail == f"HTTP 400 error {code} status 500"
    assert answer.repeat is (code in (-30010, -30011, -30012))


def test_no_published_error_is_missing_from_the_table() -> None:
    assert set(ERRORS) == set(PUBLISHED_ERRORS)


@pytest.mark.parametrize(
    ("http", "code", "text", "row"),
    [
        (400, -10001, "Invalid Request: PhoneNumber Parameter: 1", UNREACHABLE),
        (400, -10001, "Invalid Request: Missing Parameter: phone_number", UNREACHABLE),
        (400, -10001, "Invalid Request: VerifyCode Parameter", CONTENT),
        (400, -10001, "Not Allowed Host: IP/Hostname Parameter: 192.0.2.1/x", ACCOUNT),
        (401, -10001, "Not Allowed Host", ACCOUNT),
        (404, -10001, "CustomerID/ReferenceID not found", FOREIGN),
        (400, -40007, "No Data Submitted", CONTENT),
        (429, -40007, "Rate Limit Exceeded", (A.NOT_SENT, C.ROUTE, R.THROTTLED)),
        (429, -40008, "Verify SMS exceeded transaction hard cap. Request denied.", ACCOUNT),
        (402, -10030, "Insufficient funds in prepaid wallet.", (A.REJECTED, C.ACCOUNT, R.CREDIT_EXHAUSTED)),
        (503, -90001, "System Unavailable, please try again later.", UNTRIED),
    ],
)
def test_an_error_of_two_meanings_is_read_with_its_http_status(http: int, code: int, text: str, row: Row) -> None:
    answer = answer_to(http, reply(500, (code, text)))
    assert (shown(answer), answer.throttled) == (row, row[2] is R.THROTTLED)


@pytest.mark.parametrize("headers", [{}, {"Retry-After": "7"}])
def test_a_rate_limit_waits_a_second_or_as_long_as_it_says(headers: dict[str, str]) -> None:
    for body in (json.dumps(reply(500, (-40007, "Rate Limit Exceeded"))).encode(), b"<html>slow down</html>"):
        answer = answer_to(429, body, headers=headers)
        assert (answer.throttled, answer.pauses_provider) == (True, True)
        assert answer.retry_after_s == (7.0 if headers else 1.0)


@pytest.mark.parametrize(
    ("http", "body"),
    [
        (503, reply(503, (-90001, "unavailable"))),
        (500, reply(599, (-90001, "unavailable"))),
        (500, reply(None, (-90001, "unavailable"))),
        (200, reply(290, (-40006, "odd"))),
        (401, reply(290, (-30012, "nonce"))),
    ],
)
def test_a_refusal_that_does_not_say_that_nothing_was_attempted_is_no_proof(http: int, body: dict[str, Any]) -> None:
    answer = answer_to(http, body)
    assert (answer.result, answer.repeat) == (A.IN_DOUBT, False)
    assert answer.provider_message_id == ID


@pytest.mark.parametrize(
    ("http", "body"),
    [
        (200, b""),
        (200, b"<html>"),
        (200, b"[]"),
        (200, b"{}"),
        (200, reply(290, reference_id=None)),
        (200, reply(290, reference_id="a/b")),
        (200, reply(1900)),
        (200, reply(True)),
        (200, reply([290])),
        (200, reply(491711234567)),
        (200, reply("4917112345")),
        (202, reply(290)),
        (503, reply(503)),
        (400, reply(500, ("x", "odd"))),
        (400, reply(500, (-99999, "new"))),
        (400, reply(500, (491711234567, "odd"))),
        (302, b""),
        (502, b"bad gateway"),
        (599, b"\xff\xfe"),
    ],
)
def test_an_answer_in_no_table_is_counted_and_in_doubt(http: int, body: Any) -> None:
    answer = answer_to(http, body)
    assert (answer.result, answer.reason, answer.unmapped) == (A.IN_DOUBT, R.IN_DOUBT, True)
    assert "491711234567" not in str(answer.detail)


@pytest.mark.parametrize("status", [500, 501, 2028])
def test_that_nothing_was_attempted_is_believed_under_any_http_status(status: int) -> None:
    assert shown(answer_to(401, reply(status))) == PUBLISHED_STATUSES[status][0]


def test_a_price_is_told_where_an_answer_has_one() -> None:
    answer = answer_to(200, reply(290, additional_info={"price": "0.0085", "currency": "USD", "sender_id ": "x"}))
    assert (answer.cost, answer.currency) == ("0.0085", "USD")
    assert all(channel.cost for channel in CAPABILITIES.channels.values())


# Look-ups, checks, reports, the probe --------------------------------------------------------------------------------


@pytest.mark.parametrize(("code", "row"), PUBLISHED_STATUSES.items())
def test_a_lookup_tells_what_became_of_a_message_that_was_taken(code: int, row: tuple[Row, AttemptStatus]) -> None:
    answer = answer_to(200, reply(code), CommandKind.LOOKUP)
    if code in (501, 599):
        # About the question, not about the message.
        assert (answer.result, answer.status) == (A.IN_DOUBT, S.NONE)
    elif code == 500:
        assert (answer.result, answer.status) == (A.NOT_SENT, S.FAILED)
    else:
        assert (answer.result, answer.status, answer.reason) == (A.ACCEPTED, row[1], row[0][2])


@pytest.mark.parametrize("code", [-10001, -10004])
def test_a_lookup_may_find_nothing(code: int) -> None:
    assert answer_to(404, reply(500, (code, "not found")), CommandKind.LOOKUP).not_found


@pytest.mark.parametrize(
    ("http", "code", "throttled", "repeat"),
    [(401, -30006, False, False), (503, -90001, False, False), (429, -40007, True, False), (401, -30012, False, True)],
)
def test_a_refused_question_says_nothing_of_the_message(http: int, code: int, throttled: bool, repeat: bool) -> None:
    answer = answer_to(http, reply(500, (code, "…")), CommandKind.LOOKUP)
    assert answer.result in (A.IN_DOUBT, A.NOT_SENT)
    assert (answer.status, answer.throttled, answer.repeat) == (S.NONE, throttled, repeat)


@pytest.mark.parametrize(
    ("state", "valid"),
    [("VALID", True), ("INVALID", False), ("EXPIRED", False), ("MAX_ATTEMPTS_EXCEEDED", False), ("UNKNOWN", None)],
)
def test_a_check_reads_the_verdict(state: str, valid: bool | None) -> None:
    answer = answer_to(200, reply(200, verify={"code_state": state, "code_entered": "048291"}), CommandKind.CHECK)
    assert answer.valid is valid
    assert answer.result is (A.IN_DOUBT if valid is None else A.ACCEPTED)
    assert "048291" not in repr(answer)


def test_a_verdict_on_another_message_is_none_on_ours() -> None:
    content = json.dumps(reply(200, verify={"code_state": "VALID", "code_entered": "048291"})).encode()

    def verdict(asked: str) -> Answer:
        checked = command(kind=CommandKind.CHECK, provider_message_id=asked)
        return PROVIDER.interpret(checked, Opened(recipient="", code="048291"), httpx.Response(200, content=content))

    assert (verdict(ID).valid, verdict(ID.lower()).valid) == (True, True)
    other = verdict("0" + ID[1:])
    assert (other.result, other.valid, other.unmapped) == (A.IN_DOUBT, None, True)


@pytest.mark.parametrize(
    ("http", "body", "valid"),
    [
        (400, reply(500, (-50057, "Invalid verification code")), False),
        (400, reply(500, (-50001, "Max retries limit reached")), False),
        (404, reply(500, (-10004, "Reference ID expired")), None),
        (401, reply(501, (-30006, "Invalid Signature"), verify={"code_state": "VALID"}), None),
        (503, reply(500, (-90001, "…")), None),
        (500, b"", None),
        (200, reply(200, verify={"code_state": "MAYBE"}), None),
        (200, reply(200, verify=None), None),
    ],
)
def test_a_check_that_was_not_answered_is_no_verdict(http: int, body: Any, valid: bool | None) -> None:
    answer = answer_to(http, body, CommandKind.CHECK)
    assert answer.valid is valid
    assert (answer.result is A.ACCEPTED) is (valid is not None)


def test_a_success_is_noted_with_a_code_that_is_text() -> None:
    body = reply("1900", subresource="sms")
    assert answer_to(200, body, CommandKind.REPORT) == Answer(result=A.ACCEPTED)
    assert answer_to(404, reply(500, (-30013, "Invalid ReferenceID")), CommandKind.REPORT).result is A.REJECTED
    assert answer_to(200, b"", CommandKind.REPORT).result is A.IN_DOUBT


def test_the_probe_asks_for_a_message_that_nobody_sent() -> None:
    request = PROVIDER.probe(AT_MS)
    assert (request.method, request.url.path) == ("GET", "/v1/verify/" + "0" * 32)
    assert request.headers["authorization"].startswith("TSA ")


@pytest.mark.parametrize(
    ("http", "body", "probe"),
    [
        (404, reply(500, (-10001, "not found")), Probe(True, "the credentials are right")),
        (401, reply(501, (-30006, "…"), signature_string="GET"), Probe(False, "HTTP 401 error -30006")),
        (200, b"<html>", Probe(False, "HTTP 200")),
        (404, b"", Probe(False, "HTTP 404")),
    ],
)
def test_not_found_is_what_right_credentials_get(http: int, body: Any, probe: Probe) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    assert PROVIDER.probed(httpx.Response(http, content=content)) == probe
