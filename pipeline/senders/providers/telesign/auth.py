"""Telesign's two ways to authenticate a request, and the HMAC that its callbacks are signed with too."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from typing import Final, Literal

FORM: Final = "application/x-www-form-urlencoded"
DIGEST: Final = "HMAC-SHA256"


def key_bytes(api_key: str) -> bytes:
    """The API key as what it is: Base64, read as leniently as Telesign's own SDK does. Raises ValueError."""
    return base64.b64decode(api_key)


def signature(key: bytes, signed: bytes) -> str:
    """HMAC-SHA256 in Base64: of the string to sign for requests, of the raw body for callbacks."""
    return base64.b64encode(hmac.digest(key, signed, "sha256")).decode("ascii")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Signer:
    """Makes the headers of authentication, fresh ones for each request."""

    customer_id: str
    api_key: str
    method: Literal["basic", "digest"]
    new_nonce: Callable[[], str]
    """A text never used before: a repeated one is refused."""

    def headers(self, method: str, path: str, body: bytes, now_ms: int) -> dict[str, str]:
        """For a request with exactly this body to ``path``, without host and query.

        Date and nonce go along with Basic authentication as well, as the SDK has it.
        """
        content_type = {} if method == "GET" else {"Content-Type": FORM}
        date = formatdate(now_ms / 1_000, usegmt=True)
        nonce = self.new_nonce()
        if self.method == "basic":
            shown = base64.b64encode(f"{self.customer_id}:{self.api_key}".encode()).decode("ascii")
            authorization, auth_method = f"Basic {shown}", "Basic"
        else:
            lines = [method, content_type.get("Content-Type", ""), date, f"x-ts-auth-method:{DIGEST}"]
            lines += [f"x-ts-nonce:{nonce}", *([body.decode("ascii")] if body else []), path]
            signed = signature(key_bytes(self.api_key), "\n".join(lines).encode())
            authorization, auth_method = f"TSA {self.customer_id}:{signed}", DIGEST
        return {
            "Authorization": authorization,
            "Date": date,
            "x-ts-auth-method": auth_method,
            "x-ts-nonce": nonce,
            **content_type,
        }
