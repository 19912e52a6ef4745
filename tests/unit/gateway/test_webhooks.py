from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from tests.unit.gateway.bench import MAX_AGE_S, RIGHT, Bench, assert_problem
from tests.unit.gateway.fakes import FakeWebhooks, decode


async def test_a_report_is_acknowledged_only_after_the_log_has_it(bench: Bench) -> None:
    answer = await bench.post()
    assert answer.status_code == 200
    (emit,) = bench.producer.written
    assert (emit.topic, emit.key, emit.partition) == ("verification.statuses", b"v1", None)
    assert emit.headers == (("schema", b"DeliveryStatus"), ("reference", b"v1_1_abcdef"))
    assert decode(emit).attempt_id == "v1.1"
    assert bench.counted("webhooks_total", "ycloud", "accepted") == 1
    assert bench.counted("receipts_total", "ycloud", "delivered") == 1
    assert bench.counted("last_receipt_timestamp_seconds", "ycloud") == 1_735_787_045


async def test_a_report_names_the_instance_it_was_sent_to(bench: Bench) -> None:
    await bench.post(to="second")
    assert decode(bench.producer.written[0]).provider == "second"


async def test_all_reports_of_one_webhook_are_written(bench: Bench) -> None:
    assert (await bench.post(b'["v1", "v2"]')).status_code == 200
    assert [emit.key for emit in bench.producer.written] == [b"v1", b"v2"]


async def test_one_unwritten_report_of_two_is_503_and_the_repetition_writes_both(bench: Bench) -> None:
    bench.producer.fail = 1
    answer = await bench.post(b'["v1", "v2"]')
    assert_problem(answer, 503, "log_unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    assert bench.counted("receipts_total", "ycloud", "delivered") == 0
    assert (await bench.post(b'["v1", "v2"]')).status_code == 200
    assert {emit.key for emit in bench.producer.written} == {b"v1", b"v2"}


async def test_a_silent_log_is_503_within_the_deadline(bench: Bench) -> None:
    bench.producer.silent = True
    async with asyncio.timeout(1):
        assert_problem(await bench.post(), 503, "log_unavailable")
    assert bench.counted("webhooks_total", "ycloud", "unavailable") == 1


async def test_reports_do_not_pile_up_behind_a_silent_log(bench: Bench) -> None:
    bench.producer.silent = True
    for _ in range(3):
        await bench.post()
    began = asyncio.get_running_loop().time()
    assert_problem(await bench.post(), 503, "log_unavailable")
    assert asyncio.get_running_loop().time() - began < 0.04


@pytest.mark.parametrize("headers", [{}, {"Signature": "wrong"}])
async def test_a_wrong_signature_is_unauthorized_and_nothing_is_read(bench: Bench, headers: dict[str, str]) -> None:
    answer = await bench.post(b"not even a list", headers=headers)
    assert_problem(answer, 401, "bad_signature")
    assert bench.producer.written == []
    assert bench.counted("webhooks_total", "ycloud", "bad_signature") == 1


async def test_a_signature_older_than_the_gateway_allows_is_refused(bench: Bench) -> None:
    assert (await bench.post(headers=RIGHT | {"Age": str(MAX_AGE_S)})).status_code == 200
    assert_problem(await bench.post(headers=RIGHT | {"Age": str(MAX_AGE_S + 1)}), 401, "bad_signature")


async def test_without_a_secret_nothing_is_taken(bench: Bench) -> None:
    assert_problem(await bench.post(to="locked"), 503, "webhook_disabled")
    assert bench.counted("webhooks_total", "locked", "disabled") == 1


async def test_an_unknown_provider_is_not_found_and_does_not_become_a_label(bench: Bench) -> None:
    assert_problem(await bench.post(to="nobody"), 404, "unknown_provider")
    assert bench.counted("webhooks_total", "other", "unknown_provider") == 1
    assert not any("nobody" in key for key in bench.measures.counters)


async def test_a_signed_body_that_makes_no_sense_is_malformed(bench: Bench) -> None:
    assert_problem(await bench.post(b"{}"), 400, "malformed")


@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "br", "Deflate", "identity, gzip"])
async def test_a_compressed_report_is_refused_by_that_name(bench: Bench, coding: str) -> None:
    answer = await bench.post(gzip.compress(b'["v1"]'), headers={**RIGHT, "Content-Encoding": coding})
    assert_problem(answer, 415, "unsupported_encoding")
    assert answer.headers["Accept-Encoding"] == "identity"
    assert bench.producer.written == []
    assert bench.counted("webhooks_total", "ycloud", "encoded") == 1


@pytest.mark.parametrize("word", ["identity", "utf-8", ""])
async def test_a_report_with_a_word_there_that_is_no_coding_is_taken(bench: Bench, word: str) -> None:
    assert (await bench.post(headers={**RIGHT, "Content-Encoding": word})).status_code == 200


async def test_a_signed_event_that_is_not_ours_is_taken_and_counted(bench: Bench) -> None:
    assert (await bench.post(b"[]")).status_code == 200
    assert bench.producer.written == []
    assert bench.counted("webhooks_total", "ycloud", "ignored") == 1


async def test_a_body_above_the_limit_is_too_large_whether_announced_or_not(bench: Bench) -> None:
    big = b"[" + b" " * 1_024 + b"]"
    assert_problem(await bench.post(big), 413, "too_large")

    async def chunks() -> AsyncIterator[bytes]:
        yield big[:600]
        yield big[600:]

    answer = await bench.http.post("/v1/webhooks/ycloud", content=chunks(), headers=RIGHT)
    assert_problem(answer, 413, "too_large")
    assert (await bench.post(b"[" + b" " * 1_022 + b"]")).status_code == 200


async def test_a_trace_goes_on_into_the_log_and_a_broken_one_does_not(bench: Bench) -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    for traceparent in (trace, trace.upper(), "00-" + "0" * 32 + "-00f067aa0ba902b7-01", trace + "-x"):
        await bench.post(headers=RIGHT | {"traceparent": traceparent})
    carried = [dict(emit.headers).get("traceparent") for emit in bench.producer.written]
    assert carried == [trace.encode(), None, None, None]


@pytest.mark.parametrize(
    ("method", "path", "status", "reason"),
    [
        ("GET", "/v1/webhooks/ycloud", 405, "method_not_allowed"),
        ("POST", "/v1/webhooks/ycloud/", 404, "not_found"),
        ("POST", "/v1/webhooks/", 404, "not_found"),
        ("GET", "/v2", 404, "not_found"),
    ],
)
async def test_what_is_not_there_is_a_problem_document_too(
    bench: Bench, method: str, path: str, status: int, reason: str
) -> None:
    assert_problem(await bench.http.request(method, path), status, reason)


async def test_every_answer_carries_its_id_and_security_headers(bench: Bench) -> None:
    for answer in (await bench.post(), await bench.post(to="nobody"), await bench.http.get("/healthz")):
        assert answer.headers["X-Request-ID"] == "made-here"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


async def test_a_callers_request_id_is_kept_when_it_is_harmless(bench: Bench) -> None:
    assert (await bench.post(headers=RIGHT | {"X-Request-ID": "abc-1"})).headers["X-Request-ID"] == "abc-1"
    assert (await bench.post(headers=RIGHT | {"X-Request-ID": "a b"})).headers["X-Request-ID"] == "made-here"


async def test_requests_are_measured_by_route_template(bench: Bench) -> None:
    await bench.post()
    await bench.post(to="nobody")
    await bench.http.get("/.env")
    assert bench.counted("http_requests_total", "/v1/webhooks/{provider}", "200") == 1
    assert bench.counted("http_requests_total", "/v1/webhooks/{provider}", "404") == 1
    assert bench.counted("http_requests_total", "other", "404") == 1
    assert ("http_request_seconds", "/v1/webhooks/{provider}") in bench.measures.counters


async def test_readiness_follows_the_server_and_liveness_does_not(bench: Bench) -> None:
    assert (await bench.http.get("/readyz")).status_code == 200
    bench.missing = ["gateway: Kafka has not answered for 20 s"]
    refused = await bench.http.get("/readyz")
    assert_problem(refused, 503, "not_ready")
    assert refused.json()["missing"] == bench.missing
    assert (await bench.http.get("/healthz")).status_code == 200


async def test_a_failing_handler_is_a_problem_document_without_the_cause(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def explode(*_: object, **__: object) -> bool:
        raise KeyError("secret cause")

    monkeypatch.setattr(FakeWebhooks, "verify_signature", explode)
    answer = await bench.post()
    assert_problem(answer, 500, "internal_error")
    assert "secret" not in answer.text
    logged = capsys.readouterr()
    assert "request_failed" in logged.out + logged.err
    assert "secret" not in logged.out + logged.err
    assert answer.headers["X-Request-ID"] == "made-here"
    assert bench.counted("http_requests_total", "/v1/webhooks/{provider}", "500") == 1


async def test_a_report_of_a_status_in_no_table_is_taken_and_counted_as_unmapped(bench: Bench) -> None:
    assert (await bench.post(b'["v1", "teleported:v2"]')).status_code == 200
    assert bench.counted("receipts_total", "ycloud", "unknown") == 1
    assert bench.counted("unmapped_answers_total", "ycloud") == 1


async def test_forged_webhooks_leave_a_line_in_the_log_but_not_one_each_and_nothing_of_what_they_hold(
    bench: Bench,
) -> None:
    with capture_logs() as lines:
        for _ in range(3):
            await bench.post(b'["secret-body"]', headers={"Signature": "forged"})
        await bench.post(b'["v1"]', to="second", headers={})
        bench.clock.advance(10_000)
        await bench.post(headers={})
    assert lines == [
        {"event": "webhook_refused", "log_level": "warning", "provider": name, "reason": "bad_signature", "left_out": n}
        for name, n in (("ycloud", 0), ("second", 0), ("ycloud", 2))
    ]
