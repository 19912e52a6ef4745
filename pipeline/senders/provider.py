"""What the engine asks of a provider, and the words it gets the answer in.

A provider is pure: it builds a request, reads an answer, reads a webhook and checks a signature. It makes no call,
has no clock and keeps nothing between calls, so every published behaviour can be held in a table of cases.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from typing import Any, Final, NamedTuple, Protocol

import httpx
import orjson

from pipeline import __version__
from pipeline.model.capabilities import ProviderCapabilities
from pipeline.model.reasons import Reason
from pipeline.records.internal import SendCommand
from pipeline.records.public import DeliveryStatus
from pipeline.records.types import AttemptResult, AttemptStatus, Channel, ResultClass

USER_AGENT: Final = f"verification-pipeline/{__version__}"
MAX_RETRY_AFTER_S: Final = 300.0
"""A provider that asks for more patience than this is asked again sooner; the command's deadline ends the wait."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Opened:
    """What a command holds sealed, in clear; lives in memory only and has no repr that could end in a log."""

    recipient: str
    """E.164 with ``+``, or an e-mail address with an A-label domain."""
    code: str | None = None
    """None when the provider makes the code."""
    payee: str | None = None
    end_user_ip: str | None = None
    valid_s: int = 300
    """What is left of the code's life, or the step's ttl when that is shorter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What became of one call; the engine turns it into a SendResult.

    ``detail`` is for people and holds neither a code nor a recipient, so never text of the provider's own.
    """

    result: AttemptResult
    result_class: ResultClass = ResultClass.NONE
    reason: Reason | None = None
    detail: str | None = None
    provider_message_id: str | None = None
    status: AttemptStatus = AttemptStatus.NONE
    used_channel: Channel | None = None
    number_valid: bool | None = None
    cost: str | None = None
    currency: str | None = None
    throttled: bool = False
    """Certainly not sent, and worth asking again: the same attempt waits in the sender until its deadline."""
    retry_after_s: float | None = None
    """For throttled: as the provider said."""
    pauses_provider: bool = True
    """For throttled: everybody is too fast, not only this recipient."""
    unmapped: bool = False
    """In no table; counted, and in doubt."""
    alarm: str | None = None
    """Something an operator must hear of though the call as such was answered."""


class Unsendable(Exception):
    """The provider cannot carry this command; found before any call.

    The router plans by the same capabilities, so this is a configuration that changed in between, or a bug.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class BadWebhook(Exception):
    """A webhook whose signature is right but whose body is not what the provider documents."""


class Report(NamedTuple):
    """One delivery report, and the reference of the message it is about."""

    status: DeliveryStatus
    reference: str
    """As the provider echoed it. Two decisions can exist for one id; only this tells their messages apart."""


class Provider(Protocol):
    """One configured provider account."""

    instance: str
    """The name in ``[providers.<name>]``; ``provider`` in records."""
    capabilities: ProviderCapabilities
    webhooks_enabled: bool
    """Whether a secret is configured; without one every webhook is turned away, never believed unsigned."""

    def build(self, command: SendCommand, opened: Opened, now_ms: int) -> httpx.Request:
        """The request for one command. Raises Unsendable."""

    def interpret(self, command: SendCommand, opened: Opened, response: httpx.Response) -> Answer:
        """What a full HTTP answer means; must not raise for any bytes."""

    def statuses(self, body: bytes, headers: Mapping[str, str], *, received_at: int) -> list[Report]:
        """The delivery reports in a webhook whose signature is right; empty for events that are not ours.

        A status in no table comes out as ``unknown``. Raises BadWebhook.
        """

    def verify_signature(self, headers: Mapping[str, str], body: bytes, now_s: float, *, max_age_s: float) -> bool:
        """Whether the raw ``body`` was signed with one of the secrets; constant time. Header names in any case.

        Where the signature holds a time, at most ``max_age_s`` from ``now_s`` (epoch seconds), earlier or later.
        """


def in_doubt(detail: str, *, unmapped: bool = False) -> Answer:
    """Nobody knows whether the provider took it."""
    return Answer(result=AttemptResult.IN_DOUBT, reason=Reason.IN_DOUBT, detail=detail, unmapped=unmapped)


def rejected(kind: ResultClass, reason: Reason) -> Answer:
    """A definite no."""
    return Answer(result=AttemptResult.REJECTED, result_class=kind, reason=reason)


def not_sent(reason: Reason = Reason.ROUTE_UNAVAILABLE, detail: str | None = None) -> Answer:
    """Certainly nothing went out; another provider may try at once."""
    return Answer(result=AttemptResult.NOT_SENT, result_class=ResultClass.ROUTE, reason=reason, detail=detail)


def throttled(retry_after_s: float = 1.0, *, pauses_provider: bool = True) -> Answer:
    """Certainly nothing went out; the same attempt asks again after a while."""
    return replace(
        not_sent(Reason.THROTTLED), throttled=True, retry_after_s=retry_after_s, pauses_provider=pauses_provider
    )


def retry_after_s(headers: Mapping[str, str], default: float = 1.0) -> float:
    """``Retry-After`` in seconds (1-300); the HTTP-date form is not used by any provider here."""
    text = headers.get("Retry-After", "").strip()
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        return default
    return min(max(float(text), default), MAX_RETRY_AFTER_S)


def header(headers: Mapping[str, str], name: str) -> str:
    """One header whatever its case, also from a plain dict; empty when it is missing."""
    wanted = name.lower()
    return next((value for key, value in headers.items() if key.lower() == wanted), "")


def json_object(content: bytes) -> dict[str, Any]:
    """The JSON object these bytes are; empty for anything else, as an answer without the fields we need."""
    try:
        value = orjson.loads(content)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}


def decimal(value: object) -> str | None:
    """A price as the records write it (``-?\\d+(\\.\\d+)?``); None for what is no number."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return None
    return format(number, "f") if number.is_finite() and abs(number.adjusted()) < 12 else None


def currency(value: object) -> str | None:
    """An ISO 4217 code, or None."""
    return value if isinstance(value, str) and len(value) == 3 and value.isascii() and value.isupper() else None


def provider_id(value: object) -> str | None:
    """An id a provider gave a message, as text; None when it is none."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    return value if isinstance(value, str) and 0 < len(value) <= 255 and value.isprintable() else None
