from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from pipeline import key_files
from pipeline.errors import UsageError
from pipeline.testing.clock import ManualClock

CLOCK = ManualClock(now_ms=1_800_000_000_000)


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    directory = tmp_path / "deep" / "keys"
    key_files.create(directory, CLOCK)
    return directory


def test_a_first_key_makes_a_whole_ring_that_only_its_owner_reads(keys: Path) -> None:
    ring = key_files.load(keys)
    assert ring.kids == (ring.current,)
    assert keys.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in keys.iterdir()} == {0o600}
    assert len(list(keys.iterdir())) == 3


def test_two_rings_have_nothing_in_common(tmp_path: Path) -> None:
    for name in "ab":
        key_files.create(tmp_path / name, CLOCK)
    one, other = key_files.load(tmp_path / "a"), key_files.load(tmp_path / "b")
    assert one.recipient_key("+4915123456789") != other.recipient_key("+4915123456789")
    assert one.public_key().raw != other.public_key().raw


def test_a_further_key_is_known_but_not_used_until_it_is_promoted(keys: Path) -> None:
    before = key_files.load(keys)
    kid = key_files.create(keys, ManualClock(now_ms=CLOCK.now_ms() + 5_000))
    added = key_files.load(keys)
    assert added.kids == (before.current, kid)
    assert added.current == before.current
    assert key_files.promote(keys) == kid
    promoted = key_files.load(keys)
    assert promoted.current == kid
    sealed = before.seal(b"x", verification_id="v", field="code")
    assert promoted.open(sealed, verification_id="v", field="code") == b"x"
    assert promoted.recipient_key("a") == before.recipient_key("a")
    assert key_files.promote(keys, before.current) == before.current


def test_the_listing_shows_public_halves_only(keys: Path) -> None:
    key_files.create(keys, CLOCK)
    shown = key_files.listing(keys)
    assert [key.current for key in shown].count(True) == 1
    assert shown[0].created_at == "2027-01-15T08:00:00Z"
    for path in keys.glob("*.key.json"):
        assert json.loads(path.read_text())["key"] not in repr(shown)
    assert {key.public_key for key in shown} == {key_files.load(keys).public_key(key.kid).text() for key in shown}


def test_a_missing_directory_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist; run pipeline keys new"):
        key_files.load(tmp_path / "none")
    with pytest.raises(UsageError, match="holds no key; run pipeline keys new"):
        key_files.load(tmp_path)


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")
@pytest.mark.parametrize("mode", [0o604, 0o660, 0o644, 0o601, 0o610])
def test_a_key_open_to_others_is_not_used(keys: Path, mode: int) -> None:
    for path in (keys / "hash.key.json", next(keys.glob("k1-*"))):
        path.chmod(mode)
        with pytest.raises(UsageError, match="chmod 600"):
            key_files.load(keys)
        path.chmod(0o600)
    key_files.load(keys)


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")
@pytest.mark.parametrize("mode", [0o440, 0o640])
def test_a_key_mounted_for_a_group_of_this_process_is_used(
    keys: Path, mode: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = key_files.load(keys)
    group = next(keys.iterdir()).stat().st_gid
    monkeypatch.setattr(os, "getegid", lambda: group + 1)
    monkeypatch.setattr(os, "getgroups", lambda: [group + 2, group])
    for path in keys.iterdir():
        path.chmod(mode)
    assert key_files.load(keys).current == before.current


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")
def test_a_key_that_a_foreign_group_reads_is_not_used(keys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = next(keys.glob("k1-*"))
    monkeypatch.setattr(os, "getegid", lambda: path.stat().st_gid + 1)
    monkeypatch.setattr(os, "getgroups", lambda: [path.stat().st_gid + 2])
    key_files.load(keys)
    path.chmod(0o640)
    with pytest.raises(UsageError, match=r"a group that this process is not in.*chmod 600"):
        key_files.load(keys)


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"key": 1}', '{"key": "!!"}', '{"key": "AAAA"}', "\udcff"])
def test_a_damaged_file_is_named_and_not_repeated(keys: Path, content: str) -> None:
    path = next(keys.glob("k1-*"))
    path.write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(UsageError, match="restore it from a backup") as caught:
        key_files.load(keys)
    assert path.name in str(caught.value)
    assert caught.value.__context__ is None or caught.value.__suppress_context__


def test_without_its_hash_key_a_ring_is_not_used(keys: Path) -> None:
    (keys / "hash.key.json").unlink()
    with pytest.raises(UsageError, match=r"hash\.key\.json is missing"):
        key_files.load(keys)


def test_the_current_key_is_never_guessed_among_several(keys: Path) -> None:
    (keys / "current").unlink()
    key_files.load(keys)
    key_files.create(keys, CLOCK)
    with pytest.raises(UsageError, match="current is missing"):
        key_files.load(keys)
    (keys / "current").write_text("k9-0000")
    with pytest.raises(UsageError, match="names a key that is not there"):
        key_files.load(keys)


def test_a_file_that_is_no_key_id_is_refused(keys: Path) -> None:
    (keys / "my key.key.json").write_text("{}")
    with pytest.raises(UsageError, match="rename or remove it"):
        key_files.load(keys)


def test_making_a_ring_that_was_interrupted_completes_it(keys: Path) -> None:
    hashed = key_files.load(keys).recipient_key("a")
    for path in keys.iterdir():
        if path.name != "hash.key.json":
            path.unlink()
    kid = key_files.create(keys, CLOCK)
    assert key_files.load(keys).current == kid
    assert key_files.load(keys).recipient_key("a") == hashed


def test_only_a_key_that_is_there_can_be_promoted(keys: Path) -> None:
    with pytest.raises(UsageError, match="keys list shows what is"):
        key_files.promote(keys, "k9-0000")


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match=r"choose another keys\.directory"):
        key_files.create(tmp_path / "file", CLOCK)
