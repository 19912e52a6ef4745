"""What the ledger writes in one transaction for many who ask at once.

Order of the tables: Idempotency-Keys, starts, verifications, each sorted. All gateways take their locks in this order,
so no two of them wait for each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import Connection, LargeBinary, bindparam, delete, select, update

from pipeline.readmodel import judge
from pipeline.readmodel.ports import Begun, Kept, Known, Start, Started
from pipeline.readmodel.statements import Insert, InsertMany
from pipeline.readmodel.tables import IDEMPOTENCY, STARTS, VERIFICATIONS


class Answer(NamedTuple):
    """The answer of a check or command, to be kept."""

    begun: Begun
    status: int
    answer: bytes


class Beginning(NamedTuple):
    """A check or command about to be published."""

    begun: Begun
    created_at: int


@dataclass(frozen=True, slots=True)
class Batch:
    """What is written together: no id and no key twice among starts and beginnings."""

    starts: Sequence[Start] = ()
    beginnings: Sequence[Beginning] = ()
    answers: Sequence[Answer] = ()


@dataclass(frozen=True, slots=True)
class Written:
    """What to tell those who asked; by verification id and by hash of the key."""

    started: dict[str, Started] = field(default_factory=dict)
    kept: dict[str, Kept] = field(default_factory=dict)


class LedgerWriter:
    """The statements, prepared once; ``horizon_ms`` is how long an id is not to be used again."""

    def __init__(self, *, is_postgresql: bool, horizon_ms: int) -> None:
        self._new_keys = InsertMany(IDEMPOTENCY, is_postgresql=is_postgresql)
        self._new_starts = InsertMany(STARTS, is_postgresql=is_postgresql)

        def again(insert: Insert) -> Insert:
            told = insert.excluded
            return insert.on_conflict_do_update(
                index_elements=[VERIFICATIONS.c.id],
                set_={column.name: told[column.name] for column in VERIFICATIONS.c if not column.primary_key},
                # What stands there is of an earlier life of this id.
                where=(VERIFICATIONS.c.version > 0) & (VERIFICATIONS.c.created_at < told.created_at - horizon_ms),
            )

        self._new_verifications = InsertMany(VERIFICATIONS, is_postgresql=is_postgresql, on_conflict=again)

    def __call__(self, connection: Connection, batch: Batch) -> Written:
        """Write everything; the answers hold once it is committed."""
        written = Written()
        for told in sorted(batch.answers):
            key, body = told.begun
            connection.execute(_KEEP_ANSWER, {"key": key, "body": body, "status_": told.status, "answer_": told.answer})
        new_keys = self._keys(connection, batch, written)
        left = [entry for entry in batch.starts if entry.verification_id not in written.started]
        if left:
            self._starts(connection, left, written, new_keys)
        return written

    def _keys(self, connection: Connection, batch: Batch, written: Written) -> set[str]:
        """Answer whoever comes with a key that was seen before; the hashes of the others."""
        keyed = {entry.begun.key_hash: entry for entry in batch.starts if entry.begun is not None}
        begun = {one.begun.key_hash: one for one in batch.beginnings}
        rows: list[tuple[Any, ...]] = [
            (key, entry.begun.body_hash, entry.verification_id, None, entry.view, entry.created_at)
            for key, entry in keyed.items()
            if entry.begun is not None
        ]
        rows += [(key, one.begun.body_hash, None, None, None, one.created_at) for key, one in begun.items()]
        if not rows:
            return set()
        new = {row[0] for row in self._new_keys(connection, sorted(rows, key=lambda row: str(row[0])))}
        for key in begun.keys() & new:
            written.kept[key] = Kept(Known.NEW)
        seen = (keyed.keys() | begun.keys()) - new
        if seen:
            for row in connection.execute(_SEEN_KEYS, {"keys": list(seen)}):
                if row.key_hash in keyed:
                    entry = keyed[row.key_hash]
                    assert entry.begun is not None
                    written.started[entry.verification_id] = (
                        Started(Known.SAME, row.version or 0, row.answer or b"")
                        if row.body_hash == entry.begun.body_hash
                        else Started(Known.KEY_REUSED)
                    )
                else:
                    written.kept[row.key_hash] = (
                        Kept(Known.SAME, row.status, row.answer or b"")
                        if row.body_hash == begun[row.key_hash].begun.body_hash
                        else Kept(Known.KEY_REUSED)
                    )
        return new

    def _starts(self, connection: Connection, entries: Sequence[Start], written: Written, new_keys: set[str]) -> None:
        entries = sorted(entries, key=lambda entry: entry.verification_id)
        rows = [(one.verification_id, one.tenant, one.content_hash, one.created_at) for one in entries]
        first = {row.id for row in self._new_starts(connection, rows)}
        shown = [_version_0(entry) for entry in entries if entry.verification_id in first]
        new = {row.id for row in self._new_verifications(connection, shown)}
        known: list[Start] = []
        for entry in entries:
            if entry.verification_id in new:
                written.started[entry.verification_id] = Started(Known.NEW, 0, entry.view)
            else:
                known.append(entry)
        if known:
            self._judge(connection, known, first, written)

    def _judge(self, connection: Connection, entries: Sequence[Start], first: set[str], written: Written) -> None:
        """Tell of starts whose id is known; ``first`` are those that are known from Kafka alone."""
        ids = [entry.verification_id for entry in entries]
        starts = {row.id: row for row in connection.execute(_STARTS, {"ids": ids})}
        rows = {row.id: row for row in connection.execute(_VERIFICATIONS, {"ids": ids})}
        for entry in entries:
            row = rows.get(entry.verification_id)
            if entry.verification_id in first:
                # Not there any more: a purge has taken it in this moment, and it is as good as known.
                known = judge.of_verification(entry, row.tenant, row.view) if row is not None else Known.SAME
            else:
                start = starts.get(entry.verification_id)
                known = judge.of_start(entry, start.tenant, start.content_hash) if start is not None else Known.SAME
            if known is Known.CONFLICT:
                _forget(connection, entry, also_start=entry.verification_id in first)
                written.started[entry.verification_id] = Started(known)
                continue
            started = Started(known, row.version, row.view) if row is not None else Started(known, 0, entry.view)
            if entry.begun is not None:
                connection.execute(_FIRST_ANSWER, {"key": entry.begun.key_hash, "answer_": started.view})
            written.started[entry.verification_id] = started


def _version_0(entry: Start) -> tuple[Any, ...]:
    """The row that makes a start visible before the tracker has heard of it."""
    return (
        entry.verification_id,
        entry.tenant,
        0,
        entry.state.value,
        False,
        entry.external_id,
        None,
        entry.created_at,
        entry.created_at,
        entry.expires_at,
        entry.view,
    )


def _forget(connection: Connection, entry: Start, *, also_start: bool) -> None:
    """Nothing was begun: a mended request may come with the same key."""
    if entry.begun is not None:
        connection.execute(_FORGET_KEY, {"key": entry.begun.key_hash})
    if also_start:
        connection.execute(_FORGET_START, {"id_": entry.verification_id})


_KEEP_ANSWER = (
    update(IDEMPOTENCY)
    .where(
        IDEMPOTENCY.c.key_hash == bindparam("key"),
        IDEMPOTENCY.c.body_hash == bindparam("body"),
        IDEMPOTENCY.c.status.is_(None),
    )
    .values(status=bindparam("status_"), answer=bindparam("answer_", type_=LargeBinary))
)
_FIRST_ANSWER = (
    update(IDEMPOTENCY)
    .where(IDEMPOTENCY.c.key_hash == bindparam("key"))
    .values(answer=bindparam("answer_", type_=LargeBinary))
)
_FORGET_KEY = delete(IDEMPOTENCY).where(IDEMPOTENCY.c.key_hash == bindparam("key"))
_FORGET_START = delete(STARTS).where(STARTS.c.id == bindparam("id_"))
_SEEN_KEYS = (
    select(
        IDEMPOTENCY.c.key_hash,
        IDEMPOTENCY.c.body_hash,
        IDEMPOTENCY.c.status,
        IDEMPOTENCY.c.answer,
        VERIFICATIONS.c.version,
    )
    .select_from(IDEMPOTENCY.outerjoin(VERIFICATIONS, VERIFICATIONS.c.id == IDEMPOTENCY.c.verification_id))
    .where(IDEMPOTENCY.c.key_hash.in_(bindparam("keys", expanding=True)))
)
_STARTS = select(STARTS).where(STARTS.c.id.in_(bindparam("ids", expanding=True)))
_VERIFICATIONS = select(
    VERIFICATIONS.c.id, VERIFICATIONS.c.tenant, VERIFICATIONS.c.version, VERIFICATIONS.c.view
).where(VERIFICATIONS.c.id.in_(bindparam("ids", expanding=True)))
