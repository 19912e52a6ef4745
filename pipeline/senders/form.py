"""Bodies as ``application/x-www-form-urlencoded`` (https://url.spec.whatwg.org/#urlencoded-serializing)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote_plus

CONTENT_TYPE: Final = "application/x-www-form-urlencoded"
_PLAIN: Final = re.compile(r"[A-Za-z0-9_.~-]*", re.ASCII)


def form(fields: Mapping[str, str]) -> bytes:
    """As ``urllib.parse.urlencode`` has it. Nearly all that is sent needs no escaping, and looking is a tenth of the
    time of escaping; names are ours and need none.
    """
    encoded = [f"{name}={value if _PLAIN.fullmatch(value) else quote_plus(value)}" for name, value in fields.items()]
    return "&".join(encoded).encode("ascii")
