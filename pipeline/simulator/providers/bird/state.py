"""Verifications and messages of Bird, and how its API and its events show them."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

OPEN: Final = "accepted"
"""The only status the documentation shows; the others are words such an API would use."""


def rfc3339(time_ms: int) -> str:
    """``2025-01-02T03:04:05Z``."""
    return datetime.fromtimestamp(time_ms // 1_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(slots=True, kw_only=True)
class Verification:
    """One verification as Bird keeps it."""

    id: str
    account: str
    fields: dict[str, Any]
    """As it was asked for, with the defaults."""
    code: str
    status: str
    created_ms: int
    updated_ms: int
    failed_attempts: int = 0
    step: int = 0

    @property
    def expires_ms(self) -> int:
        """When its code ends."""
        return self.created_ms + int(self.fields["timeout"]) * 1_000

    def look(self, now_ms: int) -> None:
        """Let it expire when its time is over."""
        if self.status == OPEN and now_ms >= self.expires_ms:
            self.status, self.updated_ms = "expired", self.expires_ms

    def check(self, code: str, now_ms: int) -> bool:
        """Whether the code is right and still counts; a wrong one uses up an attempt."""
        self.look(now_ms)
        if self.status != OPEN:
            return False
        self.updated_ms = now_ms
        if hmac.compare_digest(self.code.encode(), code.encode()):
            self.status = "verified"
            return True
        self.failed_attempts += 1
        if self.failed_attempts >= self.fields["maxAttempts"]:
            self.status = "failed"
        return False

    def recipient(self, step: int, address: str) -> str | None:
        """Whom a step is for; ``address`` is the kind its channel needs."""
        own = self.fields["steps"][step].get("identifier", {}).get(address)
        found: str | None = own or self.fields["identifier"].get(address)
        return found

    def shown(self) -> dict[str, Any]:
        """The object of every answer; it never holds the code."""
        return {
            "id": self.id,
            **{name: self.fields[name] for name in ("identifier", "locale", "maxAttempts")},
            "failedAttempts": self.failed_attempts,
            **{name: self.fields[name] for name in ("timeout", "codeLength")},
            "status": self.status,
            "currentStepIndex": self.step,
            "steps": self.fields["steps"],
            "createdAt": rfc3339(self.created_ms),
            "updatedAt": rfc3339(self.updated_ms),
            "expiresAt": rfc3339(self.expires_ms),
        }


@dataclass(slots=True, kw_only=True)
class Message:
    """One message that a channel sent for a verification."""

    id: str
    channel: str
    channel_id: str
    recipient: str
    text: str
    created_ms: int
    updated_ms: int
    status: str = "accepted"
    failure_code: int | None = None
    reason: str = ""
    """A text for people, such as ``DLR not received``."""

    def shown(self) -> dict[str, Any]:
        """The payload of the channel's events; nothing in it names the verification."""
        key = "emailaddress" if self.channel == "email" else "phonenumber"
        shown: dict[str, Any] = {
            "id": self.id,
            "channelId": self.channel_id,
            "sender": {"connector": {"id": self.channel_id, "identifierValue": "Verify"}},
            "receiver": {"contacts": [{"identifierKey": key, "identifierValue": self.recipient}]},
            "body": {"type": "text", "text": {"text": self.text}},
            "reference": "",
            "parts": [{"platformReference": self.id.replace("-", "")}],
            "status": self.status,
            "reason": self.reason,
            "direction": "outgoing",
            "lastStatusAt": rfc3339(self.updated_ms),
            "createdAt": rfc3339(self.created_ms),
            "updatedAt": rfc3339(self.updated_ms),
        }
        if self.failure_code is not None:
            source = {"name": f"{self.channel}-messagebird", "code": self.failure_code}
            shown["failure"] = {"code": self.failure_code, "source": source}
        return shown
