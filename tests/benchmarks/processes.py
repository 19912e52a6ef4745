"""What another process on this machine uses, read from ``/proc``."""

from __future__ import annotations

import os
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
LISTENING = "0A"


def cpu_s(pid: int) -> float:
    """CPU seconds it has used, of user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def resident_bytes(pid: int) -> int:
    """Memory it holds (RSS)."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE


def open_files(pid: int) -> int:
    """File descriptors it has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def listening(address: str) -> int:
    """Which process listens on the port of ``host:port``; raises LookupError when none of ours does."""
    port = f"{int(address.rpartition(':')[2]):04X}"
    sockets: set[str] = set()
    for table in ("tcp", "tcp6"):
        lines = [line.split() for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]]
        sockets |= {f"socket:[{e[9]}]" for e in lines if e[1].endswith(f":{port}") and e[3] == LISTENING}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if any(os.readlink(each) in sockets for each in (process / "fd").iterdir()):
                return int(process.name)
        except OSError:
            continue  # ended meanwhile, or somebody else's
    raise LookupError(f"no process of ours listens at {address}")
