"""YCloud's signed delivery events."""

from __future__ import annotations

import hmac
import re
from collections.abc import Sequence
from types import MappingProxyType
from typing import Final

from pipeline.model.reasons import Reason
from pipeline.model.reference import parse_reference
from pipeline.model.told_time import plausible
from pipeline.records.public import DeliveryStatus
from pipeline.records.types import AttemptStatus
from pipeline.senders.provider import BadWebhook, Report, Webhook
from pipeline.senders.providers.ycloud.tables import EVENTS, FAILED, MESSAGE_STATUSES, WHATSAPP_EVENT
from pipeline.senders.told import currency, decimal, header, json_object, rfc3339_ms

SIGNATURE_HEADER: Final = "YCloud-Signature"
_OCCURRED: Final = MappingProxyType(
    {AttemptStatus.SENT: "sendTime", AttemptStatus.DELIVERED: "deliverTime", AttemptStatus.READ: "readTime"}
)
_SIGNED_AT: Final = re.compile(r"[1-9][0-9]{0,12}", re.ASCII)
_DIGEST: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)


def reports(instance: str, webhook: Webhook, *, whatsapp_falls_back: bool) -> Sequence[Report]:
    """One delivery event; none where an SMS of YCloud's own follows. The body is never logged: the voice event holds
    the code in clear.

    It occurred at the most exact time in it that is plausible, else when we received it.
    """
    event = json_object(webhook.body)
    received_at = webhook.received_at
    if not isinstance(event.get("type"), str):
        raise BadWebhook("type: is missing or no text")
    key = EVENTS.get(event["type"])
    if key is None:
        return []
    message = event.get(key)
    if not isinstance(message, dict):
        raise BadWebhook(f"{key}: is missing or no object")
    if message.get("bizType") != "verify" or not message.get("verificationId"):
        return []  # other traffic of the same account
    external = message.get("externalId")
    if not isinstance(external, str):
        return []
    reference = parse_reference(external)
    if reference is None:
        return []  # another system's verification on the same account
    told = message.get("status")
    status = MESSAGE_STATUSES.get(told if isinstance(told, str) else "", AttemptStatus.UNKNOWN)
    if whatsapp_falls_back and status in FAILED and event["type"] == WHATSAPP_EVENT:
        return []
    times = (_OCCURRED.get(status, ""), "updateTime")
    told_times = (*(rfc3339_ms(message.get(name)) for name in times), rfc3339_ms(event.get("createTime")))
    known_times = (plausible(at, received_at=received_at) for at in told_times)
    report = DeliveryStatus(
        verification_id=reference.verification_id,
        attempt_id=reference.attempt_id,
        provider=instance,
        status=status,
        reason=Reason.UNDELIVERED if status in FAILED else None,
        occurred_at=next((at for at in known_times if at is not None), received_at),
        received_at=received_at,
        cost=decimal(message.get("totalPrice")),
        currency=currency(message.get("currency")),
    )
    return [Report(report, external)]


def is_signed(webhook: Webhook, secrets: Sequence[bytes], *, max_age_s: float) -> bool:
    """``YCloud-Signature: t=<s>,s=<hex>`` over ``t.body``; upper-case hex and a trailing dot are forgeries."""
    found = _signature(header(webhook.headers, SIGNATURE_HEADER))
    if found is None or abs(webhook.received_at / 1_000 - int(found[0])) > max_age_s:
        return False
    signed = found[0].encode() + b"." + webhook.body
    given = bytes.fromhex(found[1])
    matches = [hmac.compare_digest(hmac.digest(secret, signed, "sha256"), given) for secret in secrets if secret]
    return any(matches)


def _signature(text: str) -> tuple[str, str] | None:
    """Time and digest in the header, in any order and among other fields; None when one is wrong or there twice.

    Two of a field are refused, as it is not said which counts.
    """
    fields: dict[str, str] = {}
    for part in text.split(","):
        name, _, value = part.strip().partition("=")
        if name not in ("t", "s"):
            continue
        if name in fields:
            return None
        fields[name] = value
    at, digest = fields.get("t", ""), fields.get("s", "")
    return (at, digest) if _SIGNED_AT.fullmatch(at) and _DIGEST.fullmatch(digest) else None
