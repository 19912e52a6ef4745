"""Free TCP ports for brokers that come back on the same port after a crash."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterable
from typing import Final

from pipeline.errors import Infrastructure

RANGE: Final = range(20_000, 30_000)
"""Below every system's range of outgoing ports. There, while a broker is down, a client's own reconnect could be
given the very port it connects to, connect to itself, and keep the broker from ever coming back."""


def is_free(host: str, port: int) -> bool:
    """Whether something could listen there now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as Java does: TIME_WAIT does not count as taken
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def free_port(host: str, *, avoid: Iterable[int] = (), randomness: random.Random | None = None) -> int:
    """A port nobody listens on; picked at random so that two processes hardly ever pick the same."""
    source = randomness or random.SystemRandom()
    avoided = set(avoid)
    for _ in range(200):
        port = source.choice(RANGE)
        if port not in avoided and is_free(host, port):
            return port
    raise Infrastructure(f"no free port on {host} between {RANGE.start} and {RANGE.stop}")
