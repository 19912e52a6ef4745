"""Records that cannot be handled, on their way to ``verification.dead-letters`` and back.

Nothing in clear but where the record stood and why it failed: the record itself, its key and headers travel sealed, as
the key of a request is a recipient and its value may hold a code.
"""

from __future__ import annotations

import re
from typing import Final, Protocol

from pipeline import topics
from pipeline.records.codec import Codec
from pipeline.records.dead_record import DeadHeader, DeadRecord
from pipeline.records.public import DeadLetter
from pipeline.runtime.api import Emit, Record

MAX_PAYLOAD_BYTES: Final = 900_000
"""A larger record is not carried along: the dead letter itself has to stay below the broker's 1 MiB."""

MAX_DETAIL: Final = 500
"""Characters of a detail."""

_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,48}")


class Sealer(Protocol):
    """What is needed of :class:`pipeline.model.keys.KeyRing`."""

    def seal(self, plaintext: bytes, *, verification_id: str, field: str, record: str = ...) -> bytes:
        """Seal with the current key, bound to record, id and field."""

    def open(self, sealed: bytes, *, verification_id: str, field: str, record: str = ...) -> bytes:
        """The inverse; raises UnknownWriter for an unknown key id and Poison for tampering."""

    def recipient_hash(self, tenant: str, canonical: str) -> str:
        """A keyed hash, 32 hex digits."""


def dead_letter(
    codec: Codec,
    key_ring: Sealer,
    *,
    stage: str,
    record: Record,
    reason: str,
    detail: str,
    verification_id: str | None,
    now_ms: int,
) -> Emit:
    """The dead letter for an input record.

    ``reason`` is one of ``DeadLetterReason``; ``detail`` is for people and must hold no secret. A verification id that
    is not of the shape ours have is left out: whatever a stranger put there is not for the clear.
    """
    dead = DeadRecord(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        timestamp_at=record.timestamp_ms,
        key=record.key,
        value=record.value,
        headers=[DeadHeader(name=name, value=value) for name, value in record.headers],
    )
    return _emit(codec, key_ring, dead, stage, reason, detail, verification_id, now_ms)


def timer_dead_letter(
    codec: Codec,
    key_ring: Sealer,
    *,
    stage: str,
    changelog: str,
    partition: int,
    state_key: bytes,
    value: bytes | None,
    reason: str,
    detail: str,
    verification_id: str | None,
    now_ms: int,
) -> Emit:
    """The dead letter for a timer: its state key, and the entry as the ``changelog`` has it."""
    dead = DeadRecord(
        topic=changelog, partition=partition, timestamp_at=now_ms, key=state_key, value=value, is_timer=True
    )
    return _emit(codec, key_ring, dead, stage, reason, detail, verification_id, now_ms)


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
    """The record as it is to be published again, to its old topic. Raises ValueError for a timer's."""
    if dead.is_timer:
        raise ValueError(f"this is no record but a timer of {dead.topic}, so there is nothing to publish again")
    headers = tuple((header.name, header.value) for header in dead.headers)
    return Emit(topic=dead.topic, key=dead.key, value=dead.value, headers=headers)


def _emit(
    codec: Codec,
    key_ring: Sealer,
    dead: DeadRecord,
    stage: str,
    reason: str,
    detail: str,
    verification_id: str | None,
    now_ms: int,
) -> Emit:
    if verification_id is not None and not _ID.fullmatch(verification_id):
        verification_id = None
    payload = codec.encode(dead)
    sealed = None
    if len(payload) <= MAX_PAYLOAD_BYTES:
        sealed = key_ring.seal(payload, verification_id=verification_id or "", field="payload", record="DeadLetter")
    letter = DeadLetter(
        reason=reason,
        detail=detail[:MAX_DETAIL],
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
        key=_key(key_ring, dead, verification_id),
        value=codec.encode(letter),
        headers=codec.headers(letter),
    )


def _key(key_ring: Sealer, dead: DeadRecord, verification_id: str | None) -> bytes | None:
    """The verification id, else a keyed hash of the record's key, which may be a recipient."""
    if verification_id is not None:
        return verification_id.encode()
    if dead.key is None:
        return None
    # Under a name no tenant has, so that the hash cannot be compared with any recipient hash in an outcome.
    return key_ring.recipient_hash("*dead-letters", dead.key.decode("utf-8", "backslashreplace")).encode()
