"""Verifications and messages of YCloud, and how its API and its events show them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import phonenumbers

PRICES: Final = {"sms": 0.0085, "voice": 0.02, "email": 0.001, "whatsapp": 0.03}
"""US dollars per message by our channel name."""


def rfc3339(time_ms: int) -> str:
    """``2022-06-01T12:00:00.000Z``."""
    return datetime.fromtimestamp(time_ms / 1_000, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{time_ms % 1_000:03d}Z"


def region_of(phone: str) -> str:
    """The main region of the calling code; enough for a message's ``regionCode``."""
    for length in (1, 2, 3):
        regions = phonenumbers.COUNTRY_CODE_TO_REGION_CODE.get(int(phone[1 : 1 + length]))
        if regions:
            return str(regions[0])
    return "ZZ"


@dataclass(slots=True, kw_only=True)
class Verification:
    """One verification as YCloud keeps it."""

    id: str
    account: str
    """The API key it belongs to."""
    channel: str
    """YCloud's name."""
    to: str
    code: str
    status: str
    external_id: str | None
    price: float
    created_ms: int
    expires_ms: int
    language: str
    signature: str | None
    sender_id: str | None
    sms_fallback: bool = False

    def shown(self) -> dict[str, Any]:
        """The object as the start answers it."""
        shown: dict[str, Any] = {
            "id": self.id,
            "status": self.status,
            "to": self.to,
            "channel": self.channel,
            "sendTime": rfc3339(self.created_ms),
            "totalPrice": self.price,
            "currency": "USD",
        }
        if self.channel == "whatsapp":
            shown["smsFallbackEnabled"] = self.sms_fallback
            if self.sms_fallback:
                shown["smsFallback"] = {"supported": True}
        if self.external_id is not None:
            shown["externalId"] = self.external_id
        return shown


@dataclass(slots=True, kw_only=True)
class Message:
    """One message that went out for a verification."""

    id: str
    verification: Verification
    channel: str
    """Our name of the channel it took."""
    text: str
    created_ms: int
    updated_ms: int
    status: str
    error_code: str | None = None
    times: dict[str, int] = field(default_factory=dict)
    """WhatsApp: when it was sent, delivered, read."""

    @property
    def payload_key(self) -> str:
        """The member of an event that holds this message."""
        return {"email": "emailDelivery", "whatsapp": "whatsappMessage"}.get(self.channel, self.channel)

    @property
    def event_type(self) -> str:
        """The event that reports this message."""
        return "email.delivery.updated" if self.channel == "email" else f"{self.channel}.message.updated"

    def shown(self) -> dict[str, Any]:
        """The message object of lists and events."""
        verification = self.verification
        common: dict[str, Any] = {"bizType": "verify", "verificationId": verification.id}
        if verification.external_id is not None:
            common["externalId"] = verification.external_id
        if self.error_code is not None:
            common["errorCode"] = self.error_code
        if self.channel == "email":
            return {"emailId": self.id, "recipientAddress": verification.to, "status": self.status} | common
        common |= {
            "id": self.id,
            "to": verification.to,
            "regionCode": region_of(verification.to),
            "totalPrice": verification.price,
            "currency": "USD",
            "status": self.status,
            "createTime": rfc3339(self.created_ms),
            "updateTime": rfc3339(self.updated_ms),
        }
        if self.channel == "sms":
            common |= {"text": self.text, "totalSegments": 1}
            if verification.sender_id is not None:
                common["senderId"] = verification.sender_id
        elif self.channel == "voice":
            common |= {
                "verificationCode": verification.code,
                "language": verification.language,
                "totalSegments": 1,
            }
        else:
            common |= {"wamid": f"wamid.{self.id}", "from": "+15550100000"}
            common |= {name: rfc3339(at) for name, at in self.times.items()}
        return common
