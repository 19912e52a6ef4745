"""Where a demo lives: a temporary folder with settings, keys and logs, and free ports."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pipeline
from pipeline import key_files
from pipeline.clock import Clock
from pipeline.dev.ports import free_port
from pipeline.settings import Settings, load

HOST: Final = "127.0.0.1"

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

# The simulator takes more than what is known to be safe for the real ones, and answers sooner.
[providers.ycloud]
enabled = true
base_url = {ycloud_url}
api_key = {ycloud_key}
webhook_secret = [{webhook_secret}]
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

[routes]
rules = [{{ providers = ["ycloud", "neutrino"] }}]

[gateway]
host = {host}
port = {gateway_port}

[simulator]
host = {host}
port = {simulator_port}
smtp_port = 0
webhook_url = {webhook_url}

[metrics]
host = {host}
port = {metrics_port}

[logging]
format = "json"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A folder and the addresses of what runs in it."""

    folder: Path
    gateway_port: int
    simulator_port: int
    metrics_port: int

    @property
    def config(self) -> Path:
        """The settings file."""
        return self.folder / "pipeline.toml"

    @property
    def gateway(self) -> str:
        """Base URL of the gateway."""
        return f"http://{HOST}:{self.gateway_port}"

    @property
    def simulator(self) -> str:
        """Base URL of the simulator."""
        return f"http://{HOST}:{self.simulator_port}"

    @property
    def status(self) -> str:
        """Base URL of metrics, health and readiness."""
        return f"http://{HOST}:{self.metrics_port}"

    def log(self, name: str) -> Path:
        """The log of one child process."""
        return self.folder / f"{name}.log"

    def configure(self, bootstrap_servers: str, clock: Clock) -> Settings:
        """Write keys and settings with fresh secrets and read them back. Raises SettingsError, UsageError."""
        key_files.create(self.folder / "keys", clock)
        values: dict[str, str | int] = {
            "bootstrap_servers": bootstrap_servers,
            "keys": str(self.folder / "keys"),
            "ycloud_url": f"{self.simulator}/ycloud/v2",
            "ycloud_key": secrets.token_urlsafe(24),
            "webhook_secret": f"whsec_{secrets.token_urlsafe(24)}",
            "neutrino_url": f"{self.simulator}/neutrino",
            "neutrino_user": f"demo-{secrets.token_hex(4)}",
            "neutrino_key": secrets.token_urlsafe(24),
            "host": HOST,
            "gateway_port": self.gateway_port,
            "simulator_port": self.simulator_port,
            "webhook_url": f"{self.gateway}/v1/webhooks",
            "metrics_port": self.metrics_port,
        }
        # A JSON text or number is also one of TOML.
        text = _TOML.format_map({name: json.dumps(value) for name, value in values.items()})
        descriptor = os.open(self.config, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        return load(self.config, environ={})

    def remove(self) -> None:
        """Delete the folder with all that is in it."""
        shutil.rmtree(self.folder, ignore_errors=True)


def new_place() -> Place:
    """A new folder and three free ports. Raises Infrastructure when no port is free."""
    ports: list[int] = []
    for _ in range(3):
        ports.append(free_port(HOST, avoid=ports))
    return Place(
        folder=Path(tempfile.mkdtemp(prefix="pipeline-demo-")),
        gateway_port=ports[0],
        simulator_port=ports[1],
        metrics_port=ports[2],
    )


def command(config: Path, *arguments: str) -> list[str]:
    """This program as a child process."""
    return [sys.executable, "-m", "pipeline", "--config", str(config), *arguments]


def home() -> Path:
    """The folder that holds this package: a child that starts there runs the same code as we do."""
    return Path(pipeline.__file__).parent.parent


def environment(variables: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Ours without settings: an address exported for another cluster must not win over the demo's own."""
    return {name: value for name, value in variables.items() if not name.upper().startswith("PIPELINE_")}
