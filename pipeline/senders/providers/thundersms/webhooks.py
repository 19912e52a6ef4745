"""Webhooks: three bodies for one fact, a bearer token, perhaps a signature, and the question whether we are there."""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

import orjson

from pipeline.model.reference import parse_reference
from pipeline.model.told_time import plausible
from pipeline.records.internal import Receipt
from pipeline.records.public import DeliveryStatus
from pipeline.records.types import AttemptStatus, Channel
from pipeline.senders.provider import BadWebhook, Report, Unplaced, Webhook
from pipeline.senders.providers.thundersms.tables import EVENTS, SIGNED_EVENTS, Meaning, meaning
from pipeline.senders.told import header, json_object, provider_id, rfc3339_ms

SIGNATURE_HEADER: Final = "Signature"
_UNKNOWN: Final = Meaning(AttemptStatus.UNKNOWN)
_TIMES: Final = {AttemptStatus.DELIVERED: "delivered_at", AttemptStatus.READ: "read_at"}
_PART: Final = re.compile(r":[0-9]{1,4}\Z", re.ASCII)
"""An SMS's id ends with the number of its recipient."""
_WORD: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,39}", re.ASCII)
_DIGEST: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)


def challenge(webhook: Webhook, validation_key: str) -> bytes | None:
    """The answer to the first request to a new webhook; None for every other request, or one with another key.

    Without a key of ours anybody may ask, and learns that there is a gateway.
    """
    body = json_object(webhook.body)
    if body.keys() != {"validation_key", "challenge"} or not all(isinstance(value, str) for value in body.values()):
        return None
    given = [body["validation_key"], *([webhook.query["token"]] if "token" in webhook.query else [])]
    matches = [_same(each, validation_key) for each in given]
    if validation_key and not all(matches):
        return None
    return orjson.dumps({"challenge": body["challenge"]})


def authentic(webhook: Webhook, secrets: tuple[str, ...], webhook_ids: tuple[str, ...]) -> bool:
    """Whether it carries one of the secrets and, where ids of webhooks are known, a right signature.

    Only webhooks of WhatsApp, Viber and RCS can be signed; those must be then. One that is there must be right in any
    case. Nothing in either tells a time.
    """
    bearer = header(webhook.headers, "Authorization")
    bearers = [_same(bearer, f"Bearer {secret}") for secret in secrets if secret]
    if not any(bearers):
        return False
    if not webhook_ids:
        return True
    signature = header(webhook.headers, SIGNATURE_HEADER)
    if not signature:
        event = json_object(webhook.body).get("event")
        return not (isinstance(event, str) and event.startswith(SIGNED_EVENTS))
    if not _DIGEST.fullmatch(signature):
        return False
    matches = [_same(signature, hmac.digest(each.encode(), webhook.body, "sha256").hex()) for each in webhook_ids]
    return any(matches)


def reports(webhook: Webhook, instance: str) -> list[Report | Unplaced]:
    """The delivery report in a webhook; none in those of other events. Raises BadWebhook."""
    body = _body(webhook)
    event = body.get("event")
    if event is None:
        # Pushes of SMS and voice are not wrapped, and name no event.
        channel = Channel.VOICE if "mid" in body else Channel.SMS if "mobile" in body else None
        return _report(webhook, instance, channel, body) if channel is not None else []
    if not isinstance(event, str):
        raise BadWebhook("event: is no text")
    if event not in EVENTS:
        return []
    payload = body.get("payload")
    if not isinstance(payload, dict):
        raise BadWebhook("payload: is missing or no object")
    return _report(webhook, instance, EVENTS[event], payload)


def _report(
    webhook: Webhook, instance: str, channel: Channel | None, told: Mapping[str, Any]
) -> list[Report | Unplaced]:
    word = told.get("status")
    if not isinstance(word, str):
        raise BadWebhook("status: is missing or no text")
    found = meaning(word) or _UNKNOWN
    received_at = webhook.received_at
    # Times of SMS and voice have no zone and are never used; those of the others end in Z.
    times = (rfc3339_ms(told.get(_TIMES.get(found.status, "timestamp"))), rfc3339_ms(told.get("timestamp")))
    occurred = (plausible(at, received_at=received_at) for at in times)
    occurred_at = next((at for at in occurred if at is not None), received_at)
    for text in (told.get("foreign_id"), told.get("cid"), told.get("custom")):
        reference = parse_reference(text) if isinstance(text, str) else None
        if reference is not None:
            status = DeliveryStatus(
                verification_id=reference.verification_id,
                attempt_id=reference.attempt_id,
                provider=instance,
                status=found.status,
                reason=found.reason,
                occurred_at=occurred_at,
                received_at=received_at,
            )
            return [Report(status, str(text))]
    message_id = provider_id(told.get("mid") if channel is Channel.VOICE else told.get("id"))
    if told.get("foreign_id"):
        return []  # another system's message on the same account
    if message_id is None:
        raise BadWebhook("id: is missing")
    receipt = Receipt(
        provider=instance,
        provider_message_id=_PART.sub("", message_id),
        channel=channel,
        status=found.status,
        told=word if _WORD.fullmatch(word) else "",
        reason=found.reason,
        occurred_at=occurred_at,
        received_at=received_at,
    )
    return [Unplaced(receipt)]


def _body(webhook: Webhook) -> dict[str, Any]:
    """JSON, or the form that an account can have it composed as."""
    if header(webhook.headers, "Content-Type").partition(";")[0].strip().lower() == "application/x-www-form-urlencoded":
        try:
            return dict(parse_qsl(webhook.body.decode("ascii"), max_num_fields=50))
        except ValueError:
            raise BadWebhook("body: is no form") from None
    body = json_object(webhook.body)
    if not body:
        raise BadWebhook("body: is no JSON object")
    return body


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())
