"""The trace context of W3C (https://www.w3.org/TR/trace-context/), as far as it is carried on."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

TRACEPARENT: Final = "traceparent"
_FORM: Final = re.compile(rb"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def carried(headers: Iterable[tuple[str, bytes | None]]) -> tuple[tuple[str, bytes], ...]:
    """The first ``traceparent`` of the right form, for records written because of this one; else nothing.

    Anything else of that name is dropped: whatever stands in it would be copied in clear onto public records, and its
    size onto every one of them.
    """
    for name, value in headers:
        if name == TRACEPARENT and value is not None and _FORM.fullmatch(value):
            return ((TRACEPARENT, value),)
    return ()
