"""A child process that cannot outlive us; what :mod:`pipeline.dev.leash` does, seen from the wanter's side."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.dev import leash
from pipeline.errors import Infrastructure


class LeashedProcess:
    """One running command, its output going to ``log``. Bound to no event loop and no thread.

    ``grace_s`` is how long it may take to end after SIGTERM before it is killed; ``environment`` None is ours. Raises
    Infrastructure when the command cannot be started.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        log: Path,
        folder: Path,
        grace_s: float,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        # A session of its own: Ctrl-C in a terminal goes to the whole foreground group, and would end the broker
        # before those who still write to it.
        self._leash = subprocess.Popen(  # noqa: S603
            [sys.executable, "-I", "-S", leash.__file__, str(grace_s), str(log), *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            env=environment,
            start_new_session=True,
        )
        assert self._leash.stdout is not None
        first = self._leash.stdout.readline()
        if not first:
            self.end()
            raise Infrastructure(f"{command[0]} could not be started")
        self.pid = int(first)

    @property
    def running(self) -> bool:
        """Whether the command is still there."""
        return self._leash.poll() is None

    def kill(self) -> None:
        """SIGKILL, and wait for its end."""
        if self.running:
            # Only the leash can have waited for the process, and the leash ends right after: as long as it runs, the
            # id is not somebody else's (but for the blink between the two, in which no id comes round again).
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        self.end()

    def end(self) -> int:
        """Let it end cleanly, after the grace by SIGKILL; returns its exit code (128 + n for signal n)."""
        assert self._leash.stdin is not None
        assert self._leash.stdout is not None
        self._leash.stdin.close()
        code = self._leash.wait()
        self._leash.stdout.close()
        return code
