"""The program with a wall clock that is wrong from its start; its monotonic clock is right.

Usage: ``python -m tests.faults.pipeline.skewed MILLISECONDS ARGUMENTS...``, the arguments being those of ``pipeline``.
"""

from __future__ import annotations

import sys
import time
from typing import Final

from pipeline.cli import main
from pipeline.clock import SystemClock

if __name__ == "__main__":
    WRONG_MS: Final = int(sys.argv.pop(1))
    SystemClock.now_ms = lambda self: time.time_ns() // 1_000_000 + WRONG_MS  # type: ignore[method-assign]
    main()
