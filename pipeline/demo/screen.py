"""What a person sees while it runs: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Protocol, TextIO

from pipeline.demo.case import Case

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID


class Screen(Protocol):
    """Told what goes on."""

    def say(self, text: str) -> None:
        """A line."""

    def begin(self, total: int) -> None:
        """``total`` cases are about to be played."""

    def ended(self, case: Case) -> None:
        """One of them has ended."""

    def end(self) -> None:
        """No more will."""


class LineScreen:
    """A line for each tenth."""

    def __init__(self, output: TextIO) -> None:
        self._output = output
        self._total = self._done = 0

    def say(self, text: str) -> None:
        """Write it at once, so that a log can be followed."""
        self._output.write(text + "\n")
        self._output.flush()

    def begin(self, total: int) -> None:
        """Count from nothing."""
        self._total, self._done = total, 0

    def ended(self, case: Case) -> None:
        """Say it when another tenth is done."""
        before, self._done = self._done, self._done + 1
        if self._done * 10 // self._total > before * 10 // self._total:
            self.say(f"  {self._done} of {self._total} ended")

    def end(self) -> None:
        """The last tenth has said it."""


class TerminalScreen:
    """A rich progress bar with what is still to come."""

    def __init__(self, output: TextIO) -> None:
        self._output = output
        self._bar: Bar | None = None
        self._task: TaskID | None = None
        self._ends: Counter[str] = Counter()

    def say(self, text: str) -> None:
        """Above the bar when there is one."""
        if self._bar is not None:
            self._bar.console.print(text, markup=False, highlight=False)
        else:
            self._output.write(text + "\n")
            self._output.flush()

    def begin(self, total: int) -> None:
        """Show the bar."""
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        self._bar = Progress(
            TextColumn("  {task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[ends]}", style="dim"),
            console=Console(file=self._output),
            transient=True,
        )
        self._bar.start()
        self._task = self._bar.add_task("verifications", total=total, ends="")

    def ended(self, case: Case) -> None:
        """Move it."""
        self._ends[case.expected.end] += 1
        if self._bar is not None and self._task is not None:
            counts = ", ".join(f"{count} {end}" for end, count in self._ends.most_common(4))
            self._bar.update(self._task, advance=1, ends=counts)

    def end(self) -> None:
        """Let the terminal go."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def screen_for(output: TextIO) -> Screen:
    """A bar where a person looks on."""
    return TerminalScreen(output) if output.isatty() else LineScreen(output)
