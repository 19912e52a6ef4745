"""The simulated providers, one module or package each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pipeline.simulator.provider import Provider
from pipeline.simulator.providers.bird import Bird
from pipeline.simulator.providers.neutrino import Neutrino
from pipeline.simulator.providers.smtp import Smtp
from pipeline.simulator.providers.telesign import Telesign
from pipeline.simulator.providers.thundersms import ThunderSms
from pipeline.simulator.providers.ycloud import YCloud
from pipeline.simulator.simulated import Simulated

PROVIDERS: Final[Mapping[str, type[Provider]]] = {
    "ycloud": YCloud,
    "neutrino": Neutrino,
    "telesign": Telesign,
    "bird": Bird,
    "thundersms": ThunderSms,
}
"""Those with an HTTP API by kind, as ``[providers.<name>] kind`` names it."""
KINDS: Final[Mapping[str, type[Simulated[Any]]]] = {**PROVIDERS, "smtp": Smtp}
"""All of them."""
