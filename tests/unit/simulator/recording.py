"""Requests that the providers' own Python SDKs sent, byte for byte but for line ends, to the simulator.

Of ``telesignenterprise`` 4.1.0 (``telesign`` 4.1.1) and ``neutrino-api-client-requests`` 4.7.1, in the order of the
files. Every message of Telesign's was named :data:`MESSAGE_ID`, so that the questions about it could be signed.
"""

from __future__ import annotations

from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent / "recorded"
MESSAGE_ID: Final = "A1592C6FE3844CDBBC42C3AB970369E9"
OF_THE_LIBRARY: Final = frozenset({"host", "user-agent", "accept", "accept-encoding", "connection"})
"""Headers that ``requests`` adds, and each other library in its own way; no SDK names them but ``User-Agent``."""


@dataclass(frozen=True)
class Recorded:
    """One request."""

    name: str
    method: str
    target: str
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes

    @property
    def own_headers(self) -> dict[str, str]:
        """What the SDK itself says."""
        return {name: value for name, value in self.headers.items() if name not in OF_THE_LIBRARY}

    @property
    def at_ms(self) -> int:
        """When it was sent, by its own word."""
        return int(parsedate_to_datetime(self.headers["date"]).timestamp()) * 1_000


def recorded(provider: str) -> dict[str, Recorded]:
    """The requests to one provider by name; each is ``### name``, request line, headers, an empty line, body."""
    found = {}
    for block in ("\n" + (FOLDER / f"{provider}.http").read_text(encoding="utf-8")).split("\n### ")[1:]:
        name, request = block.split("\n", 1)
        head, _, body = request.partition("\n\n")
        line, *headers = head.split("\n")
        method, target, _ = line.split(" ")
        pairs = (header.partition(":")[::2] for header in headers)
        named = {key.lower(): value.strip() for key, value in pairs}
        size = int(named.get("content-length", "0"))
        found[name] = Recorded(name, method, target, named, body.encode()[:size])
    return found
