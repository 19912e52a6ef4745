"""Where a demo lives: a temporary folder with settings, keys and logs, and free ports."""

from __future__ import annotations

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
from pipeline.demo.configuration import written
from pipeline.dev.ports import free_port
from pipeline.settings import Settings, load

HOST: Final = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A folder and the addresses of what runs in it."""

    folder: Path
    gateway_port: int
    simulator_port: int
    smtp_port: int
    metrics_port: int
    api_key: str
    """Of the gateway's REST API, with every scope."""

    @property
    def api_auth(self) -> dict[str, str]:
        """The header that carries it."""
        return {"Authorization": f"Bearer {self.api_key}"}

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
        text = written(
            bootstrap_servers=bootstrap_servers,
            keys=str(self.folder / "keys"),
            database=str(self.folder / "readmodel.sqlite"),
            host=HOST,
            gateway_port=self.gateway_port,
            simulator_port=self.simulator_port,
            smtp_port=self.smtp_port,
            metrics_port=self.metrics_port,
            api_key=self.api_key,
        )
        descriptor = os.open(self.config, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        return load(self.config, environ={})

    def remove(self) -> None:
        """Delete the folder with all that is in it."""
        shutil.rmtree(self.folder, ignore_errors=True)


def new_place() -> Place:
    """A new folder and four free ports. Raises Infrastructure when no port is free."""
    ports: list[int] = []
    for _ in range(4):
        ports.append(free_port(HOST, avoid=ports))
    return Place(
        folder=Path(tempfile.mkdtemp(prefix="pipeline-demo-")),
        gateway_port=ports[0],
        simulator_port=ports[1],
        smtp_port=ports[2],
        metrics_port=ports[3],
        api_key=secrets.token_urlsafe(24),
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
