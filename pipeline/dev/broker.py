"""Apache Kafka itself as one process on this machine: started, stopped, killed and started again."""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final

from pipeline.clock import Clock, SystemClock
from pipeline.dev import jars
from pipeline.dev.filelock import FileLock
from pipeline.dev.in_thread import in_thread
from pipeline.dev.installation import BrokerFailed, Installation, install
from pipeline.dev.ports import free_port, is_free
from pipeline.dev.process import LeashedProcess
from pipeline.dev.properties import HOST, ExtraListener, Node, server_properties
from pipeline.dev.readiness import answers
from pipeline.errors import DeadlinePassed, UsageError

__all__ = ["BrokerFailed", "DevBroker", "ExtraListener"]

MINIMUM_FREE_BYTES: Final = 200 * 1024 * 1024
_PORT_TRIES: Final = 3
_LAST_LINES: Final = 15
_FRAME: Final = re.compile(r"^\s+(at |\.\.\. \d+ more)")


class DevBroker:
    """One combined Kafka broker and controller, ``PLAINTEXT`` on 127.0.0.1.

    ``port`` 0 picks a free one, kept over :meth:`restart`. ``data_dir`` None is a temporary folder, deleted by
    :meth:`stop` (made in ``scratch``, else where the system makes them); a folder given is kept, and a broker started
    there again goes on with its topics.
    ``node`` makes it one of several (:mod:`pipeline.dev.cluster`), on that node's ports.
    ``extra_listener`` and ``properties`` (server properties that win over ours) are for fault tests.
    ``ready_s`` bounds the start, ``stop_s`` a clean stop before the process is killed; ``quick`` makes the class cache
    of :mod:`pipeline.dev.installation` where it is missing.

    The broker ends with this process, however that ends (:mod:`pipeline.dev.leash`). The async methods belong to any
    event loop, also a different one each time; as a plain context manager (``with DevBroker() as broker``) it
    is started and stopped in a thread of its own.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        data_dir: Path | None = None,
        scratch: Path | None = None,
        kafka_version: str = jars.DEFAULT_VERSION,
        extra_listener: ExtraListener | None = None,
        node: Node | None = None,
        properties: Mapping[str, str] | None = None,
        ready_s: float = 60.0,
        stop_s: float = 20.0,
        clock: Clock | None = None,
        cache: Path | None = None,
        quick: bool = True,
        progress: jars.Progress | None = None,
    ) -> None:
        self.kafka_version = kafka_version
        self._asked_port = port if node is None else node.ports[node.id - 1][0]
        self._asked_dir = data_dir
        self._scratch = scratch
        self._extra = extra_listener
        self._node = node
        self._overrides = dict(properties or {})
        self._ready_s = ready_s
        self._stop_s = stop_s
        self._clock = clock or SystemClock()
        self._cache = cache
        self._quick = quick
        self._progress = progress
        self._port = 0
        self._controller_port = 0
        self._dir: Path | None = None
        self._process: LeashedProcess | None = None
        self._claim: FileLock | None = None

    @property
    def port(self) -> int:
        """Where it listens; 0 before the first start."""
        return self._port

    @property
    def bootstrap_servers(self) -> str:
        """The address clients are given."""
        return f"{HOST}:{self._port}"

    @property
    def pid(self) -> int:
        """The Java process, for signals. Raises BrokerFailed when it is not running."""
        if self._process is None or not self._process.running:
            raise BrokerFailed("the broker is not running")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process is there (not whether it answers)."""
        return self._process is not None and self._process.running

    @property
    def data_dir(self) -> Path:
        """Its folder: ``server.properties``, ``broker.log`` and Kafka's own ``data``."""
        if self._dir is None:
            raise BrokerFailed("the broker was never started")
        return self._dir

    @property
    def log_file(self) -> Path:
        """What the broker prints: warnings and errors."""
        return self.data_dir / "broker.log"

    def last_lines(self, count: int = _LAST_LINES) -> str:
        """The end of the log without stack frames, for error messages."""
        with contextlib.suppress(OSError):
            lines = self.log_file.read_text(encoding="utf-8", errors="replace").splitlines()
            return "\n".join([line for line in lines if line.strip() and not _FRAME.match(line)][-count:])
        return ""

    async def start(self) -> None:
        """Start and wait until clients can use it.

        Raises UsageError (port taken, no Java, unknown version, folder not usable), JarsUnavailable (first fetch) or
        BrokerFailed (ended at start, not ready in time, no disk).
        """
        if self.running:
            return
        installation = await asyncio.to_thread(
            install, self.kafka_version, cache=self._cache, progress=self._progress, quick=self._quick
        )
        if self._asked_port and not is_free(HOST, self._asked_port):
            raise UsageError(
                f"port {self._asked_port} of {HOST} is taken: stop what listens there, or choose another with --port"
            )
        self._prepare_folder()
        self._claim_folder()
        for attempt in range(1, _PORT_TRIES + 1):
            self._choose_ports()
            try:
                self._launch(installation)
                await self._wait_ready()
                return
            except BrokerFailed as error:
                await self._end()
                # Between our look at the port and Java's bind somebody else took it: only then is another try sane.
                if "already in use" not in str(error) or self._asked_port or attempt == _PORT_TRIES:
                    self._drop_folder()
                    raise
                self._port = 0
                self._claim_folder()
            except BaseException:
                await self._end()
                self._drop_folder()
                raise

    async def stop(self) -> None:
        """End it cleanly (SIGTERM, after ``stop_s`` SIGKILL) and delete a temporary folder. Safe to call twice."""
        await self._end()
        self._drop_folder()

    async def kill(self) -> None:
        """``kill -9``: what a power cut does to it. The folder stays, :meth:`start` brings it back."""
        process, self._process = self._process, None
        if process is not None:
            await asyncio.to_thread(process.kill)
        self._release_folder()

    async def restart(self) -> None:
        """Stop cleanly and start again on the same port with the same data."""
        await self._end()
        await self.start()

    def __enter__(self) -> DevBroker:
        in_thread(self.start())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        in_thread(self.stop())

    async def __aenter__(self) -> DevBroker:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def _prepare_folder(self) -> None:
        if self._dir is None:
            if self._asked_dir is None:
                self._dir = Path(tempfile.mkdtemp(prefix="dev-broker-", dir=self._scratch))
            else:
                self._dir = self._asked_dir.absolute()
        try:
            self._dir.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(self._dir).free
            (self._dir / "broker.log").open("ab").close()
        except OSError as error:
            raise UsageError(
                f"the data folder {self._dir} cannot be used ({error.strerror}): choose another"
            ) from error
        if free < MINIMUM_FREE_BYTES:
            folder = self._dir
            self._drop_folder()
            raise BrokerFailed(
                f"only {free // 1_048_576} MB are free in {folder}, Kafka needs {MINIMUM_FREE_BYTES // 1_048_576}: "
                "free some, or choose a folder on another disk with --data-dir"
            )

    def _claim_folder(self) -> None:
        """Kafka locks its data too, but only after our files beside it are overwritten and its log is cut."""
        lock = FileLock(self.data_dir / "broker.lock", timeout_s=0.5)
        try:
            lock.__enter__()
        except DeadlinePassed as error:
            raise UsageError(
                f"another broker is using {self.data_dir}: stop it, or choose another folder with --data-dir"
            ) from error
        self._claim = lock

    def _release_folder(self) -> None:
        claim, self._claim = self._claim, None
        if claim is not None:
            claim.__exit__(None, None, None)

    def _drop_folder(self) -> None:
        if self._asked_dir is None and self._dir is not None:
            shutil.rmtree(self._dir, ignore_errors=True)
            self._dir = None
            self._port = 0

    def _choose_ports(self) -> None:
        # A temporary broker keeps its ports over restarts, so that clients find it again.
        if self._port == 0:
            self._port = self._asked_port or free_port(HOST)
            if self._node is None:
                self._controller_port = free_port(HOST, avoid=(self._port,))
            else:
                self._controller_port = self._node.ports[self._node.id - 1][1]

    def _launch(self, installation: Installation) -> None:
        folder = self.data_dir
        properties = server_properties(
            port=self._port,
            controller_port=self._controller_port,
            log_dir=folder / "data",
            extra_listener=self._extra,
            node=self._node,
            overrides=self._overrides,
        )
        installation.write_files(folder, properties)
        installation.format(folder / "data", self._node)
        self.log_file.write_bytes(b"")
        command = installation.command(folder, extra_flags=installation.quick_flags())
        self._process = LeashedProcess(command, log=self.log_file, folder=folder, grace_s=self._stop_s)

    async def _wait_ready(self) -> None:
        """Until a client's ApiVersions and Metadata are answered and the broker counts itself as alive."""
        began = self._clock.monotonic_s()
        while True:
            if not self.running:
                raise BrokerFailed(f"Kafka {self.kafka_version} ended at start:\n{self._explained()}")
            if await answers(self._port):
                return
            if self._clock.monotonic_s() - began > self._ready_s:
                raise BrokerFailed(
                    f"Kafka {self.kafka_version} was not ready within {self._ready_s:.0f} s:\n{self._explained()}"
                )
            await asyncio.sleep(0.05)

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            await asyncio.to_thread(process.end)
        self._release_folder()

    def _explained(self) -> str:
        lines = self.last_lines()
        if "already in use" in lines.lower():
            return f"a port is already in use\n{lines}"
        if "No space left on device" in lines:
            return f"no space left in {self.data_dir}\n{lines}"
        if "Failed to acquire lock" in lines:
            return (
                f"another broker is using {self.data_dir}: stop it, or choose another folder with --data-dir\n{lines}"
            )
        if "No MetadataVersion with feature level" in lines:
            return (
                f"the data in {self.data_dir} were written by a newer Kafka than {self.kafka_version}: start that one "
                f"with --kafka-version, or choose another folder with --data-dir\n{lines}"
            )
        return lines or f"(nothing in {self.log_file})"
