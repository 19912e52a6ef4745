"""Under which key a delivery report and the attempt it is about meet, where the provider echoes nothing of ours.

The senders key their MessageRefs by it, the gateway its Receipts, and the correlator its state: the same bytes, so
that both land in one partition. No provider's name holds a colon, so the two forms of two providers never meet.
"""

from __future__ import annotations

from pipeline.records.types import Channel


def by_message_id(provider: str, message_id: str) -> bytes:
    """``<provider>:<message id>``, where the provider names the message; ``provider`` is the instance's name."""
    return f"{provider}:{message_id}".encode()


def by_recipient(provider: str, recipient_key: str, channel: Channel) -> bytes:
    """``<provider>:<recipient key>:<channel>``, where it names only whom it was for.

    ``recipient_key`` is that of :meth:`pipeline.model.keys.KeyRing.recipient_key`, never the recipient in clear.
    """
    return f"{provider}:{recipient_key}:{channel.value}".encode()
