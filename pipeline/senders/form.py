"""Bodies as ``application/x-www-form-urlencoded`` (https://url.spec.whatwg.org/#urlencoded-serializing)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

CONTENT_TYPE: Final = "application/x-www-form-urlencoded"
_ESCAPED: Final = re.compile(rb"[^A-Za-z0-9_.~-]")
_ESCAPES: Final = {bytes([each]): b"%%%02X" % each for each in range(256)} | {b" ": b"+"}


def form(fields: Mapping[str, str]) -> bytes:
    """As ``urllib.parse.urlencode`` has it, at a quarter of its time, which was a good part of a send's.

    Names are ours and need no escaping.
    """
    return b"&".join(
        [
            name.encode() + b"=" + _ESCAPED.sub(lambda found: _ESCAPES[found[0]], value.encode())
            for name, value in fields.items()
        ]
    )
