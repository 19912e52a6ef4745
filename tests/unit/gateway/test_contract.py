"""``schemas/openapi.yaml`` says what the code does, name by name and limit by limit."""

from __future__ import annotations

import types
from collections.abc import AsyncIterator, Iterator
from enum import StrEnum
from typing import Any, Union, get_args, get_origin, get_type_hints

import jsonschema_rs
import msgspec
import pytest

from pipeline.gateway import contract_words as words
from pipeline.gateway.app import HEALTHZ, READYZ, WEBHOOKS, WEBHOOKS_OF_A_MESSAGE
from pipeline.gateway.bodies import REFUSED, StartBody
from pipeline.gateway.contract import contract, reasons, resolved
from pipeline.gateway.read import DEFAULT_LIMIT, MAX_LIMIT
from pipeline.model.fields import USE_CASES
from pipeline.model.reasons import ProblemReason, Reason, ReplyReason
from pipeline.model.steps import MAX_OPTIONS, MAX_STEPS
from pipeline.model.validate import DEFAULT_EXPIRES_IN_S, DEFAULT_MAX_CHECKS
from pipeline.readmodel.cursor import MAX_CHARS
from pipeline.records.public import Attempt, Step, StepView, VerificationOutcome, VerificationRequest
from pipeline.records.types import Channel, VerificationState
from pipeline.settings import Settings
from tests.unit.gateway.api_bench import PHONE, SETTINGS, ApiBench

SCHEMAS: dict[str, Any] = contract()["components"]["schemas"]
LOOSE = Settings.model_validate(
    SETTINGS.model_dump()
    | {
        "tenants": {"shop": {"min_code_length": 4, "max_expires_in_s": 3_600}},
        "providers": {
            "ycloud": {"enabled": True, "api_key": "k", "webhook_secret": ["whsec_1"]},
            "thundersms": {
                "enabled": True,
                "access_token": "t",
                "channels": {"voice": {"from": "+4915100000002", "flow_id": "f"}, "viber": {"from": "Shop"}},
            },
        },
    }
)


@pytest.fixture
async def api() -> AsyncIterator[ApiBench]:
    made = ApiBench(settings=LOOSE)
    yield made
    await made.http.aclose()


# --- names ----------------------------------------------------------------------------------------------------------


def test_every_route_is_in_the_contract_and_every_one_there_is_served() -> None:
    served = {(each.method, each.path) for each in ApiBench().operations}
    served |= {("POST", WEBHOOKS), ("POST", WEBHOOKS_OF_A_MESSAGE), ("GET", HEALTHZ), ("GET", READYZ)}
    assert {(each.method, each.path) for each in words.operations()} == served


def test_a_start_takes_the_fields_of_a_request_but_those_that_only_kafka_may_say() -> None:
    assert list(SCHEMAS["StartRequest"]["properties"]) == list(StartBody.__struct_fields__)
    assert set(StartBody.__struct_fields__) | set(REFUSED) == set(VerificationRequest.__struct_fields__)
    assert not set(StartBody.__struct_fields__) & set(REFUSED)


@pytest.mark.parametrize(
    ("name", "record"),
    [
        ("Step", Step),
        ("ChannelDefault", Step),
        ("Verification", VerificationOutcome),
        ("StepView", StepView),
        ("Attempt", Attempt),
        ("StartRequest", StartBody),
    ],
)
def test_a_schema_has_the_fields_of_its_record_and_null_where_it_has_none(name: str, record: type) -> None:
    schema = SCHEMAS[name]
    assert list(schema["properties"]) == list(record.__struct_fields__)
    assert schema["additionalProperties"] is False
    if name in ("Verification", "StepView", "Attempt"):
        assert schema["required"] == list(record.__struct_fields__)
    hints = get_type_hints(record)
    nullable = {field for field, hint in hints.items() if type(None) in get_args(hint)}
    told = {field for field, node in schema["properties"].items() if _takes_null(node)}
    assert told - ({"recipient", "wait_s"} if name == "ChannelDefault" else set()) == nullable - (
        {"recipient", "wait_s"} if name == "ChannelDefault" else set()
    )


def _takes_null(node: dict[str, Any]) -> bool:
    kinds = node.get("type", [])
    return "null" in ([kinds] if isinstance(kinds, str) else kinds) or {"type": "null"} in node.get("anyOf", [])


def _enums(record: type) -> Iterator[tuple[str, type[StrEnum]]]:
    for field, hint in get_type_hints(record).items():
        for kind in get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,):
            if isinstance(kind, type) and issubclass(kind, StrEnum):
                yield field, kind


@pytest.mark.parametrize(
    ("name", "record", "unknown"),
    [
        ("Verification", VerificationOutcome, True),
        ("StepView", StepView, True),
        ("Attempt", Attempt, True),
        ("StartRequest", VerificationRequest, False),
        ("Step", Step, False),
        ("ChannelDefault", Step, False),
    ],
)
def test_enumerations_have_the_words_of_the_records(name: str, record: type, unknown: bool) -> None:
    """What may be asked for is never `unknown`; what is told may be."""
    for field, kind in _enums(record):
        node = SCHEMAS[name]["properties"][field]
        node = resolved(node.get("anyOf", [node])[0])
        told = [word for word in node["enum"] if word is not None]
        assert told == [word.value for word in kind if unknown or word.value != "unknown"], field


def test_use_cases_and_states_of_the_list_are_those_of_the_code() -> None:
    assert set(SCHEMAS["StartRequest"]["properties"]["use_case"]["enum"]) == {*USE_CASES, None}
    (state,) = [member for _, member in words.parameters(_operation("listVerifications")) if member.name == "state"]
    assert state.type == " ".join(f"`{each}`" for each in VerificationState if each != "unknown")


# --- reasons --------------------------------------------------------------------------------------------------------


def test_the_reasons_of_verifications_are_the_closed_list() -> None:
    assert SCHEMAS["Reason"]["enum"] == list(Reason)


def test_every_reason_of_a_problem_stands_at_an_operation_and_the_other_way_round() -> None:
    at_operations = {
        reason for each in words.operations() for one in each.node["responses"].values() for reason in reasons(one)
    }
    # A method that an address does not take belongs to no operation.
    assert set(SCHEMAS["Problem"]["properties"]["reason"]["enum"]) == at_operations | {"method_not_allowed"}
    assert set(ProblemReason) == (at_operations | {"method_not_allowed"}) & set(ProblemReason)
    assert at_operations <= {*ProblemReason, *Reason, *ReplyReason}


def test_the_reasons_of_replies_stand_at_checks_and_commands() -> None:
    checks = set(SCHEMAS["CheckAnswer"]["properties"]["reason"]["enum"])
    refused = set(reasons(contract()["components"]["responses"]["CommandRefused"]))
    accepted = {SCHEMAS["CommandAnswer"]["properties"]["reason"]["const"]}
    assert checks | refused | accepted | {"unknown_verification", "invalid_field"} == set(ReplyReason)


def test_every_error_has_its_shape_and_every_answer_its_request_id() -> None:
    for operation in words.operations():
        for status, reference in operation.node["responses"].items():
            response = resolved(reference)
            assert response["headers"]["X-Request-ID"]["$ref"] == "#/components/headers/RequestId", operation.id
            if not status.startswith("2"):
                assert reasons(response), (operation.id, status)
            if status in ("429", "503"):
                assert "Retry-After" in response["headers"], (operation.id, status)


@pytest.mark.parametrize("operation", [each for each in words.operations() if each.scopes], ids=lambda each: each.id)
async def test_an_operation_needs_the_scope_that_it_names(api: ApiBench, operation: words.Operation) -> None:
    (needed,) = operation.scopes
    path = operation.path.replace("{id}", "v")
    for scope in ("start", "check", "read", "manage"):
        told = {"Authorization": f"Bearer shop.{scope}"}
        answer = await api.http.request(operation.method, path, headers=told)
        assert (answer.status_code == 403) == (scope != needed)
    assert (await api.http.request(operation.method, path)).status_code == 401


def _operation(name: str) -> words.Operation:
    return next(each for each in words.operations() if each.id == name)


# --- limits and defaults --------------------------------------------------------------------------------------------

BASE: dict[str, Any] = {"recipient": PHONE}
# What a field needs beside it, and how a text of n characters is written that is right but for its length.
BESIDE: dict[str, dict[str, Any]] = {"payee": {"amount": "1"}, "expires_in_s": {}, "code": {}}
TEXTS = ("external_id", "brand", "signature", "payee", "code")
STEP_TEXTS = {"sender": "sms", "flow_id": "voice", "subject": "email", "text": "sms"}


async def complaints(api: ApiBench, body: dict[str, Any]) -> set[str]:
    answer = await api.start({**BASE, **body})
    return {error["field"] for error in answer.json().get("errors", [])}


@pytest.mark.parametrize("name", ["code_length", "expires_in_s", "max_checks"])
async def test_the_least_and_the_most_of_a_number_are_those_of_the_contract(api: ApiBench, name: str) -> None:
    node = SCHEMAS["StartRequest"]["properties"][name]
    for value in (node["minimum"], node["maximum"]):
        assert name not in await complaints(api, {name: value})
    for value in (node["minimum"] - 1, node["maximum"] + 1):
        assert name in await complaints(api, {name: value})


@pytest.mark.parametrize("name", ["wait_s", "ttl_s"])
async def test_the_least_and_the_most_of_a_steps_number_are_those_of_the_contract(api: ApiBench, name: str) -> None:
    node = SCHEMAS["Step"]["properties"][name]
    for value in (node["minimum"], node["maximum"]):
        assert await complaints(api, {"steps": [{"channel": "sms", name: value}]}) == set()
    for value in (node["minimum"] - 1, node["maximum"] + 1):
        assert await complaints(api, {"steps": [{"channel": "sms", name: value}]}) == {f"steps[0].{name}"}


@pytest.mark.parametrize("name", TEXTS)
async def test_the_longest_text_is_that_of_the_contract(api: ApiBench, name: str) -> None:
    longest = SCHEMAS["StartRequest"]["properties"][name]["maxLength"]
    beside = BESIDE.get(name, {})
    assert await complaints(api, {name: "x" * longest} | beside) == set()
    assert await complaints(api, {name: "x" * (longest + 1)} | beside) == {name}


@pytest.mark.parametrize("name", STEP_TEXTS)
async def test_the_longest_text_of_a_step_is_that_of_the_contract(api: ApiBench, name: str) -> None:
    longest = SCHEMAS["Step"]["properties"][name]["maxLength"]
    channel = STEP_TEXTS[name]
    recipient = "jane@example.org" if channel == "email" else PHONE
    for more, wrong in ((0, set()), (1, {f"steps[0].{name}"})):
        text = ("{code}" if name == "text" else "").ljust(longest + more, "x")
        assert await complaints(api, {"recipient": recipient, "steps": [{"channel": channel, name: text}]}) == wrong


@pytest.mark.parametrize(
    ("name", "pieces"),
    [
        ("steps", [{"channel": "sms", "wait_s": 5}] * (MAX_STEPS + 1)),
        ("channel_defaults", [{"channel": each} for each in Channel if each != "unknown"] + [{"channel": "sms"}]),
    ],
)
async def test_the_longest_list_is_that_of_the_contract(api: ApiBench, name: str, pieces: list[dict[str, Any]]) -> None:
    most = SCHEMAS["StartRequest"]["properties"][name]["maxItems"]
    assert len(pieces) == most + 1
    wrong = {field.partition("[")[0] for field in await complaints(api, {name: pieces[:most], "expires_in_s": 600})}
    assert wrong == set()
    wrong = {field.partition("[")[0] for field in await complaints(api, {name: pieces, "expires_in_s": 600})}
    assert wrong == {name}


async def test_metadata_and_options_are_as_large_as_the_contract_says(api: ApiBench) -> None:
    node = SCHEMAS["StartRequest"]["properties"]["metadata"]
    most, key, value = (
        node["maxProperties"],
        node["propertyNames"]["maxLength"],
        node["additionalProperties"]["maxLength"],
    )
    full = {f"{n}".rjust(key, "k"): "v" * value for n in range(most)}
    assert await complaints(api, {"metadata": full}) == set()
    for wrong in (full | {"one": "more"}, {"k" * (key + 1): ""}, {"": ""}, {"k": "v" * (value + 1)}):
        assert await complaints(api, {"metadata": wrong}) == {"metadata"}
    assert SCHEMAS["Step"]["properties"]["options"]["maxProperties"] == MAX_OPTIONS


def test_defaults_are_those_of_the_code() -> None:
    told = SCHEMAS["StartRequest"]["properties"]
    assert told["expires_in_s"]["default"] == DEFAULT_EXPIRES_IN_S
    assert told["max_checks"]["default"] == DEFAULT_MAX_CHECKS
    empty = msgspec.convert({}, StartBody)
    for name in ("mode", "steps", "channel_defaults", "metadata"):
        assert told[name]["default"] == getattr(empty, name)
    (limit, cursor) = (each["schema"] for each in _operation("listVerifications").node["parameters"][:2])
    assert (limit["default"], limit["maximum"], cursor["maxLength"]) == (DEFAULT_LIMIT, MAX_LIMIT, MAX_CHARS)


# --- examples -------------------------------------------------------------------------------------------------------


def _media() -> Iterator[Any]:
    for operation in words.operations():
        bodies = [operation.node.get("requestBody", {}), *operation.node["responses"].values()]
        for body in bodies:
            for media in resolved(body).get("content", {}).values():
                if "examples" in media:
                    yield pytest.param(media, id=f"{operation.id}-{'-'.join(media['examples'])}")


@pytest.mark.parametrize("media", list(_media()))
def test_every_example_is_what_its_schema_says(media: dict[str, Any]) -> None:
    whole = {"allOf": [media["schema"]], "components": contract()["components"]}
    validator = jsonschema_rs.Draft202012Validator(whole, validate_formats=True)
    for title, value in words.examples_of(media):
        assert [error.message for error in validator.iter_errors(value)] == [], title


async def test_the_examples_of_a_start_are_taken(api: ApiBench) -> None:
    media = _operation("startVerification").node["requestBody"]["content"]["application/json"]
    for _, value in words.examples_of(media):
        assert (await api.start(value)).status_code == 202
