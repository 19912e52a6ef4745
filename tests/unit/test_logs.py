from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from pipeline import logs
from pipeline.records.public import VerificationRequest
from pipeline.settings import LoggingSettings
from pipeline.testing.clock import ManualClock

PHONE = "+4915112345678"
EMAIL = "jo.doe@example.org"
CODE = "482913"


@pytest.fixture(autouse=True)
def untouched_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def written() -> io.StringIO:
    stream = io.StringIO()
    logs.configure(LoggingSettings(level="debug", format="json"), stage="router", stream=stream)
    return stream


def events(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().split("\n") if line]


def test_an_event_is_one_line_of_json_with_action_level_time_and_stage(written: io.StringIO) -> None:
    logs.get(topic="verification.requests").info("task_restored", entries=12)
    (event,) = events(written)
    assert event.pop("at").endswith("Z")
    assert event == {
        "action": "task_restored",
        "entries": 12,
        "level": "info",
        "stage": "router",
        "topic": "verification.requests",
    }


def test_every_event_has_an_action_also_free_text_and_what_libraries_write(written: io.StringIO) -> None:
    logs.get().warning("Something odd happened")
    logging.getLogger("aiokafka.consumer").error("Heartbeat failed for %s", "group")
    message, library = events(written)
    assert (message["action"], message["message"]) == ("message", "Something odd happened")
    assert (library["action"], library["message"]) == ("library", "Heartbeat failed for group")
    assert library["logger"] == "aiokafka.consumer"
    assert library["level"] == "warning"


def test_the_stage_of_an_event_wins_over_the_process_s(written: io.StringIO) -> None:
    logs.get().info("started", stage="tracker")
    assert events(written)[0]["stage"] == "tracker"


@pytest.mark.parametrize(
    "name",
    ["code", "code_sealed", "recipient", "otp", "pin", "token", "api_key", "secret", "authorization", "Authorization",
     "X-API-Key", "access-token", "sasl_password", "webhook_secret", "end_user_ip", "payee", "own_code",
     "payload_sealed"],
)  # fmt: skip
def test_a_field_with_a_secret_s_name_is_masked_at_any_depth(written: io.StringIO, name: str) -> None:
    logs.get().info("called", **{name: "hunter2"}, request={"headers": [{name: "hunter2"}]})
    assert "hunter2" not in written.getvalue()
    assert events(written)[0][name] == "***"


@pytest.mark.parametrize(
    "text",
    [
        PHONE,
        f"no route to {PHONE}!",
        "+49 151 1234-5678",
        "+49 (151) 12345678",
        "+1.415.555.2671",
        "https://api.example/lookup?number=%2B4915112345678",
        '{"to":"\\u002b4915112345678"}',
    ],
)
def test_a_phone_number_inside_a_text_is_masked(written: io.StringIO, text: str) -> None:
    logs.get().info("called", detail=text, nested=[{"detail": text}])
    assert "[phone]" in written.getvalue()
    for digits in ("4915112345678", "12345678", "1234-5678", "2671"):
        assert digits not in written.getvalue()


@pytest.mark.parametrize("text", [EMAIL, f"<{EMAIL}>", f"to={EMAIL},", "jo.doe%40example.org", "jö@exämple.org", "a@b"])
def test_an_e_mail_address_inside_a_text_is_masked(written: io.StringIO, text: str) -> None:
    logs.get().info("called", detail=text)
    assert "[email]" in written.getvalue()
    for part in ("jo.doe", "example", "jö", "a@b"):
        assert part not in written.getvalue()


@pytest.mark.parametrize(
    "text",
    [
        "code=482913",
        "code: 482913",
        "{'code': '482913'}",
        '{"code": "482913", "a": 1}',
        "VerificationRequest(code='482913')",
        "your code is 482913",
        "wrong code 482913",
        "otp=482913&x=1",
        "verification_code=482913",
        "Authorization: Bearer 482913482913",
        "http://user:482913@host/path",
        "api_key=482913",
    ],
)
def test_a_credential_inside_a_text_is_masked(written: io.StringIO, text: str) -> None:
    logs.get().info("called", detail=text)
    assert CODE not in written.getvalue()


@pytest.mark.parametrize(
    "text",
    [
        "+49*******678",
        "j***@example.org",
        "exit code: 1",
        "status_code=2000",
        "verification.requests-3 at offset 4915112345678",
        "2024-11-22T03:07:00Z",
        "took +12 ms",
    ],
)
def test_what_is_masked_already_or_harmless_stays_readable(text: str) -> None:
    assert logs.redact_text(text) == text


def test_an_exception_s_text_and_chain_are_redacted(written: io.StringIO) -> None:
    def fail() -> None:
        code = CODE  # a local of the traceback
        try:
            raise ValueError(f"bad recipient {PHONE}")
        except ValueError as error:
            raise RuntimeError(f"cannot send to {EMAIL} ({len(code)} digits)") from error

    try:
        fail()
    except RuntimeError:
        logs.get().exception("call_failed")
        logging.getLogger("library").exception("while sending")
    ours, theirs = events(written)
    for event in (ours, theirs):
        assert "RuntimeError" in event["exception"]
        assert "bad recipient [phone]" in event["exception"]
    for secret in (PHONE, EMAIL, CODE):
        assert secret not in written.getvalue()


@pytest.mark.parametrize("given", [PHONE.removeprefix("+"), CODE])
def test_an_exception_does_not_show_the_digits_it_broke_on(written: io.StringIO, given: str) -> None:
    try:
        {}[given]
    except KeyError as error:
        logs.get().exception("handling_failed")
        logs.get().error("handling_failed", cause=error)
    assert given not in written.getvalue()
    assert written.getvalue().count("[digits]") == 2


def test_objects_are_written_by_their_type_alone(written: io.StringIO) -> None:
    request = VerificationRequest(verification_id="v1", recipient=PHONE, code=CODE)
    logs.get().info("got", request=request, key=SecretStr("hunter2"), raw=b"+4915112345678", error=ValueError(PHONE))
    (event,) = events(written)
    assert event["request"] == "<VerificationRequest>"
    assert event["key"] == "<SecretStr>"
    assert event["raw"] == "<14 bytes>"
    assert event["error"] == "ValueError: [phone]"


@pytest.mark.parametrize("terminal", [True, False])
def test_the_console_form_has_colours_on_a_terminal_only(terminal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    stream = io.StringIO()
    stream.isatty = lambda: terminal  # type: ignore[method-assign]
    logs.configure(LoggingSettings(format="console"), stream=stream)
    logs.get().warning("called", attempt=1)
    logging.getLogger("uvicorn").warning("a library")
    assert ("\x1b[" in stream.getvalue()) is terminal


def test_the_console_form_is_redacted_too() -> None:
    stream = io.StringIO()
    logs.configure(LoggingSettings(format="console"), stream=stream)
    try:
        secret_local = CODE
        raise ValueError(f"{PHONE} {len(secret_local)}")
    except ValueError:
        logs.get().exception("call_failed", recipient=PHONE)
    assert "call_failed" in stream.getvalue()
    assert PHONE not in stream.getvalue()
    assert CODE not in stream.getvalue()


def test_events_below_the_level_are_not_written() -> None:
    stream = io.StringIO()
    logs.configure(LoggingSettings(level="warning", format="json"), stream=stream)
    logs.get().info("routine")
    logs.get().warning("odd")
    assert [event["action"] for event in events(stream)] == ["odd"]


def test_configuring_twice_writes_each_event_once(written: io.StringIO) -> None:
    logs.configure(LoggingSettings(level="info", format="json"), stream=written)
    logging.getLogger("library").warning("once")
    assert len(events(written)) == 1


def test_a_hostile_value_cannot_break_or_flood_the_log(written: io.StringIO) -> None:
    loop: list[Any] = []
    loop.append(loop)
    logs.get().info(
        "got", loop=loop, long="x" * 1_000_000, line="a\nb\u2028\x1b[31m", odd={1: "one"}, half="\ud83d", big=1 << 80
    )
    (event,) = events(written)
    assert len(event["long"]) < 20_000
    assert event["odd"] == {"1": "one"}
    assert event["big"] == 1 << 80


@settings(max_examples=60)
@given(st.text(max_size=60), st.text(max_size=60), st.from_regex(r"\+[1-9][0-9]{7,14}", fullmatch=True))
def test_a_phone_number_never_survives_whatever_stands_around_it(before: str, after: str, phone: str) -> None:
    assert phone not in logs.redact_text(before + phone + after)


def test_a_text_of_many_almost_matches_is_redacted_in_linear_time() -> None:
    for text in ("+1 " * 5_000, "a@" * 8_000, "code" * 4_000, "a_" * 8_000 + "code=", "(" * 16_000):
        # The suite's time-out guards the time: a quadratic pattern takes minutes.
        assert len(logs.redact_text(text)) < 40_000


def test_the_records_a_library_prints_while_debugging_never_reach_the_log() -> None:
    out = io.StringIO()
    logs.configure(LoggingSettings(level="debug", format="json"), stream=out)
    logging.getLogger("aiokafka.conn").debug("Response 7: FetchResponse_v11(records=b'code 482913')")
    assert out.getvalue() == ""


def test_a_library_that_repeats_itself_is_heard_once_and_its_silence_is_counted() -> None:
    out = io.StringIO()
    logs.configure(LoggingSettings(level="info", format="json"), stream=out)
    for number in range(1_000):
        logging.getLogger("aiokafka").error("Unable connect to node with id %s", number)
    logging.getLogger("aiokafka").error("Something else")
    assert [event["message"] for event in events(out)] == ["Unable connect to node with id 0", "Something else"]


def test_a_wall_clock_set_back_an_hour_silences_no_library() -> None:
    out = io.StringIO()
    clock = ManualClock()
    logs.configure(LoggingSettings(level="info", format="json"), stream=out, clock=clock)
    told = {"name": "aiokafka", "levelno": logging.WARNING, "levelname": "WARNING", "msg": "a broker is away"}
    for passed_ms in (0, 5_000, 6_000):
        clock.advance(passed_ms)
        logging.getLogger("aiokafka").handle(logging.makeLogRecord(told | {"created": clock.now_ms() / 1_000}))
        clock.jump(-3_600_000)
    assert [event["message"] for event in events(out)] == [
        "a broker is away",
        "a broker is away (1 more like it were left out)",
    ]
