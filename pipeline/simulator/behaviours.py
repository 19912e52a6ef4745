"""Which behaviour a request meets: the rules that were set, then the magic recipients, then the default."""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from pipeline.simulator.behaviour import Behaviour, Fault, Limits, ProviderBehaviour, Rule
from pipeline.simulator.limits import Bounded
from pipeline.simulator.magic import Magic, magic_of

_REMEMBERED_RECIPIENTS = 10_000


@dataclass(slots=True)
class Behaviours:
    """The behaviour of one provider and what was used of it so far."""

    unhappy_answers: tuple[str, ...]
    """The provider's good answers with bad news, for the magic recipients that ask for one; empty if it has none."""
    current: ProviderBehaviour = field(default_factory=ProviderBehaviour)
    rng: random.Random = field(init=False)
    _rules: list[Rule] = field(init=False)
    _used: list[int] = field(init=False)
    _seen: Bounded[tuple[str, str], int] = field(init=False)

    def __post_init__(self) -> None:
        self.set(self.current)

    def set(self, behaviour: ProviderBehaviour) -> None:
        """Replace everything; counts and the generator begin anew."""
        self.current = behaviour
        self._rules = [_inherit(rule, behaviour.default) for rule in behaviour.rules]
        self.rng = random.Random(behaviour.seed)  # noqa: S311 - repeatable on purpose
        self._used = [0] * len(behaviour.rules)
        self._seen = Bounded(_REMEMBERED_RECIPIENTS)

    def before_reading(self, operation: str, sends: bool) -> Behaviour | None:
        """The behaviour that is certain before the body was read, if it says not to read.

        A rule that names a channel or a recipient, or takes only a share, ends the look-ahead: whether it comes first
        is known after reading.
        """
        for index, rule in enumerate(self._rules):
            if rule.when.needs_body or rule.share < 1:
                return None
            if not rule.when.fits(operation=operation, sends=sends, channel=None, recipient=None):
                continue
            if rule.times is not None and self._used[index] >= rule.times:
                continue
            return rule if rule.fault is Fault.CLOSE_BEFORE_READING and self._takes(index) else None
        return None

    def choose(self, *, operation: str, sends: bool, channel: str | None, recipient: str | None) -> Behaviour:
        """The behaviour of a request that was read and understood."""
        for index, rule in enumerate(self._rules):
            fits = rule.when.fits(operation=operation, sends=sends, channel=channel, recipient=recipient)
            if fits and self._takes(index):
                return rule
        if not sends:
            return _PLAIN
        magic = magic_of(recipient) if recipient else None
        if magic is not None and recipient is not None and self._meant(magic, recipient, operation):
            if magic.unhappy is not None and self.unhappy_answers:
                answer = self.unhappy_answers[magic.unhappy]
                return _inherit(magic.behaviour.model_copy(update={"answer": answer}), self.current.default)
            return _inherit(magic.behaviour, self.current.default)
        return self.current.default

    def _takes(self, index: int) -> bool:
        rule = self._rules[index]
        if rule.times is not None and self._used[index] >= rule.times:
            return False
        if rule.share < 1 and self.rng.random() >= rule.share:
            return False
        self._used[index] += 1
        return True

    def _meant(self, magic: Magic, recipient: str, operation: str) -> bool:
        if magic.first is None:
            return True
        seen = self._seen.get((operation, recipient), 0)
        self._seen[operation, recipient] = seen + 1
        return seen < magic.first


_PLAIN = Behaviour(delay_ms=0)
INHERITED = ("delay_ms", "receipt")
"""What a rule or a magic recipient takes from the default where it does not name it."""

B = TypeVar("B", bound=Behaviour)


def _inherit(behaviour: B, default: Behaviour) -> B:
    """How fast a provider is and what it reports stays as the default has it unless something else was said."""
    unsaid = {name: getattr(default, name) for name in INHERITED if name not in behaviour.model_fields_set}
    return behaviour.model_copy(update=unsaid) if unsaid else behaviour


@dataclass(slots=True)
class Throttling:
    """Counts requests against :class:`Limits`; the windows slide."""

    monotonic_s: Callable[[], float] = time.monotonic
    running: int = 0
    _recent: deque[float] = field(default_factory=deque)

    def enter(self, limits: Limits) -> float | None:
        """Begin a request; seconds to wait when it is one too many (it is not begun then)."""
        now = self.monotonic_s()
        if limits.concurrency is not None and self.running >= limits.concurrency:
            return 1.0
        # Below one request a second the distance between two counts, so the window is longer than a second.
        span_s = max(1.0, 1 / limits.per_s) if limits.per_s is not None else 0.0
        window_s = 3_600.0 if limits.per_hour is not None else span_s
        while self._recent and self._recent[0] <= now - window_s:
            self._recent.popleft()
        if limits.per_hour is not None and len(self._recent) >= limits.per_hour:
            return self._recent[0] + 3_600 - now
        if limits.per_s is not None:
            allowed = max(1, int(limits.per_s))
            if len(self._recent) >= allowed and self._recent[-allowed] > now - span_s:
                return self._recent[-allowed] + span_s - now
        if limits.per_s is not None or limits.per_hour is not None:
            self._recent.append(now)
        self.running += 1
        return None

    def leave(self) -> None:
        """End a request that was begun."""
        self.running -= 1
