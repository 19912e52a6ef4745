from __future__ import annotations

from pipeline.cli.simulator import _introduction
from pipeline.settings import Settings, SimulatorSettings
from pipeline.simulator.providers import KINDS
from pipeline.simulator.server import Simulator


async def test_the_introduction_names_the_address_of_every_provider() -> None:
    running = Simulator(SimulatorSettings(port=0, smtp_port=0))
    await running.start()
    told = dict(line.split() for line in _introduction(running, Settings()).partition("Receipts")[0].splitlines()[1:])
    assert told == {kind: running.mail_address if kind == "smtp" else running.base_url(kind) for kind in KINDS}
    await running.stop()
