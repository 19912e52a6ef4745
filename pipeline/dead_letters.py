"""Records that cannot be handled, on their way to ``verification.dead-letters`` and back.

Nothing in clear but where the record stood and why it failed: the record itself, its key and headers travel sealed, as
the key of a request is a recipient and its value may hold a code.
"""

from __future__ import annotations

from typing import Final, Protocol

from pipeline import topics
from pipeline.model.fields import VERIFICATION_ID
from pipeline.records.catalogue import INTERNAL, STATE
from pipeline.records.codec import Codec
from pipeline.records.dead_record import DeadHeader, DeadRecord
from pipeline.records.public import DeadLetter
from pipeline.runtime.api import Emit, Record, Refusal
from pipeline.runtime.context import FailedTimer

MAX_PAYLOAD_BYTES: Final = 900_000
"""A larger record is not carried along: the dead letter itself has to stay below the broker's 1 MiB."""

MAX_DETAIL: Final = 500
"""Characters of a detail."""


_PUBLIC_TOPICS: Final = frozenset(
    (
        *(lane for topic in (topics.REQUESTS, topics.STATUSES) for lane in (topic, topics.bulk(topic))),
        *(topics.CHECKS, topics.COMMANDS, topics.REPLIES, topics.OUTCOMES, topics.DEAD_LETTERS, topics.SCHEMAS),
    )
)
_NOT_PUBLIC: Final = frozenset(kind.__name__.encode() for kind in INTERNAL + STATE)


class Sealer(Protocol):
    """What is needed of :class:`pipeline.model.keys.KeyRing`."""

    def seal(self, plaintext: bytes, *, verification_id: str, field: str, record: str = ...) -> bytes:
        """Seal with the current key, bound to record, id and field."""

    def open(self, sealed: bytes, *, verification_id: str, field: str, record: str = ...) -> bytes:
        """The inverse; raises UnknownWriter for an unknown key id and Poison for tampering."""

    def recipient_hash(self, tenant: str, canonical: str) -> str:
        """A keyed hash, 32 hex digits."""


class SealedDeadLetters:
    """How the runtime writes dead letters; see :class:`pipeline.runtime.context.DeadLetters`.

    The detail of a refusal is for people and must hold no secret. A verification id that is not of the shape ours have
    is left out: whatever a stranger put there is not for the clear.
    """

    def __init__(self, *, codec: Codec, key_ring: Sealer) -> None:
        self._codec = codec
        self._key_ring = key_ring

    def for_record(self, stage: str, record: Record, refusal: Refusal, now_ms: int) -> Emit:
        """For an input record."""
        dead = DeadRecord(
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            timestamp_at=record.timestamp_ms,
            key=record.key,
            value=record.value,
            headers=[DeadHeader(name=name, value=value) for name, value in record.headers],
        )
        return self._emit(stage, dead, refusal, now_ms)

    def for_timer(self, stage: str, timer: FailedTimer, refusal: Refusal, now_ms: int) -> Emit:
        """For a timer: its state key, and the entry as the changelog has it."""
        dead = DeadRecord(
            topic=timer.changelog,
            partition=timer.partition,
            timestamp_at=now_ms,
            key=timer.key,
            value=timer.entry,
            is_timer=True,
        )
        return self._emit(stage, dead, refusal, now_ms)

    def _emit(self, stage: str, dead: DeadRecord, refusal: Refusal, now_ms: int) -> Emit:
        verification_id = refusal.verification_id
        if verification_id is not None and not VERIFICATION_ID.fullmatch(verification_id):
            verification_id = None
        payload = self._codec.encode(dead)
        sealed = None
        if len(payload) <= MAX_PAYLOAD_BYTES:
            sealed = self._key_ring.seal(
                payload, verification_id=verification_id or "", field="payload", record="DeadLetter"
            )
        letter = DeadLetter(
            reason=refusal.reason,
            detail=refusal.detail[:MAX_DETAIL],
            stage=stage,
            topic=dead.topic,
            partition=dead.partition,
            offset=dead.offset,
            verification_id=verification_id,
            payload_sealed=sealed,
            failed_at=now_ms,
        )
        return Emit(
            topic=topics.DEAD_LETTERS,
            key=_key(self._key_ring, dead, verification_id),
            value=self._codec.encode(letter),
            headers=self._codec.headers(letter),
        )


def open_dead_letter(codec: Codec, key_ring: Sealer, letter: DeadLetter) -> DeadRecord | None:
    """The record a dead letter keeps, or None when it was too large to be kept.

    Raises UnknownWriter for a key id this ring does not have, Poison when the payload was changed or moved here from
    another letter's verification.
    """
    if letter.payload_sealed is None:
        return None
    payload = key_ring.open(
        letter.payload_sealed, verification_id=letter.verification_id or "", field="payload", record="DeadLetter"
    )
    return codec.decode(DeadRecord, payload, public=False)


def replayed(dead: DeadRecord) -> Emit:
    """The record as it is to be published again, to its old topic.

    Raises ValueError for a timer's, and where a record between our stages tells of a public one that was not at hand
    (a conflict that only the tracker saw): the letter names the place, and the request can be read there.
    """
    if dead.is_timer:
        raise ValueError(f"this is no record but a timer of {dead.topic}, so there is nothing to publish again")
    told = {header.value for header in dead.headers if header.name == "schema"}
    if dead.topic in _PUBLIC_TOPICS and not told.isdisjoint(_NOT_PUBLIC):
        raise ValueError(
            f"what this letter keeps is no record of {dead.topic} but a later stage's word on it; "
            "read the record at its partition and offset, and publish that again"
        )
    headers = tuple((header.name, header.value) for header in dead.headers)
    return Emit(topic=dead.topic, key=dead.key, value=dead.value, headers=headers)


def _key(key_ring: Sealer, dead: DeadRecord, verification_id: str | None) -> bytes | None:
    """The verification id, else a keyed hash of the record's key, which may be a recipient."""
    if verification_id is not None:
        return verification_id.encode()
    if dead.key is None:
        return None
    # Under a name no tenant has, so that the hash cannot be compared with any recipient hash in an outcome.
    return key_ring.recipient_hash("*dead-letters", dead.key.decode("utf-8", "backslashreplace")).encode()
