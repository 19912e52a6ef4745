"""The jars of Apache Kafka in the user's cache folder, fetched once from Maven Central by the pure-Python jgo.

``locks/kafka-<version>.txt`` names every jar with its SHA-256 (:mod:`pipeline.dev.lock` writes it). A warm start
reads one small index file and neither imports jgo nor hashes anything; it works offline. jgo reads no Maven
settings; a mirror is configured in its own file (``~/.config/jgo.conf``, section ``repositories``), proxies and
certificates by the environment variables of the requests library.
"""

from __future__ import annotations

import errno
import hashlib
import importlib.util
import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import platformdirs

from pipeline.dev.filelock import FileLock
from pipeline.errors import Infrastructure, UsageError

if TYPE_CHECKING:
    from jgo.maven import MavenContext

LOCKS: Final = Path(__file__).parent / "locks"
DEFAULT_VERSION: Final = "4.3.1"
TIMEOUT_S: Final = 30
"""Longest silence of the repository that is still waited for, seconds."""
PARALLEL: Final = 6
"""Downloads at once: most jars are small, so the time goes into round trips."""
TRIES: Final = 3
"""How often one jar is tried before the fetch gives up."""


class JarsUnavailable(Infrastructure):
    """The jars of Kafka could not be fetched; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Jar:
    """One locked jar."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def path(self) -> Path:
        """Where it lies inside a Maven repository."""
        return Path(*self.group.split("."), self.artifact, self.version, f"{self.artifact}-{self.version}.jar")


class Progress(Protocol):
    """Told about a fetch as it goes on; called from several threads, one at a time."""

    def begin(self, version: str, jars: int) -> None:
        """``jars`` jars are about to be fetched."""

    def advance(self, jar: str, done: int, fetched_bytes: int) -> None:
        """``done`` jars are here, the last being ``jar``, and ``fetched_bytes`` bytes in all."""

    def end(self) -> None:
        """The fetch is over, well or not."""

    def step(self, text: str) -> None:
        """Something else that takes seconds begins."""


class Silent:
    """No progress shown."""

    def begin(self, version: str, jars: int) -> None:
        """Nothing is shown."""

    def advance(self, jar: str, done: int, fetched_bytes: int) -> None:
        """Nothing is shown."""

    def end(self) -> None:
        """Nothing is shown."""

    def step(self, text: str) -> None:
        """Nothing is shown."""


def cache_dir() -> Path:
    """Where this package keeps what it fetched; safe to delete at any time."""
    return Path(platformdirs.user_cache_dir("verification-pipeline"))


def versions() -> tuple[str, ...]:
    """The Kafka releases that can be started, oldest first."""
    found = (path.stem.removeprefix("kafka-") for path in LOCKS.glob("kafka-*.txt"))
    return tuple(sorted(found, key=lambda version: tuple(map(int, version.split(".")))))


def locked(version: str) -> tuple[Jar, ...]:
    """The jars of one release. Raises UsageError for a release there is no list of."""
    if version not in versions():
        raise UsageError(f"kafka-version: {version!r} is not known here; use one of {', '.join(versions())}")
    jars = []
    for line in (LOCKS / f"kafka-{version}.txt").read_text(encoding="utf-8").splitlines():
        coordinate, sha256 = line.split()
        group, artifact, jar_version = coordinate.split(":")
        jars.append(Jar(group, artifact, jar_version, sha256))
    return tuple(jars)


def maven_context(repository: Path) -> MavenContext:
    """jgo reading and writing this repository folder only, over Maven Central and the user's own jgo mirrors."""
    from jgo.config import GlobalSettings
    from jgo.constants import MAVEN_CENTRAL_URL
    from jgo.maven import MavenContext

    # requests looks for certificates in variables of its own; a network with an authority of its own has usually set
    # the one that Python, curl and most others know.
    if "SSL_CERT_FILE" in os.environ and "CURL_CA_BUNDLE" not in os.environ:
        os.environ.setdefault("REQUESTS_CA_BUNDLE", os.environ["SSL_CERT_FILE"])
    mirrors = GlobalSettings.load().repositories
    return MavenContext(
        repo_cache=repository,
        remote_repos={**mirrors, "central": mirrors.get("central", MAVEN_CENTRAL_URL)},
        timeout=TIMEOUT_S,
    )


def classpath(
    version: str = DEFAULT_VERSION,
    *,
    cache: Path | None = None,
    progress: Progress | None = None,
    download: Callable[[Path, Jar], None] | None = None,
) -> tuple[Path, ...]:
    """Every jar of this release, fetched first where the cache has not got it.

    ``cache`` defaults to :func:`cache_dir`; ``download(repository, jar)`` puts one jar at its place and is replaced
    in tests. Raises UsageError for an unknown release or a folder that cannot be written, JarsUnavailable when the
    repository cannot be reached, sends something else than the list says, or the disk is full.
    """
    folder = cache if cache is not None else cache_dir()
    jars = locked(version)
    repository = folder / "repository"
    index = folder / f"kafka-{version}.json"
    here = _indexed(index, jars, repository)
    if here is not None:
        return here
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / "fetch.lock"):
            # Another start may have fetched everything while this one waited for the lock.
            here = _indexed(index, jars, repository)
            if here is None:
                _fetch(version, jars, repository, progress or Silent(), download or _download)
                here = tuple(repository / jar.path for jar in jars)
                unfinished = index.with_suffix(".tmp")
                unfinished.write_text(json.dumps({"lock": _fingerprint(jars)}), encoding="utf-8")
                unfinished.replace(index)
    return here


def _indexed(index: Path, jars: Sequence[Jar], repository: Path) -> tuple[Path, ...] | None:
    """The jars when the index says that all of exactly this list was checked, and they are still there."""
    try:
        if json.loads(index.read_text(encoding="utf-8")).get("lock") != _fingerprint(jars):
            return None
    except (OSError, ValueError, AttributeError):
        return None
    paths = tuple(repository / jar.path for jar in jars)
    return paths if all(path.is_file() for path in paths) else None


def _fingerprint(jars: Sequence[Jar]) -> str:
    return hashlib.sha256("".join(jar.sha256 for jar in jars).encode()).hexdigest()


def _intact(path: Path, jar: Jar) -> bool:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == jar.sha256
    except FileNotFoundError:
        return False


def _fetch(
    version: str, jars: Sequence[Jar], repository: Path, progress: Progress, download: Callable[[Path, Jar], None]
) -> None:
    """Fetch what is missing or broken; what an interrupted fetch left half written fails its checksum."""
    missing = [jar for jar in jars if not _intact(repository / jar.path, jar)]
    if not missing:
        return
    progress.begin(version, len(missing))
    done = fetched = 0
    with ThreadPoolExecutor(max_workers=PARALLEL, thread_name_prefix="fetch") as pool:
        try:
            running = {pool.submit(_fetch_one, repository, jar, download): jar for jar in missing}
            while running:
                finished, _ = wait(running, return_when=FIRST_EXCEPTION, timeout=0.1)
                for future in finished:
                    jar = running.pop(future)
                    future.result()
                    done += 1
                    fetched += (repository / jar.path).stat().st_size
                    progress.advance(jar.artifact, done, fetched)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
            progress.end()


def _fetch_one(repository: Path, jar: Jar, download: Callable[[Path, Jar], None]) -> None:
    path = repository / jar.path
    for attempt in range(1, TRIES + 1):
        # jgo takes any file at this place for the whole jar.
        path.unlink(missing_ok=True)
        try:
            download(repository, jar)
        except OSError as error:  # requests' exceptions are OSErrors too
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS):
                path.unlink(missing_ok=True)
                raise
            if attempt == TRIES:
                path.unlink(missing_ok=True)
                raise JarsUnavailable(
                    f"Kafka's jar {jar.artifact} {jar.version} could not be fetched ({_short(error)}). The first start "
                    "needs the internet, or a mirror of Maven Central named in ~/.config/jgo.conf, section "
                    "[repositories]; later starts work offline."
                ) from error
        except RuntimeError as error:
            raise JarsUnavailable(
                f"Kafka's jar {jar.artifact} {jar.version} is not in the repository: {error}"
            ) from error
        else:
            if _intact(path, jar):
                return
    path.unlink(missing_ok=True)
    raise JarsUnavailable(
        f"Kafka's jar {jar.artifact} {jar.version} arrived {TRIES} times with another content than its SHA-256 in "
        f"{LOCKS.name}/ says; a proxy or mirror may be replacing it."
    )


def _download(repository: Path, jar: Jar) -> None:
    if importlib.util.find_spec("jgo") is None:
        raise UsageError("fetching Kafka needs the package jgo: install verification-pipeline[demo]")
    artifact: Any = maven_context(repository).project(jar.group, jar.artifact).at_version(jar.version).artifact()
    artifact.resolve()


def _short(error: BaseException) -> str:
    """The innermost cause, without the addresses and object names that wrapped network errors are full of."""
    inner: BaseException = error
    while inner.__cause__ is not None or inner.__context__ is not None:
        inner = inner.__cause__ or inner.__context__ or inner
    return f"{type(inner).__name__}: {inner}"


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turns a full disk and a folder that cannot be written into errors with their fix."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise JarsUnavailable(
                f"no space left for Kafka's jars in {folder}: free 250 MB, or point XDG_CACHE_HOME to another disk"
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR):
            raise UsageError(
                f"the cache folder {folder} cannot be written ({error.strerror}): make it writable, or point "
                "XDG_CACHE_HOME to a folder that is"
            ) from error
        raise
