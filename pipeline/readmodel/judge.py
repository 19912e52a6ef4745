"""Whether a start is one that was made before; pure, the same for every implementation of the ledger."""

from __future__ import annotations

from typing import Final

import orjson

from pipeline.readmodel.ports import Known, Start

_COMPARED: Final = ("mode", "external_id", "recipient_hash", "max_checks", "metadata")
"""What the first outcome has of the request as it was sent."""


def of_start(entry: Start, tenant: str, content_hash: str) -> Known:
    """SAME or CONFLICT with a start that a gateway remembered."""
    return Known.SAME if (tenant, content_hash) == (entry.tenant, entry.content_hash) else Known.CONFLICT


def of_verification(entry: Start, tenant: str, view: bytes) -> Known:
    """SAME or CONFLICT with a verification that no gateway started: it was published on Kafka.

    The content of its request is not known here, only what its outcome tells of it. What differs in that is another
    request for certain; what does not is taken for the same one, as an id is rarely used twice for one recipient.
    """
    if tenant != entry.tenant:
        return Known.CONFLICT
    theirs, ours = orjson.loads(view), orjson.loads(entry.view)
    return Known.SAME if all(theirs[name] == ours[name] for name in _COMPARED) else Known.CONFLICT
