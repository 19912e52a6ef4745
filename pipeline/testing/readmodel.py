"""The read model in memory: for tests of whatever asks it, under the same contract tests as the database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from pipeline.errors import ReadModelUnavailable
from pipeline.readmodel import cursor, judge
from pipeline.readmodel.cursor import Position
from pipeline.readmodel.fold import DeliveryRow, Row, delivery_row, late, outcome_row
from pipeline.readmodel.late import merged
from pipeline.readmodel.ports import Begun, Filter, Kept, Known, Page, Start, Started, StoredKey
from pipeline.records.public import DeliveryStatus, VerificationOutcome


@dataclass(slots=True)
class _Asked:
    """What is kept of an Idempotency-Key."""

    body_hash: str
    verification_id: str | None = None
    status: int | None = None
    answer: bytes = b""


@dataclass(slots=True)
class Tables:
    """What a database would hold."""

    verifications: dict[str, Row] = field(default_factory=dict)
    deliveries: dict[tuple[str, str, str, str], DeliveryRow] = field(default_factory=dict)
    starts: dict[str, tuple[str, str]] = field(default_factory=dict)
    idempotency: dict[str, _Asked] = field(default_factory=dict)
    api_keys: dict[str, StoredKey] = field(default_factory=dict)


class MemoryReadModel:
    """All ports of :mod:`pipeline.readmodel.ports` over one set of tables.

    While ``away`` is set everything raises ReadModelUnavailable.
    """

    def __init__(self, *, horizon_ms: int = 172_800_000) -> None:
        self.tables = Tables()
        self.away = False
        self.horizon_ms = horizon_ms
        self.ledger = MemoryLedger(self)
        self.verifications = MemoryVerifications(self)
        self.api_keys = MemoryApiKeys(self)

    def answer(self) -> Tables:
        """The tables, when the database answers."""
        if self.away:
            raise ReadModelUnavailable("the database of verifications was told to be away")
        return self.tables

    def fold(
        self, record: VerificationOutcome | DeliveryStatus, *, recorded_at: int = 0, reference: str | None = None
    ) -> None:
        """Take an outcome or a delivery report as the projector does; ``reference``: the report's header."""
        if isinstance(record, VerificationOutcome):
            row = outcome_row(record)
            known = self.tables.verifications.get(row.id)
            if known is None or known.version == 0 or row.age > known.age:
                self.tables.verifications[row.id] = row
        elif (told := delivery_row(record, recorded_at, reference)) is not None:
            before = self.tables.deliveries.get(told.key)
            if before is None or told.rank > before.rank:
                self.tables.deliveries[told.key] = told


class MemoryLedger:
    """See :class:`pipeline.readmodel.ports.Ledger`."""

    def __init__(self, model: MemoryReadModel) -> None:
        self._model = model

    async def start(self, entry: Start) -> Started:
        """Remember a start before it is published."""
        tables = self._model.answer()
        if entry.begun is not None and (asked := tables.idempotency.get(entry.begun.key_hash)) is not None:
            if asked.body_hash != entry.begun.body_hash:
                return Started(Known.KEY_REUSED)
            row = tables.verifications.get(asked.verification_id or "")
            return Started(Known.SAME, row.version if row is not None else 0, asked.answer)
        started = self._started(tables, entry)
        if entry.begun is not None and started.known is not Known.CONFLICT:
            tables.idempotency[entry.begun.key_hash] = _Asked(
                entry.begun.body_hash, entry.verification_id, answer=started.view
            )
        return started

    def _started(self, tables: Tables, entry: Start) -> Started:
        row = tables.verifications.get(entry.verification_id)
        if row is not None and row.version > 0 and row.created_at < entry.created_at - self._model.horizon_ms:
            row = None
        remembered = tables.starts.get(entry.verification_id)
        if remembered is not None:
            known = judge.of_start(entry, *remembered)
        elif row is not None:
            known = judge.of_verification(entry, row.tenant, row.view)
        else:
            known = Known.NEW
            row = Row(
                id=entry.verification_id,
                tenant=entry.tenant,
                version=0,
                state=entry.state.value,
                is_final=False,
                external_id=entry.external_id,
                job_id=None,
                created_at=entry.created_at,
                updated_at=entry.created_at,
                expires_at=entry.expires_at,
                view=entry.view,
            )
            tables.verifications[row.id] = row
        if known is Known.CONFLICT:
            return Started(known)
        tables.starts[entry.verification_id] = (entry.tenant, entry.content_hash)
        return Started(known, row.version, row.view) if row is not None else Started(known, 0, entry.view)

    async def begin(self, begun: Begun, *, created_at: int) -> Kept:
        """Remember the Idempotency-Key of a check or command."""
        tables = self._model.answer()
        asked = tables.idempotency.get(begun.key_hash)
        if asked is None:
            tables.idempotency[begun.key_hash] = _Asked(begun.body_hash)
            return Kept(Known.NEW)
        if asked.body_hash != begun.body_hash:
            return Kept(Known.KEY_REUSED)
        return Kept(Known.SAME, asked.status, asked.answer)

    async def answered(self, begun: Begun, *, status: int, answer: bytes) -> None:
        """Keep the first answer of a check or command."""
        asked = self._model.answer().idempotency.get(begun.key_hash)
        if asked is not None and asked.body_hash == begun.body_hash and asked.status is None:
            asked.status, asked.answer = status, answer


class MemoryVerifications:
    """See :class:`pipeline.readmodel.ports.Verifications`."""

    def __init__(self, model: MemoryReadModel) -> None:
        self._model = model

    async def get(self, tenant: str, verification_id: str) -> bytes | None:
        """One as the API shows it."""
        row = self._model.answer().verifications.get(verification_id)
        return self._shown(row) if row is not None and row.tenant == tenant else None

    async def page(self, wanted: Filter) -> Page:
        """A page of a tenant's verifications."""
        begin = cursor.decode(wanted)
        rows = [row for row in self._model.answer().verifications.values() if _matches(row, wanted)]
        rows.sort(key=_position, reverse=not wanted.reverse)
        if begin is not None:
            rows = [row for row in rows if (_position(row) > begin if wanted.reverse else _position(row) < begin)]
        shown = rows[: wanted.limit]
        more = len(rows) > len(shown)
        return Page([self._shown(row) for row in shown], cursor.encode(wanted, _position(shown[-1])) if more else None)

    def _shown(self, row: Row) -> bytes:
        if not row.is_final:
            return row.view
        told = [late(one) for one in self._model.tables.deliveries.values() if one.verification_id == row.id]
        return merged(row.view, told)


def _position(row: Row) -> Position:
    return Position(row.created_at, row.id)


def _matches(row: Row, wanted: Filter) -> bool:
    return (
        row.tenant == wanted.tenant
        and (wanted.state is None or row.state == wanted.state)
        and (wanted.external_id is None or row.external_id == wanted.external_id)
        and (wanted.job_id is None or row.job_id == wanted.job_id)
        and (wanted.from_at is None or row.created_at >= wanted.from_at)
        and (wanted.to_at is None or row.created_at < wanted.to_at)
    )


class MemoryApiKeys:
    """See :class:`pipeline.readmodel.ports.ApiKeys`."""

    def __init__(self, model: MemoryReadModel) -> None:
        self._model = model

    async def all(self) -> Sequence[StoredKey]:
        """Every key by name."""
        keys = self._model.answer().api_keys
        return [keys[name] for name in sorted(keys)]

    async def add(self, key: StoredKey) -> bool:
        """Keep a new key."""
        keys = self._model.answer().api_keys
        if key.name in keys:
            return False
        keys[key.name] = key
        return True

    async def revoke(self, name: str, *, at_ms: int) -> bool:
        """End a key."""
        keys = self._model.answer().api_keys
        if name not in keys or keys[name].revoked_at is not None:
            return False
        keys[name] = replace(keys[name], revoked_at=at_ms)
        return True
