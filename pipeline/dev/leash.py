"""Run a command that must not outlive the process that wanted it: ``leash.py GRACE_S LOG COMMAND...``.

The wanter holds the other end of our standard input. When that end closes, because it asked for an end or because
it is gone, however it went (also by ``kill -9``), the command gets SIGTERM and after GRACE_S seconds SIGKILL.

A process of its own instead of ``PR_SET_PDEATHSIG``, as that signal is tied to the *thread* that started the child
(a test fixture's helper thread ends long before the tests do) and exists on Linux only. Standard library only and no
import of ours: it starts in 20 ms.

Prints the command's process id as its first line, and ends with the command's exit code (128 + n for signal n).
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading


def main(arguments: list[str]) -> int:
    """Start the command and wait for its end or for the end of our standard input."""
    grace_s, log, *command = arguments
    with open(log, "ab") as output:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)  # noqa: S603

    def end_with_wanter() -> None:
        # Not by a buffered reader: a thread that sits in one at the end of the interpreter aborts it, and the command's
        # exit code would be lost. Nobody writes, so a byte or none is the end.
        os.read(0, 1)
        child.terminate()
        try:
            child.wait(float(grace_s))
        except subprocess.TimeoutExpired:
            child.kill()

    sys.stdout.write(f"{child.pid}\n")
    sys.stdout.flush()
    threading.Thread(target=end_with_wanter, daemon=True).start()
    code = child.wait()
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
