"""The settings of a demo: every kind of provider, one of them twice, and tenants with wishes of their own."""

from __future__ import annotations

import base64
import json
import secrets
import uuid
from typing import Final

WALKING: Final = "thundersms_walking"
"""The second account at ThunderSMS. It is told of no webhook, so that its messages must be asked about, and it goes on
to further channels by itself."""


def kind_of(account: str) -> str:
    """The kind of provider that an account of the demo is at."""
    return "thundersms" if account == WALKING else account


_TOML: Final = """\
# Written by `pipeline demo`; gone with it.
[kafka]
bootstrap_servers = {bootstrap_servers}

[keys]
directory = {keys}

[tenants.default]

[tenants.shop]
brand = "Book shop"
code_length = 4
min_code_length = 4

# Its SMS end with a line by which browsers fill in the code there.
[tenants.bank]
brand = "Example Bank"
domain = "login.example.org"

# What Telesign can speak, and what its Smart Verify can carry by SMS and by call alike.
[tenants.calls]
code_length = 5
min_code_length = 5

# Longer than HTTP providers can carry, so they make their own codes, some of them shorter ones.
[tenants.long]
code_length = 12
min_code_length = 5

[templates.welcome]
texts = {{ en = "{{code}} opens your {{brand}} account. It is good for {{minutes}} minutes." }}
subjects = {{ en = "Your {{brand}} account" }}

[routes]
rules = [
  {{ tenant = "calls", providers = ["telesign"] }},
  {{ tenant = "long", providers = ["telesign"] }},
  {{ channel = "viber", providers = ["thundersms"] }},
  {{ channel = "email", providers = ["ycloud", "smtp", "bird"] }},
  {{ providers = ["ycloud", "neutrino"] }},
]

# The simulator takes more than what is known to be safe for the real ones, and answers sooner.
[providers.ycloud]
enabled = true
base_url = {ycloud_url}
api_key = {ycloud_key}
webhook_secret = [{ycloud_secret}]
max_concurrency = 200
rate_per_s = 1000.0
timeout_s = 3.0

[providers.neutrino]
enabled = true
base_url = {neutrino_url}
user_id = {neutrino_user}
api_key = {neutrino_key}
max_concurrency = 200
rate_per_s = 1000.0
timeout_s = 3.0

[providers.telesign]
enabled = true
base_url = {telesign_url}
customer_id = {telesign_customer}
api_key = {telesign_key}
smart_verify = true
smart_own_code = true
max_concurrency = 200
rate_per_s = 1000.0
timeout_s = 3.0

# Switched on is also what Bird's documentation leaves open, as the simulator has what we assume.
[providers.bird]
enabled = true
base_url = {bird_url}
workspace_id = {bird_workspace}
access_key = {bird_key}
signing_key = [{bird_secret}]
navigator_id = {bird_navigator}
get_path = "/verify/{{id}}"
list_path = "/verify"
list_limit = 100
resend_path = "/verify/{{id}}/resend"
failover_path = "/verify/{{id}}/failover"
max_concurrency = 200
rate_per_s = 1000.0
timeout_s = 3.0

[providers.bird.channels]
email = {bird_email}
whatsapp = {bird_whatsapp}

[providers.bird.templates.whatsapp]
project_id = {bird_project}
version = {bird_version}

[providers.thundersms]
enabled = true
base_url = {thundersms_url}
access_token = {thundersms_token}
webhook_secret = [{thundersms_secret}]
webhook_id = [{thundersms_webhook}]
webhook_validation_key = {thundersms_validation}
requires_receipts = true
max_concurrency = 200
rate_per_s = 1000.0
timeout_s = 3.0

[providers.thundersms.channels]
whatsapp = {{ from = "+4930000001" }}
sms = {{ from = "Example" }}
voice = {{ from = "+4930000001", flow_id = "101" }}
viber = {{ from = "Example" }}

[providers.{walking}]
kind = "thundersms"
enabled = true
base_url = {thundersms_url}
access_token = {walking_token}
walk_channels = true
# Asking tells what webhooks would, so that waits are as long as the request says.
requires_receipts = true
max_concurrency = 200
rate_per_s = 1000.0
timeout_s = 3.0

# Plain, as nothing of it leaves the machine.
[providers.smtp]
enabled = true
host = {host}
port = {smtp_port}
username = {smtp_user}
password = {smtp_password}
from_address = "verify@example.org"
starttls = false
max_concurrency = 20
rate_per_s = 1000.0
timeout_s = 3.0

[gateway]
host = {host}
port = {gateway_port}
public_url = {gateway_url}

[gateway.api_keys.demo]
key = {api_key}
scopes = ["start", "check", "read", "manage"]

[simulator]
host = {host}
port = {simulator_port}
smtp_port = {smtp_port}
webhook_url = {webhook_url}

[readmodel]
url = {readmodel_url}

[metrics]
host = {host}
port = {metrics_port}

[logging]
format = "json"
"""

_IDS: Final = (
    "telesign_customer",
    "bird_workspace",
    "bird_navigator",
    "bird_email",
    "bird_whatsapp",
    "bird_project",
    "bird_version",
)
_SECRETS: Final = (
    "ycloud_key",
    "ycloud_secret",
    "neutrino_user",
    "neutrino_key",
    "bird_key",
    "bird_secret",
    "thundersms_token",
    "thundersms_secret",
    "thundersms_webhook",
    "thundersms_validation",
    "walking_token",
    "smtp_user",
    "smtp_password",
)
_PATHS: Final = {
    "ycloud": "/ycloud/v2",
    "neutrino": "/neutrino",
    "telesign": "/telesign",
    "bird": "/bird",
    "thundersms": "/thundersms/api/v2",
}
"""Where each API is below the simulator's address."""


def written(
    *,
    bootstrap_servers: str,
    keys: str,
    database: str,
    host: str,
    gateway_port: int,
    simulator_port: int,
    smtp_port: int,
    metrics_port: int,
    api_key: str,
) -> str:
    """The text of a settings file for these addresses, with fresh credentials."""
    gateway, simulator = f"http://{host}:{gateway_port}", f"http://{host}:{simulator_port}"
    values: dict[str, str | int] = {
        "bootstrap_servers": bootstrap_servers,
        "keys": keys,
        "readmodel_url": f"sqlite:///{database}",
        "host": host,
        "gateway_port": gateway_port,
        "gateway_url": gateway,
        "simulator_port": simulator_port,
        "smtp_port": smtp_port,
        "webhook_url": f"{gateway}/v1/webhooks",
        "metrics_port": metrics_port,
        "api_key": api_key,
        "telesign_key": base64.b64encode(secrets.token_bytes(48)).decode(),
        **{f"{kind}_url": simulator + path for kind, path in _PATHS.items()},
        **{name: str(uuid.uuid4()) for name in _IDS},
        **{name: secrets.token_urlsafe(24) for name in _SECRETS},
    }
    # A JSON text or number is also one of TOML.
    return _TOML.format_map({"walking": WALKING, **{name: json.dumps(value) for name, value in values.items()}})
