"""Fetching Kafka: once, whole, and with words a person can act on."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.dev import jars
from pipeline.dev.jars import Jar, JarsUnavailable
from pipeline.errors import UsageError

CONTENT = b"the bytes of a jar"


@pytest.fixture
def three_jars(monkeypatch: pytest.MonkeyPatch) -> tuple[Jar, ...]:
    import hashlib

    digest = hashlib.sha256(CONTENT).hexdigest()
    known = tuple(Jar("org.example", name, "1.0", digest) for name in ("one", "two", "three"))
    monkeypatch.setattr(jars, "locked", lambda _: known)
    return known


class Repository:
    """A Maven repository that may be away, lie, or fill the disk."""

    def __init__(self, *, content: bytes = CONTENT, fails: Callable[[int], OSError | None] = lambda _: None) -> None:
        self.asked: list[str] = []
        self._content = content
        self._fails = fails
        self._lock = threading.Lock()

    def __call__(self, repository: Path, jar: Jar) -> None:
        with self._lock:
            self.asked.append(jar.artifact)
            error = self._fails(len(self.asked))
        path = repository / jar.path
        path.parent.mkdir(parents=True, exist_ok=True)
        if error is not None:
            path.write_bytes(self._content[:3])
            raise error
        path.write_bytes(self._content)


class Watcher(jars.Silent):
    def __init__(self) -> None:
        self.seen: list[object] = []

    def begin(self, version: str, jars: int) -> None:
        self.seen.append(("begin", version, jars))

    def advance(self, jar: str, done: int, fetched_bytes: int) -> None:
        self.seen.append(("advance", done, fetched_bytes))

    def end(self) -> None:
        self.seen.append("end")


def test_the_first_start_fetches_and_the_next_asks_nobody(tmp_path: Path, three_jars: tuple[Jar, ...]) -> None:
    repository = Repository()
    first = jars.classpath("4.3.1", cache=tmp_path, download=repository)
    assert sorted(repository.asked) == ["one", "three", "two"]
    assert [path.read_bytes() for path in first] == [CONTENT] * 3
    again = Repository(fails=lambda _: OSError("no network"))
    assert jars.classpath("4.3.1", cache=tmp_path, download=again) == first
    assert again.asked == []


def test_progress_tells_how_far_it_is(tmp_path: Path, three_jars: tuple[Jar, ...]) -> None:
    watcher = Watcher()
    jars.classpath("4.3.1", cache=tmp_path, download=Repository(), progress=watcher)
    size = len(CONTENT)
    assert watcher.seen == [
        ("begin", "4.3.1", 3),
        ("advance", 1, size),
        ("advance", 2, 2 * size),
        ("advance", 3, 3 * size),
        "end",
    ]


def test_a_jar_deleted_from_the_cache_is_fetched_again_alone(tmp_path: Path, three_jars: tuple[Jar, ...]) -> None:
    paths = jars.classpath("4.3.1", cache=tmp_path, download=Repository())
    paths[1].unlink()
    repository = Repository()
    assert jars.classpath("4.3.1", cache=tmp_path, download=repository) == paths
    assert repository.asked == ["two"]


def test_what_an_interrupted_fetch_left_half_written_is_fetched_again(
    tmp_path: Path, three_jars: tuple[Jar, ...]
) -> None:
    half = tmp_path / "repository" / three_jars[0].path
    half.parent.mkdir(parents=True)
    half.write_bytes(CONTENT[:5])
    paths = jars.classpath("4.3.1", cache=tmp_path, download=Repository())
    assert paths[0].read_bytes() == CONTENT


def test_a_network_that_stumbles_once_is_tried_again(tmp_path: Path, three_jars: tuple[Jar, ...]) -> None:
    repository = Repository(fails=lambda call: OSError("reset") if call == 1 else None)
    assert len(jars.classpath("4.3.1", cache=tmp_path, download=repository)) == 3


def test_no_network_is_said_with_the_fix_and_leaves_nothing_half_done(
    tmp_path: Path, three_jars: tuple[Jar, ...]
) -> None:
    with pytest.raises(JarsUnavailable, match=r"could not be fetched \(OSError: no route\).*internet.*mirror"):
        jars.classpath("4.3.1", cache=tmp_path, download=Repository(fails=lambda _: OSError("no route")))
    assert not list((tmp_path / "repository").rglob("*.jar"))
    assert jars.classpath("4.3.1", cache=tmp_path, download=Repository())


def test_a_jar_with_another_content_is_never_used(tmp_path: Path, three_jars: tuple[Jar, ...]) -> None:
    with pytest.raises(JarsUnavailable, match="another content than its SHA-256"):
        jars.classpath("4.3.1", cache=tmp_path, download=Repository(content=b"something else"))
    assert not list((tmp_path / "repository").rglob("*.jar"))


def test_a_full_disk_is_said_with_the_fix(tmp_path: Path, three_jars: tuple[Jar, ...]) -> None:
    full = Repository(fails=lambda _: OSError(errno.ENOSPC, "No space left on device"))
    with pytest.raises(JarsUnavailable, match=r"no space left.*free 250 MB"):
        jars.classpath("4.3.1", cache=tmp_path, download=full)
    assert len(full.asked) <= 3, "another try would not help"


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS])
def test_a_cache_that_cannot_be_written_is_said_with_the_fix(
    tmp_path: Path, three_jars: tuple[Jar, ...], code: int
) -> None:
    read_only = Repository(fails=lambda _: OSError(code, "refused"))
    with pytest.raises(UsageError, match=r"cannot be written.*XDG_CACHE_HOME"):
        jars.classpath("4.3.1", cache=tmp_path, download=read_only)


def test_a_cache_below_a_file_is_said_with_the_fix(tmp_path: Path, three_jars: tuple[Jar, ...]) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        jars.classpath("4.3.1", cache=tmp_path / "file" / "cache", download=Repository())


def test_an_unknown_release_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"'2\.8\.0' is not known here; use one of 3\.9\.1, 4\.3\.1"):
        jars.classpath("2.8.0", cache=tmp_path)


@pytest.mark.parametrize("version", ["3.9.1", "4.3.1"])
def test_every_locked_kafka_jar_is_of_the_release_itself(version: str) -> None:
    ours = [jar for jar in jars.locked(version) if jar.group == "org.apache.kafka"]
    assert {"kafka_2.13", "kafka-clients", "kafka-tools"} <= {jar.artifact for jar in ours}
    assert {jar.version for jar in ours} == {version}, "a logging library's version table once brought in clients 3.8.0"
    assert all(len(jar.sha256) == 64 for jar in jars.locked(version))


def test_two_starts_at_once_fetch_once(tmp_path: Path, three_jars: tuple[Jar, ...]) -> None:
    repository = Repository()
    found: list[tuple[Path, ...]] = []
    starts = [
        threading.Thread(target=lambda: found.append(jars.classpath("4.3.1", cache=tmp_path, download=repository)))
        for _ in range(4)
    ]
    for start in starts:
        start.start()
    for start in starts:
        start.join()
    assert len(found) == 4
    assert len(set(found)) == 1
    assert sorted(repository.asked) == ["one", "three", "two"]
