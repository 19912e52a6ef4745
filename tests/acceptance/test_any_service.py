"""Promise: whoever speaks Kafka and Avro can use it, with a client, a key and a schema of their own choosing."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.acceptance.harness import Simulator
from tests.acceptance.plain_avro import Schema
from tests.acceptance.stranger import Stranger, assert_exact, new_id

pytestmark = pytest.mark.kafka

# Written by people who need no more: a part of the fields, in another order, with a part of the symbols.
THEIR_REQUEST = {
    "type": "record",
    "name": "VerificationRequest",
    "namespace": "verification.v1",
    "fields": [
        {"name": "country", "type": ["null", "string"], "default": None},
        {"name": "recipient", "type": "string"},
        {"name": "expires_in_s", "type": "int"},
        {
            "name": "steps",
            "type": {
                "type": "array",
                "items": {
                    "type": "record",
                    "name": "Step",
                    "fields": [
                        {"name": "provider", "type": ["null", "string"], "default": None},
                        {"name": "channel", "type": {"type": "enum", "name": "Channel", "symbols": ["voice", "sms"]}},
                    ],
                },
            },
            "default": [],
        },
        {"name": "verification_id", "type": "string"},
    ],
}
THEIR_CHECK = {
    "type": "record",
    "name": "verification.v1.CodeCheck",
    "fields": [
        {"name": "code", "type": ["null", "string"]},
        {"name": "verification_id", "type": "string"},
        {"name": "check_id", "type": "string"},
    ],
}


@pytest.fixture(scope="module")
def theirs(stranger: Stranger) -> tuple[Schema, Schema]:
    schemas = Schema(json.dumps(THEIR_REQUEST)), Schema(json.dumps(THEIR_CHECK))
    for schema in schemas:
        stranger.publish_schema(schema)
    return schemas


def test_any_key_and_any_schema_ends_in_one_final_outcome_and_the_code_verifies(
    stranger: Stranger, simulator: Simulator, people: Iterator[str], theirs: tuple[Schema, Schema]
) -> None:
    """Keyed by nothing, by the number as typed, by the canonical number and by a customer id; national and not."""
    request, check = theirs
    started: dict[str, str] = {}
    for number, person in enumerate(itertools.islice(people, 48)):
        national = {"recipient": f"0{person[3:6]} / {person[6:]}", "country": "de"}
        fields: dict[str, Any] = national if number % 2 else {"recipient": person}
        key = (None, fields["recipient"].encode(), person.encode(), b"customer-%d" % number)[number % 4]
        channel = "voice" if number % 8 == 7 else "sms"
        steps = [{"channel": channel}] if number % 3 else []
        started[stranger.request(schema=request, key=key, steps=steps, **fields)] = person
    checks: dict[str, str] = {}
    for verification_id, person in started.items():
        key = (None, b"anything", verification_id.encode())[len(checks) % 3]
        checks[verification_id] = stranger.check(verification_id, simulator.code(person), schema=check, key=key)
    final = stranger.final(started, within_s=30)
    for verification_id, person in started.items():
        reply = stranger.reply(checks[verification_id])
        assert (reply["ok"], reply["reason"], reply["state"]) == (True, "valid", "verified")
        outcome = final[verification_id]
        assert (outcome["state"], outcome["country"]) == ("verified", "DE")
        assert outcome["recipient_masked"] == f"+49{'*' * 7}{person[-3:]}" or outcome["recipient_masked"].endswith(
            person[-3:]
        )
        # A provider that wants to hear of the success is told of it, in time or not: that is no second message.
        sends = [call for call in simulator.calls(person) if call["operation"] != "check"]
        assert [call["recipient"] for call in sends] == [person]
        assert_exact(stranger.history(verification_id))


def test_a_record_right_behind_its_new_schema_is_read(stranger: Stranger, people: Iterator[str]) -> None:
    """The contract says: published before it is used. It does not say how long before."""
    started = []
    for number in range(8):
        fields = [*THEIR_REQUEST["fields"], {"name": f"theirs_{new_id()[:8]}", "type": "int", "default": number}]
        schema = Schema(json.dumps({**THEIR_REQUEST, "fields": fields}))
        stranger.publish_schema(schema)
        started.append(stranger.request(schema=schema, recipient=next(people)))
    for verification_id in started:
        assert stranger.outcome(verification_id, lambda outcome: bool(outcome["attempts"]))
