"""Closing, resetting and ignoring connections: what no HTTP framework lets an application do.

A uvicorn protocol hands itself to the application through the ASGI scope. A socket closed with unread input makes
the kernel send RST by itself; SO_LINGER with zero time makes it send RST in any case.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import Mapping
from typing import Any, Final, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from pipeline.simulator.behaviour import ConnectionBehaviour

EXTENSION: Final = "simulator.connection"
_LINGER_ZERO: Final = struct.pack("ii", 1, 0)


def reset(transport: asyncio.Transport) -> None:
    """End a connection with RST, dropping what was not sent yet; nothing happens when it is gone already."""
    if transport.is_closing():
        return
    found = transport.get_extra_info("socket")
    if found is not None:
        # A duplicate shares the connection and takes options also where the loop hands out a stand-in (uvloop).
        with socket.socket(fileno=os.dup(found.fileno())) as duplicate:
            duplicate.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
    transport.abort()


class Gate:
    """Decides about new connections before a byte of them is read."""

    def __init__(self) -> None:
        self.behaviour = ConnectionBehaviour()
        self._left = 0
        self._hung: set[asyncio.Transport] = set()

    @property
    def left(self) -> int:
        """How many connections the fault still awaits."""
        return self._left

    def set(self, behaviour: ConnectionBehaviour) -> None:
        """Arm the fault for the next connections; those hung by the former one are reset."""
        self.release()
        self.behaviour = behaviour
        self._left = behaviour.next

    def refuses(self, transport: asyncio.Transport) -> bool:
        """Whether this connection was ended or hung; nothing was read from it then."""
        if self._left <= 0:
            return False
        self._left -= 1
        transport.pause_reading()
        if self.behaviour.fault == "hang":
            self._hung.add(transport)
        elif self.behaviour.fault == "close":
            transport.close()
        else:
            reset(transport)
        return True

    def lost(self, transport: asyncio.Transport) -> None:
        """A connection is gone."""
        self._hung.discard(transport)

    def release(self) -> None:
        """Reset all hung connections."""
        for transport in list(self._hung):
            reset(transport)
        self._hung.clear()


class Connection(HttpToolsProtocol):
    """One client connection that the application may end as it likes."""

    gate: Gate

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        if self.gate.refuses(transport):
            self.transport = transport
        else:
            super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.gate.lost(self.transport)
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        cast("dict[str, Any]", self.scope)["extensions"] = {EXTENSION: self}

    def reset(self) -> None:
        """End the connection with RST."""
        reset(self.transport)

    def close(self) -> None:
        """Send what was written, then FIN."""
        self.transport.close()


def protocol_with(gate: Gate) -> type[Connection]:
    """A protocol class for one server, as uvicorn makes the instances itself."""
    return type("GatedConnection", (Connection,), {"gate": gate})


def connection_of(scope: Mapping[str, Any]) -> Connection:
    """The connection of a request; raises RuntimeError under a server that is not the simulator's own."""
    connection = scope.get("extensions", {}).get(EXTENSION)
    if connection is None:
        raise RuntimeError("this fault needs the simulator's own server (pipeline.simulator.server.Simulator)")
    return cast(Connection, connection)
