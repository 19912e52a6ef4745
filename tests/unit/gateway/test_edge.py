"""What every answer of the gateway has, whoever asks for whatever."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping

import httpx
import pytest
import structlog
from starlette.requests import Request
from structlog.testing import capture_logs

from pipeline.gateway.edge import in_time
from pipeline.gateway.problems import HttpProblem
from pipeline.gateway.trace import trace_of
from pipeline.http_body import read_body
from pipeline.testing import virtual_time
from tests.unit.gateway.bench import Bench, assert_problem
from tests.unit.gateway.entrance import SHOP_KEY, Entrance, bearer

ANSWERS = [
    ("GET", "/v1/things", 200),
    ("GET", "/v1/refuse", 409),
    ("GET", "/v1/broken", 500),
    ("GET", "/v1/nowhere", 404),
    ("DELETE", "/v1/things", 405),
    ("GET", "/healthz", 200),
    ("POST", "/v1/webhooks/ycloud", 401),
]


@pytest.mark.parametrize(("method", "path", "status"), ANSWERS)
async def test_each_answer_has_the_security_headers(method: str, path: str, status: int) -> None:
    answer = await Entrance().http.request(method, path, headers=bearer(SHOP_KEY))
    assert answer.status_code == status
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Request-ID"]
    assert "Strict-Transport-Security" not in answer.headers


async def test_browsers_are_told_to_come_by_https_only_where_callers_do() -> None:
    answer = await Entrance(https=True).http.get("/healthz")
    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"


@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
async def test_no_browser_of_another_site_is_let_in(method: str) -> None:
    headers = bearer(SHOP_KEY) | {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    answer = await Entrance().http.request(method, "/v1/things", headers=headers)
    assert not [name for name in answer.headers if name.startswith("access-control-")]


@pytest.mark.parametrize(
    "given", ["a", "0f8fad5b-d9cb-469f-a165-70867728950e", "A.b_c-9", "k" * 64, "1234567890123456"]
)
async def test_the_callers_request_id_is_echoed(given: str) -> None:
    answer = await Entrance().http.get("/healthz", headers={"X-Request-ID": given})
    assert answer.headers["X-Request-ID"] == given


@pytest.mark.parametrize(
    "given", ["", "k" * 65, "two words", "a\tb", "<script>", "anna@example.org", "4915112345678", "49-151.12345678"]
)
async def test_one_that_does_not_belong_in_a_log_is_replaced(given: str) -> None:
    answer = await Entrance().http.get("/healthz", headers={"X-Request-ID": given})
    assert answer.headers["X-Request-ID"] == "made-here"


async def test_the_request_id_is_on_each_line_that_is_logged_meanwhile_and_on_none_after() -> None:
    seen: list[Mapping[str, object]] = []

    def keep(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        seen.append(dict(event))
        raise structlog.DropEvent

    structlog.configure(processors=[structlog.contextvars.merge_contextvars, keep])
    entrance = Entrance()
    await entrance.http.get("/v1/away", headers=bearer(SHOP_KEY) | {"X-Request-ID": "first"})
    await entrance.http.get("/v1/broken", headers=bearer(SHOP_KEY) | {"X-Request-ID": "second"})
    structlog.get_logger().info("after")
    assert [(line["event"], line.get("request_id")) for line in seen] == [
        ("readmodel_unavailable", "first"),
        ("request_failed", "second"),
        ("after", None),
    ]


async def test_each_answer_is_logged_where_debug_is_on(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG"), capture_logs() as lines:
        await Entrance().http.get("/v1/nowhere/4711", headers={"X-Request-ID": "mine"})
    [line] = [line for line in lines if line["event"] == "request_answered"]
    assert (line["request_id"], line["method"], line["route"], line["status"]) == ("mine", "GET", "other", 404)
    assert "4711" not in repr(line)


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/", "/v1/things/", "//v1/things", "/v1/things/%2e%2e", "/metrics"])
async def test_an_unknown_path_is_404(path: str) -> None:
    assert_problem(await Entrance().http.get(path, headers=bearer(SHOP_KEY)), 404, "not_found")


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"])
async def test_a_method_that_is_not_taken_is_405_and_told_which_are(method: str) -> None:
    answer = await Entrance().http.request(method, "/v1/things", headers=bearer(SHOP_KEY))
    assert_problem(answer, 405, "method_not_allowed")
    # Of both routes of this path.
    assert answer.headers["Allow"] == "GET, HEAD, POST"


async def test_head_is_answered_as_get_without_its_body_being_looked_at() -> None:
    entrance = Entrance()
    answer = await entrance.http.head("/v1/things", headers=bearer(SHOP_KEY))
    assert answer.status_code == 200
    assert answer.headers["RateLimit-Remaining"] == "2"
    assert (await entrance.http.head("/v1/things")).status_code == 401


TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def request_with(*headers: tuple[str, str]) -> Request:
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
    return Request({"type": "http", "method": "POST", "path": "/", "headers": raw})


def test_a_traceparent_of_the_right_form_is_carried() -> None:
    carried = trace_of(request_with(("Accept", "*/*"), ("Traceparent", TRACEPARENT), ("tracestate", "a=b")))
    assert carried == (("traceparent", TRACEPARENT.encode()),)


@pytest.mark.parametrize(
    "given",
    [
        "",
        "4bf92f3577b34da6a3ce929d0e0e4736",
        TRACEPARENT + "-more",
        TRACEPARENT.upper(),
        "01" + TRACEPARENT[2:],
        TRACEPARENT + "\xff",
        "00-" + "0" * 32 + TRACEPARENT[35:],
        "+4915112345678",
    ],
)
def test_any_other_is_dropped(given: str) -> None:
    assert trace_of(request_with(("traceparent", given))) == ()
    assert trace_of(request_with()) == ()


async def test_a_webhooks_traceparent_goes_into_kafka(bench: Bench) -> None:
    await bench.post(headers={"Signature": "right", "traceparent": TRACEPARENT})
    assert ("traceparent", TRACEPARENT.encode()) in bench.producer.written[0].headers


async def slowly(pieces: int, every_s: float) -> AsyncIterator[bytes]:
    for _ in range(pieces):
        await asyncio.sleep(every_s)
        yield b" "


@pytest.mark.parametrize(("path", "pieces"), [("/v1/things", 1), ("/v1/things", 100), ("/v1/webhooks/ycloud", 100)])
def test_a_body_that_is_not_there_in_time_is_408_and_ends_the_connection(path: str, pieces: int) -> None:
    """Also when a byte comes now and then."""

    async def story() -> None:
        entrance = Entrance(body_timeout_s=10)
        loop = asyncio.get_running_loop()
        headers = bearer(SHOP_KEY) | {"Signature": "right"}
        began_s = loop.time()
        answer = await entrance.http.post(path, headers=headers, content=slowly(pieces, 100 if pieces == 1 else 1))
        assert_problem(answer, 408, "request_timeout")
        assert answer.headers["Connection"] == "close"
        assert loop.time() - began_s == pytest.approx(10, abs=0.01)
        if "webhooks" in path:
            assert entrance.measures.counters[("webhooks_total", "ycloud", "incomplete")] == 1

    virtual_time.run(story())


def test_a_slow_body_that_is_there_in_time_is_taken() -> None:
    async def story() -> None:
        answer = await Entrance(body_timeout_s=10).http.post(
            "/v1/things", headers=bearer(SHOP_KEY), content=slowly(9, 1)
        )
        assert (answer.status_code, answer.json()) == (200, {"size": 9})

    virtual_time.run(story())


def test_a_handler_may_take_longer_than_a_body() -> None:
    async def story() -> None:
        messages = iter([{"type": "http.request", "body": b"{}", "more_body": False}, {"type": "http.disconnect"}])

        async def receive() -> dict[str, object]:
            await asyncio.sleep(9)
            return next(messages)

        request = Request({"type": "http", "headers": []}, in_time(receive, 10))
        assert await read_body(request, 10) == b"{}"
        await asyncio.sleep(100)
        assert await request.is_disconnected() is False
        assert (await request.receive())["type"] == "http.disconnect"

    virtual_time.run(story())


async def test_a_body_that_never_comes_is_given_up() -> None:
    async def never() -> dict[str, object]:
        await asyncio.Event().wait()
        raise AssertionError

    with pytest.raises(HttpProblem) as late:
        await in_time(never, 0.01)()
    assert late.value.status == 408


async def test_no_answer_names_what_serves_it(bench: Bench) -> None:
    answer = await bench.http.get("/healthz")
    assert not re.search("uvicorn|starlette|python", repr(httpx.Headers(answer.headers)), re.IGNORECASE)
