"""Until when a command may be called, and how long the code then lives. Late means dropped, never sent late."""

from __future__ import annotations

from pipeline.model.capabilities import ProviderCapabilities
from pipeline.records.internal import SendCommand


def latest_call_at(command: SendCommand, *, min_left_s: int) -> int:
    """No first byte after this (epoch ms).

    ``min_left_s`` is what must be left of a code that lives already; a code's life begins with the first provider
    call, so before that only the queue deadline counts. A command without a deadline gets its code's life.
    """
    latest = command.send_by_at or command.issued_at + command.expires_in_s * 1_000
    if command.valid_until_at:
        latest = min(latest, command.valid_until_at - min_left_s * 1_000)
    return latest


def valid_s(command: SendCommand, now_ms: int) -> int:
    """The validity to tell the provider: what is left of the code's life, or the step's ttl when that is shorter."""
    left = code_life_s(command, now_ms)
    return left if command.ttl_s is None else min(left, command.ttl_s)


def code_life_s(command: SendCommand, now_ms: int) -> int:
    """How long the code of a message sent now will be good for."""
    left = (command.valid_until_at - now_ms) // 1_000 if command.valid_until_at else command.expires_in_s
    return max(0, left)


def least_left_s(command: SendCommand, capabilities: ProviderCapabilities, *, min_time_left_s: int) -> int:
    """With less left of a living code than this nothing is sent: our own rule, or the provider's least validity."""
    able = capabilities.channels.get(command.channel)
    return max(min_time_left_s, able.min_validity_s if able is not None else 0)
