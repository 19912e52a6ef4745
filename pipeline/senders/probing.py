"""Asking a provider, harmlessly, whether it takes our credentials."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from pipeline.clock import Clock
from pipeline.senders.exchange import CallFailed, Exchange
from pipeline.senders.provider import Provider


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What came of one probe."""

    provider: str
    """Instance name."""
    ok: bool | None
    """None: there is no harmless question to ask this kind."""
    detail: str
    """For people; no secret, and no text of the provider's own."""


async def probe(provider: Provider, exchange: Exchange, *, clock: Clock, timeout_s: float) -> Finding:
    """Ask once, within ``timeout_s``; nothing that happens on the way is raised. Closes the exchange."""

    def found(ok: bool | None, detail: str) -> Finding:
        return Finding(provider=provider.instance, ok=ok, detail=detail)

    try:
        request = provider.probe(clock.now_ms())
        if request is None:
            return found(None, "no harmless probe exists")
        async with asyncio.timeout(timeout_s):
            response = await exchange.exchange(request, lambda: None)
        return found(*provider.probed(response))
    except CallFailed as failed:
        return found(False, f"no answer ({failed.cause})")
    except TimeoutError:
        return found(False, f"no answer within {timeout_s:g} s")
    except Exception as error:
        # One provider's bug must not hide what the others say. Its type alone: a message or repr may hold a key.
        return found(False, f"could not be asked ({type(error).__name__})")
    finally:
        await exchange.aclose()
