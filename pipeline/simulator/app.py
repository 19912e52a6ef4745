"""The simulator as one ASGI application: each provider below its own path, and the control endpoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

from pipeline.errors import SettingsError
from pipeline.simulator.connection import Gate
from pipeline.simulator.control import Control
from pipeline.simulator.provider import Provider
from pipeline.simulator.providers import KINDS
from pipeline.simulator.simulated import Simulated
from pipeline.simulator.world import Account, World

DEVELOPMENT_CREDENTIALS = {
    "ycloud": {"api_key": "simulator", "webhook_secret": "whsec_simulator"},
    "neutrino": {"user_id": "simulator", "api_key": "simulator"},
    # Its key is Base64, of the same word.
    "telesign": {"customer_id": "simulator", "api_key": "c2ltdWxhdG9y"},
    "thundersms": {
        "access_token": "simulator",
        "webhook_secret": "whsec_simulator",
        "webhook_id": "simulator",
        "webhook_validation_key": "simulator",
    },
    "bird": {
        "workspace_id": "00000000-0000-4000-8000-000000000001",
        "access_key": "simulator",
        "signing_key": "whsec_simulator",
        "navigator_id": "00000000-0000-4000-8000-000000000002",
        "channels.sms": "00000000-0000-4000-8000-000000000003",
        "channels.email": "00000000-0000-4000-8000-000000000004",
        "channels.whatsapp": "00000000-0000-4000-8000-000000000005",
    },
    "smtp": {"username": "simulator", "password": "simulator"},
}
"""What opens a provider of which no account is configured; a name with a dot is an entry of a table."""


def make_all(world: World, accounts: Sequence[Account] = ()) -> dict[str, Simulated[Any]]:
    """Every provider by its kind; one without an account takes :data:`DEVELOPMENT_CREDENTIALS`.

    Raises SettingsError when an account lacks a credential.
    """
    made: dict[str, Simulated[Any]] = {}
    for kind, make in KINDS.items():
        of_kind = [account for account in accounts if account.kind == kind]
        for account in of_kind:
            for name in make.required_credentials:
                if not account.credentials.get(name):
                    raise SettingsError(f"providers.{account.instance}.{name} is missing: the simulator needs it too")
        if not of_kind:
            of_kind = [Account(kind=kind, instance=kind, credentials=DEVELOPMENT_CREDENTIALS[kind])]
        made[kind] = make(world, of_kind)
    return made


def create_app(
    *, world: World, providers: Mapping[str, Simulated[Any]] | None = None, gate: Gate | None = None
) -> ASGIApp:
    """The HTTP APIs and the control of these ``providers``, of :func:`make_all` by default.

    Faults that break connections need :class:`pipeline.simulator.server.Simulator` around it; ``gate`` is that
    server's.
    """
    known = make_all(world) if providers is None else providers
    control = Starlette(routes=Control(world=world, providers=known, gate=gate or Gate()).routes())
    by_path = {provider.base_path: provider for provider in known.values() if isinstance(provider, Provider)}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        # Providers are found by hand: under load the framework's layers would cost as much as the rest.
        path = scope.get("path", "")
        for base_path, provider in by_path.items():
            if path.startswith(base_path) and path[len(base_path) : len(base_path) + 1] in ("", "/"):
                await provider(scope, receive, send)
                return
        await control(scope, receive, send)

    return app
