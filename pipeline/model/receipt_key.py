"""The keys under which a delivery report meets the reference of its attempt in the correlator."""

from __future__ import annotations

from pipeline.records.types import Channel


def by_message_id(provider: str, message_id: str) -> str:
    """Where the provider names the message; ``provider`` is the instance's name."""
    return f"{provider}:{message_id}"


def by_recipient(provider: str, recipient_key: str, channel: Channel) -> str:
    """Where it names only whom it wrote to; ``recipient_key`` is keyed without the tenant."""
    return f"{provider}:{recipient_key}:{channel}"
