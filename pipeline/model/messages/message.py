"""One message, with everything filled in but its code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.model.text import render


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Message:
    """A text of ours. Filled in in one pass, so that a brand or payee that looks like a placeholder stays as it is."""

    template: str
    """With its placeholders."""
    values: Mapping[str, str] = field(default_factory=dict)
    """For all placeholders but ``{code}``."""
    language: str = "en"
    """BCP-47 tag of the text."""
    subject: str | None = None
    """Filled in; e-mail only."""
    wished: bool = False
    """The step names its text or template, so a provider's own wording will not do."""

    def text(self, code: str) -> str:
        """The text with ``code``, which may be the sign a provider puts the code at."""
        return render(self.template, {**self.values, "code": code})
