"""Delivery reports as each provider sends them to the gateway, signed with what the account holds."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any

import orjson

from pipeline.testing.deployment import GATEWAY
from pipeline.testing.simulation.far_end import Message
from pipeline.testing.simulation.world import ACCOUNTS, BIRD_SMS, World

WEBHOOKS = f"{GATEWAY}/v1/webhooks/"


async def from_telesign(
    world: World, message: Message, status: int, *, to: str | None = None, instance: str = "telesign", key: str = ""
) -> int:
    """To the address the message was sent with, or where ``to`` says; ``key`` is another account's."""
    path = to or (message.callback_url or "").removeprefix(WEBHOOKS) or instance
    body = _json(reference_id=message.id, sub_resource="sms", errors=[], status={"code": status})
    api_key = base64.b64decode(key or str(ACCOUNTS["telesign"]["api_key"]))
    signature = base64.b64encode(hmac.digest(api_key, body, "sha256")).decode()
    return await world.webhook(path, body, {"Authorization": f"TSA customer:{signature}"})


async def from_bird(
    world: World, recipient: str, status: str, *, instance: str = "bird", key: str = "", channel_id: str = BIRD_SMS
) -> int:
    """Names nobody but whom it was for."""
    body = _json(
        service="channels",
        event="sms.outbound" if channel_id == BIRD_SMS else "whatsapp.outbound",
        payload={
            "channelId": channel_id,
            "status": status,
            "receiver": {"contacts": [{"identifierValue": recipient}]},
        },
    )
    signed_at = str(world.clock.now_ms() // 1_000)
    signed = f"{signed_at}\n{WEBHOOKS}{instance}\n".encode() + hashlib.sha256(body).digest()
    secret = (key or str(ACCOUNTS["bird"]["signing_key"])).encode()
    headers = {
        "MessageBird-Signature": base64.b64encode(hmac.digest(secret, signed, "sha256")).decode(),
        "MessageBird-Request-Timestamp": signed_at,
    }
    return await world.webhook(instance, body, headers)


async def from_ycloud(
    world: World, message: Message, status: str, *, instance: str = "ycloud", key: str = "", code: str | None = None
) -> int:
    """YCloud's event of a call holds the code in clear."""
    told = {"bizType": "verify", "verificationId": message.id, "externalId": message.reference, "status": status}
    kind = message.channels[0]
    body = _json(**{"type": f"{kind}.message.updated", kind: told | ({"verificationCode": code} if code else {})})
    signed_at = world.clock.now_ms() // 1_000
    secret = (key or str(ACCOUNTS["ycloud"]["webhook_secret"])).encode()
    digest = hmac.digest(secret, f"{signed_at}.".encode() + body, "sha256").hex()
    return await world.webhook(instance, body, {"YCloud-Signature": f"t={signed_at},s={digest}"})


async def from_thundersms(
    world: World, message: Message, channel: str, status: str, *, instance: str = "thundersms", secret: str = ""
) -> int:
    """Of one channel of a message."""
    token = secret or str(ACCOUNTS["thundersms"]["webhook_secret"])
    if channel == "sms":
        told: dict[str, Any] = {
            "id": f"{message.id}:1",
            "mobile": message.recipient[1:],
            "status": status,
            "cid": message.reference,
        }
    elif channel == "voice":
        told = {"mid": message.id, "to": message.recipient[1:], "status": status}
    else:
        payload = {"id": message.id, "channel": channel, "status": status, "foreign_id": message.reference}
        told = {"event": f"{channel}:message:status", "payload": payload}
    return await world.webhook(instance, _json(**told), {"Authorization": f"Bearer {token}"})


def _json(**fields: Any) -> bytes:
    return orjson.dumps(fields)
