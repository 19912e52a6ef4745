"""Reading YCloud's answers."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, Final

import httpx

from pipeline.model.reasons import Reason
from pipeline.records.internal import SendCommand
from pipeline.records.types import AttemptResult, AttemptStatus, ResultClass
from pipeline.senders.answers import NOT_FOUND, in_doubt, rejected, throttled
from pipeline.senders.provider import Answer
from pipeline.senders.providers.ycloud.tables import (
    CHANNELS_BY_NAME,
    ERRORS,
    FAILED,
    MESSAGE_STATUSES,
    PARAMETER,
    START_STATUSES,
)
from pipeline.senders.told import currency, decimal, provider_id, retry_after_s

_WORD: Final = re.compile(r"[A-Za-z][A-Za-z_.\[\]-]{0,63}", re.ASCII)
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


def listed(command: SendCommand, body: dict[str, Any]) -> Answer:
    """The message of ``command`` in a list of messages."""
    items = body.get("items")
    if not isinstance(items, list):
        return in_doubt("HTTP 200 without items", unmapped=True)
    ours = [item for item in items if isinstance(item, dict) and item.get("externalId") == command.reference]
    if not ours:
        return NOT_FOUND
    told = ours[0].get("status")
    status = MESSAGE_STATUSES.get(told if isinstance(told, str) else "", AttemptStatus.UNKNOWN)
    return Answer(
        result=AttemptResult.ACCEPTED,
        reason=Reason.UNDELIVERED if status in FAILED else None,
        provider_message_id=provider_id(ours[0].get("verificationId")),
        status=status,
        used_channel=command.channel,
        cost=decimal(ours[0].get("totalPrice")),
        currency=currency(ours[0].get("currency")),
        unmapped=status is AttemptStatus.UNKNOWN,
    )


def _fallback(body: dict[str, Any]) -> str | None:
    """What the answer says of YCloud's own way from WhatsApp to SMS, which only its console switches on."""
    if body.get("smsFallbackEnabled") is not True:
        return None
    fallback = body.get("smsFallback")
    fallback = fallback if isinstance(fallback, dict) else {}
    if fallback.get("supported") is not False:
        return "the provider falls back to SMS by itself"
    why = fallback.get("unsupportedReason")
    told = f" ({why})" if isinstance(why, str) and _WORD.fullmatch(why) else ""
    return f"the provider's own fallback to SMS is on but not possible here{told}"


def started(body: dict[str, Any]) -> Answer:
    """A 200 to a start."""
    message_id = provider_id(body.get("id"))
    status = body.get("status", "pending")
    answer = START_STATUSES.get(status) if isinstance(status, str) else None
    if message_id is None or answer is None:
        return in_doubt("HTTP 200 that is no verification of a known status", unmapped=True)
    return replace(
        answer,
        detail=_fallback(body),
        provider_message_id=message_id,
        used_channel=CHANNELS_BY_NAME.get(body["channel"]) if isinstance(body.get("channel"), str) else None,
        cost=decimal(body.get("totalPrice")),
        currency=currency(body.get("currency")),
    )


def refused(response: httpx.Response, body: dict[str, Any]) -> Answer:
    """Any other answer; ``body`` is its JSON object."""
    error = body.get("error")
    error = error if isinstance(error, dict) else {}
    code = error.get("code")
    target = error.get("target")
    known = ERRORS.get(code) if isinstance(code, str) else None
    detail = f"HTTP {response.status_code}"
    if isinstance(code, str) and _WORD.fullmatch(code):
        detail += f" {code}"
    if isinstance(target, str) and _WORD.fullmatch(target):
        detail += f" ({target})"
    request_id = response.headers.get("YCloud-Request-ID") or error.get("requestId")
    if isinstance(request_id, str) and _REQUEST_ID.fullmatch(request_id):
        detail += f", request {request_id}"
    if known is None and response.status_code != 429:
        return in_doubt(detail, unmapped=True)
    if known is not None and known[0] < 500 <= response.status_code:
        # What failed while it refused may have sent all the same.
        return in_doubt(detail, unmapped=True)
    answer = known[1] if known is not None else replace(throttled(), unmapped=True)
    if answer is PARAMETER and target == "to":
        answer = rejected(ResultClass.RECIPIENT, Reason.RECIPIENT_REJECTED)
    if answer.throttled:
        answer = replace(answer, retry_after_s=retry_after_s(response.headers))
    return replace(answer, detail=detail)
