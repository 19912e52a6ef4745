"""A dead letter says where and why, shows nothing of the record, and can be opened and replayed by us."""

from __future__ import annotations

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from msgspec.structs import replace

from pipeline import topics
from pipeline.dead_letters import (
    MAX_DETAIL,
    MAX_PAYLOAD_BYTES,
    SealedDeadLetters,
    open_dead_letter,
    replayed,
)
from pipeline.errors import DeadLetterReason, Poison
from pipeline.records.codec import MAX_RECORD_BYTES, Codec
from pipeline.records.internal import Decision
from pipeline.records.public import CodeCheck, DeadLetter
from pipeline.runtime.api import Emit, Record, Refusal
from pipeline.runtime.context import FailedTimer

CODEC = Codec()
PHONE = "+4915123456789"
CODE = "48151623"


class Ring:
    """A small key ring of the same contract as the real one."""

    _key = bytes(range(32))
    _nonce = bytes(12)

    def seal(self, plaintext: bytes, *, verification_id: str, field: str, record: str = "Plan") -> bytes:
        return AESGCMSIV(self._key).encrypt(self._nonce, plaintext, f"{record}|{verification_id}|{field}".encode())

    def open(self, sealed: bytes, *, verification_id: str, field: str, record: str = "Plan") -> bytes:
        try:
            return AESGCMSIV(self._key).decrypt(self._nonce, sealed, f"{record}|{verification_id}|{field}".encode())
        except InvalidTag:
            raise Poison(DeadLetterReason.UNDECODABLE, "changed") from None

    def recipient_hash(self, tenant: str, canonical: str) -> str:
        mac = HMAC(self._key, SHA256())
        mac.update(f"{tenant}|{canonical}".encode())
        return mac.finalize().hex()[:32]


RING = Ring()
LETTERS = SealedDeadLetters(codec=CODEC, key_ring=RING)
CHECK = CodeCheck(check_id="c", verification_id="v-1", code=CODE)
RECORD = Record(
    topic=topics.CHECKS,
    partition=3,
    offset=77,
    timestamp_ms=1_700_000_000_000,
    key=PHONE.encode(),
    value=CODEC.encode(CHECK),
    headers=(("schema", b"CodeCheck"), ("note", CODE.encode())),
)


def letter_of(emit: Emit) -> DeadLetter:
    return CODEC.decode(DeadLetter, emit.value, public=True)


def make(record: Record = RECORD, verification_id: str | None = "v-1", detail: str = "why") -> Emit:
    refusal = Refusal(DeadLetterReason.UNDECODABLE, detail, verification_id)
    return LETTERS.for_record("tracker", record, refusal, 1_700_000_000_500)


@pytest.mark.parametrize("topic", [topics.REQUESTS, topics.bulk(topics.REQUESTS), topics.CHECKS, topics.OUTCOMES])
def test_a_decision_is_never_published_to_a_public_topic(topic: str) -> None:
    told = Decision(verification_id="v-1")
    record = replace(RECORD, topic=topic, value=CODEC.encode(told), headers=CODEC.headers(told))
    dead = open_dead_letter(CODEC, RING, letter_of(make(record)))
    assert dead is not None
    with pytest.raises(ValueError, match="is no record of"):
        replayed(dead)


def test_a_dead_letter_says_what_stood_where_and_why() -> None:
    emit = make()
    letter = letter_of(emit)
    assert emit.topic == topics.DEAD_LETTERS
    assert emit.headers == (("schema", b"DeadLetter"),)
    assert (letter.stage, letter.topic, letter.partition, letter.offset) == ("tracker", topics.CHECKS, 3, 77)
    assert (letter.reason, letter.detail, letter.failed_at) == ("undecodable", "why", 1_700_000_000_500)


def test_nothing_of_the_record_is_in_the_clear() -> None:
    for verification_id in ("v-1", None):
        emit = make(verification_id=verification_id)
        everything = repr(emit).encode() + (emit.value or b"")
        assert PHONE[1:].encode() not in everything
        assert CODE.encode() not in everything


def test_the_record_comes_back_with_key_headers_and_position() -> None:
    dead = open_dead_letter(CODEC, RING, letter_of(make()))
    assert dead is not None
    assert (dead.topic, dead.partition, dead.offset, dead.timestamp_at) == (topics.CHECKS, 3, 77, 1_700_000_000_000)
    again = replayed(dead)
    assert again == Emit(topic=topics.CHECKS, key=RECORD.key, value=RECORD.value, headers=RECORD.headers)
    assert CODEC.decode(CodeCheck, again.value, public=True) == CHECK


def test_a_record_without_key_and_value_comes_back_without_them() -> None:
    bare = Record(topic=topics.COMMANDS, partition=0, offset=0, timestamp_ms=1, key=None, value=None)
    emit = make(bare, verification_id=None)
    dead = open_dead_letter(CODEC, RING, letter_of(emit))
    assert emit.key is None
    assert dead is not None
    assert (dead.key, dead.value) == (None, None)


def test_a_letter_is_keyed_by_the_verification_when_it_is_known() -> None:
    assert make().key == b"v-1"
    assert letter_of(make()).verification_id == "v-1"


def test_else_by_a_keyed_hash_that_is_the_same_for_the_same_key() -> None:
    first, second = make(verification_id=None), make(verification_id=None)
    assert first.key == second.key
    assert first.key is not None
    assert len(first.key) == 32
    assert first.key != RING.recipient_hash("default", PHONE).encode()


def test_a_key_that_is_no_text_is_hashed_too() -> None:
    odd = Record(topic=topics.CHECKS, partition=0, offset=0, timestamp_ms=1, key=b"\xff\x00", value=b"x")
    key = make(odd, verification_id=None).key
    assert key is not None
    assert len(key) == 32


@pytest.mark.parametrize("stranger", [PHONE, "a@example.org", "x" * 49, "", "with space", "v\n"])
def test_an_id_that_cannot_be_one_of_ours_is_not_shown(stranger: str) -> None:
    letter = letter_of(make(verification_id=stranger))
    assert letter.verification_id is None
    assert open_dead_letter(CODEC, RING, letter) is not None


def test_a_payload_moved_to_another_letter_does_not_open() -> None:
    mine, other = letter_of(make(verification_id="v-1")), letter_of(make(verification_id="v-2"))
    assert mine.payload_sealed != other.payload_sealed
    moved = DeadLetter(verification_id="v-2", payload_sealed=mine.payload_sealed)
    with pytest.raises(Poison):
        open_dead_letter(CODEC, RING, moved)


def test_a_record_too_large_to_carry_is_told_without_it() -> None:
    large = Record(topic=topics.CHECKS, partition=0, offset=5, timestamp_ms=1, key=b"k", value=bytes(MAX_PAYLOAD_BYTES))
    emit = make(large)
    assert letter_of(emit).offset == 5
    assert letter_of(emit).payload_sealed is None
    assert open_dead_letter(CODEC, RING, letter_of(emit)) is None


def test_the_largest_record_that_is_carried_fits_the_broker() -> None:
    value = bytes(MAX_PAYLOAD_BYTES - 200)
    emit = make(Record(topic=topics.CHECKS, partition=0, offset=5, timestamp_ms=1, key=b"k", value=value))
    assert letter_of(emit).payload_sealed is not None
    assert emit.value is not None
    assert len(emit.value) < MAX_RECORD_BYTES - 10_000


def test_a_long_detail_is_cut() -> None:
    assert letter_of(make(detail="x" * 10_000)).detail == "x" * MAX_DETAIL


def test_a_timer_keeps_its_state_key_and_entry_sealed() -> None:
    timer = FailedTimer(changelog=topics.TRACKER_STATE, partition=2, key=b"v-1", entry=b"entry")
    refusal = Refusal(DeadLetterReason.HANDLER_REFUSED, "three times", "v-1")
    emit = LETTERS.for_timer("tracker", timer, refusal, 9)
    letter = letter_of(emit)
    dead = open_dead_letter(CODEC, RING, letter)
    assert (letter.topic, letter.partition, letter.offset) == (topics.TRACKER_STATE, 2, -1)
    assert emit.value is not None
    assert b"entry" not in emit.value
    assert dead is not None
    assert (dead.key, dead.value, dead.is_timer) == (b"v-1", b"entry", True)
    with pytest.raises(ValueError, match="nothing to publish again"):
        replayed(dead)


def test_headers_without_a_value_are_kept_and_come_back_in_a_replay() -> None:
    letter = letter_of(make(replace(RECORD, headers=(("bare", None), ("full", b"v")))))
    dead = open_dead_letter(CODEC, RING, letter)
    assert dead is not None
    assert replayed(dead).headers == (("bare", None), ("full", b"v"))
