"""Every kind of provider as it is configured against the simulator, and a command each can carry out."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from pipeline.clock import SystemClock
from pipeline.records.internal import SendCommand
from pipeline.records.types import Channel, CodeHolder
from pipeline.senders import registry
from pipeline.senders.engine import SenderEngine
from pipeline.senders.registry import Limits
from pipeline.settings import Settings
from pipeline.simulator.app import DEVELOPMENT_CREDENTIALS
from pipeline.simulator.server import Simulator
from tests.unit.senders.doubles import CODEC, KEYS, PHONE, command


@dataclass(frozen=True)
class Kind:
    """What is different about one kind."""

    section: dict[str, Any] = field(default_factory=dict)
    """Beside the simulator's own credentials and address."""
    command: dict[str, Any] = field(default_factory=dict)
    recipient: str = PHONE
    answer: Callable[[bytes], bytes] | None = None
    """The body of the usual good answer to a request's bytes; None for mail."""
    believed: bool = False
    """Refuses for good after it was handed everything, and is believed: its protocol says that nothing was taken."""


_ID: Final = "123e4567-e89b-12d3-a456-426614174000"
_CODE: Final = re.compile(rb"security-code=([0-9]+)")

KINDS: Final[dict[str, Kind]] = {
    "ycloud": Kind(answer=lambda request: b'{"id":"ve_1","status":"pending"}'),
    "bird": Kind(
        section={"templates": {"whatsapp": {"project_id": _ID, "version": _ID}}},
        command={"code_holder": CodeHolder.PROVIDER, "recipient_key": "rk"},
        answer=lambda request: b'{"id":"%s","status":"accepted","currentStepIndex":0,"steps":[{}]}' % _ID.encode(),
    ),
    "neutrino": Kind(
        answer=lambda request: b'{"number-valid":true,"sent":true,"security-code":"%s"}' % _CODE.findall(request)[0]
    ),
    "telesign": Kind(
        answer=lambda request: (
            b'{"reference_id":"3F0A9C5D77E2418BA6D10C94E85B2F61","sub_resource":"sms","errors":[],'
            b'"status":{"code":290,"description":"Message in progress","updated_on":"2026-01-15T09:30:11.204518Z"}}'
        )
    ),
    "thundersms": Kind(answer=lambda request: b'{"id":"5a0c1f7e-2b64-4d0e-9a3b-7f1e86c2d915","status":"sent"}'),
    "smtp": Kind(
        section={"host": "127.0.0.1", "starttls": False, "from_address": "verify@example.org"},
        command={"channel": Channel.EMAIL},
        recipient="jo@example.org",
        believed=True,
    ),
}
"""By name; a test holds them against the registry's."""


def settings(kind: str, simulator: Simulator | None, **section: Any) -> Settings:
    """One enabled instance of the kind; without a simulator nobody answers at its address."""
    place = simulator.section(kind) if simulator else {}
    return Settings.model_validate(
        {
            "gateway": {"public_url": "https://verify.example.test"},
            "providers": {
                kind: {
                    "kind": kind,
                    "enabled": True,
                    **_credentials(kind),
                    **place,
                    **KINDS[kind].section,
                    **section,
                }
            },
        }
    )


def _credentials(kind: str) -> dict[str, Any]:
    """The simulator's own; a name with a dot is an entry of a table."""
    found: dict[str, Any] = {}
    for name, value in DEVELOPMENT_CREDENTIALS[kind].items():
        table, dot, entry = name.partition(".")
        if dot:
            found.setdefault(table, {})[entry] = value
        else:
            found[name] = value
    return found


def engine(configured: Settings, kind: str, limits: Limits) -> SenderEngine:
    """A sender's engine as a process has it, with its real client."""
    paced = configured.providers[kind].model_copy(
        update={
            "timeout_s": limits.timeout_s,
            "connect_timeout_s": limits.connect_timeout_s,
            "max_concurrency": limits.max_concurrency,
        }
    )
    again = configured.model_copy(update={"providers": {kind: paced}})
    return SenderEngine(
        provider=registry.load_one(again, kind),
        limits=limits,
        codec=CODEC,
        key_ring=KEYS,
        clock=SystemClock(),
        partitions=1,
        exchange=registry.exchange(again, kind),
    )


def due(kind: str, n: int = 1, *, life_ms: int = 3_000) -> SendCommand:
    """A send that this kind can carry out, due now."""
    told = KINDS[kind]
    sealed = KEYS.seal(told.recipient.encode(), verification_id=f"v{n}", field="recipient")
    fields: dict[str, Any] = {
        "provider": kind,
        "recipient_sealed": sealed,
        "send_by_at": SystemClock().now_ms() + life_ms,
        **told.command,
    }
    return command(n, **fields)
