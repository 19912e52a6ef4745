"""The overview of providers, from the capability tables that the router plans with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from pipeline.model.capabilities import ChannelCapabilities
from pipeline.records.types import Channel
from pipeline.reference_made import MADE
from pipeline.senders.registry import KINDS

_INTRO: Final = """\
What each kind of provider can do on each channel. This table is the one that the router plans with; what depends on an
account (its channels, receipts, a provider that walks the channels itself) is as without settings. `pipeline providers
list` shows the configured ones. How answers are read, what a provider leaves open and which setting decides is told on
a page each:

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
    for name, shown in _ROWS:
        values = [shown(able) for _, able in known]
        if any(value != "–" for value in values):
            yield f"| {name} | " + " | ".join(values) + " |"


def _own_code(able: ChannelCapabilities) -> str:
    if not able.own_code:
        return "–"
    signs = "digits" if able.code_digits_only else "letters or digits"
    return f"{_span(able.code_min, able.code_max)} {signs}{'' if able.code_leading_zero else ', no leading zero'}"


def _made(able: ChannelCapabilities) -> str:
    if able.provider_code is None:
        return "–"
    return f"{_span(*able.provider_code)}, " + ("asked for a verdict" if able.check else "told in the answer")


def _languages(able: ChannelCapabilities) -> str:
    if able.languages is None:
        return "any"
    return f"{len(set(able.languages.values()))}, else {able.default_language}"


def _times(seconds: tuple[int, ...]) -> str:
    return ", ".join(map(str, seconds)) + " s" if seconds else "–"


def _span(low: int, high: int) -> str:
    return str(low) if low == high else f"{low}-{high}"


def _yes(attribute: str) -> Callable[[ChannelCapabilities], str]:
    return lambda able: "yes" if getattr(able, attribute) else "–"


def _optional(text: str | None) -> str:
    return text or "–"


_ROWS: Final[tuple[tuple[str, Callable[[ChannelCapabilities], str]], ...]] = (
    ("our code or the caller's", _own_code),
    ("makes codes itself", _made),
    ("languages", _languages),
    ("texts of ours", _yes("text")),
    ("subject", _yes("subject")),
    ("sender", _yes("sender")),
    (
        "signature",
        lambda able: "needed for " + ", ".join(sorted(able.needs_signature)) if able.needs_signature else "–",
    ),
    ("voice flow", _yes("flow_id")),
    ("brand", _yes("brand")),
    ("use case", _yes("use_case")),
    ("the person's IP address", _yes("end_user_ip")),
    ("amount and payee", _yes("amount")),
    ("ttl", lambda able: "–" if able.ttl is None else f"{_span(*able.ttl)} s"),
    ("least validity", lambda able: f"{able.min_validity_s} s" if able.min_validity_s else "–"),
    ("options", lambda able: _optional(" ".join(f"`{name}`" for name in able.options))),
    ("countries", lambda able: "–" if able.countries is None else _optional(" ".join(sorted(able.countries)))),
    ("delivery reports", lambda able: f"found by {able.correlation.value}" if able.receipts else "–"),
    ("status asked for after", lambda able: _times(able.lookups_s)),
    ("lost answers looked for after", lambda able: _times(able.finds_lost_s)),
    ("told of success", _yes("report")),
    ("can be stopped", _yes("cancel")),
    ("tells the cost", _yes("cost")),
)
