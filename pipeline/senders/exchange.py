"""One question and answer with a provider, whatever the protocol, and what is certain when there was no answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import httpx


class CallFailed(httpx.TransportError):
    """No full answer. ``cause`` is one short word of a closed list, fit for logs and details."""

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


class NotSent(CallFailed):
    """Certain: nothing that could become a message left. Trying again cannot send anything twice."""


class InDoubt(CallFailed):
    """The provider may have got it; only it knows."""


class Exchange(Protocol):
    """A client of one provider."""

    async def exchange(self, request: Any, before_first_byte: Callable[[], None]) -> Any:
        """Ask once, and return the full answer.

        ``before_first_byte`` is called once, just before anything leaves that could become a message; what it raises
        comes out, and then nothing has left. Raises NotSent or InDoubt.
        """

    async def aclose(self) -> None:
        """Close the connections."""
