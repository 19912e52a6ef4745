"""An account at every kind of provider, two at one of them, and what of it must never be seen anywhere."""

from __future__ import annotations

from typing import Final

KINDS: Final = ("ycloud", "telesign", "bird", "neutrino", "thundersms", "smtp")
SECOND: Final = "flock"
"""A second account at Bird: a workspace, keys and channels of its own."""
INSTANCES: Final = {**{kind: kind for kind in KINDS}, SECOND: "bird"}
"""Kind by instance."""

KEYS: Final = {
    "ycloud_key": "kept-ycloud-key-7Hd2",
    "ycloud_secret": "kept-ycloud-webhook-9Qs4",
    # Base64, as Telesign's are.
    "telesign_key": "a2VwdC10ZWxlc2lnbi1rZXktM1pyOA==",
    "bird_key": "kept-bird-key-5Xw1",
    "bird_secret": "kept-bird-signing-2Lk6",
    "flock_key": "kept-flock-key-8Nv3",
    "flock_secret": "kept-flock-signing-4Tb7",
    "neutrino_key": "kept-neutrino-key-6Fc9",
    "thundersms_token": "kept-thundersms-token-1Gm5",
    "thundersms_secret": "kept-thundersms-webhook-3Jp2",
    "thundersms_id": "kept-thundersms-id-7Rz4",
    "thundersms_validation": "kept-thundersms-validation-5Yd8",
    "smtp_password": "kept-smtp-password-9Kx6",
}
"""Everything secret in the settings, under names of our own."""

_PROVIDERS: Final = """
[policy]
no_receipt_wait_s = 6
[tenants.default]
code_length = 8
[tenants.short]
code_length = 5
min_code_length = 5
# Longer than what most can carry, so that they make codes of their own; calls by Telesign have only five digits.
[tenants.long]
code_length = 12
min_code_length = 5
# Plans of these go to Telesign as a whole, which then makes the code.
[tenants.smart]
min_code_length = 5
[[routes.rules]]
tenant = "smart"
providers = ["telesign"]
[[routes.rules]]
providers = [{instances}]

[providers.ycloud]
enabled = true
base_url = "http://{{host}}:{{simulator}}/ycloud/v2"
api_key = "{ycloud_key}"
webhook_secret = ["{ycloud_secret}"]
{pace}

[providers.telesign]
enabled = true
base_url = "http://{{host}}:{{simulator}}/telesign"
customer_id = "FFFFFFFF-EEEE-DDDD-1234-AB1234567890"
api_key = "{telesign_key}"
smart_verify = true
{pace}

[providers.bird]
enabled = true
base_url = "http://{{host}}:{{simulator}}/bird"
workspace_id = "00000000-0000-4000-8000-000000000011"
access_key = "{bird_key}"
signing_key = ["{bird_secret}"]
{pace}
[providers.bird.channels]
sms = "00000000-0000-4000-8000-000000000012"
email = "00000000-0000-4000-8000-000000000013"
whatsapp = "00000000-0000-4000-8000-000000000014"
[providers.bird.templates.whatsapp]
project_id = "00000000-0000-4000-8000-000000000015"
version = "00000000-0000-4000-8000-000000000016"

[providers.flock]
kind = "bird"
enabled = true
base_url = "http://{{host}}:{{simulator}}/bird"
workspace_id = "00000000-0000-4000-8000-000000000021"
access_key = "{flock_key}"
signing_key = ["{flock_secret}"]
{pace}
[providers.flock.channels]
sms = "00000000-0000-4000-8000-000000000022"

[providers.neutrino]
enabled = true
base_url = "http://{{host}}:{{simulator}}/neutrino"
user_id = "acceptance"
api_key = "{neutrino_key}"
{pace}

[providers.thundersms]
enabled = true
base_url = "http://{{host}}:{{simulator}}/thundersms/api/v2"
access_token = "{thundersms_token}"
webhook_secret = ["{thundersms_secret}"]
webhook_id = ["{thundersms_id}"]
webhook_validation_key = "{thundersms_validation}"
{pace}
[providers.thundersms.channels.sms]
from = "Example"
[providers.thundersms.channels.whatsapp]
from = "4915112345678"
[providers.thundersms.channels.viber]
from = "Example"
[providers.thundersms.channels.voice]
from = "4930000000"
flow_id = "42"

[providers.smtp]
enabled = true
host = "{{host}}"
port = {{mail}}
starttls = false
username = "acceptance"
password = "{smtp_password}"
from_address = "verify@example.org"
{pace}
"""
_PACE: Final = "rate_per_s = 500\nmax_concurrency = 100\ntimeout_s = 5"

PROVIDERS: Final = _PROVIDERS.format(pace=_PACE, instances=", ".join(f'"{name}"' for name in INSTANCES), **KEYS)
"""For :class:`tests.acceptance.harness.Deployment`, with its addresses still open."""

PROCESSES: Final = {
    **{stage: ("run", stage) for stage in ("gateway", "router", "tracker", "correlator")},
    **{name: ("run", "sender", "--provider", name) for name in INSTANCES},
}
