"""Events of Bird's channels: which ones a message fires, when, and how they are signed."""

from __future__ import annotations

import base64
import hashlib
import hmac
import random
from collections.abc import Sequence
from functools import partial
from typing import Final

import orjson

from pipeline.simulator.behaviour import Receipt
from pipeline.simulator.providers.bird.state import Message
from pipeline.simulator.receipts import Moment, moments
from pipeline.simulator.webhooks import Event
from pipeline.simulator.world import Account, World

_FAILURE: Final = 15001


def sign(key: str, url: str, body: bytes, time_s: int) -> str:
    """The value of ``MessageBird-Signature``: HMAC-SHA256 over time, address and the digest of the body, in Base64."""
    signed = f"{time_s}\n{url}\n".encode() + hashlib.sha256(body).digest()
    return base64.b64encode(hmac.digest(key.encode(), signed, "sha256")).decode()


def statuses(wanted: str) -> list[str]:
    """The statuses a message goes through; there is none for having been read."""
    return ["sent", "delivery_failed" if wanted == "undelivered" else "delivered"]


class Events:
    """Lets messages proceed and tells the account's receiver."""

    def __init__(self, *, world: World, provider: str) -> None:
        self._world = world
        self._provider = provider

    def follow(self, account: Account, message: Message, receipt: Receipt, rng: random.Random) -> None:
        """Move ``message`` on, with an event for every move."""
        course: Sequence[str] = statuses(receipt.status)
        for status, moment in zip(course, moments(len(course), receipt, rng), strict=True):
            self._world.webhooks.later(moment.after_s, partial(self._move, account, message, status, receipt, moment))

    def _move(self, account: Account, message: Message, status: str, receipt: Receipt, moment: Moment) -> None:
        message.status = status
        message.updated_ms = self._world.clock.now_ms()
        if status == "delivery_failed":
            told = receipt.error_code or str(_FAILURE)
            # A code of Bird's, or one of the texts that the platforms behind it give.
            if told.isdecimal():
                message.failure_code = int(told)
            else:
                message.reason = told
        key = account.credentials.get("signing_key")
        if receipt.status == "missing" or not key or not self._world.webhooks.url:
            return
        name = f"{message.channel}.outbound"
        body = orjson.dumps({"service": "channels", "event": name, "payload": message.shown()})
        url = f"{self._world.webhooks.url}/{account.instance}"
        for _ in range(receipt.copies):
            self._world.webhooks.post(
                Event(
                    provider=self._provider,
                    instance=account.instance,
                    event_id=f"{message.id}:{status}",
                    event_type=name,
                    body=body,
                    sign=lambda raw, time_s: {
                        "MessageBird-Signature": sign(key, url, raw, time_s),
                        "MessageBird-Request-Timestamp": str(time_s),
                    },
                ),
                after_s=moment.wait_s,
                hold=moment.hold,
            )
