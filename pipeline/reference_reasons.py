"""The page of reasons, from the closed lists of :mod:`pipeline.model.reasons`."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from pipeline.gateway.problems import SENTENCES
from pipeline.model.reasons import DEAD_LETTER_SENTENCE, REPLY_SENTENCE, SENTENCE, STATE
from pipeline.reference_made import MADE

_INTRO: Final = """\
Closed lists: a program may decide by them, a person reads the `detail` beside them. Further ones may come with a
release, so treat one you do not know like its state.
"""


def reasons_page() -> str:
    """Every reason with its meaning and the state it leads to."""
    return "\n".join(
        [
            "# Reasons",
            "",
            MADE,
            _INTRO,
            "## Outcomes and attempts",
            "",
            "`reason` of VerificationOutcome, of its attempts and of metrics. The state is that of a verification that",
            "ends for this reason; a verified one has none.",
            "",
            *_table(("reason", "state", "meaning"), ((r, f"`{STATE[r]}`", SENTENCE[r]) for r in SENTENCE)),
            "",
            "## Replies",
            "",
            "`reason` of Reply. Of checks, `ok` goes with `valid`; of commands, with `accepted`.",
            "",
            *_table(("reason", "meaning"), REPLY_SENTENCE.items()),
            "",
            "## Dead letters",
            "",
            "`reason` of DeadLetter.",
            "",
            *_table(("reason", "meaning"), DEAD_LETTER_SENTENCE.items()),
            "",
            "## Problem documents",
            "",
            "`reason` of the gateway's errors (RFC 9457).",
            "",
            *_table(("reason", "meaning"), SENTENCES.items()),
            "",
        ]
    )


def _table(columns: tuple[str, ...], rows: Iterable[tuple[StrEnum | str, ...]]) -> list[str]:
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    lines += [f"| `{row[0]}` | {' | '.join(row[1:])} |" for row in rows]
    return lines
