"""The key ring as files: one per key, so that each can be a mounted secret of its own.

A directory holds ``<key id>.key.json`` for every key of the ring, ``hash.key.json`` with the hash key, and ``current``
with the id of the key used for what is new. We write files for their owner only, and take mounted ones that a group
of this process may read. Rotation has two steps, as every
process must know a key before one uses it: :func:`create` adds a key, :func:`promote` makes it the current one.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import secrets
import stat
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from pipeline.clock import Clock
from pipeline.errors import UsageError
from pipeline.model.keys import KEY_BYTES, KID, KeyRing

SUFFIX: Final = ".key.json"
HASH: Final = f"hash{SUFFIX}"
CURRENT: Final = "current"
_OF_GROUP: Final = stat.S_IRGRP
_NEVER: Final = stat.S_IRWXO | stat.S_IWGRP | stat.S_IXGRP


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyInfo:
    """What may be shown of a key."""

    kid: str
    created_at: str
    """RFC 3339 UTC; empty when its file does not say."""
    current: bool
    public_key: str
    """For producers that seal codes."""


def load(directory: Path) -> KeyRing:
    """Read the ring. Raises UsageError naming file and fix when anything is missing, open to others or damaged."""
    return _load(directory)[0]


def listing(directory: Path) -> list[KeyInfo]:
    """The keys of a directory, oldest first; raises UsageError as :func:`load`."""
    ring, created = _load(directory)
    return [
        KeyInfo(kid=kid, created_at=created[kid], current=kid == ring.current, public_key=ring.public_key(kid).text())
        for kid in ring.kids
    ]


def create(directory: Path, clock: Clock) -> str:
    """Add a key and return its id. In a new directory it is the current one, and the hash key is made as well.

    Raises UsageError when the directory cannot be written or holds a damaged ring.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        first = all(path.name == HASH for path in directory.glob(f"*{SUFFIX}"))
        number = 1 if first else len(_load(directory)[0].kids) + 1
        # The random end keeps two deployments, or a restored backup, from meaning different keys by one id.
        kid = f"k{number}-{secrets.token_hex(2)}"
        created_at = datetime.fromtimestamp(clock.now_ms() // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        if first and not (directory / HASH).exists():
            # Before the key: whatever ends this process in between, running it again completes the ring.
            _write(directory / HASH, _document("hash", created_at))
        _write(directory / f"{kid}{SUFFIX}", _document(kid, created_at))
        if first:
            _write(directory / CURRENT, kid.encode(), replace=True)
    except OSError as error:
        raise UsageError(
            f"keys: {directory} cannot be written ({error.strerror}); choose another keys.directory"
        ) from None
    return kid


def promote(directory: Path, kid: str | None = None) -> str:
    """Make a key the current one, by default the newest, and return its id.

    Only once every process has it (metric ``key_ring_info``): one that lacks it would wait at the first record sealed
    with it. Raises UsageError for an unknown id.
    """
    ring, _ = _load(directory)
    chosen = ring.kids[-1] if kid is None else kid
    if chosen not in ring.kids:
        raise UsageError(f"keys: {chosen!r} is not in {directory}; pipeline keys list shows what is")
    try:
        _write(directory / CURRENT, chosen.encode(), replace=True)
    except OSError as error:
        raise UsageError(f"keys: {directory / CURRENT} cannot be written ({error.strerror})") from None
    return chosen


def _load(directory: Path) -> tuple[KeyRing, dict[str, str]]:
    if not directory.is_dir():
        raise UsageError(
            f"keys: the directory {directory} does not exist; run pipeline keys new, or set keys.directory"
        )
    keys: dict[str, bytes] = {}
    created: dict[str, str] = {}
    for path in directory.glob(f"*{SUFFIX}"):
        if path.name == HASH:
            continue
        kid = path.name.removesuffix(SUFFIX)
        if not KID.fullmatch(kid):
            raise UsageError(f"keys: {path} is no key id (1-32 letters, digits, '_' or '-'); rename or remove it")
        keys[kid], created[kid] = _read(path)
    if not keys:
        raise UsageError(f"keys: {directory} holds no key; run pipeline keys new")
    order = sorted(keys, key=lambda kid: (created[kid], kid))
    if not (directory / HASH).is_file():
        raise UsageError(
            f"keys: {directory / HASH} is missing; restore it from a backup, as another one would recognise nobody"
        )
    current = order[0]
    if (directory / CURRENT).is_file():
        current = (directory / CURRENT).read_text(encoding="utf-8", errors="replace").strip()
        if current not in keys:
            raise UsageError(f"keys: {directory / CURRENT} names a key that is not there; write the id of one that is")
    elif len(order) > 1:
        raise UsageError(f"keys: {directory / CURRENT} is missing; write the id of the key in use into it")
    return KeyRing(
        keys={kid: keys[kid] for kid in order}, current=current, hash_key=_read(directory / HASH)[0]
    ), created


def _read(path: Path) -> tuple[bytes, str]:
    """Secret and creation time of a key file; no error ever repeats what is in it."""
    try:
        if os.name == "posix":
            _refuse_open(path)
        document: Any = json.loads(path.read_bytes())
        secret = base64.b64decode(document["key"], validate=True)
        created_at = str(document.get("created_at", ""))
    except OSError as error:
        raise UsageError(f"keys: {path} cannot be read ({error.strerror})") from None
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error):
        raise UsageError(f"keys: {path} is damaged; restore it from a backup") from None
    if len(secret) != KEY_BYTES:
        raise UsageError(f"keys: {path} does not hold {KEY_BYTES} bytes; restore it from a backup")
    return secret, created_at


def _refuse_open(path: Path) -> None:
    """Raise UsageError when more than its owner and a group of this process can read it, or others can change it.

    The group counts because an orchestrator mounts secrets as root's, mode 0440, for a group it puts the process into
    (Kubernetes: ``fsGroup``), and the process cannot change that.
    """
    found = path.stat()
    if found.st_mode & _NEVER:
        raise UsageError(f"keys: {path} can be read by others or changed by its group; run chmod 600 on it")
    if found.st_mode & _OF_GROUP and found.st_gid not in {os.getegid(), *os.getgroups()}:
        raise UsageError(
            f"keys: {path} can be read by a group that this process is not in; run chmod 600 on it, or give it a "
            "group of the process"
        )


def _document(kid: str, created_at: str) -> bytes:
    key = base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()
    return json.dumps({"kid": kid, "created_at": created_at, "key": key}, indent=2).encode() + b"\n"


def _write(path: Path, data: bytes, *, replace: bool = False) -> None:
    """Write whole or not at all, readable by the owner only from the first moment; never over a key."""
    temporary = path.with_name(f".{path.name}.new")
    with suppress(FileNotFoundError):
        temporary.unlink()
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            temporary.replace(path)
        else:
            os.link(temporary, path)  # fails when the file exists, unlike a rename
    finally:
        temporary.unlink(missing_ok=True)
