from __future__ import annotations

import random
from typing import Any

import httpx
import orjson
import pytest

from pipeline.simulator.behaviour import Behaviour, Limits, ProviderBehaviour, sample_s
from pipeline.simulator.behaviours import Behaviours, Throttling
from pipeline.simulator.history import Calls, Inbox, Message
from pipeline.simulator.magic import TABLE, magic_of
from pipeline.simulator.world import World

KEY = {"X-API-Key": "simulator"}
START = "/ycloud/v2/verify/verifications"


async def start(http: httpx.AsyncClient, to: str = "+16315550100", **body: Any) -> httpx.Response:
    return await http.post(START, json={"channel": "sms", "to": to} | body, headers=KEY)


async def put(http: httpx.AsyncClient, **behaviour: Any) -> httpx.Response:
    return await http.put("/behaviour/ycloud", json=behaviour)


async def test_the_first_rule_that_fits_decides(http: httpx.AsyncClient) -> None:
    await put(
        http,
        rules=[
            {"when": {"recipient": "+49*"}, "error": "RECIPIENT_UNSUBSCRIBED"},
            {"when": {"channel": "voice"}, "error": "SERVICE_UNAVAILABLE"},
        ],
    )
    assert (await start(http, "+4915123456789", channel="voice")).status_code == 403
    assert (await start(http, channel="voice")).status_code == 503
    assert (await start(http)).status_code == 200


async def test_a_rule_serves_as_often_as_it_says(http: httpx.AsyncClient) -> None:
    await put(http, rules=[{"times": 2, "throttle": {"retry_after_s": 3}}])
    answers = [await start(http) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [429, 429, 200]
    assert answers[0].headers["Retry-After"] == "3"


async def test_a_share_of_requests_is_drawn_from_the_seed(http: httpx.AsyncClient) -> None:
    async def draw(seed: int) -> list[int]:
        await put(http, seed=seed, default={"delay_ms": 0}, rules=[{"share": 0.5, "error": "FORBIDDEN", "delay_ms": 0}])
        return [(await start(http)).status_code for _ in range(40)]

    first = await draw(1)
    assert 8 < first.count(403) < 32
    assert await draw(1) == first
    assert await draw(2) != first


async def test_a_rule_without_an_operation_leaves_checks_alone(http: httpx.AsyncClient) -> None:
    await put(http, rules=[{"error": "FORBIDDEN"}])
    assert (await http.get("/ycloud/v2/balance", headers=KEY)).status_code == 200
    await put(http, rules=[{"when": {"operation": "balance"}, "error": "FORBIDDEN"}])
    assert (await http.get("/ycloud/v2/balance", headers=KEY)).status_code == 403
    assert (await start(http)).status_code == 200
    await put(http, rules=[{"when": {"operation": "*"}, "error": "FORBIDDEN"}])
    assert (await http.get("/ycloud/v2/sms", headers=KEY)).status_code == 403


async def test_an_error_after_sending_leaves_the_message_with_the_person(http: httpx.AsyncClient) -> None:
    await put(http, default={"error": "INTERNAL_SERVER_ERROR", "sends": True})
    assert (await start(http, code="4829")).status_code == 500
    (message,) = (await http.get("/inbox")).json()
    assert message["code"] == "4829"
    call = (await http.get("/calls")).json()
    assert (call["answered"], call["sent"]) == ("500 INTERNAL_SERVER_ERROR", True)


@pytest.mark.parametrize(
    ("behaviour", "field"),
    [
        ({"default": {"error": "NO_SUCH"}}, "default.error"),
        ({"rules": [{"answer": "sent"}]}, "rules.0.answer"),
        ({"rules": [{}, {"when": {"operation": "send"}}]}, "rules.1.when.operation"),
        ({"rules": [{"when": {"channel": "email_code"}}]}, "rules.0.when.channel"),
        ({"default": {"delay_ms": -1}}, "default.delay_ms"),
        ({"default": {"delay_ms": "5"}}, "default.delay_ms"),
        ({"default": {"delay_ms": {"kind": "uniform", "low_ms": 5, "high_ms": 1}}}, "default.delay_ms"),
        ({"default": {"delay_ms": {"kind": "zipf"}}}, "default.delay_ms"),
        ({"default": {"error": "FORBIDDEN", "refusal": "content"}}, "default"),
        ({"default": {"fault": "explode"}}, "default.fault"),
        ({"default": {"fault": "close_before_reading", "sends": True}}, "default"),
        ({"rules": [{"share": 0}]}, "rules.0.share"),
        ({"rules": [{"receipt": {"copies": 11}}]}, "rules.0.receipt.copies"),
        ({"limits": {"per_s": 0}}, "limits.per_s"),
        ({"defualt": {}}, "defualt"),
    ],
)
async def test_an_impossible_behaviour_is_refused_by_field_and_changes_nothing(
    http: httpx.AsyncClient, behaviour: dict[str, Any], field: str
) -> None:
    before = (await http.get("/behaviour")).json()
    answer = await http.put("/behaviour/ycloud", json=behaviour)
    assert answer.status_code == 422
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert any(error["field"].startswith(field) and error["problem"] for error in answer.json()["errors"])
    assert (await http.get("/behaviour")).json() == before


@pytest.mark.parametrize(
    ("delay", "fields"),
    [
        ("5", ["default.delay_ms"]),
        (-1, ["default.delay_ms"]),
        ({"kind": "zipf"}, ["default.delay_ms"]),
        ({"low_ms": 1}, ["default.delay_ms"]),
        ({"kind": "uniform", "low_ms": 5, "high_ms": 1}, ["default.delay_ms"]),
        ({"kind": "uniform", "low_ms": -5}, ["default.delay_ms.low_ms", "default.delay_ms.high_ms"]),
        ({"kind": "normal", "mean_ms": "1", "deviation_ms": 1}, ["default.delay_ms.mean_ms"]),
    ],
)
async def test_a_wrong_delay_is_told_once_by_the_fields_a_person_wrote(
    http: httpx.AsyncClient, delay: object, fields: list[str]
) -> None:
    errors = (await http.put("/behaviour/ycloud", json={"default": {"delay_ms": delay}})).json()["errors"]
    assert [error["field"] for error in errors] == fields
    assert not any("Value error" in error["problem"] for error in errors)


@pytest.mark.parametrize("body", [b"{", b'{"seed": NaN}', b'{"seed": 1, "default": {"error": []}}', b"[]"])
async def test_a_body_of_any_kind_is_refused_with_a_reason(http: httpx.AsyncClient, body: bytes) -> None:
    answer = await http.put("/behaviour/ycloud", content=body)
    assert answer.status_code == 422
    [error] = answer.json()["errors"]
    assert error["field"] in ("body", "seed", "default.error")


async def test_what_is_shown_is_what_is_in_force_and_can_be_put_again(http: httpx.AsyncClient) -> None:
    rules = [
        {"refusal": "route"},
        {"receipt": {"status": "undelivered"}, "delay_ms": 5},
    ]
    wanted = {"default": {"delay_ms": 700, "receipt": {"copies": 3}}, "rules": rules}
    shown = (await http.put("/behaviour/ycloud", json=wanted)).json()
    assert shown == (await http.get("/behaviour/ycloud")).json()
    first, second = shown["rules"]
    assert "delay_ms" not in first, "the default's is in force"
    assert "receipt" not in first
    assert (second["delay_ms"], second["receipt"]["status"]) == (5, "undelivered")
    assert (shown["default"]["delay_ms"], shown["default"]["receipt"]["copies"]) == (700, 3)
    for name in ("ycloud", "neutrino"):
        before = (await http.get(f"/behaviour/{name}")).json()
        assert (await http.put(f"/behaviour/{name}", json=before)).json() == before


async def test_what_a_provider_cannot_do_is_refused_with_what_it_can(http: httpx.AsyncClient) -> None:
    answer = await http.put("/behaviour/neutrino", json={"default": {"receipt": {"copies": 2}, "refusal": "content"}})
    problems = {error["field"]: error["problem"] for error in answer.json()["errors"]}
    assert "sends no receipts" in problems["default.receipt"]
    assert "blocked" in problems["default.refusal"]


async def test_an_unknown_provider_is_not_found_and_the_known_ones_are_named(http: httpx.AsyncClient) -> None:
    answer = await http.put("/behaviour/yclod", json={})
    assert answer.status_code == 404
    assert "ycloud" in answer.text


async def test_a_behaviour_can_be_read_and_reset(http: httpx.AsyncClient) -> None:
    await put(http, default={"delay_ms": 100})
    assert (await http.get("/behaviour/ycloud")).json()["default"]["delay_ms"] == 100
    assert (await http.delete("/behaviour/ycloud")).status_code == 204
    assert (await http.get("/behaviour/ycloud")).json()["default"]["delay_ms"] == 20


def test_what_a_rule_or_a_magic_recipient_leaves_unsaid_is_as_the_default_has_it() -> None:
    behaviours = Behaviours(("a", "b"))
    text = b'{"default":{"delay_ms":100,"receipt":{"copies":2}},"rules":[{"when":{"channel":"voice"}}]}'
    behaviours.set(ProviderBehaviour.model_validate_json(text))

    def chosen(channel: str, recipient: str) -> tuple[object, int]:
        behaviour = behaviours.choose(operation="start", sends=True, channel=channel, recipient=recipient)
        return behaviour.delay_ms, behaviour.receipt.copies

    assert chosen("voice", "+4915123456789") == (100, 2)
    assert chosen("sms", "+4915123900010") == (100, 2)
    assert chosen("sms", "+4915123900040") == (2_000, 2)


async def test_limits_throttle_the_operations_that_send(http: httpx.AsyncClient) -> None:
    await put(http, limits={"per_s": 2}, default={"delay_ms": 0})
    statuses = [(await start(http)).status_code for _ in range(3)]
    assert statuses == [200, 200, 429]
    assert (await http.get("/ycloud/v2/balance", headers=KEY)).status_code == 200


@pytest.mark.parametrize(
    ("limits", "times", "accepted"),
    [
        (Limits(per_s=2), [0, 0.1, 0.2, 0.9, 1.0], [True, True, False, False, True]),
        (Limits(per_s=0.5), [0, 1.9, 2.0], [True, False, True]),
        (Limits(per_hour=2), [0, 1, 2, 3_600, 3_600.5], [True, True, False, True, False]),
    ],
)
def test_windows_slide(limits: Limits, times: list[float], accepted: list[bool]) -> None:
    now = iter(times)
    throttling = Throttling(monotonic_s=lambda: next(now))
    assert [throttling.enter(limits) is None for _ in times] == accepted


def test_concurrency_is_free_again_when_a_request_ends() -> None:
    throttling = Throttling()
    limits = Limits(concurrency=1)
    assert throttling.enter(limits) is None
    assert throttling.enter(limits) is not None
    throttling.leave()
    assert throttling.enter(limits) is None


@pytest.mark.parametrize(
    "delay",
    [
        {"kind": "uniform", "low_ms": 100, "high_ms": 300},
        {"kind": "normal", "mean_ms": 200, "deviation_ms": 50},
        {"kind": "lognormal", "median_ms": 180, "sigma": 0.45},
        {"kind": "exponential", "mean_ms": 200},
    ],
)
def test_each_distribution_has_its_mean_and_never_runs_backwards(delay: dict[str, Any]) -> None:
    part = Behaviour.model_validate({"delay_ms": delay}).delay_ms
    rng = random.Random(3)
    samples = [sample_s(part, rng) for _ in range(4_000)]
    assert min(samples) >= 0
    assert 0.18 < sum(samples) / len(samples) < 0.22


@pytest.mark.parametrize(
    ("recipient", "digits"),
    [
        ("+4915123900021", "21"),
        ("jo900021@example.org", "21"),
        ("+4915123900099", None),
        ("+490002112345", None),
        ("jo@900021.org", None),
    ],
)
def test_only_the_last_digits_make_a_recipient_magic(recipient: str, digits: str | None) -> None:
    assert magic_of(recipient) is (TABLE[digits] if digits else None)


async def test_a_magic_recipient_chooses_and_a_rule_overrules_it(http: httpx.AsyncClient) -> None:
    assert (await start(http, "+4915123900014")).json()["error"]["code"] == "BALANCE_INSUFFICIENT"
    await put(http, rules=[{"when": {"recipient": "+49*"}}])
    assert (await start(http, "+4915123900014")).status_code == 200


async def test_a_magic_recipient_is_throttled_twice_and_then_served(http: httpx.AsyncClient) -> None:
    answers = [(await start(http, "+4915123900020")).status_code for _ in range(3)]
    assert answers == [429, 429, 200]
    assert (await start(http, "+4915124900020")).status_code == 429


@pytest.mark.parametrize(
    ("digits", "ycloud", "neutrino", "sent"),
    [
        *((digits, 200, 200, True) for digits in ("01", "02", "03", "04", "05", "06", "07")),
        ("10", 400, 400, False),
        ("11", 403, 400, False),
        ("13", 403, 400, False),
        ("14", 403, 400, False),
        ("15", 400, 400, False),
        ("16", 401, 403, False),
        ("17", 200, 200, False),
        ("18", 200, 200, False),
        ("20", 429, 400, False),
        ("21", 429, 400, False),
        ("30", 500, 500, False),
        ("31", 500, 500, True),
        ("37", 200, 200, True),
        ("40", 200, 200, True),
    ],
)
async def test_a_magic_recipient_gets_its_answer_from_every_provider(
    http: httpx.AsyncClient, digits: str, ycloud: int, neutrino: int, sent: bool
) -> None:
    to = f"+49151239000{digits}"
    assert (await start(http, to)).status_code == ycloud
    auth = {"API-Key": "simulator:simulator"}
    answer = await http.post("/neutrino/sms-verify", data={"number": to}, headers=auth)
    assert answer.status_code == neutrino
    calls = [orjson.loads(line) for line in (await http.get("/calls")).text.splitlines()]
    assert [call["sent"] for call in calls] == [sent, sent]


async def test_a_class_of_refusal_that_a_provider_lacks_makes_an_ordinary_message(http: httpx.AsyncClient) -> None:
    assert (await start(http, "+4915123900012")).json()["error"]["code"] == "CONTENT_PROHIBITED"
    auth = {"API-Key": "simulator:simulator"}
    answer = await http.post("/neutrino/sms-verify", data={"number": "+4915123900012"}, headers=auth)
    assert answer.json()["sent"] is True


def test_what_needs_no_body_is_decided_before_reading() -> None:
    behaviours = Behaviours(("a", "b"))
    fault = {"fault": "close_before_reading"}

    def before(*rules: dict[str, Any]) -> bool:
        behaviours.set(ProviderBehaviour.model_validate_json(orjson.dumps({"rules": rules})))
        return behaviours.before_reading("start", True) is not None

    assert before(fault)
    assert before({"when": {"operation": "start"}} | fault)
    assert not before({"when": {"operation": "check"}} | fault)
    assert not before({"when": {"recipient": "+49*"}} | fault)
    assert not before({"when": {"recipient": "+49*"}}, fault)
    assert not before({"share": 0.5} | fault)
    assert before({"times": 1} | fault)
    assert behaviours.before_reading("start", True) is None


def test_the_inbox_forgets_its_oldest_message_only() -> None:
    inbox = Inbox(2)
    for n in range(3):
        inbox.add(Message(recipient=f"+{n % 2}", channel="sms", provider="ycloud", text="", code=str(n), at=n))
    assert [message["code"] for message in inbox.find()] == ["1", "2"]
    assert [message["code"] for message in inbox.find(recipient="+0")] == ["2"]
    assert [message["code"] for message in inbox.find(since=2)] == ["2"]


def test_the_list_of_calls_is_bounded() -> None:
    calls = Calls(2)
    for n in range(3):
        calls.begin(at=n, provider="ycloud", operation="start")
    assert [call["at"] for call in calls.lines()] == [1, 2]


async def test_every_request_is_listed_in_order_also_those_that_were_refused(http: httpx.AsyncClient) -> None:
    await start(http, code="4829", externalId="v_1_abcdef")
    await http.post(START, json={}, headers=KEY)
    await http.post(START, json={})
    lines = (await http.get("/calls")).text.splitlines()
    assert len(lines) == 3
    answered = [httpx.Response(200, content=line).json()["answered"] for line in lines]
    assert answered == ["200", "400 PARAM_MISSING", "401 UNAUTHORIZED"]
    first = httpx.Response(200, content=lines[0]).json()
    assert (first["recipient"], first["reference"], first["code"]) == ("+16315550100", "v_1_abcdef", "4829")


async def test_the_inbox_is_found_with_a_bare_plus_and_emptied(http: httpx.AsyncClient, world: World) -> None:
    await start(http)
    assert len((await http.get("/inbox?recipient=+16315550100")).json()) == 1
    assert (await http.get("/inbox?since=yesterday")).status_code == 422
    assert (await http.delete("/inbox")).status_code == 204
    assert world.inbox.find() == []
