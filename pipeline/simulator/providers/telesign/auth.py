"""Who asks: Basic authentication, or Telesign's own digest with date and nonce."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Final

from pipeline.simulator.limits import Bounded
from pipeline.simulator.providers.telesign.fields import Wrong
from pipeline.simulator.world import Account

TOLERANCE_MS: Final = 300_000
"""How far a date may be off; no number is published, five minutes is customary."""
NONCE_LENGTHS: Final = range(8, 65)
"""No numbers are published either; a UUID is within."""
_DIGESTS: Final[Mapping[str, str]] = {"HMAC-SHA256": "sha256", "HMAC-SHA1": "sha1"}


class Gatekeeper:
    """Knows the accounts and the nonces they used."""

    def __init__(self, accounts: Sequence[Account], keep: int) -> None:
        self._accounts = {account.credentials["customer_id"]: account for account in accounts}
        self._nonces: Bounded[tuple[str, str], int] = Bounded(keep)

    def admit(self, method: str, path: str, headers: Mapping[str, str], raw: bytes, now_ms: int) -> Account:
        """Whose request this is; raises Wrong. ``path`` as the API's host sees it, without a query."""
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if not scheme:
            raise Wrong("-30004")
        if scheme == "Basic":
            return self._basic(given)
        if scheme != "TSA" or ":" not in given:
            raise Wrong("-30005")
        customer_id, _, signature = given.partition(":")
        account = self._account(customer_id)
        algorithm = _DIGESTS.get(headers.get("x-ts-auth-method", ""))
        if algorithm is None:
            raise Wrong("-30008")
        _check_date(headers.get("x-ts-date") or headers.get("date"), now_ms)
        nonce = headers.get("x-ts-nonce", "")
        if len(nonce) not in NONCE_LENGTHS:
            raise Wrong("-30011")
        to_sign = string_to_sign(method, path, headers, raw)
        right = sign(account.credentials["api_key"], to_sign, algorithm)
        if not hmac.compare_digest(right.encode(), signature.encode()):
            raise Wrong("-30006", signature_string=to_sign.decode())
        if (customer_id, nonce) in self._nonces:
            raise Wrong("-30012")
        self._nonces[customer_id, nonce] = now_ms
        return account

    def _account(self, customer_id: str) -> Account:
        account = self._accounts.get(customer_id)
        if account is None:
            raise Wrong("-30000")
        return account

    def _basic(self, given: str) -> Account:
        try:
            customer_id, colon, key = base64.b64decode(given, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError) as error:
            raise Wrong("-30005") from error
        if not colon:
            raise Wrong("-30005")
        account = self._account(customer_id)
        if not hmac.compare_digest(key.encode(), account.credentials["api_key"].encode()):
            raise Wrong("-30015")
        return account


def sign(api_key: str, signed: bytes, algorithm: str = "sha256") -> str:
    """HMAC in Base64 with the decoded key; of the raw body for callbacks."""
    return base64.b64encode(hmac.digest(base64.b64decode(api_key), signed, algorithm)).decode()


def string_to_sign(method: str, path: str, headers: Mapping[str, str], raw: bytes) -> bytes:
    """Lines in the documented order; ``x-ts-date`` takes the place of the date where it is given."""
    dated = headers.get("x-ts-date")
    lines = [
        method,
        headers.get("content-type", ""),
        "" if dated else headers.get("date", ""),
        f"x-ts-auth-method:{headers.get('x-ts-auth-method', '')}",
        *([f"x-ts-date:{dated}"] if dated else []),
        f"x-ts-nonce:{headers.get('x-ts-nonce', '')}",
        *([raw.decode("latin-1")] if raw and method != "GET" else []),
        path,
    ]
    return "\n".join(lines).encode("latin-1")


def _check_date(text: str | None, now_ms: int) -> None:
    if not text:
        raise Wrong("-30007")
    try:
        at = parsedate_to_datetime(text)
    except ValueError as error:
        raise Wrong("-30009") from error
    if at.tzinfo is None:
        raise Wrong("-30009")
    if abs(at.timestamp() * 1_000 - now_ms) > TOLERANCE_MS:
        raise Wrong("-30010")
