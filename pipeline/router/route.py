"""What the router is asked for a step, and what it answers: a route, or why there is none (pure)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import msgspec

from pipeline.model.capabilities import ChannelCapabilities
from pipeline.model.reasons import Reason
from pipeline.records.internal import Plan, PlannedStep, TakenMessage, WalkStep
from pipeline.records.types import Channel, CodeHolder


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """The way one message goes."""

    provider: str
    sender: str | None
    language: str | None
    """The tag of what goes out, in the provider's own spelling; None leaves it to the provider."""
    asked_language: str
    """The BCP-47 tag it stands for, or was taken instead of."""
    code_holder: CodeHolder
    code_length: int
    adjusted: tuple[str, ...]
    able: ChannelCapabilities
    """What the provider can do on this channel; where it walks on, ``receipts`` says it of all channels."""
    walk: tuple[WalkStep, ...] = ()
    """Further steps it goes on to by itself."""
    told: tuple[Channel, ...] = ()
    """Channels of further steps that it is told of, to go on to when asked."""
    taken: TakenMessage | None = None
    """The message it has already, which is sent again or goes on instead of a new one."""
    why: str


@dataclass(frozen=True, slots=True)
class NoRoute:
    """No provider can take the message, and what stood in the way at each."""

    reason: Reason
    detail: str


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """All that a route must fit."""

    plan: Plan
    step: PlannedStep
    number: str
    """The canonical recipient, for rules by prefix."""
    own_code: str | None
    """The caller's own code; None when the code is ours."""
    validity_s: int
    """How long the message will be good for."""
    used_providers: Collection[str] = ()
    """Providers already tried in this step."""
    last_step: int = -1
    """The last step that an earlier attempt stands for."""
    taken: Sequence[TakenMessage] = ()
    """Messages of earlier attempts that this step may be another sending of, newest first."""
    recent: Sequence[tuple[str, str | None]] = ()
    """``(provider, sender)`` used for this recipient and channel within the repeat window, oldest first."""
