"""What the gateway needs of the read model's database.

The implementations are in this package; the gateway knows these ports only, so that its own tests need no database.
Everything here raises :class:`pipeline.errors.ReadModelUnavailable` when the database does not answer in time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, Protocol

from pipeline.records.types import VerificationState


class Begun(NamedTuple):
    """An Idempotency-Key with the request it came with; both hashed, as keys and bodies may hold anything."""

    key_hash: str
    """Keyed hash of tenant and key: 32 hex digits."""
    body_hash: str
    """Keyed hash of method, path and body: 32 hex digits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """A verification about to be published by a gateway."""

    verification_id: str
    tenant: str
    content_hash: str
    """What makes two requests with one id the same request (``pipeline.router.content``)."""
    state: VerificationState
    external_id: str | None
    created_at: int
    """Epoch milliseconds."""
    expires_at: int
    view: bytes
    """Version 0 as the API shows it (``pipeline.readmodel.view``)."""
    begun: Begun | None = None
    """Set when the caller sent an Idempotency-Key."""


class Known(Enum):
    """What the database says of a start or of an Idempotency-Key."""

    NEW = "never seen: it is remembered now, and is to be published"
    SAME = "seen before with the same content: publishing it again is harmless"
    CONFLICT = "the verification id belongs to another request"
    KEY_REUSED = "the Idempotency-Key was used for another request"


class Started(NamedTuple):
    """What became of a :class:`Start`."""

    known: Known
    version: int = 0
    """Of the verification as the read model has it; 0 until its first outcome was folded in."""
    view: bytes = b""
    """What to answer: the first answer of this Idempotency-Key, else the current state; empty on a conflict."""


class Kept(NamedTuple):
    """What is known of the Idempotency-Key of a check or command."""

    known: Known
    """NEW, SAME or KEY_REUSED."""
    status: int | None = None
    """HTTP status of its first answer; None while there was none, so the request is to be carried out again."""
    answer: bytes = b""
    """Body of its first answer."""


class Ledger(Protocol):
    """What was asked of the gateways, so that all of them recognise it when it is asked again."""

    async def start(self, entry: Start) -> Started:
        """Remember a start before it is published.

        Many at once are written in one transaction. When ``entry.begun`` was seen before, the answer is about that
        request, whatever its id.
        """

    async def begin(self, begun: Begun, *, created_at: int) -> Kept:
        """Remember the Idempotency-Key of a check or command before it is published."""

    async def answered(self, begun: Begun, *, status: int, answer: bytes) -> None:
        """Keep the answer of a check or command; the first one counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which verifications of a tenant to list."""

    tenant: str
    limit: int = 25
    cursor: str | None = None
    """``next_cursor`` of the page before."""
    reverse: bool = False
    """Oldest first."""
    from_at: int | None = None
    """Created at or after this; epoch milliseconds."""
    to_at: int | None = None
    """Created before this."""
    state: VerificationState | None = None
    external_id: str | None = None
    job_id: str | None = None


class Page(NamedTuple):
    """Some verifications in order."""

    items: Sequence[bytes]
    """Each as the API shows it."""
    next_cursor: str | None
    """None on the last page."""


class Verifications(Protocol):
    """The verifications as the read model has them."""

    async def get(self, tenant: str, verification_id: str) -> bytes | None:
        """One as the API shows it; None when there is none, or it is another tenant's."""

    async def page(self, wanted: Filter) -> Page:
        """A page of a tenant's verifications; raises Refused ``invalid_field`` for a cursor that is none of ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredKey:
    """An API key that was made by ``pipeline api-keys new``."""

    name: str
    key_sha256: str
    """Hex; the key itself is kept nowhere."""
    tenant: str
    scopes: frozenset[str]
    created_at: int
    revoked_at: int | None = None


class ApiKeys(Protocol):
    """API keys kept in the database, for all gateways."""

    async def all(self) -> Sequence[StoredKey]:
        """Every key, revoked ones too, by name."""

    async def add(self, key: StoredKey) -> bool:
        """Keep a new key; False when the name was used before."""

    async def revoke(self, name: str, *, at_ms: int) -> bool:
        """End a key; False when there is none of this name that still works."""
