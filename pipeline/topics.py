"""Topic names, without the deployment prefix; ``deploy/topics.yaml`` says how each is configured."""

from __future__ import annotations

from typing import Final

from pipeline.records.types import Channel

REQUESTS: Final = "verification.requests"
DECISIONS: Final = "verification.decisions"
PROVIDER_CHECKS: Final = "verification.provider-checks"
RESULTS: Final = "verification.results"
RECEIPTS: Final = "verification.receipts"
MESSAGE_REFS: Final = "verification.message-refs"
STATUSES: Final = "verification.statuses"
CHECKS: Final = "verification.checks"
COMMANDS: Final = "verification.commands"
REPLIES: Final = "verification.replies"
ROUTER_INBOX: Final = "verification.router-inbox"
TRACKER_INBOX: Final = "verification.tracker-inbox"
OUTCOMES: Final = "verification.outcomes"
DEAD_LETTERS: Final = "verification.dead-letters"
PROVIDER_HEALTH: Final = "verification.provider-health"
CONTROL: Final = "verification.control"
SCHEMAS: Final = "verification.schemas"
ROUTER_STATE: Final = "verification.router-state"
TRACKER_STATE: Final = "verification.tracker-state"
CORRELATOR_STATE: Final = "verification.correlator-state"

CHANNELS: Final = (Channel.SMS, Channel.VOICE, Channel.WHATSAPP, Channel.VIBER, Channel.EMAIL)
"""Every channel that has a send topic."""


def bulk(topic: str) -> str:
    """The bulk lane's twin of a flow topic."""
    return topic + ".bulk"


def lane(topic: str, is_bulk: bool) -> str:
    """A flow topic in the lane of the verification."""
    return topic + ".bulk" if is_bulk else topic


def send(channel: Channel) -> str:
    """The topic of one channel's send commands."""
    return f"verification.send.{channel.value}"


def attempts(provider: str) -> str:
    """The journal of one provider instance's senders."""
    return f"verification.attempts.{provider}"
