"""The mail server's port."""

from __future__ import annotations

import asyncio
import logging

from pipeline.serving import authority, bind
from pipeline.simulator.connection import reset
from pipeline.simulator.providers.smtp.conversation import Conversation, Handler
from pipeline.simulator.providers.smtp.provider import Smtp


class MailServer:
    """Takes mail on one port inside the running loop; port 0 picks a free one."""

    def __init__(self, provider: Smtp, *, host: str, port: int) -> None:
        self._provider = provider
        self._handler = Handler(provider)
        self._host = host
        self._port = port
        self._open: set[Conversation] = set()
        # It would write every command with its addresses; and as a warning, that a field of its own is old.
        logging.getLogger("mail.log").setLevel(logging.ERROR)
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        """The port that is listened on, once started."""
        return self._port

    @property
    def address(self) -> str:
        """``smtp://host:port``, once started."""
        return self._provider.place

    async def start(self) -> None:
        """Listen; raises UsageError when the address cannot be bound."""
        listener = bind(self._host, self._port)
        self._port = listener.getsockname()[1]
        self._provider.address = f"smtp://{authority(self._host, self._port)}"
        self._server = await asyncio.get_running_loop().create_server(self._conversation, sock=listener)

    def _conversation(self) -> Conversation:
        return Conversation(self._handler, self._open)

    async def stop(self) -> None:
        """Accept nothing new and end what runs."""
        if self._server is None:
            return
        self._server.close()
        for conversation in list(self._open):
            reset(conversation.wire)
        await self._server.wait_closed()
        self._server = None
