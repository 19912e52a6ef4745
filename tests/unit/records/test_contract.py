"""The public records are those of CONTRACTS 1, field by field: name, type, default and order."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline.records.catalogue import PUBLIC
from pipeline.records.schema_of import schema_of

ENUMS = {
    "Channel": "sms voice whatsapp viber email unknown",
    "VerificationMode": "verify reach unknown",
    "VerificationState": "pending sent delivered verified expired failed canceled blocked rejected unknown",
    "AttemptResult": "pending accepted rejected not_sent in_doubt expired unknown",
    "AttemptStatus": "none queued sent delivered read undelivered failed expired unknown",
    "CommandAction": "resend failover cancel unknown",
    "ReplyKind": "check command unknown",
}

# One field a line: name, type (`?` is nullable), default. A default of `-` means that there is none.
RECORDS = {
    "Step": """
        channel Channel "unknown"
        recipient string? null
        country string? null
        sender string? null
        provider string? null
        wait_s int? null
        ttl_s int? null
        language string? null
        template string? null
        text string? null
        flow_id string? null
        subject string? null
        options map<string> {}
    """,
    "VerificationRequest": """
        verification_id string -
        tenant string "default"
        external_id string? null
        recipient string? null
        country string? null
        mode VerificationMode "verify"
        steps array<Step> []
        channel_defaults array<Step> []
        prefer_channel Channel? null
        code string? null
        code_sealed bytes? null
        code_length int? null
        language string? null
        brand string? null
        signature string? null
        use_case string? null
        expires_in_s int? null
        max_checks int? null
        end_user_ip string? null
        amount string? null
        payee string? null
        send_before_at long? null
        job_id string? null
        row long? null
        metadata map<string> {}
        requested_at long 0
    """,
    "StepView": """
        index int 0
        channel Channel "unknown"
        provider string? null
        recipient_masked string ""
        wait_s int 0
    """,
    "Attempt": """
        attempt_id string -
        step_index int 0
        channel Channel "unknown"
        used_channel Channel? null
        provider string ""
        reference string ""
        provider_message_id string? null
        recipient_masked string ""
        recipient_hash string ""
        result AttemptResult "unknown"
        status AttemptStatus "unknown"
        reason string? null
        number_valid boolean? null
        language string? null
        sender string? null
        adjusted array<string> []
        sent_at long? null
        delivered_at long? null
        cost string? null
        currency string? null
    """,
    "VerificationOutcome": """
        verification_id string -
        version long -
        tenant string "default"
        external_id string? null
        job_id string? null
        row long? null
        mode VerificationMode "verify"
        state VerificationState "unknown"
        is_final boolean false
        reason string? null
        detail string? null
        recipient_masked string ""
        recipient_hash string ""
        country string? null
        channel Channel? null
        step_index int? null
        provider string? null
        steps array<StepView> []
        attempts array<Attempt> []
        language string? null
        code_length int 0
        number_valid boolean? null
        failed_checks int 0
        checks_left int 0
        max_checks int 0
        cost string? null
        currency string? null
        verified_attempt_id string? null
        test boolean false
        metadata map<string> {}
        created_at long 0
        updated_at long 0
        expires_at long 0
        sent_at long? null
        delivered_at long? null
        verified_at long? null
    """,
    "DeliveryStatus": """
        verification_id string -
        attempt_id string -
        provider string ""
        status AttemptStatus "unknown"
        reason string? null
        occurred_at long 0
        received_at long 0
        cost string? null
        currency string? null
    """,
    "CodeCheck": """
        check_id string -
        verification_id string -
        tenant string? null
        code string? null
        code_sealed bytes? null
        end_user_ip string? null
        checked_at long 0
    """,
    "Command": """
        command_id string -
        verification_id string -
        tenant string? null
        action CommandAction "unknown"
        step_index int? null
        issued_at long 0
    """,
    "Reply": """
        request_id string -
        verification_id string -
        kind ReplyKind "unknown"
        ok boolean false
        reason string ""
        checks_left int 0
        state VerificationState "unknown"
        step_index int? null
        retry_at long? null
        expires_at long? null
        replied_at long 0
    """,
    "DeadLetter": """
        reason string ""
        detail string ""
        stage string ""
        topic string ""
        partition int 0
        offset long 0
        verification_id string? null
        payload_sealed bytes? null
        failed_at long 0
    """,
}


def named_types(schema: Any, found: dict[str, Any]) -> dict[str, Any]:
    """Every record and enum in a schema, by name."""
    if isinstance(schema, list):
        for branch in schema:
            named_types(branch, found)
    elif isinstance(schema, dict):
        if "name" in schema:
            found[schema["name"]] = schema
        for inner in (
            schema.get("items"),
            schema.get("values"),
            *(field["type"] for field in schema.get("fields", [])),
        ):
            named_types(inner, found)
    return found


TYPES: dict[str, Any] = {}
for kind in PUBLIC:
    named_types(schema_of(kind), TYPES)


def expected_type(text: str) -> Any:
    """``array<Step>`` or ``string?`` as Avro says it, named types by name."""
    if text.endswith("?"):
        return ["null", expected_type(text[:-1])]
    if text.endswith(">"):
        outer, _, inner = text[:-1].partition("<")
        return {"type": outer, "items" if outer == "array" else "values": expected_type(inner)}
    return text


def by_name(schema: Any) -> Any:
    """The type with definitions inside it replaced by their names."""
    if isinstance(schema, list):
        return [by_name(branch) for branch in schema]
    if isinstance(schema, dict):
        if "name" in schema:
            return schema["name"]
        return {key: value if key == "type" else by_name(value) for key, value in schema.items()}
    return schema


def test_the_public_records_hold_exactly_the_types_of_the_contract() -> None:
    assert set(TYPES) == set(RECORDS) | set(ENUMS)


@pytest.mark.parametrize("name", RECORDS)
def test_a_public_record_has_the_fields_of_the_contract(name: str) -> None:
    expected = []
    for line in RECORDS[name].strip().splitlines():
        field, kind, default = line.split(maxsplit=2)
        expected.append((field, expected_type(kind), "none" if default == "-" else json.loads(default)))
    actual = [(field["name"], by_name(field["type"]), field.get("default", "none")) for field in TYPES[name]["fields"]]
    assert actual == expected


@pytest.mark.parametrize("name", ENUMS)
def test_a_public_enum_has_the_symbols_of_the_contract_and_the_default_unknown(name: str) -> None:
    assert TYPES[name]["symbols"] == ENUMS[name].split()
    assert TYPES[name]["default"] == "unknown"


def test_public_records_are_in_the_namespace_of_the_contract() -> None:
    assert {schema_of(kind)["namespace"] for kind in PUBLIC} == {"verification.v1"}
    assert [schema_of(kind)["name"] for kind in PUBLIC] == [
        "VerificationRequest",
        "VerificationOutcome",
        "DeliveryStatus",
        "CodeCheck",
        "Command",
        "Reply",
        "DeadLetter",
    ]
