"""The opaque cursor of a list: where the page before ended, and of which list it was.

It names a position (creation time and id of the last row shown), not a count, so rows that are added meanwhile neither
repeat nor hide another.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Any, Final, NamedTuple

import orjson

from pipeline.errors import Refused
from pipeline.model.reasons import Reason
from pipeline.readmodel.ports import Filter

MAX_CHARS: Final = 256
"""Longer ones are none of ours."""
_HASH_BYTES: Final = 6
_NOT_OURS: Final = "is none that was given out for these filters; begin without one"


class Position(NamedTuple):
    """A row's place in the order of a list."""

    created_at: int
    """Epoch milliseconds."""
    verification_id: str


def encode(wanted: Filter, last: Position) -> str:
    """The cursor of the page after the one that ended with ``last``."""
    told = orjson.dumps([_list_hash(wanted), last.created_at, last.verification_id])
    return base64.urlsafe_b64encode(told).rstrip(b"=").decode()


def decode(wanted: Filter) -> Position | None:
    """Where the page begins; None for the first. Raises Refused for a cursor that is none of this list's."""
    if wanted.cursor is None:
        return None
    found = _opened(wanted.cursor)
    match found:
        case [str(list_hash), int(created_at), str(verification_id)] if (
            list_hash == _list_hash(wanted)
            and not isinstance(created_at, bool)  # which Python takes for a number, and PostgreSQL does not
            and 0 <= created_at < 1 << 63
            and "\0" not in verification_id
        ):
            return Position(created_at, verification_id)
        case _:
            raise Refused(Reason.INVALID_FIELD, f"cursor {_NOT_OURS}", "cursor")


def _opened(cursor: str) -> Any:
    """What a cursor holds; None for what cannot be one."""
    if len(cursor) > MAX_CHARS or not cursor.isascii():
        return None
    try:
        return orjson.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True))
    except (binascii.Error, ValueError):
        return None


def _list_hash(wanted: Filter) -> str:
    """Of everything that makes two lists differ; the size of a page does not."""
    filters = orjson.dumps(
        [
            wanted.tenant,
            wanted.reverse,
            wanted.from_at,
            wanted.to_at,
            wanted.state,
            wanted.external_id,
            wanted.job_id,
        ]
    )
    return hashlib.blake2b(filters, digest_size=_HASH_BYTES).hexdigest()
