"""What a check of the settings has to say."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pipeline.settings.root import Settings


class Finding(NamedTuple):
    """One problem of settings whose values are fine each by itself."""

    message: str
    """``path: problem; fix``; holds no value that could be a secret."""
    also: tuple[str, ...] = ()
    """Paths of the other settings it was drawn from: it is not told while one of them is wrong itself."""

    def rests_on(self, path: str) -> bool:
        """Whether the value at ``path``, or one below it, led to this."""
        settings = (self.message.partition(": ")[0], *self.also)
        return any(each == path or each.startswith((f"{path}.", f"{path}[")) for each in settings)


Check = Callable[["Settings"], Iterable[Finding]]
"""Looks at settings that are complete, though not necessarily sensible."""
