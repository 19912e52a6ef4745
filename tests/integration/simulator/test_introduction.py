"""What ``pipeline simulator`` prints at its start leads to every simulated provider."""

from __future__ import annotations

import re

import httpx
import pytest

from pipeline.cli.simulator import introduction
from pipeline.settings import Settings
from pipeline.simulator.providers import KINDS
from pipeline.simulator.server import Simulator


async def test_the_address_of_every_provider_is_told(simulator: Simulator) -> None:
    told = dict(re.findall(r"^  (\w+) +(\S+://\S+)$", introduction(simulator, Settings()), re.MULTILINE))
    assert told.keys() == KINDS.keys()
    assert told["smtp"] == simulator.mail_address


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "smtp"])
async def test_behind_an_address_that_is_told_is_its_provider(
    simulator: Simulator, http: httpx.AsyncClient, kind: str
) -> None:
    [address] = re.findall(rf"^  {kind} +(\S+)$", introduction(simulator, Settings()), re.MULTILINE)
    # Asked for what nobody has, it answers in its own words; the simulator's are problem documents.
    answer = await http.get(f"{address}/nothing")
    assert answer.headers["Content-Type"] != "application/problem+json"
