from __future__ import annotations

import pytest

from pipeline.gateway.service import reporting
from pipeline.senders import registry
from pipeline.settings import Settings

ACCOUNTS = {
    "ycloud": {"enabled": True, "api_key": "k", "webhook_secret": ["s"]},
    "unsigned": {"kind": "ycloud", "enabled": True, "api_key": "k"},
    "neutrino": {"enabled": True, "user_id": "u", "api_key": "k"},
}


@pytest.mark.parametrize(("waited_for", "taken"), [(True, ["ycloud", "unsigned"]), (False, ["ycloud"])])
def test_webhooks_are_taken_of_who_reports_and_of_who_could_though_nobody_waits(
    waited_for: bool, taken: list[str]
) -> None:
    accounts = {name: {**account, "requires_receipts": waited_for} for name, account in ACCOUNTS.items()}
    providers = registry.load(Settings.model_validate({"providers": accounts}))
    assert list(reporting(providers)) == taken
