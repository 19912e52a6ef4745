"""The line every generated page begins with."""

from __future__ import annotations

from typing import Final

MADE: Final = "<!-- Written by `make reference` from the code; change the docstrings there. -->\n"
