"""The overview of providers, from the capability tables that the router plans with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from pipeline.model.capabilities import ChannelCapabilities
from pipeline.records.types import Channel
from pipeline.reference_made import MADE
from pipeline.senders.registry import KINDS
from pipeline.senders.shown import ABILITIES, NOTHING

_INTRO: Final = """\
What each kind of provider can do on each channel. This table is the one that the router plans with, for an account that
has every channel and delivery reports set up, and all other settings at their defaults. `pipeline providers list` shows
what yours can do. How answers are read, what a provider leaves open and which setting decides is told on a page each:

"""
_RULES: Final = """\
**Wishes.** A route that cannot honour a *hard* wish (code, its length, sender, signature, text, template, subject,
flow, ttl, amount and payee, options) is skipped; none left is `no_route`, and the detail names the wish, also for a
pinned provider. A *soft* one (language, use case, the person's IP address, brand, preferred channel) that a route
cannot honour is named in the attempt's `adjusted`. A request's own signature is a hard wish: it needs an SMS to
mainland China in the request's plan, as nothing else carries one; other steps beside that SMS name it in `adjusted`. A
tenant's signature is only a default for SMS to mainland China.

**Answers.** Every code and status a provider publishes is in a table of its package in `pipeline/senders/providers/`.
An answer in no table is counted (`verification_unmapped_answers_total`) and taken as *in doubt*: a message may be out
there. A lost answer is never repeated; a look-up, a receipt or the step's deadline decides.

**Two accounts** at one provider are two sections with a `kind`; routes, receipts and figures go by the section's name.
"""


def providers_page() -> str:
    """Every kind of provider, channel by channel."""
    lines = ["# Providers", "", MADE, _INTRO]
    lines += [" · ".join(f"[{kind}](providers/{kind}.md)" for kind in sorted(KINDS)), ""]
    for kind in sorted(KINDS):
        channels = KINDS[kind].capabilities.channels
        lines += [f"## {kind}", "", *_table(channels.items()), ""]
    return "\n".join([*lines, "## Rules for all", "", _RULES])


def _table(channels: Iterable[tuple[Channel, ChannelCapabilities]]) -> Iterator[str]:
    known = sorted(channels)
    yield "| | " + " | ".join(channel.value for channel, _ in known) + " |"
    yield "|---" * (len(known) + 1) + "|"
    for name, shown in ABILITIES:
        values = [shown(able) for _, able in known]
        if any(value != NOTHING for value in values):
            yield f"| {name} | " + " | ".join(values) + " |"
