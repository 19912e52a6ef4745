"""The simulator as one ASGI application: each provider below its own path, and the control endpoints."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.routing import Mount, Route

from pipeline.errors import SettingsError
from pipeline.simulator.connection import Gate
from pipeline.simulator.control import Control
from pipeline.simulator.provider import Provider
from pipeline.simulator.providers import PROVIDERS
from pipeline.simulator.world import Account, World

DEVELOPMENT_CREDENTIALS = {
    "ycloud": {"api_key": "simulator", "webhook_secret": "whsec_simulator"},
    "neutrino": {"user_id": "simulator", "api_key": "simulator"},
}
"""What opens a provider of which no account is configured."""


def create_app(*, world: World, accounts: Sequence[Account] = (), gate: Gate | None = None) -> Starlette:
    """The whole simulator; a provider without an account takes :data:`DEVELOPMENT_CREDENTIALS`.

    Raises SettingsError when an account lacks a credential. Faults that break connections need
    :class:`pipeline.simulator.server.Simulator` around it; ``gate`` is that server's.
    """
    providers: dict[str, Provider] = {}
    for kind, make in PROVIDERS.items():
        of_kind = [account for account in accounts if account.kind == kind]
        for account in of_kind:
            for name in make.required_credentials:
                if not account.credentials.get(name):
                    raise SettingsError(f"providers.{account.instance}.{name} is missing: the simulator needs it too")
        if not of_kind:
            of_kind = [Account(kind=kind, instance=kind, credentials=DEVELOPMENT_CREDENTIALS[kind])]
        providers[kind] = make(world, of_kind)
    control = Control(world=world, providers=providers, gate=gate or Gate())
    mounts = [Mount(provider.base_path, app=provider) for provider in providers.values()]
    routes: list[Route | Mount] = [*mounts, *control.routes()]
    return Starlette(routes=routes)
