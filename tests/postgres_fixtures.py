"""A real PostgreSQL for tests: ``postgres`` (one server per test session) and ``postgres_url`` (a database per test).

The server is that of Debian's packages (``apt-get install postgresql``). ``TEST_POSTGRES`` names a running one to use
instead, as ``postgresql://USER:PASSWORD@HOST:PORT``; its user must be allowed to create databases.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, NoReturn

import asyncpg
import pytest

from pipeline.dev.ports import free_port
from pipeline.dev.process import LeashedProcess
from tests.kafka_fixtures import IN_CI, scratch

RUNNING: Final = os.environ.get("TEST_POSTGRES") or ""
READY_WITHIN_S: Final = 60.0
HOST: Final = "127.0.0.1"
SETTINGS: Final[Mapping[str, str]] = {
    # Nothing of it outlives the tests, so nothing has to reach a disk.
    "fsync": "off",
    "full_page_writes": "off",
    "listen_addresses": HOST,
    "max_connections": "100",
    "shared_buffers": "64MB",
    # The default would leave its segments in memory when the server is killed.
    "dynamic_shared_memory_type": "mmap",
    # A deadlock shall be seen, not waited for.
    "deadlock_timeout": "100ms",
}


class PostgresAbsent(Exception):
    """There is no server program, or it does not start; the message says why."""


def programs() -> Path:
    """The folder with ``initdb`` and ``postgres``; Debian keeps them off the path."""
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: float(folder.parent.name))
    for folder in reversed(folders):
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    raise PostgresAbsent("neither `initdb` on the path nor /usr/lib/postgresql; apt-get install postgresql")


class PostgresServer:
    """``with PostgresServer() as server:`` an empty server on a free port of this machine, gone afterwards.

    The server refuses to run as root, so root runs it as the user ``postgres`` of Debian's package.
    """

    def __init__(self, *, folder: Path | None = None, settings: Mapping[str, str] | None = None) -> None:
        self._programs = programs()
        self._as_postgres: list[str] = []
        if os.geteuid() == 0:
            self._as_postgres = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]
        self._settings = {**SETTINGS, **(settings or {})}
        self._home = Path(tempfile.mkdtemp(prefix="postgres-", dir=folder or scratch()))
        self._port = free_port(HOST)
        self._process: LeashedProcess | None = None

    @property
    def url(self) -> str:
        """Without the name of a database."""
        return f"postgresql://postgres@{HOST}:{self._port}"

    def __enter__(self) -> PostgresServer:
        try:
            self._create()
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _create(self) -> None:
        if self._as_postgres:
            shutil.chown(self._home, "postgres", "postgres")
        data = self._home / "data"
        made = subprocess.run(
            [*self._as_postgres, str(self._programs / "initdb"), "--pgdata", str(data), "--username", "postgres",
             "--auth", "trust", "--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync"],
            cwd=self._home, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        if made.returncode:
            raise PostgresAbsent(f"initdb failed: {made.stderr.strip()[-500:]}")

    def start(self) -> None:
        """Run it, until it takes connections."""
        data, log = self._home / "data", self._home / "log"
        settings = {**self._settings, "port": str(self._port), "unix_socket_directories": str(self._home)}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        command = [*self._as_postgres, str(self._programs / "postgres"), "-D", str(data), *options]
        self._process = LeashedProcess(command, log=log, folder=self._home, grace_s=5.0)
        until_s = time.monotonic() + READY_WITHIN_S
        ready = [str(self._programs / "pg_isready"), "-q", "-h", HOST, "-p", str(self._port)]
        while subprocess.run(ready, timeout=30, check=False).returncode:
            if not self._process.running or time.monotonic() > until_s:
                raise PostgresAbsent(f"the server does not start: {log.read_text()[-500:]}")
            time.sleep(0.05)

    def kill(self) -> None:
        """SIGKILL to all of it; what it wrote stays, to be recovered at the next :meth:`start`."""
        if self._process is not None:
            self._process.kill()
            self._process = None

    def empty(self) -> None:
        """In place of a server that was killed, one that knows nothing."""
        shutil.rmtree(self._home / "data")
        self._create()

    def stop(self) -> None:
        """End the server and remove all it wrote."""
        if self._process is not None:
            self._process.end()
            self._process = None
        shutil.rmtree(self._home, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """``postgresql://USER@HOST:PORT`` of the one server all tests of this session share."""
    if RUNNING:
        yield RUNNING.rstrip("/")
        return
    with contextlib.ExitStack() as stack:
        try:
            server = stack.enter_context(PostgresServer())
        except PostgresAbsent as error:
            absent(str(error))
        yield server.url


def absent(reason: str) -> NoReturn:
    """Skip on a person's machine; in CI (``CI=true``) a promise not tested is a failure."""
    if IN_CI:
        pytest.fail(f"PostgreSQL cannot be had: {reason}", pytrace=False)
    pytest.skip(f"PostgreSQL cannot be had: {reason}")


@pytest.fixture
def postgres_url(postgres: str) -> Iterator[str]:
    """The address of an empty database that no other test uses."""
    name = f"t{secrets.token_hex(6)}"
    run(postgres, f"CREATE DATABASE {name}")
    try:
        yield f"{postgres}/{name}"
    finally:
        run(postgres, f"DROP DATABASE {name} WITH (FORCE)")


def run(server: str, statement: str) -> None:
    """One statement in the database ``postgres``, on a thread of its own: a fixture may be asked for within a loop."""

    async def work() -> None:
        connection = await asyncpg.connect(f"{server}/postgres")
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, work()).result(timeout=60)
