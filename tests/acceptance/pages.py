"""A page of the docs as its reader goes through it: what is typed, and what the page says comes back."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

FENCE: Final = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
ASSIGNMENT: Final = re.compile(r"[A-Z]+=")


@dataclass(frozen=True, slots=True)
class Step:
    """One block to type, and the answer that the page shows below it (to the last command of the block)."""

    commands: str
    told: str | None


def steps(page: Path, *, since: str) -> list[Step]:
    """The shell blocks behind the heading ``since``, each with the block of an answer that follows it."""
    _, found, rest = page.read_text(encoding="utf-8").partition(f"\n## {since}\n")
    assert found, f"{page.name} has no heading {since!r}"
    blocks = [(match[1], match[2]) for match in FENCE.finditer(rest)]
    following = [*blocks[1:], ("", "")]
    return [
        Step(text, after if kind != "sh" else None)
        for (language, text), (kind, after) in zip(blocks, following, strict=True)
        if language == "sh"
    ]


class Shell:
    """Types blocks into bash; what a block assigns is known to the later ones.

    ``here`` is what has other names on this machine than on the page, such as addresses and numbers; ``before`` is
    typed before each block.
    """

    def __init__(self, here: Mapping[str, str], *, before: str = "") -> None:
        self.here = dict(here)
        self._assigned = [before]

    def type(self, commands: str) -> str:
        """Run a block; returns what it prints, or if that is nothing, what it complains of."""
        lines = self.text(commands).splitlines()
        script = "\n".join([*self._assigned, *lines])
        self._assigned += [line for line in lines if ASSIGNMENT.match(line)]
        done = subprocess.run(["bash", "-uc", script], capture_output=True, text=True, timeout=120)
        return done.stdout or done.stderr

    def text(self, of_the_page: str) -> str:
        """The same with the names that things have here."""
        for theirs, ours in self.here.items():
            of_the_page = of_the_page.replace(theirs, ours)
        return of_the_page


def difference(told: str, answered: str, *, free: Iterable[str]) -> str | None:
    """Where an answer is not the one a page tells, or None. A page may leave out headers and members, and shorten a
    header's value; members named in ``free`` have another value each time.
    """
    told_head, _, told_body = told.strip().rpartition("\n\n")
    # Line ends of HTTP; and the body is the last thing, also where a block asks more than once.
    head, _, body = answered.replace("\r\n", "\n").strip().rpartition("\n\n")
    if not told_head:
        told_body, body = told.strip(), answered.strip()
    else:
        status, *headers = told_head.splitlines()
        came = head[head.rindex("HTTP/") :].splitlines()
        # The words behind the number are missing in later versions of HTTP, and nobody may rely on them.
        if came[0].split()[1] != status.split()[1]:
            return f"{came[0]} instead of {status}"
        known = {name.lower(): value for name, _, value in (line.partition(": ") for line in came[1:])}
        for name, _, value in (line.partition(": ") for line in headers):
            if name not in known or not (name in free or known[name].startswith(value)):
                return f"{name}: {known.get(name)} instead of {value}"
    return _missing(json.loads(told_body), json.loads(body), "", frozenset(free))


def _missing(told: Any, came: Any, where: str, free: frozenset[str]) -> str | None:
    if isinstance(told, dict) and isinstance(came, dict):
        names = [name for name in told if name not in free or name not in came]
        pairs = [(f"{where}.{name}", told[name], came.get(name, "nothing")) for name in names]
    elif isinstance(told, list) and isinstance(came, list) and len(told) == len(came):
        pairs = [(f"{where}[{i}]", one, other) for i, (one, other) in enumerate(zip(told, came, strict=True))]
    else:
        return None if told == came else f"{where}: {came!r} instead of {told!r}"
    return next((found for name, one, other in pairs if (found := _missing(one, other, name, free))), None)
