"""One deployment for the acceptance tests: topics, keys, simulator and processes, by the command line.

Everything is started as an operator would, with ``pipeline ...`` in processes of their own, on free ports and under a
topic prefix that nothing else uses. None of them can outlive the tests.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import httpx

from pipeline.dev.ports import free_port
from pipeline.dev.process import LeashedProcess

ROOT: Final = Path(__file__).parents[2]
HOST: Final = "127.0.0.1"
PARTITIONS: Final = 4
SETTINGS: Final = """
[kafka]
bootstrap_servers = "{kafka}"
topic_prefix = "{prefix}"
[keys]
directory = "{folder}/keys"
[gateway]
port = {gateway}
public_url = "http://{host}:{gateway}"
unready_after_s = 4
[gateway.api_keys.shop]
key = "acceptance-shop"
scopes = ["start", "check", "read", "manage"]
[gateway.api_keys.kiosk]
key = "acceptance-kiosk"
scopes = ["start"]
[readmodel]
url = "sqlite:///{folder}/readmodel.sqlite"
[simulator]
port = {simulator}
smtp_port = {mail}
webhook_url = "http://{host}:{gateway}/v1/webhooks"
time_factor = 20
[metrics]
port = {metrics}
[logging]
format = "json"
"""
TWO_KINDS: Final = """
[gateway.api_keys.other]
key = "acceptance-other"
tenant = "other"
scopes = ["start", "check", "read", "manage"]
[tenants.default]
[tenants.other]
[policy]
no_receipt_wait_s = 6
[routes]
rules = [{{ providers = ["ycloud", "neutrino"] }}]
[providers.ycloud]
enabled = true
base_url = "http://{host}:{simulator}/ycloud/v2"
api_key = "acceptance-ycloud"
webhook_secret = ["acceptance-webhooks"]
rate_per_s = 500
max_concurrency = 100
timeout_s = 2
[providers.neutrino]
enabled = true
base_url = "http://{host}:{simulator}/neutrino"
user_id = "acceptance"
api_key = "acceptance-neutrino"
rate_per_s = 500
max_concurrency = 100
timeout_s = 2
# A second account at the same provider, as slow as a small contract, for whoever pins it.
[providers.slow]
kind = "ycloud"
enabled = true
base_url = "http://{host}:{simulator}/ycloud/v2"
api_key = "acceptance-slow"
webhook_secret = ["acceptance-slow-webhooks"]
rate_per_s = 25
"""
"""Providers and rules of the tests that are about neither."""


def command(*arguments: str, module: Sequence[str] = ("pipeline",)) -> list[str]:
    """``pipeline ...`` without any setting of the person who runs the tests; ``module`` for one that wraps it."""
    foreign = [part for name in os.environ if name.startswith("PIPELINE_") for part in ("-u", name)]
    return ["env", *foreign, sys.executable, "-m", *module, *arguments]


class Child:
    """One process of the pipeline, with the settings of its deployment and a metrics port of its own."""

    def __init__(self, deployment: Deployment, name: str, *run: str) -> None:
        self.name = name
        self._run = run
        self._port = deployment.free_port()
        # One more gateway beside that of the deployment, to which the simulator sends its webhooks.
        ports = {"gateway": deployment.free_port()} if name.startswith("gateway-") else {}
        self._config = deployment.write_settings(f"{name}.toml", metrics=self._port, **ports)
        self.api_url = f"http://{HOST}:{ports['gateway']}" if ports else deployment.api_url
        self._log = deployment.folder / f"{name}.log"
        self._process: LeashedProcess | None = None

    @property
    def logged(self) -> str:
        """All that it wrote, over its restarts."""
        return self._log.read_text(encoding="utf-8", errors="replace") if self._log.exists() else ""

    @property
    def metrics(self) -> str:
        """What Prometheus would read."""
        return httpx.get(f"http://{HOST}:{self._port}/metrics", timeout=10).raise_for_status().text

    def start(self, *, module: Sequence[str] = ("pipeline",)) -> Child:
        """Begin; :meth:`ready` waits for the rest. ``module`` with its arguments wraps the program, to hurt it."""
        self._process = LeashedProcess(
            command("--config", str(self._config), *self._run, module=module), log=self._log, folder=ROOT, grace_s=40
        )
        return self

    def ready(self, within_s: float = 60.0) -> None:
        """Wait until it says so itself."""
        eventually(lambda: self.is_ready, within_s, lambda: f"{self.name} is not ready:\n{self.logged[-3000:]}")

    def kill(self) -> None:
        """SIGKILL."""
        assert self._process is not None
        self._process.kill()

    @property
    def pid(self) -> int:
        """For signals, and to see that it is still the same process."""
        assert self._process is not None
        return self._process.pid

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        assert self._process is not None
        process, self._process = self._process, None
        return process.end()

    @property
    def started(self) -> bool:
        """Whether it was started and not stopped; it may have ended by itself."""
        return self._process is not None

    @property
    def running(self) -> bool:
        """Whether it is started and has not ended."""
        return self._process is not None and self._process.running

    @property
    def is_ready(self) -> bool:
        """Whether it says so itself."""
        assert self.running, f"{self.name} ended:\n{self.logged[-3000:]}"
        try:
            return httpx.get(f"http://{HOST}:{self._port}/readyz", timeout=5).status_code == 200
        except httpx.TransportError:
            return False


class Deployment:
    """A whole installation; ``processes`` are its children by name, such as ``{"all": ("run", "all")}``.

    ``providers`` is TOML of whatever the common settings lack.
    """

    def __init__(
        self,
        *,
        kafka: str,
        folder: Path,
        processes: Mapping[str, tuple[str, ...]],
        providers: str = TWO_KINDS,
        partitions: int = PARTITIONS,
        replicas: int = 1,
    ) -> None:
        self.kafka = kafka
        self.folder = folder
        self._settings = SETTINGS + providers
        self.prefix = f"t{secrets.token_hex(4)}."
        self._used: set[int] = set()
        self._ports = {name: self.free_port() for name in ("simulator", "gateway", "mail")}
        self._once = self.write_settings("pipeline.toml", metrics=0)
        self.pipeline("keys", "new")
        self.pipeline("topics", "apply", "--partitions", str(partitions), "--replication-factor", str(replicas))
        self.simulator = Simulator(f"http://{HOST}:{self._ports['simulator']}")
        self._simulator = LeashedProcess(
            command("--config", str(self._once), "simulator"), log=folder / "simulator.log", folder=ROOT, grace_s=10
        )
        self.children = {name: Child(self, name, *run) for name, run in processes.items()}

    def start(self) -> None:
        """Start every process and wait until all are ready."""
        for child in self.children.values():
            child.start()
        self.simulator.ready()
        for child in self.children.values():
            child.ready()

    def stop(self) -> dict[str, int]:
        """End everything cleanly; the exit codes by name."""
        try:
            return self.stop_these([name for name, child in self.children.items() if child.started])
        finally:
            self._simulator.end()

    def stop_these(self, names: Sequence[str]) -> dict[str, int]:
        """SIGTERM to some of the children, at once; their exit codes by name."""
        with ThreadPoolExecutor(max(1, len(names))) as pool:
            return dict(zip(names, pool.map(lambda name: self.children[name].stop(), names), strict=True))

    def pipeline(self, *arguments: str) -> str:
        """Run one command to its end; returns what it wrote."""
        code, out, told = self.ended(*arguments)
        assert code == 0, f"pipeline {' '.join(arguments)}: {out}{told}"
        return out

    def ended(self, *arguments: str) -> tuple[int, str, str]:
        """Run one command to its end, well or not: exit code, standard output and standard error."""
        done = subprocess.run(
            command("--config", str(self._once), *arguments), cwd=ROOT, capture_output=True, text=True, timeout=90
        )
        return done.returncode, done.stdout, done.stderr

    @property
    def api_url(self) -> str:
        """Where the gateway is."""
        return f"http://{HOST}:{self._ports['gateway']}"

    def public_key(self) -> str:
        """What a producer seals its codes to."""
        return str(
            next(key["public_key"] for key in json.loads(self.pipeline("keys", "list", "--json")) if key["current"])
        )

    @property
    def settings_file(self) -> Path:
        """What a command of this deployment is configured by."""
        return self._once

    def free_port(self) -> int:
        """A port that no process of this deployment has been given."""
        port = free_port(HOST, avoid=self._used)
        self._used.add(port)
        return port

    def write_settings(self, name: str, *, metrics: int, **ports: int) -> Path:
        """The settings file of one process; ``ports`` are those in which it differs."""
        path = self.folder / name
        path.write_text(
            self._settings.format(
                kafka=self.kafka,
                prefix=self.prefix,
                folder=self.folder,
                host=HOST,
                metrics=metrics,
                **self._ports | ports,
            )
        )
        return path


class Simulator:
    """The world outside: what people received, what providers were asked, and how they should behave."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._http = httpx.Client(base_url=url, timeout=10)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def ready(self) -> None:
        """Wait until it answers."""

        def answers() -> bool:
            try:
                return self._http.get("/healthz").status_code == 200
            except httpx.TransportError:
                return False

        eventually(answers, 30, lambda: "the simulator does not answer")
        self.behave("neutrino")

    def inbox(self, recipient: str) -> list[dict[str, Any]]:
        """The messages a person has, oldest first."""
        return list(self._http.get("/inbox", params={"recipient": recipient}).raise_for_status().json())

    def everything(self, since: int) -> list[dict[str, Any]]:
        """The messages of everybody since a time (epoch milliseconds), oldest first."""
        return list(self._http.get("/inbox", params={"since": since}).raise_for_status().json())

    def message(self, recipient: str, within_s: float = 15.0) -> dict[str, Any]:
        """The newest message of a person, waited for."""
        eventually(lambda: bool(self.inbox(recipient)), within_s, lambda: f"no message for ...{recipient[-3:]}")
        return self.inbox(recipient)[-1]

    def code(self, recipient: str, within_s: float = 15.0) -> str:
        """The code a person was sent."""
        return str(self.message(recipient, within_s)["code"])

    def calls(self, recipient: str | None = None, *, kind: str | None = None) -> list[dict[str, Any]]:
        """Every request to a provider in order, or those for one recipient, or to one kind of provider."""
        asked = {} if kind is None else {"provider": kind}
        lines = self._http.get("/calls", params=asked).raise_for_status().text.splitlines()
        calls = [json.loads(line) for line in lines]
        return calls if recipient is None else [call for call in calls if call["recipient"] == recipient]

    def behave(self, provider: str, **behaviour: Any) -> None:
        """Replace how a provider behaves; without limits unless they are given, as Neutrino's own are too slow here."""
        answer = self._http.put(f"/behaviour/{provider}", content=json.dumps({"limits": {}} | behaviour))
        assert answer.status_code == 200, answer.text


def eventually(true: Callable[[], bool], within_s: float, missing: Callable[[], str]) -> None:
    """Wait for the outside; within the pipeline there are records to wait for."""
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline, f"not within {within_s:g} s: {missing()}"
        time.sleep(0.05)
