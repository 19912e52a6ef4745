"""What a person sees while Kafka is fetched for the first time: a bar on a terminal, a few plain lines elsewhere."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TextIO

from pipeline.dev.jars import Progress

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID


class Lines:
    """One line at the beginning, at each quarter and at the end."""

    def __init__(self, output: TextIO) -> None:
        self._output = output
        self._jars = 0
        self._next_quarter = 1

    def begin(self, version: str, jars: int) -> None:
        """Say what is about to be fetched."""
        self._jars, self._next_quarter = jars, 1
        self._say(f"Fetching Apache Kafka {version} ({jars} jars, once)")

    def advance(self, jar: str, done: int, fetched_bytes: int) -> None:
        """Say it when another quarter is here."""
        if done * 4 >= self._jars * self._next_quarter:
            self._next_quarter = done * 4 // self._jars + 1
            self._say(f"  {done} of {self._jars} jars, {fetched_bytes / 1e6:.0f} MB")

    def end(self) -> None:
        """The last quarter has said it."""

    def step(self, text: str) -> None:
        """Say it."""
        self._say(text)

    def _say(self, line: str) -> None:
        self._output.write(line + "\n")
        self._output.flush()


class TerminalBar:
    """A rich progress bar."""

    def __init__(self, output: TextIO) -> None:
        self._output = output
        self._bar: Bar | None = None
        self._task: TaskID | None = None

    def begin(self, version: str, jars: int) -> None:
        """Show the bar."""
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("jars, {task.fields[megabytes]:.0f} MB"),
            TimeElapsedColumn(),
            console=Console(file=self._output),
        )
        self._bar.start()
        self._task = self._bar.add_task(f"Fetching Apache Kafka {version} (once)", total=jars, megabytes=0.0)

    def advance(self, jar: str, done: int, fetched_bytes: int) -> None:
        """Move the bar."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done, megabytes=fetched_bytes / 1e6)

    def end(self) -> None:
        """Let the terminal go."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def step(self, text: str) -> None:
        """Say it."""
        self._output.write(f"{text} …\n")
        self._output.flush()


def progress_for(output: TextIO = sys.stderr) -> Progress:
    """The bar where a person looks on, lines in a log or a pipe."""
    return TerminalBar(output) if output.isatty() else Lines(output)
