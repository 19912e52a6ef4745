"""A probe says one thing whatever happens, in time, and never what it must not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from pipeline.model.capabilities import ProviderCapabilities
from pipeline.senders.exchange import InDoubt, NotSent
from pipeline.senders.probing import probe
from pipeline.senders.provider import NoExtras, Probe
from pipeline.testing.clock import ManualClock


class Asked(NoExtras):
    """A provider with a harmless question; ``probed`` may fail on the answer."""

    def __init__(self, told: Probe | Exception, *, asks: bool = True) -> None:
        self.instance = "shop"
        self.capabilities = ProviderCapabilities(kind="any")
        self._told = told
        self._asks = asks

    def build(self, *_: Any) -> Any:
        raise AssertionError("a probe builds no command")

    interpret = build

    def probe(self, now_ms: int) -> Any | None:
        return f"asked at {now_ms}" if self._asks else None

    def probed(self, response: Any) -> Probe:
        assert response == "answer"
        if isinstance(self._told, Exception):
            raise self._told
        return self._told


@dataclass
class Line:
    """An exchange that does as told."""

    fails: Exception | None = None
    hangs: bool = False
    asked: list[Any] = field(default_factory=list)
    closed: int = 0

    async def exchange(self, request: Any, before_first_byte: Callable[[], None]) -> Any:
        self.asked.append(request)
        before_first_byte()
        if self.hangs:
            await asyncio.Event().wait()
        if self.fails is not None:
            raise self.fails
        return "answer"

    async def aclose(self) -> None:
        self.closed += 1


SECRET = "hunter2"


@pytest.mark.parametrize(
    ("told", "line", "ok", "detail"),
    [
        (Probe(True, "balance 3 EUR"), Line(), True, "balance 3 EUR"),
        (Probe(False, "HTTP 401"), Line(), False, "HTTP 401"),
        (Probe(True, ""), Line(fails=NotSent("unreachable")), False, "no answer (unreachable)"),
        (Probe(True, ""), Line(fails=InDoubt("connection_lost")), False, "no answer (connection_lost)"),
        (Probe(True, ""), Line(hangs=True), False, "no answer within 0.02 s"),
        (Probe(True, ""), Line(fails=ValueError(SECRET)), False, "could not be asked (ValueError)"),
        (ZeroDivisionError(SECRET), Line(), False, "could not be asked (ZeroDivisionError)"),
    ],
)
async def test_whatever_comes_of_the_question_is_one_finding(
    told: Probe | Exception, line: Line, ok: bool, detail: str
) -> None:
    clock = ManualClock(1_000)
    found = await probe(Asked(told), line, clock=clock, timeout_s=0.02)
    assert (found.provider, found.ok, found.detail) == ("shop", ok, detail)
    assert (line.asked, line.closed) == (["asked at 1000"], 1)


async def test_a_provider_without_a_harmless_question_is_not_asked() -> None:
    line = Line()
    found = await probe(Asked(Probe(True, ""), asks=False), line, clock=ManualClock(), timeout_s=1)
    assert (found.ok, found.detail) == (None, "no harmless probe exists")
    assert (line.asked, line.closed) == ([], 1)
