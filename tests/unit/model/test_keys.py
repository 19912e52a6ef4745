from __future__ import annotations

import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import Poison, UnknownWriter, UsageError
from pipeline.model.keys import KeyRing, PublicKey, seal_public

RING = KeyRing.for_tests()
ID = "9f1c2d3e-0000-4000-8000-000000000001"
HASH = "0123456789abcdef0123456789abcdef"


def code(ring: KeyRing = RING, kid: str = "t2", **changes: object) -> str:
    values: dict[str, object] = {
        "verification_id": ID, "recipient_hash": HASH, "generation": 0, "amount": None, "payee": None, "length": 6,
    }  # fmt: skip
    return ring.code(kid, **(values | changes))  # type: ignore[arg-type]


def test_a_code_is_the_same_wherever_and_whenever_it_is_derived() -> None:
    assert code() == code(KeyRing.for_tests())


def test_the_derivation_is_the_one_of_every_release() -> None:
    """Vectors: a change of the derivation would void every code on its way during an upgrade."""
    assert code() == "142982"
    assert code(length=12) == "391497442982"
    assert code(generation=1, amount="12.50", payee="Shop", length=4) == "2971"


@pytest.mark.parametrize("length", range(4, 13))
def test_a_code_has_its_length_and_no_leading_zero(length: int) -> None:
    codes = [code(verification_id=f"v{i}", length=length) for i in range(300)]
    assert all(re.fullmatch(rf"[1-9][0-9]{{{length - 1}}}", one) for one in codes)


def test_codes_are_uniform_in_every_place() -> None:
    """Chi-square per digit place over 20 000 derived codes; 45 is past the 0.0001 % tail for 9 degrees of freedom."""
    codes = [code(verification_id=f"v{i}") for i in range(20_000)]
    for place in range(6):
        digits = "123456789" if place == 0 else "0123456789"
        seen = Counter(one[place] for one in codes)
        expected = len(codes) / len(digits)
        assert set(seen) == set(digits)
        assert sum((seen[digit] - expected) ** 2 / expected for digit in digits) < 45


@pytest.mark.parametrize(
    "change",
    [
        {"verification_id": "other"},
        {"recipient_hash": "00" * 16},
        {"generation": 1},
        {"amount": "1", "payee": "Shop"},
        {"kid": "t1"},
    ],
)
def test_everything_bound_into_a_code_changes_it(change: dict[str, object]) -> None:
    assert code(length=12, **change) != code(length=12)  # type: ignore[arg-type]


@given(st.text(max_size=20), st.text(max_size=20))
def test_an_id_used_for_two_people_never_gives_both_the_same_code(one: str, other: str) -> None:
    if one != other:
        first, second = (RING.recipient_hash("default", recipient) for recipient in (one, other))
        assert code(recipient_hash=first, length=12) != code(recipient_hash=second, length=12)


def test_amount_and_payee_cannot_be_shifted_into_each_other() -> None:
    codes = {code(length=12, amount=a, payee=p) for a, p in (("12", "3"), ("1", "23"), ("", "123"), (None, "123"))}
    assert len(codes) == 4


@pytest.mark.parametrize("length", [3, 13, 0, -1])
def test_a_length_nobody_can_carry_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="outside"):
        code(length=length)


def test_rejected_numbers_are_followed_by_the_next_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four numbers above the fair bound must not end in a biased code, nor in none."""
    blocks = iter([b"\xff" * 32, b"\xff" * 24 + bytes(8)])
    monkeypatch.setattr("pipeline.model.keys.hmac.digest", lambda *_: next(blocks))
    assert code() == "100000"


@given(st.binary(max_size=200), st.text(max_size=20), st.text(max_size=20))
def test_what_is_sealed_opens_in_its_place_and_is_always_the_same_bytes(
    plaintext: bytes, verification_id: str, field: str
) -> None:
    sealed = RING.seal(plaintext, verification_id=verification_id, field=field)
    assert RING.open(sealed, verification_id=verification_id, field=field) == plaintext
    assert RING.seal(plaintext, verification_id=verification_id, field=field) == sealed


@pytest.mark.parametrize(
    "place",
    [
        {"verification_id": "other", "field": "code"},
        {"verification_id": ID, "field": "recipient"},
        {"verification_id": ID, "field": "code", "record": "DeadLetter"},
        {"verification_id": ID + "c", "field": "ode"},
    ],
)
def test_a_sealed_value_opens_nowhere_else(place: dict[str, str]) -> None:
    sealed = RING.seal(b"483920", verification_id=ID, field="code")
    with pytest.raises(Poison) as caught:
        RING.open(sealed, **place)
    assert caught.value.reason == "undecodable"


@given(st.data())
def test_any_changed_byte_behind_the_key_id_is_noticed(data: st.DataObject) -> None:
    sealed = bytearray(RING.seal(b"+4915123456789", verification_id=ID, field="recipient"))
    place = data.draw(st.integers(4, len(sealed) - 1))
    sealed[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(Poison):
        RING.open(bytes(sealed), verification_id=ID, field="recipient")


@given(st.binary(max_size=80))
def test_opening_anything_ends_in_poison_or_in_waiting(noise: bytes) -> None:
    with pytest.raises((Poison, UnknownWriter)):
        RING.open(noise, verification_id=ID, field="code")


def test_a_key_id_not_known_yet_is_waited_for() -> None:
    newer = KeyRing(keys={"t9": bytes(32)}, current="t9", hash_key=bytes(32))
    sealed = newer.seal(b"x", verification_id=ID, field="code")
    with pytest.raises(UnknownWriter):
        RING.open(sealed, verification_id=ID, field="code")
    with pytest.raises(UnknownWriter):
        code(kid="t9")


def test_the_older_keys_of_the_ring_still_open_and_derive() -> None:
    before = KeyRing(keys={"t1": bytes(range(32))}, current="t1", hash_key=bytes(range(64, 96)))
    sealed = before.seal(b"483920", verification_id=ID, field="code")
    assert RING.open(sealed, verification_id=ID, field="code") == b"483920"
    assert code(before, "t1") == code(RING, "t1")


def test_hashes_do_not_change_when_the_ring_rotates() -> None:
    before = KeyRing(keys={"t1": bytes(range(32))}, current="t1", hash_key=bytes(range(64, 96)))
    assert before.recipient_hash("a", "+49151") == RING.recipient_hash("a", "+49151")
    assert before.recipient_key("+49151") == RING.recipient_key("+49151")


def test_hashes_are_those_of_every_release() -> None:
    """Vectors: another hash would forget every recipient's failures and ids at once."""
    assert RING.recipient_hash("default", "+4915123456789") == "579c42b9692350f473470d2bbe8d0663"
    assert RING.recipient_key("+4915123456789") == "4351b6ed8f5c2ff44ffa5bdabcb32143"


def test_hashes_differ_by_tenant_and_by_purpose() -> None:
    hashes = {RING.recipient_hash("a", "+49151"), RING.recipient_hash("b", "+49151"), RING.recipient_key("+49151")}
    assert len(hashes) == 3
    assert all(re.fullmatch("[0-9a-f]{32}", one) for one in hashes)


def test_a_sealed_value_is_the_one_of_every_release() -> None:
    sealed = bytes.fromhex("010274321afc17497dbc7355b4667bcce759aa049ab9d197fdd3d5f243f81ed0185b292ed555")
    assert RING.seal(b"483920", verification_id=ID, field="code") == sealed


def test_a_producer_can_seal_with_the_public_half_only() -> None:
    key = PublicKey.parse(RING.public_key().text())
    sealed = seal_public(key, "483920", verification_id=ID, field="code")
    assert RING.open_public(sealed, verification_id=ID, field="code") == "483920"
    assert b"483920" not in sealed


def test_a_publicly_sealed_value_is_readable_by_every_release() -> None:
    """Vectors: producers in other languages build against this layout."""
    assert RING.public_key("t1").text() == "t1.ZqSX9ZRQ0nEffQFIZC3sq4oSPcDC_uJHyT4uR6UGzjM"
    sealed = bytes.fromhex(
        "01027431d95cc9e0b52ec846856092dd18c73a6bf725866886b5fdfdda589a4fc5f476058886d83d5031a55e0de0eed53b216473f27996aee804"
    )
    assert RING.open_public(sealed, verification_id=ID, field="code") == "483920"


@pytest.mark.parametrize(
    "place",
    [
        {"verification_id": "other", "field": "code"},
        {"verification_id": ID, "field": "payee"},
        {"verification_id": ID, "field": "code", "record": "CodeCheck"},
    ],
)
def test_a_publicly_sealed_code_copied_elsewhere_does_not_open(place: dict[str, str]) -> None:
    sealed = seal_public(RING.public_key(), "483920", verification_id=ID, field="code")
    with pytest.raises(Poison):
        RING.open_public(sealed, **place)


@given(st.binary(max_size=120))
def test_no_public_bytes_can_make_the_pipeline_wait_for_a_key(noise: bytes) -> None:
    for sealed in (noise, b"\x01\x02t2" + noise, b"\x01\x02zz" + noise):
        with pytest.raises(Poison):
            RING.open_public(sealed, verification_id=ID, field="code")


@pytest.mark.parametrize(
    "text", ["", "t1", "t1.", ".AAAA", "t1.!!!!", "t1." + "A" * 44, RING.public_key().text() + "A"]
)
def test_a_mistyped_public_key_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="public key"):
        PublicKey.parse(text)


@pytest.mark.parametrize(
    ("keys", "current", "hash_key"),
    [
        ({"a": bytes(31)}, "a", bytes(32)),
        ({"a b": bytes(32)}, "a b", bytes(32)),
        ({"a.b": bytes(32)}, "a.b", bytes(32)),
        ({"a": bytes(32)}, "b", bytes(32)),
        ({}, "", bytes(32)),
        ({"a": bytes(32)}, "a", b"short"),
    ],
)
def test_a_ring_that_cannot_work_is_refused(keys: dict[str, bytes], current: str, hash_key: bytes) -> None:
    with pytest.raises(UsageError, match="keys"):
        KeyRing(keys=keys, current=current, hash_key=hash_key)


def test_a_ring_shows_no_secret() -> None:
    assert repr(RING) == "KeyRing(kids=('t1', 't2'), current='t2')"
