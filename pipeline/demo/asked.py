"""What was asked of the providers: which of the simulator's calls is a send, a check, a look-up, a report, a cancel."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

from pipeline.records.types import CommandKind
from pipeline.simulator.providers import KINDS

Call = Mapping[str, Any]
"""One line of the simulator's ``/calls``."""

_ERRANDS: Final[Mapping[tuple[str, str], CommandKind]] = MappingProxyType(
    {
        # A check at YCloud judges nobody: it holds no code that we made, and only hears of our success.
        ("ycloud", "check"): CommandKind.REPORT,
        ("ycloud", "list_sms"): CommandKind.LOOKUP,
        ("ycloud", "list_voices"): CommandKind.LOOKUP,
        ("telesign", "completion"): CommandKind.REPORT,
        ("bird", "check"): CommandKind.CHECK,
        ("bird", "get"): CommandKind.LOOKUP,
        ("bird", "list"): CommandKind.LOOKUP,
        ("thundersms", "check"): CommandKind.CHECK,
        ("thundersms", "search"): CommandKind.LOOKUP,
        ("thundersms", "cancel"): CommandKind.CANCEL,
    }
)
"""Kind of provider and operation → what a sender asks by it, beside the operations that send."""

NAMED: Final = frozenset(
    {("ycloud", "start"), ("telesign", "sms"), ("telesign", "call"), ("thundersms", "send"), ("smtp", "send")}
)
"""Sends that carry our reference; at Telesign as a token in the address for its callbacks, which Smart Verify lacks."""
REPORTED_TO: Final = frozenset(provider for (provider, _), kind in _ERRANDS.items() if kind is CommandKind.REPORT)
"""Kinds of provider that hear of the success of codes they did not make."""


def kind_of(call: Call) -> CommandKind | None:
    """What was asked; None for an operation that no sender of ours makes use of."""
    provider, operation = call["provider"], call["operation"]
    if provider in KINDS and operation in KINDS[provider].sending:
        return CommandKind.SEND
    if (provider, operation) == ("telesign", "status"):
        return CommandKind.LOOKUP if call["code"] is None else CommandKind.CHECK
    return _ERRANDS.get((provider, operation))


def by_recipient(calls: Iterable[Call]) -> Counter[tuple[str | None, CommandKind | None]]:
    """How often each thing was asked for each recipient; a list of messages is for none."""
    return Counter((call["recipient"], kind_of(call)) for call in calls)
