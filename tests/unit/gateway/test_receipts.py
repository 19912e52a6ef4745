"""Reports that do not say which attempt they are about go to the correlator, under the key their ref has too."""

from __future__ import annotations

import orjson
import pytest

from pipeline.model.receipt_key import by_message_id, by_recipient
from pipeline.records.types import Channel
from tests.unit.gateway.bench import NOW, RING, Bench, assert_problem
from tests.unit.gateway.fakes import decode_receipt

PERSON = "+4915112345678"
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def told(*reports: object) -> bytes:
    return orjson.dumps(reports)


async def test_a_report_of_a_message_is_keyed_by_its_id_at_this_instance(bench: Bench) -> None:
    assert (await bench.post(told({"message": "m-1"}), to="second")).status_code == 200
    (emit,) = bench.producer.written
    assert (emit.topic, emit.key, emit.partition) == ("verification.receipts", b"second:m-1", None)
    assert emit.key == by_message_id("second", "m-1").encode()
    assert emit.headers == (("schema", b"Receipt"),)
    receipt = decode_receipt(emit)
    assert (receipt.provider, receipt.provider_message_id, receipt.recipient_key) == ("second", "m-1", "")


async def test_a_report_of_a_recipient_is_keyed_by_a_hash_and_the_recipient_goes_no_further(bench: Bench) -> None:
    await bench.post(told({"recipient": PERSON, "channel": "sms"}))
    (emit,) = bench.producer.written
    hashed = RING.recipient_key(PERSON)
    assert emit.key == by_recipient("ycloud", hashed, Channel.SMS).encode() == f"ycloud:{hashed}:sms".encode()
    assert decode_receipt(emit).recipient_key == hashed
    assert PERSON.removeprefix("+") not in repr(emit)


async def test_a_recipient_is_named_where_the_message_id_means_nothing_to_us(bench: Bench) -> None:
    await bench.post(told({"message": "m-1", "recipient": PERSON, "channel": "sms"}))
    (emit,) = bench.producer.written
    assert emit.key == by_recipient("ycloud", RING.recipient_key(PERSON), Channel.SMS).encode()


async def test_a_report_without_a_channel_has_a_key_that_no_ref_has(bench: Bench) -> None:
    await bench.post(told({"recipient": PERSON}))
    assert bench.producer.written[0].key == f"ycloud:{RING.recipient_key(PERSON)}:unknown".encode()


async def test_reports_of_both_kinds_are_counted_alike(bench: Bench) -> None:
    answer = await bench.post(told({"message": "m-1"}, "v1", {"message": "m-2", "status": "unknown"}))
    assert answer.status_code == 200
    assert [emit.topic for emit in bench.producer.written] == [
        "verification.receipts",
        "verification.statuses",
        "verification.receipts",
    ]
    assert bench.counted("webhooks_total", "ycloud", "accepted") == 1
    assert bench.counted("receipts_total", "ycloud", "delivered") == 2
    assert bench.counted("receipts_total", "ycloud", "unknown") == 1
    assert bench.counted("unmapped_answers_total", "ycloud") == 1
    assert bench.counted("receipts_unmatched_total", "ycloud") == 0
    assert bench.counted("last_receipt_timestamp_seconds", "ycloud") == NOW / 1_000


@pytest.mark.parametrize("nothing", [{}, {"channel": "sms"}, {"message": ""}])
async def test_a_report_that_names_nothing_is_taken_and_counted_as_unmatched(
    bench: Bench, nothing: dict[str, str]
) -> None:
    assert (await bench.post(told(nothing, {"message": "m-1"}))).status_code == 200
    assert len(bench.producer.written) == 1
    assert bench.counted("receipts_total", "ycloud", "delivered") == 2
    assert bench.counted("receipts_unmatched_total", "ycloud") == 1


async def test_one_unwritten_receipt_of_two_is_503_and_the_repetition_writes_both(bench: Bench) -> None:
    bench.producer.fail = 1
    content = told({"message": "m-1"}, "v1")
    assert_problem(await bench.post(content), 503, "log_unavailable")
    assert bench.counted("receipts_total", "ycloud", "delivered") == 0
    assert (await bench.post(content)).status_code == 200
    assert {emit.key for emit in bench.producer.written} == {b"ycloud:m-1", b"v1"}


async def test_a_trace_goes_on_with_a_receipt_too(bench: Bench) -> None:
    await bench.post(told({"message": "m-1"}), headers={"Signature": "right", "traceparent": TRACE})
    assert dict(bench.producer.written[0].headers)["traceparent"] == TRACE.encode()
