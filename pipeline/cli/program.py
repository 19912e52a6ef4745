"""How this program is called and how it is ended, for the commands that run until they are told to stop."""

from __future__ import annotations

import shlex
import signal
import sys
from pathlib import Path


def program() -> str:
    """What to type to call this program again, from any folder and in a shell where no environment is active."""
    called = Path(sys.argv[0])
    if called.stem == "pipeline" and called.is_file():
        return shlex.quote(str(called.absolute()))
    return f"{shlex.quote(sys.executable)} -m pipeline"


def stop_signals() -> tuple[signal.Signals, ...]:
    """Ctrl-C, a supervisor's stop, a closed terminal; without the last one where it is ignored, as below nohup."""
    if sys.platform == "win32":
        return ()
    hangup = () if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else (signal.SIGHUP,)
    return (signal.SIGINT, signal.SIGTERM, *hangup)
