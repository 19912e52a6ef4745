"""Promise 7: bad input gets a clear answer and hurts nobody else."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.acceptance.found import Sent
from tests.acceptance.plain_avro import MAGIC, Schema
from tests.acceptance.stranger import Stranger, assert_exact, new_id

pytestmark = pytest.mark.kafka

CODE = "73915846"
"""Somebody's own code, in records that nobody can read."""

STEP = {"channel": "sms"}
LONG_AGO = 1_000_000_000_000

# What is asked, the reason it is refused for, and the field that the detail has to name.
REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "letters for a number": ({"recipient": "call me"}, "invalid_recipient", "recipient"),
    "too few digits": ({"recipient": "+49151"}, "invalid_recipient", "recipient"),
    "a national number of nowhere": ({"recipient": "0151 23456789"}, "invalid_recipient", "recipient"),
    "half an e-mail address": ({"recipient": "someone@"}, "invalid_recipient", "recipient"),
    "a toll-free number": ({"recipient": "+18002345678"}, "unsupported_line_type", "recipient"),
    "nobody": ({"recipient": None}, "missing_field", "recipient"),
    "a step for nobody": (
        {"recipient": None, "steps": [{**STEP, "recipient": "+4915120000000"}, STEP]},
        "missing_field",
        "steps[1].recipient",
    ),
    "no such country": ({"country": "XX"}, "invalid_country", "country"),
    "no such channel": ({"steps": [{"channel": "unknown"}]}, "invalid_channel", "steps[0].channel"),
    "e-mail to a phone": ({"steps": [{"channel": "email"}]}, "invalid_channel", "steps[0].channel"),
    "a preference beside steps": ({"steps": [STEP], "prefer_channel": "voice"}, "invalid_steps", "prefer_channel"),
    "too many steps": ({"steps": [STEP] * 21}, "invalid_steps", "steps"),
    "two defaults for a channel": ({"channel_defaults": [STEP, STEP]}, "invalid_steps", "channel_defaults[1]"),
    "a wait in defaults": (
        {"channel_defaults": [{**STEP, "wait_s": 9}]},
        "invalid_steps",
        "channel_defaults[0].wait_s",
    ),
    "a step after the end": ({"steps": [{**STEP, "wait_s": 900}, STEP]}, "invalid_steps", "steps[1]"),
    "a code with a blank": ({"code": "123 56"}, "invalid_code", "code"),
    "two codes": ({"code": CODE, "code_sealed": b"sealed"}, "invalid_code", "code_sealed"),
    "a sealed code that opens nowhere": ({"code_sealed": b"\x01\x02k1" + bytes(60)}, "invalid_code", "code_sealed"),
    "a code too short for the tenant": ({"code": "1234"}, "invalid_code_length", "code"),
    "a length too short for the tenant": ({"code_length": 4}, "invalid_code_length", "code_length"),
    "a length that is not the code's": ({"code": CODE, "code_length": 6}, "invalid_code_length", "code_length"),
    "no language": ({"language": "klingon!"}, "invalid_language", "language"),
    "a step's language": ({"steps": [{**STEP, "language": "e"}]}, "invalid_language", "steps[0].language"),
    "a text without code": ({"steps": [{**STEP, "text": "Hello"}]}, "invalid_text", "steps[0].text"),
    "an id with signs": ({"verification_id": "no/such,id"}, "invalid_field", "verification_id"),
    "an endless id": ({"verification_id": "x" * 500_000}, "invalid_field", "verification_id"),
    "too short a life": ({"expires_in_s": 29}, "invalid_field", "expires_in_s"),
    "too long a life": ({"expires_in_s": 3601}, "invalid_field", "expires_in_s"),
    "longer than the tenant may": ({"expires_in_s": 601}, "invalid_field", "expires_in_s"),
    "no checks": ({"max_checks": 0}, "invalid_field", "max_checks"),
    "too many checks": ({"max_checks": 11}, "invalid_field", "max_checks"),
    "a number in published text": ({"external_id": "+4915120000001"}, "invalid_field", "external_id"),
    "an address in published text": ({"metadata": {"who": "jo@example.org"}}, "invalid_field", "metadata"),
    "a huge value": ({"metadata": {"note": "x" * 900_000}}, "invalid_field", "metadata"),
    "too many entries": ({"metadata": {str(n): "" for n in range(11)}}, "invalid_field", "metadata"),
    "a long brand": ({"brand": "x" * 33}, "invalid_field", "brand"),
    "no use case": ({"use_case": "FUN"}, "invalid_field", "use_case"),
    "no IP address": ({"end_user_ip": "300.1.1.1"}, "invalid_field", "end_user_ip"),
    "from the future": ({"requested_at": 4_000_000_000_000}, "invalid_field", "requested_at"),
    "a deadline before 1970": ({"send_before_at": -1}, "invalid_field", "send_before_at"),
    "a mode nobody knows": ({"mode": "unknown"}, "invalid_field", "mode"),
    "a wait too short": ({"steps": [{**STEP, "wait_s": 4}]}, "invalid_field", "steps[0].wait_s"),
    "a validity too short": ({"steps": [{**STEP, "ttl_s": 29}]}, "invalid_field", "steps[0].ttl_s"),
    "a voice flow for SMS": ({"steps": [{**STEP, "flow_id": "f"}]}, "invalid_field", "steps[0].flow_id"),
    "a payment with an own code": ({"amount": "1", "payee": "p", "code": CODE}, "invalid_field", "amount"),
    "an amount in words": ({"amount": "one", "payee": "p"}, "invalid_field", "amount"),
    "an amount for nobody": ({"amount": "1"}, "missing_field", "payee"),
    "nobody's template": ({"steps": [{**STEP, "template": "t"}]}, "unknown_template", "steps[0].template"),
    "nobody's option": ({"steps": [{**STEP, "options": {"o": "1"}}]}, "unknown_option", "steps[0].options"),
    "nobody's provider": ({"steps": [{**STEP, "provider": "nobody"}]}, "unknown_provider", "steps[0].provider"),
    "a channel it does not have": (
        {"steps": [{"channel": "whatsapp", "provider": "neutrino"}]},
        "unsupported_by_provider",
        "steps[0].provider",
    ),
    "a wish it cannot honour": (
        {"steps": [{**STEP, "provider": "neutrino", "sender": "ACME"}]},
        "no_route",
        "steps[0].provider",
    ),
    "a signature outside mainland China": ({"signature": "ACME"}, "no_route", "steps[0]"),
    "a wish nobody can honour": ({"steps": [{**STEP, "text": "{code}"}]}, "no_route", "steps[0]"),
    "a channel of nobody": ({"steps": [{"channel": "viber"}]}, "no_route", "steps[0]"),
    "nobody's tenant": ({"tenant": "nobody"}, "unknown_tenant", "tenant"),
}


@dataclass(slots=True)
class Batch:
    """Bad records in one partition with a good one before and after each."""

    ids: dict[str, str] = field(default_factory=dict)
    sent: dict[str, Sent] = field(default_factory=dict)
    neighbours: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def refused(stranger: Stranger, people: Iterator[str]) -> Batch:
    batch = Batch()
    for name, (fields, _, _) in REFUSED.items():
        batch.neighbours.append(stranger.request(recipient=next(people), mode="reach", partition=0))
        batch.ids[name] = f"refused: {name}"
        stranger.request(**{"recipient": next(people), "external_id": batch.ids[name], **fields}, partition=0)
    batch.neighbours.append(stranger.request(recipient=next(people), mode="reach", partition=0))
    stranger.flush()
    return batch


@pytest.mark.parametrize("name", REFUSED)
def test_an_invalid_request_is_rejected_with_the_field_and_the_reason(
    stranger: Stranger, refused: Batch, name: str
) -> None:
    fields, reason, named = REFUSED[name]
    given = fields.get("verification_id", "")
    external_id = None if "external_id" in fields else refused.ids[name]

    def found() -> list[dict[str, Any]]:
        return [
            one
            for history in list(stranger.found.outcomes.values())
            for one in history
            if one["external_id"] == external_id and one["state"] == "rejected" and one["detail"].startswith(named)
        ]

    outcomes = stranger.wait(found, within_s=20, what=f"no rejected outcome that names {named}")
    (outcome,) = {one["verification_id"]: one for one in outcomes}.values()
    assert (outcome["state"], outcome["reason"]) == ("rejected", reason)
    assert outcome["detail"].startswith(f"{named}: ")
    assert outcome["attempts"] == []
    assert_exact(stranger.history(outcome["verification_id"]))
    for value in fields.values():
        assert not isinstance(value, str) or len(value) < 6 or value not in outcome["detail"]
    assert len(outcome["verification_id"]) <= 64
    assert len(given) < 48 or outcome["verification_id"] != given


def test_requests_around_invalid_ones_are_served(stranger: Stranger, refused: Batch) -> None:
    final = stranger.final(refused.neighbours, within_s=30)
    assert {outcome["state"] for outcome in final.values()} == {"delivered"}


def _text(value: str) -> bytes:
    encoded = value.encode()
    return _number(len(encoded)) + encoded


def _number(value: int) -> bytes:
    """Avro's zigzag variable-length number."""
    rest = (value << 1) ^ (value >> 63)
    out = bytearray()
    while rest > 0x7F:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out)


Make = Callable[[bytes, str], bytes | None]
"""From the frame of our schema and a person's number to a value."""


def _head(person: str) -> bytes:
    """The fields of a request before ``mode``."""
    return _text(new_id()) + _text("default") + b"\x00" + b"\x02" + _text(person) + b"\x00"


def _whole(person: str) -> bytes:
    schema = Schema.of("VerificationRequest")
    return schema.write({"verification_id": new_id(), "recipient": person, "code": CODE})[len(schema.frame) :]


# The hostile ones are those of reference/operations.md, F11: bytes that made Avro libraries burn seconds and gigabytes,
# read a number of any length, or raise anything from EOFError to MemoryError.
UNREADABLE: dict[str, tuple[Make, str]] = {
    "JSON": (lambda _, person: json.dumps({"recipient": person, "code": CODE}).encode(), "unknown_framing"),
    "nothing": (lambda _, __: b"", "unknown_framing"),
    "null": (lambda _, __: None, "undecodable"),
    "half a frame": (lambda frame, _: frame[:7], "unknown_framing"),
    "only a frame": (lambda frame, _: frame, "undecodable"),
    "a schema nobody published": (lambda _, person: MAGIC + os.urandom(8) + _whole(person), "unknown_schema"),
    "a registry nobody has": (lambda _, person: b"\x00\x00\x00\x00\x07" + _whole(person), "unknown_schema"),
    "cut short": (lambda frame, person: frame + _whole(person)[:-9], "undecodable"),
    "too long": (lambda frame, person: frame + _whole(person) + b"\x00", "undecodable"),
    "another record": (
        lambda _, person: Schema.of("CodeCheck").write({"check_id": "c", "verification_id": "v", "code": CODE}),
        "undecodable",
    ),
    "an endless array": (lambda frame, person: frame + _head(person) + b"\x00" + _number(2**62), "undecodable"),
    "an endless block": (
        lambda frame, person: frame + _head(person) + b"\x00" + _number(-1) + _number(2**62),
        "undecodable",
    ),
    "the smallest count": (
        lambda frame, person: frame + _head(person) + b"\x00" + b"\xff" * 9 + b"\x01",
        "undecodable",
    ),
    "an endless text": (lambda frame, _: frame + _number(2**62) + b"x", "undecodable"),
    "a text of negative length": (lambda frame, _: frame + _number(-8) + CODE.encode(), "undecodable"),
    "an over-long number": (lambda frame, _: frame + b"\x80" * 11 + b"\x00", "undecodable"),
    "no UTF-8": (lambda frame, _: frame + _number(4) + b"\xff\xfe\xfd\xfc", "undecodable"),
    "a branch that is not there": (
        lambda frame, person: frame + _text("v") + _text("default") + b"\x7e" + _text(person),
        "undecodable",
    ),
    "a negative branch": (
        lambda frame, person: frame + _text("v") + _text("default") + b"\x01" + _text(person),
        "undecodable",
    ),
    "a symbol that is not there": (lambda frame, person: frame + _head(person) + _number(100), "undecodable"),
    "a megabyte of noise": (lambda _, __: b"\x7f" + os.urandom(1_040_000), "unknown_framing"),
    "a megabyte in a frame": (lambda frame, _: frame + b"\x02" * 1_040_000, "undecodable"),
}


@pytest.fixture(scope="module")
def unreadable(stranger: Stranger, people: Iterator[str]) -> Batch:
    batch = Batch()
    frame = stranger.request_schema.frame
    for name, (make, _) in UNREADABLE.items():
        person = next(people)
        batch.ids[name] = person
        batch.neighbours.append(stranger.request(recipient=next(people), mode="reach", partition=1))
        batch.sent[name] = stranger.produce(
            "verification.requests",
            make(frame, person),
            key=person.encode(),
            partition=1,
            headers={"x-recipient": person.encode(), "x-code": CODE.encode()},
        )
    batch.neighbours.append(stranger.request(recipient=next(people), mode="reach", partition=1))
    stranger.flush()
    return batch


@pytest.mark.parametrize("name", UNREADABLE)
def test_an_unreadable_record_becomes_one_dead_letter_that_tells_no_secret(
    stranger: Stranger, unreadable: Batch, name: str
) -> None:
    sent, person = unreadable.sent[name], unreadable.ids[name]
    letter = stranger.letter(sent, within_s=20)
    assert (letter.fields["reason"], letter.fields["stage"]) == (UNREADABLE[name][1], "router")
    assert letter.fields["detail"]
    # The record is there to be opened by who has the keys, unless it is too large to be carried along.
    assert (letter.fields["payload_sealed"] is None) == ("megabyte" in name)
    open_parts = repr((letter.record.key, letter.record.headers, {**letter.fields, "payload_sealed": ""}))
    for secret in (person, person[1:], person[3:], CODE):
        assert secret not in open_parts
        assert secret.encode() not in (letter.record.value or b"")


def test_requests_around_unreadable_ones_are_served(stranger: Stranger, unreadable: Batch) -> None:
    final = stranger.final(unreadable.neighbours, within_s=30)
    assert {outcome["state"] for outcome in final.values()} == {"delivered"}


def test_a_schema_made_to_burn_memory_is_never_read_with(stranger: Stranger, people: Iterator[str]) -> None:
    """F11: six bytes against an array of nulls cost one library 9.7 s and 1.8 GB."""
    hostile = Schema(
        json.dumps(
            {
                "type": "record",
                "name": "verification.v1.VerificationRequest",
                "fields": [
                    {"name": "verification_id", "type": "string"},
                    {"name": "nothing", "type": {"type": "array", "items": "null"}},
                ],
            }
        )
    )
    stranger.publish_schema(hostile)
    value = hostile.frame + b"\x00" + _number(2**62) + b"\x00"
    sent = stranger.produce("verification.requests", value, partition=2)
    after = stranger.request(recipient=next(people), mode="reach", partition=2)
    stranger.flush()
    assert stranger.letter(sent).fields["reason"] == "unknown_schema"
    assert stranger.outcome(after)["state"] == "delivered"


@pytest.mark.parametrize(
    ("topic", "schema", "fields"),
    [
        ("verification.checks", "CodeCheck", {"check_id": "", "verification_id": "v", "code": CODE}),
        ("verification.checks", "CodeCheck", {"check_id": "x" * 129, "verification_id": "v", "code": CODE}),
        ("verification.checks", "CodeCheck", {"check_id": "c", "verification_id": "v", "code_sealed": CODE.encode()}),
        ("verification.checks", "Command", {"command_id": "c", "verification_id": "v"}),
        ("verification.checks", None, None),
        ("verification.commands", None, CODE),
        ("verification.statuses", "DeliveryStatus", {"verification_id": "+4915120000002", "attempt_id": "a"}),
        ("verification.statuses", None, CODE),
    ],
)
def test_bad_checks_commands_and_statuses_become_dead_letters_of_the_tracker(
    stranger: Stranger, topic: str, schema: str | None, fields: Any
) -> None:
    value = Schema.of(schema).write(fields) if schema else fields and fields.encode()
    sent = stranger.produce(topic, value, key=b"+4915120000002")
    stranger.flush()
    letter = stranger.letter(sent)
    assert letter.fields["stage"] == "tracker"
    assert letter.fields["reason"] in ("unknown_framing", "undecodable")
    assert "4915120000002" not in repr((letter.record.key, letter.fields))
    assert CODE not in repr((letter.record.key, letter.fields))


def test_no_bad_record_was_answered_twice(stranger: Stranger, refused: Batch, unreadable: Batch) -> None:
    for sent in unreadable.sent.values():
        assert len(stranger.letters(sent)) == 1
    for verification_id in refused.neighbours + unreadable.neighbours:
        assert stranger.letters_of(verification_id) == []
        assert_exact(stranger.history(verification_id))
