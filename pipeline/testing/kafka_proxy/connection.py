"""One client's connection through the proxy: a pump each way, frame by frame, with the faults between."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from pipeline.testing.kafka_proxy.faults import Delay, Direction, Drop, Fault, HalfClose, Hold, Reset
from pipeline.testing.kafka_proxy.framing import SIZE_BYTES, NotKafka, Request, correlation_of, request_of, size_of

MAX_UNANSWERED: Final = 1_000
"""So many requests of a connection are remembered until they are answered; a client of ours has a handful."""
NO_LINGER: Final = struct.pack("ii", 1, 0)
"""SO_LINGER of zero seconds: closing then sends RST."""


class Broken(Exception):
    """The connection ends here: by a fault, or because one side did so."""


class Stream:
    """One of the two sides."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def frame(self) -> bytes | None:
        """The next frame with its size; None after the last. Raises Broken, and NotKafka."""
        try:
            head = await self._reader.readexactly(SIZE_BYTES)
            return head + await self._reader.readexactly(size_of(head))
        except asyncio.IncompleteReadError as error:
            if error.partial:
                raise Broken("closed within a frame") from error
            return None
        except OSError as error:
            raise Broken("reset by its peer") from error

    async def write(self, frame: bytes) -> bool:
        """Pass a frame on, as fast as it is taken; False when nobody is there to take it."""
        try:
            self._writer.write(frame)
            await self._writer.drain()
        except OSError:
            return False
        return not self._writer.is_closing()

    def finish(self) -> None:
        """FIN: nothing more comes from here."""
        with contextlib.suppress(OSError, RuntimeError):
            self._writer.write_eof()

    def reset(self) -> None:
        """RST, unless it is closed already."""
        found = self._writer.get_extra_info("socket")
        with contextlib.suppress(OSError):
            found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
        self._writer.transport.abort()


class Connection:
    """Passes frames between ``client`` and ``broker`` until both have closed, or a fault cuts them apart.

    ``faults`` is looked at anew for every frame. A side that has closed does not stop what is still on its way to the
    other one.
    """

    def __init__(self, client: Stream, broker: Stream, faults: Sequence[Fault]) -> None:
        self._client = client
        self._broker = broker
        self._faults = faults
        self._name: str | None = None
        self._unanswered: OrderedDict[int, Request] = OrderedDict()

    async def run(self) -> None:
        """Pump until the end; raises NotKafka."""
        pumps = [asyncio.create_task(self._requests()), asyncio.create_task(self._responses())]
        try:
            done, _ = await asyncio.wait(pumps, return_when=asyncio.FIRST_EXCEPTION)
            for pump in done:
                pump.result()
        except Broken:
            pass
        finally:
            for pump in pumps:
                pump.cancel()
            # After a FIN both ways this finds nothing left to reset.
            self._client.reset()
            self._broker.reset()
            await asyncio.wait(pumps)

    async def _requests(self) -> None:
        while (frame := await self._sent()) is not None:
            request = request_of(frame)
            self._name = request.client_id
            # Before it is passed on, as its answer may be quicker than we are.
            self._unanswered[request.correlation_id] = request
            if len(self._unanswered) > MAX_UNANSWERED:
                self._unanswered.popitem(last=False)
            if not await self._pass(Direction.REQUEST, request, frame, self._broker):
                return
        await self._end(Direction.REQUEST, self._broker)

    async def _sent(self) -> bytes | None:
        try:
            return await self._client.frame()
        except Broken:
            # Nothing more of the client's; what it had sent before was passed on, and may be answered still.
            return None

    async def _responses(self) -> None:
        while (frame := await self._broker.frame()) is not None:
            request = self._unanswered.pop(correlation_of(frame), None)
            if request is None:
                raise NotKafka("an answer to nothing that was asked")
            # A client that has gone does not hear it, but its requests still on their way go on.
            if not await self._pass(Direction.RESPONSE, request, frame, self._client):
                return
        await self._end(Direction.RESPONSE, self._client)

    async def _pass(self, direction: Direction, request: Request, frame: bytes, to: Stream) -> bool:
        """Pass one frame on as the faults will have it; False when nothing may pass in this direction any more."""
        # All are asked, as each counts for itself; the first that hits decides.
        hits = [fault for fault in tuple(self._faults) if fault.befalls(direction, request)]
        if hits:
            match hits[0].action:
                case Drop():
                    return True
                case Delay(seconds):
                    await asyncio.sleep(seconds)
                case Hold():
                    await hits[0].healed()
                case Reset():
                    raise Broken("by a fault")
                case HalfClose():
                    to.finish()
                    return False
        if not await to.write(frame) and direction is Direction.REQUEST:
            raise Broken("the broker has gone")
        return True

    async def _end(self, direction: Direction, to: Stream) -> None:
        """Tell one side that the other has closed; in a black hole it does not hear of it."""
        for fault in tuple(self._faults):
            if isinstance(fault.action, Hold) and fault.total and fault.concerns(direction, self._name or ""):
                await fault.healed()
        to.finish()
