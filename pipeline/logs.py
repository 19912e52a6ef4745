"""Structured logs on standard error, with redaction in one place.

Every event is an ``action`` in snake case with fields: ``log.info("task_restored", stage="router", entries=12)``.
What libraries write through :mod:`logging` passes the same processors as ``action="library"`` with its text in
``message``. Whatever a caller passes, no code, recipient or key is written: secret names are masked by their name, and
phone numbers, e-mail addresses and credentials inside texts (also of exceptions) by their form.
"""

from __future__ import annotations

import enum
import json
import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from pathlib import PurePath
from typing import Any, Final, TextIO, cast

import orjson
import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

from pipeline.clock import Clock, Seldom, SystemClock
from pipeline.settings import LoggingSettings

MASK: Final = "***"
_SECRET: Final = frozenset(
    {
        *("access_key", "access_token", "api_key", "apikey", "auth", "authorization", "code", "code_sealed", "cookie"),
        *("credentials", "email", "end_user_ip", "ip", "key_material", "mail", "otp", "passcode", "password", "payee"),
        *("payload_sealed", "phone", "phone_number", "pin", "plaintext", "private_key", "recipient", "recipients"),
        *("request_sealed", "secret", "set_cookie", "signature", "signing_key", "to", "token", "user_id", "username"),
        *("webhook_secret", "x_api_key"),
    }
)
_SECRET_ENDS: Final = ("_password", "_secret", "_token", "_api_key", "_sealed", "_otp", "_pin", "_recipient", "_code")
_NOT_SECRET: Final = frozenset({"status_code", "error_code", "exit_code", "country_code", "answer_code"})
_ACTION = re.compile(r"[a-z][a-z0-9_.]{1,63}")
_MAX_TEXT: Final = 16_384
_MAX_DEPTH: Final = 6

# Also as they look inside URLs (%2B, %40) and JSON escapes (\u002b), where a text of a provider or library shows them.
_PHONE = re.compile(r"(?:\+|%2b|\\u002b)[\s(]{0,2}\d(?:[\s().\-/]{0,2}\d){6,17}", re.IGNORECASE)
_EMAIL = re.compile(r"[^\s@<>\"'()\[\]{},;:=*]{1,64}(?:@|%40)[^\s@<>\"'()\[\]{},;:=*]{1,253}", re.IGNORECASE)
_CREDENTIALS = re.compile(r"(?<=://)[^\s/@]+@")
_SCHEME = re.compile(r"\b(Bearer|Basic|Digest|TSA)\s+[A-Za-z0-9+/=._~:-]{4,}", re.IGNORECASE)
_PAIR = re.compile(
    r"(?P<name>\b(?:access_key|access_token|api[_-]?key|authorization|otp|passcode|password|pin|secret|token"
    r"|(?:[a-z]+_)*code(?:_sealed)?)\b)(?P<between>[\"']?\s*[=:]\s*b?[\"']?)(?P<value>[^\s\"',;&})\]]+)",
    re.IGNORECASE,
)
_SPOKEN = re.compile(r"\b(code|otp|pin|passcode)(\s+(?:is\s+|was\s+)?)[\"']?\d{4,12}\b", re.IGNORECASE)
_QUOTED_DIGITS = re.compile(r"(?<=['\"])\d{4,15}(?=['\"])")
"""What a bug broke on, as exceptions show it: a number without its plus, or a code."""
_OWN_CODE = re.compile(r"[A-Za-z0-9]{4,12}")
_DIGITS = re.compile(r"\d{4,12}")


def redact_text(text: str) -> str:
    """``text`` without phone numbers, e-mail addresses and credentials; at most 16384 characters."""
    if len(text) > _MAX_TEXT:
        text = text[:_MAX_TEXT] + "… (cut)"
    text = _CREDENTIALS.sub(MASK + "@", text)
    text = _SCHEME.sub(rf"\1 {MASK}", text)
    text = _PAIR.sub(_mask_pair, text)
    text = _SPOKEN.sub(rf"\1\2{MASK}", text)
    text = _EMAIL.sub("[email]", text)
    return _PHONE.sub("[phone]", text)


def redact(value: Any, depth: int = 0) -> Any:
    """``value`` as plain data that is safe to write."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, enum.Enum):
        return redact(value.value, depth)
    if isinstance(value, str | PurePath):
        return redact_text(str(value))
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(value)} bytes>"
    if isinstance(value, BaseException):
        return redact_text(_QUOTED_DIGITS.sub("[digits]", f"{type(value).__name__}: {value}"))
    if depth >= _MAX_DEPTH:
        return "…"
    if isinstance(value, Mapping):
        return {
            redact_text(str(name)): MASK if is_secret(str(name)) and inner is not None else redact(inner, depth + 1)
            for name, inner in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [redact(inner, depth + 1) for inner in value]
    # Anything else would be written as its repr, and the repr of a record holds its fields.
    return f"<{type(value).__name__}>"


def is_secret(name: str) -> bool:
    """Whether a field of this name is masked whatever it holds."""
    plain = name.lower().replace("-", "_")
    return plain in _SECRET or (plain.endswith(_SECRET_ENDS) and plain not in _NOT_SECRET)


def configure(
    settings: LoggingSettings, *, stage: str = "", stream: TextIO | None = None, clock: Clock | None = None
) -> None:
    """Set up structlog and :mod:`logging` for this process; may be called again.

    ``stage`` is on every event. ``stream`` is standard error and ``clock`` the machine's unless given.
    """
    out = stream if stream is not None else sys.stderr
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    console = settings.format == "console" or (settings.format == "auto" and out.isatty())
    before: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
    ]
    after: list[Processor] = [structlog.processors.format_exc_info, _action, _Stage(stage), redaction]
    # No colours into a file or pipe; no tracebacks of structlog's own: one with local variables would show codes.
    last: Processor = (
        structlog.dev.ConsoleRenderer(
            colors=out.isatty(),
            event_key="action",
            timestamp_key="at",
            exception_formatter=structlog.dev.plain_traceback,
        )
        if console
        else structlog.processors.JSONRenderer(serializer=_json)
    )
    structlog.configure(
        processors=[*before, *after, last],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*before, _library],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *after, last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    # Libraries tell of routine at info; it would bury what the pipeline itself says.
    root.setLevel(max(level, logging.WARNING) if level > logging.DEBUG else level)
    # aiokafka warns of every retry it makes by itself, and calls some of them errors (a group coordinator that is still
    # being chosen); what it gives up on reaches us as an exception. So its warnings are for debugging, its errors
    # warnings. What it writes at debug is never let out: whole answers of the broker, and with them records and codes.
    logging.getLogger("aiokafka").setLevel(logging.INFO if level <= logging.DEBUG else logging.ERROR)
    handler.addFilter(_Calmer(level, clock or SystemClock()))
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True


class _Calmer(logging.Filter):
    """Takes an error of the Kafka client for the warning it is, drops it where warnings are not wanted, and lets the
    same message of a library through once in ten seconds: a broker that is away is worth a line, not ten thousand.
    """

    def __init__(self, level: int, clock: Clock) -> None:
        super().__init__()
        self._level = level
        self._clock = clock
        self._seldom = Seldom()

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.startswith("aiokafka") and record.levelno == logging.ERROR:
            record.levelno, record.levelname = logging.WARNING, "WARNING"
            if self._level > logging.WARNING:
                return False
        # Not the record's own time, which may jump back. The text before its values are filled in, so that there are
        # only as many as the libraries' code has.
        left_out = self._seldom.passes(self._clock.monotonic_s(), record.name, str(record.msg)[:200])
        if left_out is None:
            return False
        if left_out:
            record.msg, record.args = f"{record.getMessage()} ({left_out} more like it were left out)", ()
        return True


def get(**fields: Any) -> FilteringBoundLogger:
    """A logger with these fields on every event."""
    return cast(FilteringBoundLogger, structlog.get_logger(**fields))


def redaction(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """The processor that nothing passes by."""
    if isinstance(told := event.get("exception"), str):
        event["exception"] = _QUOTED_DIGITS.sub("[digits]", told)
    return cast(EventDict, redact(event))


def _mask_pair(found: re.Match[str]) -> str:
    # "code" is also what exit, status and country codes are called: there only what could be a passcode is masked.
    name, value = found["name"].lower(), found["value"]
    harmless = (name == "code" and _OWN_CODE.fullmatch(value) is None) or (
        name.endswith("_code") and (name in _NOT_SECRET or _DIGITS.fullmatch(value) is None)
    )
    return found[0] if harmless else found["name"] + found["between"] + MASK


def _action(_: WrappedLogger, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    told = str(event.pop("event", ""))
    if "action" in event:
        event.setdefault("message", told)
    elif _ACTION.fullmatch(told):
        event["action"] = told
    else:
        event["action"], event["message"] = "message", told
    return event


def _library(_: WrappedLogger, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    record = event.get("_record")
    event["action"] = "library"
    if isinstance(record, logging.LogRecord):
        event["logger"] = record.name
        if record.exc_info:
            event["exc_info"] = record.exc_info
    return event


class _Stage:
    """Puts the stage on events that do not name one."""

    def __init__(self, stage: str) -> None:
        self._stage = stage

    def __call__(self, _: WrappedLogger, __: str, event: EventDict) -> EventDict:
        if self._stage:
            event.setdefault("stage", self._stage)
        return event


def _json(event: Any, **_: Any) -> str:
    try:
        return orjson.dumps(event, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:
        # Half a surrogate pair or a number over 64 bits: nothing that is logged may end the process that logs it.
        return json.dumps(event, default=str)
