"""Telesign's two ways to authenticate a request, and the HMAC that its callbacks are signed with too."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable
from email.utils import formatdate
from functools import lru_cache
from typing import Final, Literal

from pipeline.senders.form import CONTENT_TYPE

DIGEST: Final = "HMAC-SHA256"


def key_bytes(api_key: str) -> bytes:
    """The API key as what it is: Base64, read as leniently as Telesign's own SDK does. Raises ValueError."""
    return base64.b64decode(api_key)


def signature(key: bytes, signed: bytes) -> str:
    """HMAC-SHA256 in Base64: of the string to sign for requests, of the raw body for callbacks."""
    return base64.b64encode(hmac.digest(key, signed, "sha256")).decode("ascii")


class Signer:
    """Makes the headers of authentication, fresh ones for each request."""

    def __init__(
        self,
        *,
        customer_id: str,
        api_key: str,
        method: Literal["basic", "digest"],
        new_nonce: Callable[[], str],
    ) -> None:
        """``new_nonce`` gives a text never used before: a repeated one is refused."""
        self._key = key_bytes(api_key)
        self._method = "Basic" if method == "basic" else DIGEST
        self._tsa = f"TSA {customer_id}:"
        self._basic = "Basic " + base64.b64encode(f"{customer_id}:{api_key}".encode()).decode("ascii")
        self._new_nonce = new_nonce

    def headers(self, method: str, path: str, body: bytes, now_ms: int) -> dict[str, str]:
        """For a request with exactly this body to ``path``, without host and query.

        Date and nonce go along with Basic authentication as well, and an empty content type with a question, as the
        SDK has it.
        """
        content_type = "" if method == "GET" else CONTENT_TYPE
        date, nonce = _date(now_ms // 1_000), self._new_nonce()
        authorization = self._basic
        if self._method == DIGEST:
            head = f"{method}\n{content_type}\n{date}\nx-ts-auth-method:{DIGEST}\nx-ts-nonce:{nonce}\n".encode()
            authorization = self._tsa + signature(self._key, head + (body + b"\n" if body else b"") + path.encode())
        return {
            "Authorization": authorization,
            "Date": date,
            "Content-Type": content_type,
            "x-ts-auth-method": self._method,
            "x-ts-nonce": nonce,
        }


@lru_cache(maxsize=16)
def _date(time_s: int) -> str:
    """As HTTP writes it; the same for all requests of one second."""
    return formatdate(time_s, usegmt=True)
