"""A lock between processes, held by an open file; it goes with the process that holds it, however that ends."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import IO

from pipeline.errors import DeadlinePassed


class FileLock:
    """``with FileLock(path):`` only one process (or thread) at a time gets in.

    The file stays behind: deleting it would let two in, one holding the deleted file and one the new.
    Raises DeadlinePassed after ``timeout_s``.
    """

    def __init__(self, path: Path, timeout_s: float = 600.0) -> None:
        self._path = path
        self._timeout_s = timeout_s
        self._file: IO[bytes] | None = None

    def __enter__(self) -> FileLock:
        file = self._path.open("ab")
        deadline = time.monotonic() + self._timeout_s
        try:
            while not _try_lock(file.fileno()):
                if time.monotonic() > deadline:
                    raise DeadlinePassed(f"another process has held {self._path} for {self._timeout_s:.0f} s")
                time.sleep(0.1)
        except BaseException:
            file.close()
            raise
        self._file = file
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


if sys.platform == "win32":
    import msvcrt

    def _try_lock(descriptor: int) -> bool:
        os.lseek(descriptor, 0, os.SEEK_SET)
        with contextlib.suppress(OSError):
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
            return True
        return False

else:
    import fcntl

    def _try_lock(descriptor: int) -> bool:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        return False
