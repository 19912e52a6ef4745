"""Microseconds of CPU per record encoded and decoded: ``python -m tests.benchmarks.codec``.

Compares the codec with the ways it was chosen over. Figures of a busy machine mean little; the ratios hold.
"""

from __future__ import annotations

import io
import json
import time
import timeit
from collections.abc import Callable
from typing import Any

import fastavro
import msgspec

from pipeline.records.codec import Codec
from pipeline.records.internal import AttemptPlan, Decision, Plan, PlannedStep, SendCommand
from pipeline.records.public import Attempt, StepView, VerificationOutcome
from pipeline.records.store import current
from pipeline.records.types import (
    AttemptResult,
    AttemptStatus,
    AvroRecord,
    Channel,
    CommandKind,
    DecisionKind,
    VerificationState,
)

ID = "0f8fad5b-d9cb-469f-a165-70867728950e"
NOW = 1_763_769_600_000
HASH = "9f86d081884c7d659a2feaa0c55ad015"
MASKED = "+49*******678"

COMMAND = SendCommand(
    verification_id=ID,
    command_id=f"{ID}.1",
    kind=CommandKind.SEND,
    attempt_id=f"{ID}.1",
    decision_id=HASH,
    n=1,
    provider="ycloud",
    channel=Channel.SMS,
    reference=f"{ID}_1_abcdef",
    recipient_sealed=bytes(45),
    recipient_masked=MASKED,
    recipient_hash=HASH,
    country="DE",
    key_recipient_hash=HASH,
    kid="k1",
    code_length=6,
    language="de",
    brand="Acme",
    sender="ACME",
    adjusted=["language"],
    send_by_at=NOW,
    requested_at=NOW,
    issued_at=NOW,
)
STEPS = [
    PlannedStep(
        index=index,
        channel=channel,
        recipient_sealed=bytes(45),
        recipient_masked=MASKED,
        recipient_hash=HASH,
        recipient_key=HASH,
        country="DE",
        language="de",
    )
    for index, channel in enumerate((Channel.SMS, Channel.VOICE))
]
DECISION = Decision(
    verification_id=ID,
    kind=DecisionKind.ACCEPTED,
    decision_id=HASH,
    plan=Plan(
        external_id="order-1",
        recipient_masked=MASKED,
        recipient_hash=HASH,
        recipient_key=HASH,
        country="DE",
        steps=STEPS,
        kid="k1",
        code_length=6,
        language="de",
        brand="Acme",
        queue_deadline_at=NOW,
        requested_at=NOW,
    ),
    attempt=AttemptPlan(
        n=1, channel=Channel.SMS, provider="ycloud", reference=f"{ID}_1_abcdef", language="de", why="priority 1 of 2"
    ),
    decided_at=NOW,
)
OUTCOME = VerificationOutcome(
    verification_id=ID,
    version=3,
    state=VerificationState.DELIVERED,
    recipient_masked=MASKED,
    recipient_hash=HASH,
    country="DE",
    channel=Channel.SMS,
    step_index=0,
    provider="ycloud",
    steps=[StepView(index=0, channel=Channel.SMS, provider="ycloud", recipient_masked=MASKED, wait_s=30)],
    attempts=[
        Attempt(
            attempt_id=f"{ID}.1",
            channel=Channel.SMS,
            provider="ycloud",
            reference=f"{ID}_1_abcdef",
            provider_message_id="63e5e3b6c9d4c85d9b2f4f10",
            recipient_masked=MASKED,
            recipient_hash=HASH,
            result=AttemptResult.ACCEPTED,
            status=AttemptStatus.DELIVERED,
            sent_at=NOW,
            delivered_at=NOW,
            cost="0.05",
            currency="USD",
        )
    ],
    code_length=6,
    checks_left=3,
    max_checks=3,
    created_at=NOW,
    updated_at=NOW,
    expires_at=NOW,
    sent_at=NOW,
    delivered_at=NOW,
)


def microseconds(call: Callable[[], Any], *, calls: int = 1_000, rounds: int = 15) -> float:
    """The best round, as others only add noise."""
    return min(timeit.repeat(call, number=calls, repeat=rounds, timer=time.process_time)) / calls * 1e6


def fastavro_calls(record: AvroRecord) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """Encoding and decoding by fastavro and msgspec, with the schema parsed once."""
    schema = fastavro.parse_schema(json.loads(current(type(record)).schema.text))

    def encode() -> bytes:
        out = io.BytesIO()
        fastavro.schemaless_writer(out, schema, msgspec.to_builtins(record, builtin_types=(bytes,)))
        return out.getvalue()

    data = encode()

    def decode() -> AvroRecord:
        return msgspec.convert(fastavro.schemaless_reader(io.BytesIO(data), schema, None), type(record))

    assert decode() == record
    return encode, decode


def main() -> None:
    codec = Codec()
    print(f"{'record':22}{'bytes':>6}{'encode':>9}{'decode':>9}{'fastavro encode':>17}{'decode':>9}   (us)")
    for record in (COMMAND, DECISION, OUTCOME):
        kind = type(record)
        data = codec.encode(record)
        assert codec.decode(kind, data, public=False) == record
        encode = microseconds(lambda record=record: codec.encode(record))
        decode = microseconds(lambda kind=kind, data=data: codec.decode(kind, data, public=False))
        theirs = [microseconds(call) for call in fastavro_calls(record)]
        print(f"{kind.__name__:22}{len(data):6}{encode:9.1f}{decode:9.1f}{theirs[0]:17.1f}{theirs[1]:9.1f}")


if __name__ == "__main__":
    main()
