"""One message, with everything filled in but its code."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from pipeline.model.messages.direction import Direction, direction, filled
from pipeline.model.text import render

_CODE: Final = re.compile(r"[A-Za-z0-9]+")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Message:
    """A text of ours. Filled in in one pass, so that a brand or payee that looks like a placeholder stays as it is."""

    template: str
    """With its placeholders; in an SMS perhaps with an autofill line, which shows the code once more."""
    values: Mapping[str, str] = field(default_factory=dict)
    """For all placeholders but ``{code}``."""
    language: str = "en"
    """BCP-47 tag of the text; of a step's own text, the one it was wished in."""
    subject: str | None = None
    """Filled in, one line, without the code; e-mail only."""
    wished: bool = False
    """The step names its text or template, so a provider's own wording will not do."""
    spoken: bool = False
    """For a voice that reads it out, so codes are given sign by sign."""
    unlined: str | None = None
    """The template before the autofill line was added to it; None where none was."""

    @property
    def direction(self) -> Direction:
        """Which way the text runs, as HTML wants to know it."""
        return direction(self.template)

    def without_autofill(self) -> Message:
        """For a provider that takes no more signs: a code that has to be typed is better than none."""
        return self if self.unlined is None else replace(self, template=self.unlined, unlined=None)

    def text(self, code: str) -> str:
        """The text with ``code``, which may be the sign a provider puts the code at, such as ``$$CODE$$``.

        Such a sign is left as it is: how its code is spoken is the provider's doing.
        """
        if self.spoken:
            # Nothing is laid out here, so nothing is wrapped: a voice might read the isolates.
            return render(self.template, {**self.values, "code": spoken_code(code)})
        if _CODE.fullmatch(code):
            return filled(self.template, {**self.values, "code": code})
        return filled(self.template, self.values, bare={"code": code})


def spoken_code(code: str) -> str:
    """A code as a voice should read it: ``4, 8, 2``; letters as capitals, which are read by their names.

    Anything but ASCII letters and digits is no code but the sign a provider puts it at, and stays as it is.
    """
    return ", ".join(code.upper()) if _CODE.fullmatch(code) else code
