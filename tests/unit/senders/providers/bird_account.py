"""An account at Bird, and what is asked of it."""

from __future__ import annotations

from typing import Any

from pipeline.records.types import CommandKind
from pipeline.senders import registry
from pipeline.senders.provider import Opened
from pipeline.senders.providers.bird import Bird
from pipeline.settings import Settings
from tests.unit.senders.doubles import PHONE

WORKSPACE = "6f0c1f6e-0d1b-4c1e-9b0a-3f5d2c7e8a90"
NAVIGATOR = "11111111-1111-4111-8111-111111111111"
SMS, EMAIL, WHATSAPP = (f"{digit * 8}-{digit * 4}-4{digit * 3}-8{digit * 3}-{digit * 12}" for digit in "abc")
PROJECT, VERSION = "dddddddd-dddd-4ddd-8ddd-dddddddddddd", "eeeeeeee-eeee-4eee-8eee-eeeeeeeeeeee"
TEMPLATE = {"project_id": PROJECT, "version": VERSION}
ID = "123e4567-e89b-12d3-a456-426614174000"
ADDRESS = "Jo@xn--bcher-kva.example"
BASE = f"https://api.bird.com/workspaces/{WORKSPACE}"

ACCOUNT: dict[str, Any] = {
    "enabled": True,
    "workspace_id": WORKSPACE,
    "access_key": "key-1",
    "signing_key": "local-signing-key",
    "channels": {"sms": SMS, "email": EMAIL, "whatsapp": WHATSAPP},
    "templates": {"whatsapp": TEMPLATE},
}
AGAIN = {"resend_path": "/verify/{id}/resend", "failover_path": "/verify/{id}/failover"}
ON = {"get_path": "/verify/{id}", "list_path": "/verify", **AGAIN}
"""What is off until somebody has tried it."""


def bird(**differences: Any) -> Bird:
    settings = Settings.model_validate({"providers": {"bird": ACCOUNT | differences}})
    provider = registry.load_one(settings, "bird")
    assert isinstance(provider, Bird)
    return provider


PROVIDER = bird()
OPENED = Opened(recipient=PHONE, valid_s=300)
CHECK = {"kind": CommandKind.CHECK, "provider_message_id": ID}
TYPED = Opened(recipient=PHONE, code="482913")
CALLED_AT = 1_735_787_045_000
LOOKUP = {"kind": CommandKind.LOOKUP, "provider_message_id": ID}
LOST = {"kind": CommandKind.LOOKUP, "called_at": CALLED_AT}
