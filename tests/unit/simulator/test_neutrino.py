from __future__ import annotations

from typing import Any

import httpx
import pytest

from pipeline.simulator.app import create_app, make_all
from pipeline.simulator.providers.neutrino.errors import ERRORS
from pipeline.simulator.world import Account, World
from pipeline.testing.clock import ManualClock

AUTH = {"User-ID": "simulator", "API-Key": "simulator"}
NUMBER = "+4915123456789"


async def ask(http: httpx.AsyncClient, operation: str, **fields: Any) -> httpx.Response:
    fields.setdefault("number", NUMBER)
    form = {name.replace("_", "-"): str(value) for name, value in fields.items()}
    return await http.post(f"/neutrino/{operation}", data=form, headers=AUTH)


async def unlimited(http: httpx.AsyncClient) -> None:
    """Two messages a second would make some tests slow."""
    (await http.put("/behaviour/neutrino", json={"limits": {}})).raise_for_status()


def assert_error(answer: httpx.Response, code: int) -> None:
    status, text = ERRORS[str(code)]
    assert answer.status_code == status
    assert answer.json() == {"api-error": code, "api-error-msg": text}


async def test_an_sms_is_sent_with_a_code_of_five_digits(http: httpx.AsyncClient) -> None:
    answer = (await ask(http, "sms-verify")).json()
    assert (answer["number-valid"], answer["sent"]) == (True, True)
    (message,) = (await http.get("/inbox", params={"recipient": NUMBER})).json()
    assert message["code"] == answer["security-code"]
    assert len(message["code"]) == 5


async def test_a_call_reads_out_six_digits(http: httpx.AsyncClient) -> None:
    answer = (await ask(http, "phone-verify", playback_delay=500)).json()
    assert (answer["number-valid"], answer["calling"]) == (True, True)
    (message,) = (await http.get("/inbox")).json()
    assert (message["channel"], len(message["code"])) == ("voice", 6)
    assert ", ".join(message["code"]) in message["text"]


async def test_an_own_code_is_an_integer_and_loses_its_leading_zero(http: httpx.AsyncClient) -> None:
    assert (await ask(http, "sms-verify", security_code="482913")).json()["security-code"] == "482913"
    assert (await ask(http, "sms-verify", security_code="048291")).json()["security-code"] == "48291"


async def test_the_brand_stands_before_the_text_in_the_wished_language(http: httpx.AsyncClient) -> None:
    await ask(http, "sms-verify", brand_name="Acme", language_code="de", security_code=1234)
    (message,) = (await http.get("/inbox")).json()
    assert message["text"] == "Acme: Ihr Bestätigungscode lautet 1234"


@pytest.mark.parametrize("headers", [AUTH, {"API-Key": "simulator:simulator"}])
async def test_both_forms_of_the_credentials_open_the_door(http: httpx.AsyncClient, headers: dict[str, str]) -> None:
    answer = await http.post("/neutrino/sms-verify", data={"number": NUMBER}, headers=headers)
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "headers",
    [{}, {"API-Key": "simulator"}, {"User-ID": "simulator"}, {"API-Key": "simulator:x"}, AUTH | {"User-ID": "x"}],
)
async def test_wrong_credentials_are_error_43(http: httpx.AsyncClient, headers: dict[str, str]) -> None:
    answer = await http.post("/neutrino/sms-verify", data={"number": NUMBER}, headers=headers)
    assert_error(answer, 43)


@pytest.mark.parametrize("fields", [{"code-length": 7}, {"code_length": 7}, {"code_length": "7"}])
async def test_json_and_both_spellings_are_understood(http: httpx.AsyncClient, fields: dict[str, Any]) -> None:
    answer = await http.post("/neutrino/sms-verify", json={"number": NUMBER} | fields, headers=AUTH)
    assert len(answer.json()["security-code"]) == 7


async def test_broken_json_is_error_9(http: httpx.AsyncClient) -> None:
    headers = AUTH | {"Content-Type": "application/json"}
    for content in (b"{", b"[]"):
        assert_error(await http.post("/neutrino/sms-verify", content=content, headers=headers), 9)


@pytest.mark.parametrize(
    "fields",
    [
        {"number": ""},
        {"code_length": 3},
        {"code_length": 13},
        {"code_length": "six"},
        {"security_code": "12a4"},
        {"security_code": 2**31},
        {"country_code": "DEU"},
        {"language_code": "nl"},
        {"language_code": "en-US"},
        {"limit": 0},
        {"limit_ttl": 366},
        {"output_case": "upper"},
        {"output_format": "XML"},
        {"playback_delay": 1},
        {"text": "hello"},
    ],
)
async def test_an_impossible_or_unknown_parameter_is_error_1(http: httpx.AsyncClient, fields: dict[str, Any]) -> None:
    assert_error(await ask(http, "sms-verify", **fields), 1)
    assert (await http.get("/inbox")).json() == []


async def test_a_call_knows_no_brand(http: httpx.AsyncClient) -> None:
    assert_error(await ask(http, "phone-verify", brand_name="Acme"), 1)


async def test_a_national_number_needs_its_country(http: httpx.AsyncClient) -> None:
    assert (await ask(http, "sms-verify", number="0151 23456789", country_code="DE")).json()["sent"] is True
    assert (await http.get("/inbox", params={"recipient": NUMBER})).json() != []
    trapped = (await ask(http, "sms-verify", number="0151 23456789")).json()
    assert (trapped["number-valid"], trapped["sent"]) == (False, False)


async def test_an_international_number_needs_no_plus(http: httpx.AsyncClient) -> None:
    assert (await ask(http, "sms-verify", number=NUMBER[1:])).json()["number-valid"] is True


async def test_a_number_that_cannot_exist_is_a_good_answer_with_bad_news(http: httpx.AsyncClient) -> None:
    answer = (await ask(http, "sms-verify", number="+491")).json()
    assert (answer["number-valid"], answer["sent"]) == (False, False)
    assert (await http.get("/inbox")).json() == []


@pytest.mark.parametrize("operation", ["sms-verify", "phone-verify"])
async def test_a_third_message_within_a_second_is_error_6_and_not_sent(http: httpx.AsyncClient, operation: str) -> None:
    for _ in range(2):
        assert (await ask(http, operation)).status_code == 200
    assert_error(await ask(http, operation), 6)
    assert len((await http.get("/inbox")).json()) == 2


async def test_limits_of_ones_own_stand_for_those_of_neutrino(http: httpx.AsyncClient) -> None:
    await http.put("/behaviour/neutrino", json={"limits": {"per_s": 1}})
    assert (await ask(http, "sms-verify")).status_code == 200
    assert_error(await ask(http, "sms-verify"), 6)
    await unlimited(http)
    for _ in range(5):
        assert (await ask(http, "sms-verify")).status_code == 200


async def test_the_eleventh_sms_of_a_day_to_one_number_is_error_14(http: httpx.AsyncClient, clock: ManualClock) -> None:
    await unlimited(http)
    for _ in range(10):
        assert (await ask(http, "sms-verify")).status_code == 200
    assert_error(await ask(http, "sms-verify"), 14)
    assert (await ask(http, "sms-verify", number="+4915123456780")).status_code == 200
    assert (await ask(http, "sms-verify", limit=11)).status_code == 200
    clock.advance(86_400_001)
    assert (await ask(http, "sms-verify")).status_code == 200
    assert_error(await ask(http, "sms-verify", limit_ttl=2), 14)


async def test_calls_are_limited_to_three_a_day(http: httpx.AsyncClient) -> None:
    await unlimited(http)
    for _ in range(3):
        assert (await ask(http, "phone-verify")).status_code == 200
    assert_error(await ask(http, "phone-verify"), 14)


async def verified(http: httpx.AsyncClient, code: str, **fields: str) -> bool:
    query = {"security-code": code} | {name.replace("_", "-"): value for name, value in fields.items()}
    answer = await http.get("/neutrino/verify-security-code", params=query, headers=AUTH)
    result = answer.json()["verified"]
    assert isinstance(result, bool)
    return result


async def test_any_live_code_of_the_account_verifies_for_fifteen_minutes(
    http: httpx.AsyncClient, clock: ManualClock
) -> None:
    await http.put("/behaviour/neutrino", json={})
    await ask(http, "sms-verify", security_code=482913)
    assert await verified(http, "482913")
    assert not await verified(http, "482914")
    clock.advance(900_000)
    posted = await http.post("/neutrino/verify-security-code", json={"security-code": "482913"}, headers=AUTH)
    assert_error(posted, 6)  # a third check within a second


async def test_a_code_is_dead_after_fifteen_minutes(http: httpx.AsyncClient, clock: ManualClock) -> None:
    await ask(http, "sms-verify", security_code=482913)
    clock.advance(900_000)
    assert not await verified(http, "482913")


async def test_after_ten_failures_of_one_caller_its_checks_are_ignored(world: Any) -> None:
    """Below HTTP, as the documented two checks a second would make eleven of them slow."""
    from pipeline.simulator.app import DEVELOPMENT_CREDENTIALS
    from pipeline.simulator.provider import Asked
    from pipeline.simulator.providers.neutrino import Neutrino
    from pipeline.simulator.world import Account

    account = Account(kind="neutrino", instance="neutrino", credentials=DEVELOPMENT_CREDENTIALS["neutrino"])
    neutrino = Neutrino(world, [account])

    def check(code: str, caller: str) -> bytes:
        values = {"security-code": code, "limit-by": caller}
        return neutrino.perform(Asked(operation="verify-security-code", account=account, values=values), "sent").body

    neutrino._codes["neutrino", "482913"] = world.clock.now_ms() + 1
    for _ in range(10):
        check("000000", "jo")
    assert check("482913", "jo") == b'{"verified":false}'
    assert check("482913", "bo") == b'{"verified":true}'


@pytest.mark.parametrize(
    ("case", "names"),
    [
        ("camel", {"apiError", "apiErrorMsg"}),
        ("snake", {"api_error", "api_error_msg"}),
        ("kebab", {"api-error", "api-error-msg"}),
    ],
)
async def test_the_output_case_holds_for_errors_too(http: httpx.AsyncClient, case: str, names: set[str]) -> None:
    assert set((await ask(http, "sms-verify", output_case=case, limit=0)).json()) == names


async def test_the_output_case_changes_good_answers(http: httpx.AsyncClient) -> None:
    answer = (await ask(http, "sms-verify", output_case="camel")).json()
    assert set(answer) == {"numberValid", "securityCode", "sent"}


@pytest.mark.parametrize("path", ["/", "/sms-verify/x", "/phone-playback", "/v1/sms-verify"])
async def test_an_unknown_path_is_error_45_and_not_404(http: httpx.AsyncClient, path: str) -> None:
    assert_error(await http.get(f"/neutrino{path}", headers=AUTH), 45)


async def test_lookups_tell_what_kind_of_number_it_is(http: httpx.AsyncClient) -> None:
    answer = (await ask(http, "phone-validate")).json()
    assert (answer["valid"], answer["type"], answer["is-mobile"]) == (True, "mobile", True)
    assert (answer["international-number"], answer["country-code"]) == (NUMBER, "DE")
    answer = (await ask(http, "hlr-lookup", number="+4930123456")).json()
    assert (answer["hlr-valid"], answer["hlr-status"], answer["number-type"]) == (False, "fixed-line", "fixed-line")


@pytest.mark.parametrize("code", sorted(ERRORS, key=int))
async def test_every_error_of_the_table_can_be_asked_for(http: httpx.AsyncClient, code: str) -> None:
    await http.put("/behaviour/neutrino", json={"default": {"error": int(code)}})
    assert_error(await ask(http, "sms-verify"), int(code))


@pytest.mark.parametrize(("answer", "valid"), [("invalid_number", False), ("not_sent", True)])
async def test_a_good_answer_may_hold_bad_news(http: httpx.AsyncClient, answer: str, valid: bool) -> None:
    await http.put("/behaviour/neutrino", json={"default": {"answer": answer}})
    body = (await ask(http, "sms-verify")).json()
    assert (body["number-valid"], body["sent"]) == (valid, False)
    assert (await http.get("/inbox")).json() == []


async def test_every_account_has_limits_of_its_own(world: World) -> None:
    accounts = [Account(kind="neutrino", instance=name, credentials={"user_id": name, "api_key": "k"}) for name in "ab"]
    app = create_app(world=world, providers=make_all(world, accounts))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://simulator") as http:

        async def sent(user: str) -> list[int]:
            auth = {"User-ID": user, "API-Key": "k"}
            form = {"number": NUMBER, "limit": "2"}
            answers = [await http.post("/neutrino/sms-verify", data=form, headers=auth) for _ in range(3)]
            return [answer.json().get("api-error", 0) for answer in answers]

        # Two a second, then two to a number.
        assert [await sent("a"), await sent("b")] == [[0, 0, 6], [0, 0, 6]]
        await http.put("/behaviour/neutrino", json={"limits": {}})
        assert [await sent("a"), await sent("b")] == [[14, 14, 14], [14, 14, 14]]
        await http.put("/behaviour/neutrino", json={"limits": {"per_hour": 1}})
        assert [(await sent(user))[1:] for user in "ab"] == [[6, 6], [6, 6]]
