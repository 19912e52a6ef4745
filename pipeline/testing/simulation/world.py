"""Providers of all kinds as they are configured, each with its far end, and what a person and a caller do."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable, Mapping
from itertools import count
from types import MappingProxyType
from typing import Any, Final

from pipeline import topics
from pipeline.records.internal import SendCommand
from pipeline.records.public import CodeCheck, Command, Reply, Step, VerificationOutcome, VerificationRequest
from pipeline.records.types import Channel, CommandAction, CommandKind
from pipeline.settings import Settings
from pipeline.testing import virtual_time
from pipeline.testing.deployment import GATEWAY, Deployment
from pipeline.testing.simulation.apis import BirdEnd, NeutrinoEnd, SmtpEnd, TelesignEnd, ThunderSmsEnd, YCloudEnd
from pipeline.testing.simulation.far_end import FarEnd

PHONE: Final = "+4915123456789"
OTHER: Final = "+4915123456780"
MAIL: Final = "jo@example.org"
WRONG: Final = "999999"

ENDS: Final[Mapping[str, type[FarEnd[Any]]]] = MappingProxyType(
    {
        "bird": BirdEnd,
        "neutrino": NeutrinoEnd,
        "smtp": SmtpEnd,
        "telesign": TelesignEnd,
        "thundersms": ThunderSmsEnd,
        "ycloud": YCloudEnd,
    }
)
BIRD_SMS: Final = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa"
BIRD_WHATSAPP: Final = "bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb"
PHONES: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "channels": {"sms": BIRD_SMS, "whatsapp": BIRD_WHATSAPP},
        "templates": {"whatsapp": {"project_id": BIRD_WHATSAPP, "version": BIRD_WHATSAPP}},
    }
)
"""Bird with both channels that reach a number."""
GOING_ON: Final[Mapping[str, Any]] = MappingProxyType(
    {"resend_path": "/verify/{id}/resend", "failover_path": "/verify/{id}/failover"}
)
"""Bird asked to send again, and to go on."""
ACCOUNTS: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "bird": {
            "workspace_id": "6f0c1f6e-0d1b-4c1e-9b0a-3f5d2c7e8a90",
            "access_key": "bird-key",
            "signing_key": "bird-signing-key",
            "channels": {"sms": BIRD_SMS},
        },
        "neutrino": {"user_id": "user", "api_key": "neutrino-key"},
        "smtp": {"host": "mail.test", "from_address": "verify@example.org"},
        "telesign": {"customer_id": "customer", "api_key": base64.b64encode(b"telesign-key").decode()},
        "thundersms": {
            "access_token": "thunder-token",
            "webhook_secret": "thunder-secret",
            "channels": {"sms": {}, "whatsapp": {}, "viber": {}, "voice": {"flow_id": "5876"}},
        },
        "ycloud": {"api_key": "ycloud-key", "webhook_secret": "whsec_ycloud"},
    }
)
"""An account of each kind; a test names what is different in its own."""


class World(Deployment):
    """The providers of a test by instance name, each with what is different from :data:`ACCOUNTS`."""

    def __init__(
        self,
        *,
        public: bool = True,
        policy: Mapping[str, Any] | None = None,
        deployed: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> None:
        """``public``: the gateway's address is told to providers that take one with each message.

        Sections of the settings go under their own names; all others are instances of providers. ``deployed`` is handed
        to :class:`pipeline.testing.deployment.Deployment`.
        """
        known = ("tenants", "routes", "senders", "templates", "runtime")
        sections = {name: more.pop(name) for name in known if name in more}
        providers = {name: self._account(name, dict(own)) for name, own in more.items()}
        settings = Settings.model_validate(
            {
                "providers": providers,
                "policy": dict(policy or {}),
                "gateway": {"public_url": GATEWAY if public else ""},
                **sections,
            }
        )
        super().__init__(settings=settings, **(deployed or {}))
        self.ends: dict[str, FarEnd[Any]] = {name: ENDS[each["kind"]]() for name, each in providers.items()}
        self.lines = dict(self.ends)
        self._ids = count(1)

    @staticmethod
    def _account(name: str, own: dict[str, Any]) -> dict[str, Any]:
        kind = own.get("kind", name)
        return {"kind": kind, "enabled": True, **ACCOUNTS[kind], **own}

    # --- what callers and people do -------------------------------------------------------------------------------

    async def start(self, verification_id: str = "v1", *, wait_s: float = 2, **fields: Any) -> None:
        """Publish a request, by default for one SMS, and give it time to be sent."""
        fields = {"recipient": PHONE, **fields}
        if isinstance(steps := fields.get("steps"), str):
            fields["steps"] = steps_of(steps)
        request = VerificationRequest(verification_id=verification_id, **fields)
        await self.publish(topics.REQUESTS, request, key=fields["recipient"].encode())
        await asyncio.sleep(wait_s)

    async def type(
        self, code: str, *, check_id: str | None = None, wait_s: float = 2, verification_id: str = "v1"
    ) -> str:
        """A person types a code; the id of the check."""
        check_id = check_id or f"c{next(self._ids)}"
        check = CodeCheck(check_id=check_id, verification_id=verification_id, code=code)
        await self.publish(topics.CHECKS, check, key=verification_id.encode())
        await asyncio.sleep(wait_s)
        return check_id

    async def command(self, action: CommandAction, *, wait_s: float = 2, verification_id: str = "v1") -> None:
        told = Command(command_id=f"k{next(self._ids)}", verification_id=verification_id, action=action)
        await self.publish(topics.COMMANDS, told, key=verification_id.encode())
        await asyncio.sleep(wait_s)

    # --- what became of it ----------------------------------------------------------------------------------------

    async def outcome(self, verification_id: str = "v1") -> VerificationOutcome:
        """The last one; its versions are complete."""
        found = list(await self.read(topics.OUTCOMES, VerificationOutcome))
        own = [each for each in found if each.verification_id == verification_id]
        assert [each.version for each in own] == list(range(1, len(own) + 1))
        assert all(not each.is_final for each in own[:-1])
        return own[-1]

    async def replies(self, verification_id: str = "v1") -> list[Reply]:
        return [each for each in await self.read(topics.REPLIES, Reply) if each.verification_id == verification_id]

    async def reasons(self, verification_id: str = "v1") -> list[str]:
        """Why each check and command was answered as it was, in the order of the answers."""
        return [reply.reason for reply in await self.replies(verification_id)]

    async def orders(self, kind: CommandKind) -> list[SendCommand]:
        """What senders were asked to do."""
        names = [topics.send(channel) for channel in topics.CHANNELS]
        found = [each for name in names for each in await self.read(topics.lane(name, False), SendCommand)]
        return [each for each in found if each.kind is kind]


def steps_of(text: str) -> list[Step]:
    """Of words such as ``sms@bird:60``, in order."""
    return [_step(each) for each in text.split()]


def _step(text: str) -> Step:
    """``sms``, ``sms@bird`` or ``sms@bird:60`` (a wait in seconds)."""
    text, _, wait_s = text.partition(":")
    channel, _, provider = text.partition("@")
    return Step(channel=Channel(channel), provider=provider or None, wait_s=int(wait_s) if wait_s else None)


def story(**world: Any) -> Callable[[Callable[[World], Awaitable[None]]], Callable[[], None]]:
    """Decorates a test that takes a :class:`World` of these providers."""
    return virtual_time.scenario(lambda: World(**world))
