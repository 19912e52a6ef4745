"""Kafka made ready to start on this machine: Java, jars, and two things worked out once and kept in the cache.

Both save a good second or two of every start. The *formatted folder* is what Kafka's storage tool makes of an empty
one (a Java program of its own); it holds the feature levels of the release and two random ids, which are replaced. The
*class cache* is the JVM's own ahead-of-time cache (Java 25 and newer): classes loaded and linked, measured here to
take a start from 3.6 s to 1.3 s. The JVM checks it against itself and the jars and does without when it does not fit.
"""

from __future__ import annotations

import base64
import logging
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pipeline.dev import jars
from pipeline.dev.filelock import FileLock
from pipeline.dev.java import Java, find_java
from pipeline.dev.ports import free_port
from pipeline.dev.process import LeashedProcess
from pipeline.dev.properties import HOST, JVM_FLAGS, Node, logging_file, render, server_properties
from pipeline.errors import Infrastructure

AOT_SINCE: Final = 25
"""First Java that makes its class cache in one step."""
_AOT_FLAGS: Final = (
    # Java 25 stores call adapters under names it does not find again and says so at each start; classes alone bring
    # all of the gain. A later Java may not know these switches.
    "-XX:+IgnoreUnrecognizedVMOptions",
    "-XX:+UnlockDiagnosticVMOptions",
    "-XX:-AOTAdapterCaching",
    "-XX:-AOTStubCaching",
)
_FORMAT_S: Final = 60
_TRAIN_S: Final = 90

log = logging.getLogger(__name__)


class BrokerFailed(Infrastructure):
    """The broker did not start or ended by itself; the message has the last lines of its log."""


@dataclass(frozen=True, slots=True)
class Installation:
    """One Kafka release that can be started."""

    version: str
    java: Java
    classpath: tuple[Path, ...]
    cache: Path

    def command(self, folder: Path, *, extra_flags: tuple[str, ...] = ()) -> list[str]:
        """How to start the broker whose ``server.properties`` and logging file lie in ``folder``."""
        name, _, switch = logging_file(self.version)
        flags = [*JVM_FLAGS, *extra_flags, f"-D{switch}={(folder / name).as_uri()}"]
        return [*self._java(*flags), "kafka.Kafka", str(folder / "server.properties")]

    def quick_flags(self) -> tuple[str, ...]:
        """The JVM flags that use the class cache, where there is one."""
        archive = self._archive()
        return (*_AOT_FLAGS, f"-XX:AOTCache={archive}") if archive is not None and archive.exists() else ()

    def write_files(self, folder: Path, properties: dict[str, str]) -> None:
        """``server.properties`` and the logging file."""
        (folder / "server.properties").write_text(render(properties), encoding="utf-8")
        name, content, _ = logging_file(self.version)
        (folder / name).write_text(content, encoding="utf-8")

    def format(self, data: Path, node: Node | None = None) -> None:
        """Make ``data`` a formatted folder with ids of its own, unless it is one already."""
        if (data / "meta.properties").exists():
            return
        unfinished = data.with_name(f"{data.name}.new")
        shutil.rmtree(unfinished, ignore_errors=True)
        shutil.copytree(self._formatted(), unfinished)
        meta = unfinished / "meta.properties"
        ids = {"cluster.id": kafka_id(), "directory.id": kafka_id()}
        if node is not None:
            ids |= {"cluster.id": node.cluster_id, "node.id": str(node.id)}
        lines = meta.read_text(encoding="utf-8")
        meta.write_text(
            re.sub(rf"(?m)^({'|'.join(map(re.escape, ids))})=.*$", lambda line: f"{line[1]}={ids[line[1]]}", lines),
            encoding="utf-8",
        )
        unfinished.replace(data)

    def _java(self, *flags: str) -> list[str]:
        return [str(self.java.program), *flags, "-cp", os.pathsep.join(map(str, self.classpath))]

    def _formatted(self) -> Path:
        template = self.cache / f"formatted-{self.version}"
        if template.exists():
            return template
        with FileLock(self.cache / "prepare.lock"):
            if template.exists():
                return template
            with tempfile.TemporaryDirectory(prefix="format-", dir=self.cache) as name:
                folder = Path(name)
                data = folder / "data"
                self.write_files(folder, server_properties(port=9092, controller_port=9093, log_dir=data))
                tool = [*self._java(*JVM_FLAGS), "kafka.tools.StorageTool", "format", "-t", kafka_id()]
                done = subprocess.run(  # noqa: S603
                    [*tool, "-c", str(folder / "server.properties")],
                    capture_output=True,
                    text=True,
                    timeout=_FORMAT_S,
                    check=False,
                )
                if done.returncode != 0:
                    raise BrokerFailed(f"Kafka's storage tool failed:\n{(done.stdout + done.stderr).strip()}")
                data.replace(template)
        return template

    def _archive(self) -> Path | None:
        if self.java.version < AOT_SINCE:
            return None
        # Another Java at the same place (an update of the wheel) is another file.
        stamp = self.java.program.stat().st_mtime_ns
        return self.cache / f"kafka-{self.version}-java{self.java.version}-{stamp:x}.aot"

    def train(self, progress: jars.Progress) -> None:
        """Make the class cache by one trial start, unless it is there or this Java cannot. About ten seconds, once."""
        archive = self._archive()
        if archive is None or archive.exists():
            return
        with FileLock(self.cache / "prepare.lock", timeout_s=_TRAIN_S * 2):
            if archive.exists():
                return
            progress.step(f"Preparing Kafka {self.version} for quick starts (once)")
            for outdated in self.cache.glob(f"kafka-{self.version}-java*.aot"):
                outdated.unlink(missing_ok=True)
            for left_over in self.cache.glob("train-*"):  # by one that was killed
                shutil.rmtree(left_over, ignore_errors=True)
            with tempfile.TemporaryDirectory(prefix="train-", dir=self.cache) as name:
                unfinished = Path(name) / "classes.aot"
                self._trial_start(Path(name), unfinished)
                if unfinished.exists():
                    unfinished.replace(archive)
                else:
                    log.warning(
                        "Java made no class cache for Kafka %s; its starts take some seconds longer", self.version
                    )

    def _trial_start(self, folder: Path, output: Path) -> None:
        port = free_port(HOST)
        data = folder / "data"
        shutil.copytree(self.cache / f"formatted-{self.version}", data)
        controller_port = free_port(HOST, avoid=(port,))
        self.write_files(folder, server_properties(port=port, controller_port=controller_port, log_dir=data))
        command = self.command(folder, extra_flags=(*_AOT_FLAGS, f"-XX:AOTCacheOutput={output}"))
        # The JVM writes the cache at its end, which takes longer than any start.
        process = LeashedProcess(command, log=folder / "broker.log", folder=folder, grace_s=_TRAIN_S)
        try:
            deadline = time.monotonic() + _TRAIN_S
            while process.running and time.monotonic() < deadline and not _listens(port):
                time.sleep(0.1)
        finally:
            process.end()


def install(
    version: str, *, cache: Path | None = None, progress: jars.Progress | None = None, quick: bool = True
) -> Installation:
    """Java found, jars fetched, format and (where ``quick``) class cache made; blocking, at once when all is there.

    Raises UsageError, JarsUnavailable, BrokerFailed.
    """
    java = find_java()
    folder = cache if cache is not None else jars.cache_dir()
    shown = progress or jars.Silent()
    installation = Installation(version, java, jars.classpath(version, cache=folder, progress=shown), folder)
    with jars.writing(folder):
        installation._formatted()
        if quick:
            installation.train(shown)
    return installation


def kafka_id() -> str:
    """An id as Kafka writes them: 16 random bytes in URL-safe base64, not beginning with a dash."""
    while True:
        text = base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()
        if not text.startswith("-"):
            return text


def _listens(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), timeout=1).close()
    except OSError:
        return False
    return True
