"""Who makes the code of a message, and how long it is (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from pipeline.model.capabilities import ChannelCapabilities
from pipeline.records.internal import Plan
from pipeline.records.types import CodeHolder


class CodeBounds(Protocol):
    """Which codes a call can carry: those of a channel, or of a call that walks over several."""

    @property
    def own_code(self) -> bool: ...
    @property
    def code_min(self) -> int: ...
    @property
    def code_max(self) -> int: ...
    @property
    def provider_code(self) -> tuple[int, int] | None: ...
    @property
    def length_told(self) -> bool: ...


class Code(NamedTuple):
    """The code of one attempt."""

    holder: CodeHolder
    length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeRules:
    """What the deployment allows."""

    allow_provider_codes: bool = True
    min_lengths: Mapping[str, int] = field(default_factory=dict)
    """The tenants' shortest codes."""

    def choose(self, bounds: CodeBounds, plan: Plan, *, callers: bool, spelled: bool = True) -> Code | str:
        """The code of an attempt, or the name of the wish that keeps it from being carried.

        ``callers``: the code is the caller's own. ``spelled``: its signs can be carried, whatever its length.
        """
        if callers and not (bounds.own_code and spelled):
            return "code"
        if bounds.own_code and bounds.code_min <= plan.code_length <= bounds.code_max:
            return Code(CodeHolder.CALLER if callers else CodeHolder.OURS, plan.code_length)
        if callers:
            return "code_length"
        may_make = bounds.provider_code is not None and self.allow_provider_codes
        # What a provider makes is bound to no payment.
        if bounds.provider_code is not None and may_make and plan.amount is None:
            made = self._made_length(plan, *bounds.provider_code, told=bounds.length_told)
            return "code_length" if made is None else Code(CodeHolder.PROVIDER, made)
        if bounds.own_code:
            return "code_length"
        return "amount" if may_make else "code"

    def _made_length(self, plan: Plan, shortest: int, longest: int, *, told: bool) -> int | None:
        """How long a code the provider makes: as planned, else as near to that as it can where nobody asked for it.

        One that is not told the length may make the shortest as well as any other, so all of them must be allowed.
        """
        allowed = self.min_lengths.get(plan.tenant, 0)
        if not told and shortest < longest and (plan.code_length_asked or shortest < allowed):
            return None
        shortest = max(shortest, allowed)
        if shortest > longest or (plan.code_length_asked and not shortest <= plan.code_length <= longest):
            return None
        return min(max(plan.code_length, shortest), longest)


def spells(able: ChannelCapabilities, code: str) -> bool:
    """Whether a channel carries the signs of this code."""
    return (code.isdigit() or not able.code_digits_only) and (code[0] != "0" or able.code_leading_zero)
