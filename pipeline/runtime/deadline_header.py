"""The deadline of a state entry beside it in the changelog: a restore sets timers without decoding entries.

It says when to look at the entry, not what is due: when it comes, the entry is decoded and asked for its deadline of
today, as settings and releases may have changed since. So a deadline that they bring forward is noticed only at the
earlier one's time, and never in an entry that had none.
"""

from __future__ import annotations

import struct
from typing import Final

from pipeline.runtime.api import Deadline, Headers, Lane

DEADLINE_HEADER: Final = "deadline"
"""Header of changelog records; what stands in it may change from release to release."""

VERSION: Final = 1
"""To be raised with a release whose stages have deadlines that earlier ones did not: it decodes the entries of those
once. What another version wrote counts as not told."""

_PLAIN: Final = struct.Struct(">BBq")
"""Version, lane, ``at_ms``."""
_FORCED: Final = struct.Struct(">BBqq")
"""The same and ``force_at_ms``."""
_LANES: Final = (Lane.INTERACTIVE, Lane.BULK, None)
_ANY_LANE: Final = 2
_NONE: Final = ((DEADLINE_HEADER, bytes((VERSION,))),)


class NotTold(ValueError):
    """The header is missing, or not of this version."""


def deadline_header(deadline: Deadline | None) -> Headers:
    """The headers of a changelog record whose entry has this deadline."""
    if deadline is None:
        return _NONE
    lane = _ANY_LANE if deadline.lane is None else deadline.lane
    if deadline.force_at_ms is None:
        told = _PLAIN.pack(VERSION, lane, deadline.at_ms)
    else:
        told = _FORCED.pack(VERSION, lane, deadline.at_ms, deadline.force_at_ms)
    return ((DEADLINE_HEADER, told),)


def told_deadline(headers: Headers) -> Deadline | None:
    """The deadline that the headers of a changelog record tell; None for none. Raises NotTold."""
    for name, told in headers:
        if name == DEADLINE_HEADER and told and told[0] == VERSION:
            break
    else:
        raise NotTold
    try:
        if len(told) == _PLAIN.size:
            _, lane, at_ms = _PLAIN.unpack(told)
            return Deadline(at_ms, _LANES[lane])
        if len(told) == 1:
            return None
        _, lane, at_ms, force_at_ms = _FORCED.unpack(told)
        return Deadline(at_ms, _LANES[lane], force_at_ms)
    except (struct.error, IndexError):
        raise NotTold from None
