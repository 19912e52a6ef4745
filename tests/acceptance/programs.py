"""The example programs of other languages: built with their own tools, run as a person would type into them.

A language whose tools are absent, or too old, is skipped. So are, on a person's machine, dependencies that cannot be
fetched; with ``CI=true`` that fails. A program that does not compile fails everywhere. Caches are the tools' own.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.acceptance.harness import ROOT
from tests.kafka_fixtures import IN_CI

EXAMPLES: Final = ROOT / "docs" / "how-to" / "examples"
BUILD_S: Final = 240
"""How long fetching and compiling may take, each; on a machine with nothing cached it is under a minute."""


class Absent(Exception):
    """This language cannot be tried here; the message says why."""


@dataclass(frozen=True, slots=True)
class Language:
    """How one example is built and run; the commands are those of its how-to."""

    needs: Mapping[str, tuple[str, tuple[int, ...]]]
    """Tools: how each tells its version, and the least."""
    fetch: str
    build: str | None
    run: tuple[str, ...]


# The quickest to build first: its tests run while the others are still being built.
LANGUAGES: Final[Mapping[str, Language]] = {
    "node": Language(
        needs={"node": ("--version", (20, 19, 4)), "npm": ("--version", (9,))},
        fetch="npm ci",
        build=None,
        run=("node", "verify.js"),
    ),
    "go": Language(
        needs={"go": ("version", (1, 25))},
        fetch="go mod download",
        build="go build -o verify .",
        run=("./verify",),
    ),
    "java": Language(
        needs={"mvn": ("-version", (3, 6, 3)), "javac": ("-version", (17,))},
        fetch="mvn --quiet dependency:copy-dependencies -DincludeScope=runtime",
        build="mvn --quiet compile",
        run=("java", "-cp", "target/classes:target/dependency/*", "Verify"),
    ),
}


class Builds:
    """Builds all languages at once, as they mostly wait for their downloads, each in a copy of its folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pool = ThreadPoolExecutor(len(LANGUAGES))
        self._built: dict[str, Future[Path]] = {name: self._pool.submit(self._build, name) for name in LANGUAGES}

    def close(self) -> None:
        """Wait for what was begun."""
        self._pool.shutdown(cancel_futures=True)

    def folder_of(self, name: str) -> Path:
        """The folder of a program that can be run; skips when it cannot be tried here."""
        try:
            return self._built[name].result()
        except Absent as reason:
            pytest.skip(str(reason))

    def environment(self) -> dict[str, str]:
        """Ours. The tools keep their caches below HOME; without one that can be written to they get a fresh one."""
        home = os.environ.get("HOME", "")
        usable = bool(home) and os.access(home, os.W_OK)
        return dict(os.environ) | ({} if usable else {"HOME": str(self._folder)})

    def _build(self, name: str) -> Path:
        language = LANGUAGES[name]
        for tool, (option, least) in language.needs.items():
            self._check(tool, option, least)
        folder = self._folder / name
        leftovers = shutil.ignore_patterns("target", "node_modules", "verify")
        shutil.copytree(EXAMPLES / name, folder, ignore=leftovers)
        failed = self._ended(language.fetch, folder)
        if failed and not IN_CI:
            raise Absent(f"the libraries of {name} cannot be fetched: {failed[-300:]}")
        assert not failed, f"the libraries of {name} cannot be fetched:\n{failed}"
        if language.build is not None:
            failed = self._ended(language.build, folder)
            assert not failed, f"the program in {name} does not compile:\n{failed}"
        return folder

    def _check(self, tool: str, option: str, least: tuple[int, ...]) -> None:
        path = shutil.which(tool)
        if path is None:
            raise Absent(f"{tool} is not installed")
        told = subprocess.run([path, option], capture_output=True, text=True, timeout=60, env=self.environment())
        version = re.search(r"\d+(?:\.\d+)+", told.stdout + told.stderr)
        if version is None or tuple(map(int, version[0].split("."))) < least:
            raise Absent(f"{tool} is {version[0] if version else 'broken'}, not {'.'.join(map(str, least))} or newer")

    def _ended(self, command: str, folder: Path) -> str | None:
        """Run to the end; what went wrong, or None."""
        try:
            done = subprocess.run(
                command.split(),
                cwd=folder,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=BUILD_S,
            )
        except subprocess.TimeoutExpired:
            return f"`{command}` was not done after {BUILD_S} s"
        return None if done.returncode == 0 else f"`{command}`: {done.stdout}{done.stderr}"


class Program:
    """One run of an example; ends with the ``with`` block."""

    def __init__(self, language: str, folder: Path, environment: Mapping[str, str], *arguments: str) -> None:
        self._lines: list[str] = []
        self._changed = threading.Condition()
        self._process = subprocess.Popen(
            [*LANGUAGES[language].run, *arguments],
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            bufsize=1,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait(10)
        self._reader.join(10)
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()

    @property
    def lines(self) -> list[str]:
        """What it printed so far."""
        with self._changed:
            return list(self._lines)

    def type(self, line: str) -> None:
        """What a person types."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def line(self, start: str, within_s: float = 30.0) -> str:
        """The first line that begins so, waited for."""
        return self._wait(lambda: next((line for line in self._lines if line.startswith(start)), None), start, within_s)

    def ended(self, within_s: float = 30.0) -> int:
        """Its exit code, waited for; everything it printed is in ``lines`` then."""
        try:
            code = self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it goes on after {within_s:g} s: {self.lines}") from None
        self._reader.join(10)
        return code

    def _wait(self, look: Callable[[], str | None], what: str, within_s: float) -> str:
        deadline = time.monotonic() + within_s
        with self._changed:
            while True:
                found = look()
                if found is not None:
                    return found
                assert self._reader.is_alive(), f"it ended without a line `{what}`: {self._lines}"
                assert time.monotonic() < deadline, f"no line `{what}` within {within_s:g} s: {self._lines}"
                self._changed.wait(0.5)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._changed:
                self._lines.append(line.rstrip("\n"))
                self._changed.notify_all()
