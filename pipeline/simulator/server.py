"""The simulator as something that is started and stopped inside a running loop."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any, cast

from pydantic import SecretStr

from pipeline.clock import Clock, SystemClock
from pipeline.serving import HttpServer
from pipeline.settings import ProviderSettings, Settings, SimulatorSettings
from pipeline.simulator.app import DEVELOPMENT_CREDENTIALS, create_app, make_all
from pipeline.simulator.connection import Gate, protocol_with
from pipeline.simulator.history import Calls, Inbox
from pipeline.simulator.providers import KINDS, PROVIDERS
from pipeline.simulator.providers.smtp import MailServer, Smtp
from pipeline.simulator.webhooks import Webhooks
from pipeline.simulator.world import Account, World


class Simulator:
    """All simulated providers: the HTTP APIs on one port, mail on another."""

    def __init__(
        self,
        settings: SimulatorSettings | None = None,
        *,
        accounts: Sequence[Account] = (),
        clock: Clock | None = None,
    ) -> None:
        """Without accounts the development credentials open every provider. Raises SettingsError."""
        settings = settings or SimulatorSettings()
        clock = clock or SystemClock()
        policies = {name: provider.retries for name, provider in PROVIDERS.items() if provider.retries is not None}
        self.world = World(
            clock=clock,
            rng=random.Random(settings.seed),  # noqa: S311 - repeatable on purpose
            inbox=Inbox(settings.keep_messages),
            calls=Calls(settings.keep_calls),
            webhooks=Webhooks(
                url=settings.webhook_url,
                clock=clock,
                policies=policies,
                time_factor=settings.time_factor,
                max_pending=settings.max_pending_events,
                keep=settings.keep_calls,
            ),
            keep=settings.keep_messages,
        )
        self._gate = Gate()
        providers = make_all(self.world, accounts)
        self._server = HttpServer(
            create_app(world=self.world, providers=providers, gate=self._gate),
            host=settings.host,
            port=settings.port,
            protocol=protocol_with(self._gate),
            shutdown_s=2.0,
        )
        self._mail = MailServer(cast(Smtp, providers["smtp"]), host=settings.host, port=settings.smtp_port)
        self._host = settings.host

    @classmethod
    def from_settings(cls, settings: Settings, *, clock: Clock | None = None) -> Simulator:
        """A simulator that knows the credentials of every configured provider."""
        return cls(settings.simulator, accounts=accounts_of(settings.providers), clock=clock)

    @property
    def url(self) -> str:
        """Base URL without a trailing slash, once started."""
        return self._server.url

    @property
    def mail_address(self) -> str:
        """``smtp://host:port``, once started."""
        return self._mail.address

    def base_url(self, kind: str) -> str:
        """What to configure as ``[providers.<name>] base_url``, once started."""
        return self.url + PROVIDERS[kind].base_path

    def place(self, kind: str) -> str:
        """The address of one provider of any kind, once started."""
        return self.base_url(kind) if kind in PROVIDERS else self.mail_address

    def section(self, kind: str) -> dict[str, Any]:
        """What to configure in ``[providers.<name>]`` beside credentials, once started, to reach this one."""
        if kind in PROVIDERS:
            return {"base_url": self.base_url(kind)}
        return {"host": self._host, "port": self._mail.port, "starttls": False}

    async def start(self) -> None:
        """Listen; raises UsageError when a port is taken."""
        self.world.webhooks.start()
        try:
            await self._mail.start()
            await self._server.start()
        except BaseException:
            await self._mail.stop()
            await self.world.webhooks.stop()
            raise

    async def stop(self) -> None:
        """End hung requests, drop waiting events, close."""
        self.world.closing.set()
        self._gate.release()
        await self._server.stop()
        await self._mail.stop()
        await self.world.webhooks.stop()


def accounts_of(providers: Mapping[str, ProviderSettings]) -> list[Account]:
    """The accounts of all configured instances whose kind is simulated; others have no place here.

    An instance that is switched off may lack credentials, or have none yet; it is then left out.
    """
    accounts: list[Account] = []
    for instance, settings in providers.items():
        kind = settings.kind or instance
        if kind in KINDS:
            credentials = {name: _text(_at(settings, name)) for name in DEVELOPMENT_CREDENTIALS[kind]}
            complete = any(credentials.values()) and all(credentials[name] for name in KINDS[kind].required_credentials)
            if settings.enabled or complete:
                accounts.append(Account(kind=kind, instance=instance, credentials=credentials))
    return accounts


def _at(settings: ProviderSettings, path: str) -> object:
    """A setting, or with a dot the entry of one that is a table."""
    name, _, entry = path.partition(".")
    value = getattr(settings, name, None)
    return value.get(entry) if entry and isinstance(value, Mapping) else value


def _text(value: object) -> str:
    """A credential in clear; of several (a rotation) the first, which is the newest."""
    if isinstance(value, list | tuple):
        return _text(value[0]) if value else ""
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value or "")
