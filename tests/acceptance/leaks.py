"""Searching for secrets in everything that was written, in every form in which software writes text."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from urllib.parse import quote

from tests.acceptance.found import Seen

CLEAR = frozenset({"verification.requests", "verification.requests.bulk", "verification.checks"})
"""The only topics that may hold recipients and codes in clear: other software writes them."""


def forms(secret: str) -> Mapping[str, bytes]:
    """The secret as different encodings would show it, by the encoding's name."""
    raw = secret.encode()
    escaped = "".join(f"\\u{ord(sign):04x}" if not sign.isalnum() else sign for sign in secret)
    found = {
        "plain": raw,
        "JSON": json.dumps(secret)[1:-1].encode(),
        "JSON with escapes": escaped.encode(),
        "URL": quote(secret, safe="").encode(),
        "URL, lower case": quote(secret, safe="").lower().encode(),
        "hex": raw.hex().encode(),
        "HEX": raw.hex().upper().encode(),
        "UTF-16": secret.encode("utf-16-le"),
        "backwards": raw[::-1],
    }
    for shift in range(3):
        # Base64 of a longer text shows its parts in one of three ways; what its neighbours change is cut off.
        kept = base64.b64encode(b"\0" * shift + raw)[(0, 2, 3)[shift] :].rstrip(b"=")
        kept = kept[: len(kept) - 1]
        found[f"base64 at {shift}"] = kept
        found[f"base64url at {shift}"] = kept.replace(b"+", b"-").replace(b"/", b"_")
    return found


def leaks(secrets: Iterable[str], places: Mapping[str, bytes]) -> list[str]:
    """Where which form of which secret stands; the secrets are named by their number only."""
    return [
        f"secret {number} as {form} in {place}"
        for number, secret in enumerate(secrets)
        for form, wanted in forms(secret).items()
        for place, held in places.items()
        if wanted in held
    ]


def by_topic(records: Iterable[Seen]) -> dict[str, bytes]:
    """All keys, values and headers of each topic as one text."""
    parts: dict[str, list[bytes]] = {}
    for record in records:
        held = parts.setdefault(record.topic, [])
        held += [record.key or b"", record.value or b""]
        for name, value in record.headers:
            held += [name.encode(), value or b""]
    return {topic: b"\n".join(held) for topic, held in parts.items()}
