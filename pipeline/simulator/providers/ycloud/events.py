"""YCloud's delivery events: which ones a channel fires, when, and how they are signed."""

from __future__ import annotations

import hashlib
import hmac
import random
from collections.abc import Sequence
from functools import partial
from typing import Final

import orjson

from pipeline.simulator.behaviour import Receipt
from pipeline.simulator.providers.ycloud.state import Message, rfc3339
from pipeline.simulator.receipts import Moment, moments
from pipeline.simulator.webhooks import Event
from pipeline.simulator.world import Account, World

_WHATSAPP_TIMES: Final = {"sent": "sendTime", "delivered": "deliverTime", "read": "readTime"}


def sign(secret: str, body: bytes, time_s: int) -> str:
    """The value of ``YCloud-Signature``: HMAC-SHA256 over ``<time>.<body>``, keyed with the secret as shown."""
    digest = hmac.new(secret.encode(), str(time_s).encode() + b"." + body, hashlib.sha256).hexdigest()
    return f"t={time_s},s={digest}"


def statuses(channel: str, wanted: str) -> list[str]:
    """The events a channel fires: WhatsApp tells every step, the others only the end."""
    if channel == "whatsapp":
        ways = {"undelivered": ["sent", "failed"], "read": ["sent", "delivered", "read"]}
        return ways.get(wanted, ["sent", "delivered"])
    if wanted == "undelivered":
        return ["failed" if channel == "email" else "undelivered"]
    return ["delivered"]


class Events:
    """Lets messages proceed and tells the account's receiver."""

    def __init__(self, *, world: World, provider: str) -> None:
        self._world = world
        self._provider = provider

    def follow(
        self, account: Account, message: Message, course: Sequence[str], receipt: Receipt, rng: random.Random
    ) -> None:
        """Move ``message`` through ``course``, with an event for every move."""
        for status, moment in zip(course, moments(len(course), receipt, rng), strict=True):
            self._world.webhooks.later(moment.after_s, partial(self._move, account, message, status, receipt, moment))

    def _move(self, account: Account, message: Message, status: str, receipt: Receipt, moment: Moment) -> None:
        message.status = status
        message.updated_ms = self._world.clock.now_ms()
        if status in ("undelivered", "failed"):
            message.error_code = receipt.error_code or "UNDELIVERABLE"
            verification = message.verification
            if not verification.sms_fallback and verification.status == "pending":
                verification.status = "undelivered"
        elif message.channel == "whatsapp":
            message.times[_WHATSAPP_TIMES[status]] = message.updated_ms
        secret = account.credentials.get("webhook_secret")
        if receipt.status == "missing" or not secret or not self._world.webhooks.url:
            return
        event_id = f"evt_{self._world.token()}"
        event = {
            "id": event_id,
            "type": message.event_type,
            "apiVersion": "v2",
            "createTime": rfc3339(message.updated_ms),
            message.payload_key: message.shown(),
        }
        body = orjson.dumps(event)
        endpoint = f"we_{hashlib.sha256(account.instance.encode()).hexdigest()[:16]}"
        for _ in range(receipt.copies):
            self._world.webhooks.post(
                Event(
                    provider=self._provider,
                    instance=account.instance,
                    event_id=event_id,
                    event_type=message.event_type,
                    body=body,
                    sign=lambda raw, time_s: {
                        "YCloud-Signature": sign(secret, raw, time_s),
                        "X-Webhook-Endpoint-ID": endpoint,
                    },
                ),
                after_s=moment.wait_s,
                hold=moment.hold,
            )
