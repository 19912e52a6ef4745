"""What a provider is given of the address a webhook came to: some sign it, some put a token into it, some ask first."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from tests.unit.gateway.bench import NOW, Bench, assert_problem
from tests.unit.gateway.fakes import FakeWebhooks

TOKEN = "v1_1_abcdef.c2lnbmVk"


async def test_a_token_behind_the_name_is_given_to_the_provider(bench: Bench) -> None:
    assert (await bench.post(to=f"ycloud/{TOKEN}")).status_code == 200
    assert (await bench.post()).status_code == 200
    assert [webhook.token for webhook in bench.providers["ycloud"].seen] == [TOKEN, None]


async def test_a_token_is_neither_a_label_nor_logged(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    with capture_logs() as lines:
        await bench.post(to=f"ycloud/{TOKEN}")
        await bench.post(to=f"ycloud/{TOKEN}", headers={})
        bench.producer.fail = 1
        await bench.post(to=f"ycloud/{TOKEN}")
        monkeypatch.setattr(FakeWebhooks, "statuses", lambda *_: 1 / 0)
        assert_problem(await bench.post(to=f"ycloud/{TOKEN}"), 500, "internal_error")
    assert [line["event"] for line in lines] == ["webhook_refused", "webhook_not_written", "request_failed"]
    assert TOKEN not in repr(lines) + repr(bench.measures.counters)
    for status in ("200", "401", "503", "500"):
        assert bench.counted("http_requests_total", "/v1/webhooks/{provider}/{token}", status) > 0


@pytest.mark.parametrize("path", ["ycloud/", "ycloud/one/two", "/one"])
async def test_what_is_no_name_and_no_token_is_not_found(bench: Bench, path: str) -> None:
    assert_problem(await bench.post(to=path), 404, "not_found")


@pytest.mark.parametrize(
    ("public_url", "told"),
    [
        ("", "http://gateway"),
        ("https://verify.example.org", "https://verify.example.org"),
        ("https://example.org/otp/", "https://example.org/otp"),
    ],
)
async def test_the_address_is_the_one_the_provider_was_told(public_url: str, told: str) -> None:
    bench = Bench(public_url=public_url)
    await bench.post(to="ycloud/a%2Bb?one=1&two=a%20b")
    await bench.post()
    await bench.http.aclose()
    addressed, plain = bench.providers["ycloud"].seen
    assert addressed.url == f"{told}/v1/webhooks/ycloud/a%2Bb?one=1&two=a%20b"
    assert (addressed.token, dict(addressed.query)) == ("a+b", {"one": "1", "two": "a b"})
    assert plain.url == f"{told}/v1/webhooks/ycloud"
    assert dict(plain.query) == {}


async def test_everything_else_is_given_as_it_came(bench: Bench) -> None:
    await bench.post(b"[] ", headers={"Signature": "right", "X-Other": "1"})
    (webhook,) = bench.providers["ycloud"].seen
    assert (webhook.body, webhook.headers["x-other"], webhook.received_at) == (b"[] ", "1", NOW)


async def test_a_provider_that_asks_whether_we_are_there_is_answered_before_any_signature(bench: Bench) -> None:
    answer = await bench.post(b"anybody?", headers={})
    assert (answer.status_code, answer.json()) == (200, {"challenge": "x"})
    assert answer.headers["Content-Type"] == "application/json"
    assert bench.counted("webhooks_total", "ycloud", "handshake") == 1
    assert bench.counted("webhooks_total", "ycloud", "bad_signature") == 0
    assert bench.producer.written == []


async def test_without_a_secret_nobody_is_there(bench: Bench) -> None:
    assert_problem(await bench.post(b"anybody?", to="locked"), 503, "webhook_disabled")
    assert_problem(await bench.post(b"anybody?", to=f"locked/{TOKEN}"), 503, "webhook_disabled")
    assert bench.counted("webhooks_total", "locked", "disabled") == 2


async def test_a_token_opens_no_door_that_a_signature_closes(bench: Bench) -> None:
    assert_problem(await bench.post(to=f"ycloud/{TOKEN}", headers={}), 401, "bad_signature")
    assert_problem(await bench.post(b" " * 1_025, to=f"ycloud/{TOKEN}"), 413, "too_large")
    assert_problem(await bench.post(to=f"nobody/{TOKEN}"), 404, "unknown_provider")
    assert bench.producer.written == []
