"""Bird's webhooks: the events of a channel's outbound messages, and their signature."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pipeline.model.told_time import plausible
from pipeline.records.internal import Receipt
from pipeline.records.types import AttemptStatus, Channel
from pipeline.senders.provider import BadWebhook, Unplaced, Webhook
from pipeline.senders.providers.bird.tables import FAILED, MESSAGES, TEXTS
from pipeline.senders.providers.bird.told import failure_code, failure_reason, recipients
from pipeline.senders.told import header, json_object, rfc3339_ms

SIGNATURE_HEADER: Final = "MessageBird-Signature"
TIMESTAMP_HEADER: Final = "MessageBird-Request-Timestamp"
SERVICE: Final = "channels"
OUTBOUND: Final = ".outbound"
"""Events are named ``<channel>.outbound``; inbound messages and interactions are not ours."""

_SIGNED_AT: Final = re.compile(r"[1-9][0-9]{0,12}", re.ASCII)
_WORD: Final = re.compile(r"[a-z_]{1,40}", re.ASCII)


class Webhooks:
    """Reads the webhooks of one account."""

    def __init__(self, *, instance: str, channel_ids: Mapping[str, Channel], by_name: Mapping[str, Channel]) -> None:
        """``channel_ids``: lower-case channel id → channel. ``by_name``: the channels whose id nobody knows
        beforehand, as a navigator picks it, by the name in the event."""
        self._instance = instance
        self._channel_ids = channel_ids
        self._by_name = by_name

    def statuses(self, webhook: Webhook) -> Sequence[Unplaced]:
        """The report in one event; none for what is not a message of ours. Raises BadWebhook.

        It occurred when the message's status last changed, where that is plausible, else when we received it.
        """
        event = json_object(webhook.body)
        if not isinstance(event.get("service"), str):
            raise BadWebhook("service: is missing or no text")
        message = event.get("payload")
        channel = self._channel(event, message if isinstance(message, dict) else {})
        if not event["service"].startswith(SERVICE) or channel is None:
            return []
        if not isinstance(message, dict):
            raise BadWebhook("payload: is missing or no object")
        receivers = recipients(message.get("receiver"))
        if not receivers:
            raise BadWebhook("receiver: names nobody")
        if len(receivers) > 1:
            return []  # a code goes to one person
        return [Unplaced(self._receipt(message, channel, webhook.received_at), next(iter(receivers)))]

    def _channel(self, event: Mapping[str, Any], message: Mapping[str, Any]) -> Channel | None:
        name = event.get("event")
        if isinstance(name, str) and not name.endswith(OUTBOUND):
            return None
        if message.get("direction") == "incoming":
            return None
        channel_id = message.get("channelId")
        known = self._channel_ids.get(channel_id.lower()) if isinstance(channel_id, str) else None
        # The name alone would also fit other traffic of the same workspace, through channels that we do not use.
        return known or self._by_name.get(name.removesuffix(OUTBOUND) if isinstance(name, str) else "")

    def _receipt(self, message: Mapping[str, Any], channel: Channel, received_at: int) -> Receipt:
        word = message.get("status")
        word = word if isinstance(word, str) and _WORD.fullmatch(word) else ""
        status = MESSAGES.get(word, AttemptStatus.UNKNOWN)
        told = word
        if status in FAILED:
            texts = (message.get(name) for name in ("reason", "details"))
            meant = (TEXTS.get(text.strip().lower()) for text in texts if isinstance(text, str))
            status = next((each for each in meant if each is not None), status)
            code = failure_code(message)
            told = word if code is None else f"{word} {code}"
        times = (rfc3339_ms(message.get(name)) for name in ("lastStatusAt", "updatedAt"))
        known_times = (plausible(at, received_at=received_at) for at in times)
        return Receipt(
            provider=self._instance,
            channel=channel,
            status=status,
            told=told,
            reason=failure_reason(message) if status in FAILED else None,
            occurred_at=next((at for at in known_times if at is not None), received_at),
            received_at=received_at,
        )


def is_signed(webhook: Webhook, secrets: Sequence[bytes], *, max_age_s: float) -> bool:
    """HMAC-SHA256 over time, address and the digest of the body, in Base64; each of ``secrets`` is accepted.

    The address is part of it, exactly as the subscription has it.
    """
    signed_at = header(webhook.headers, TIMESTAMP_HEADER)
    if not _SIGNED_AT.fullmatch(signed_at) or abs(webhook.received_at / 1_000 - int(signed_at)) > max_age_s:
        return False
    try:
        given = base64.b64decode(header(webhook.headers, SIGNATURE_HEADER), validate=True)
    except ValueError:
        return False
    signed = f"{signed_at}\n{webhook.url}\n".encode() + hashlib.sha256(webhook.body).digest()
    matches = [hmac.compare_digest(hmac.digest(secret, signed, "sha256"), given) for secret in secrets]
    return any(matches)
