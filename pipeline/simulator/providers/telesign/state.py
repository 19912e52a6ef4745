"""One transaction of Telesign's, and how answers and callbacks show it."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import Any, Final

from pipeline.simulator.providers.telesign.errors import STATUSES, updated_on

CODE_LIFE_MS: Final = 300_000
MAX_ATTEMPTS: Final = 3
"""Both are settings of an account; these are the successor API's defaults."""
KEPT_MS: Final = 43_200_000
"""How long a status can be asked for: twelve hours."""
PRICES: Final = {"sms": "0.0085", "voice": "0.0200"}


@dataclass(slots=True, kw_only=True)
class Transaction:
    """One message and what became of it."""

    id: str
    account: str
    sub_resource: str
    channel: str
    """In our words."""
    to: str
    code: str
    text: str
    status: int
    created_ms: int
    updated_ms: int
    callback_url: str = ""
    caller_id: str | None = None
    tries: int = 0
    code_state: str = "UNKNOWN"
    code_entered: str = ""

    def move(self, status: int, now_ms: int) -> None:
        """Go on to another status."""
        self.status = status
        self.updated_ms = now_ms

    def check(self, code: str, now_ms: int) -> None:
        """Judge a typed code; too many wrong ones, or too late, and none is right any more."""
        self.code_entered = code
        if now_ms >= self.created_ms + CODE_LIFE_MS:
            self.code_state = "EXPIRED"
        elif self.tries >= MAX_ATTEMPTS:
            self.code_state = "MAX_ATTEMPTS_EXCEEDED"
        elif hmac.compare_digest(code.encode(), self.code.encode()):
            self.code_state = "VALID"
        else:
            self.tries += 1
            self.code_state = "INVALID"

    def shown(self) -> dict[str, Any]:
        """The body of an answer."""
        body: dict[str, Any] = {
            "reference_id": self.id,
            "sub_resource": self.sub_resource,
            "errors": [],
            "status": {
                "code": self.status,
                "description": STATUSES[self.status],
                "updated_on": updated_on(self.updated_ms),
            },
            "verify": {"code_state": self.code_state, "code_entered": self.code_entered},
        }
        if self.channel == "voice":
            body["voice"] = {"caller_id": self.caller_id or "15550100000"}
        return body

    def told(self) -> dict[str, Any]:
        """The body of a callback."""
        return self.shown() | {
            "submit_timestamp": updated_on(self.created_ms),
            "verify": {"code_state": self.code_state, "code_entered": self.code_entered or None},
            # The key of the sender id is documented with the blank at its end.
            "additional_info": {"price": PRICES[self.channel], "currency": "USD", "sender_id ": "Verify"},
        }
