"""The store: committed state under the changes of the open transaction, kept as bytes and decoded when asked for."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import DeadLetterReason, Poison, UnknownWriter, UnreadableState
from pipeline.runtime.store import Store

KEYS = st.sampled_from([b"a", b"b", b"c"])
CHANGES = st.dictionaries(KEYS, st.one_of(st.none(), st.integers()))


def encoded(entries: dict[bytes, int]) -> dict[bytes, bytes]:
    return {key: b"%d" % value for key, value in entries.items()}


def store_of(entries: dict[bytes, int], keep: int = 100) -> Store[int]:
    store: Store[int] = Store(int, keep=keep)
    store.load(encoded(entries))
    return store


def commit(store: Store[int]) -> None:
    """As a task does, with what it wrote to the changelog."""
    store.commit({key: None if value is None else b"%d" % value for key, value in store.changed.items()})


@given(
    committed=st.dictionaries(KEYS, st.integers()),
    transactions=st.lists(st.tuples(st.lists(CHANGES), st.booleans())),
    keep=st.integers(1, 3),
)
def test_a_stage_sees_its_own_uncommitted_changes_as_a_dict_would_show_them(
    committed: dict[bytes, int], transactions: list[tuple[list[dict[bytes, int | None]], bool]], keep: int
) -> None:
    store = store_of(committed, keep)
    durable = dict(committed)
    for changes, looks in transactions:
        expected = dict(durable)
        for change in changes:
            store.change(change)
            for key, value in change.items():
                if value is None:
                    expected.pop(key, None)
                else:
                    expected[key] = value
            if looks:
                assert dict(store.items()) == expected
            assert len(store) == len(expected)
            assert [store.get(key) for key in (b"a", b"b", b"c")] == [expected.get(key) for key in (b"a", b"b", b"c")]
            assert [key in store for key in (b"a", b"b", b"c")] == [key in expected for key in (b"a", b"b", b"c")]
        commit(store)
        durable = expected
        assert dict(store.items()) == durable
        assert {key: store.written(key) for key in durable} == encoded(durable)
        assert store.changed == {}


def test_the_changelog_gets_the_last_value_of_each_changed_key() -> None:
    store = store_of({b"a": 1})
    store.change({b"a": 2, b"b": 1})
    store.change({b"a": 3, b"b": None})
    assert dict(store.changed) == {b"a": 3, b"b": None}


def test_an_entry_that_is_missing_is_no_entry() -> None:
    store = store_of({b"a": 1})
    store.change({b"a": None})
    for key in (b"a", b"b"):
        with pytest.raises(KeyError):
            store[key]
        assert store.get(key, 7) == 7


def test_an_entry_is_decoded_once_while_it_is_among_those_used_last() -> None:
    store = store_of({b"a": 1, b"b": 2, b"c": 3}, keep=2)
    for key in (b"a", b"b", b"a", b"b"):
        store.get(key)
    assert store.decodes == 2
    store.get(b"a")
    store.get(b"c")  # b is the one that was not used for longest
    store.get(b"a")
    assert store.decodes == 3
    store.get(b"b")
    assert store.decodes == 4


def test_what_a_transaction_has_written_is_not_decoded_again() -> None:
    store = store_of({}, keep=2)
    store.change({b"a": 1})
    commit(store)
    assert store.get(b"a") == 1
    assert store.decodes == 0


def test_no_more_entries_stay_decoded_than_are_to_be_kept() -> None:
    store = store_of({b"%d" % n: n for n in range(100)}, keep=10)
    assert sum(store.values()) == sum(range(100))
    assert len(store._decoded) == 10
    store.change({b"%d" % n: n + 1 for n in range(50)})
    commit(store)
    assert len(store._decoded) == 10


def test_entries_decoded_at_the_restore_are_given_up_little_by_little() -> None:
    entries = {b"%d" % n: n for n in range(100)}
    store: Store[int] = Store(int, keep=10)
    store.load(encoded(entries), entries)
    assert sum(store.values()) == sum(range(100))
    assert store.decodes == 0
    sizes = []
    for n in range(100, 250):
        store.change({b"%d" % n: n})
        commit(store)
        sizes.append(len(store._decoded))
    assert sizes[-1] == 10
    assert all(before - after <= 1 for before, after in itertools.pairwise(sizes))


def test_bytes_that_are_no_entry_are_no_fault_of_the_record_at_hand() -> None:
    def decode(data: bytes) -> int:
        if data == b"poison":
            raise Poison(DeadLetterReason.UNDECODABLE, "the value is no Count: cut short")
        if data == b"newer":
            raise UnknownWriter("a schema of the next release")
        return int(data)

    store: Store[int] = Store(decode, keep=10)
    store.load({b"cut": b"poison", b"odd": b"secret", b"newer": b"newer", b"good": b"1"})
    with pytest.raises(UnreadableState, match="a state entry of 6 bytes cannot be read: undecodable: the value is no"):
        store.get(b"cut")
    with pytest.raises(UnreadableState, match=r"cannot be read: ValueError$"):
        store[b"odd"]
    with pytest.raises(UnknownWriter):
        store.get(b"newer")
    assert b"cut" in store
    assert store.written(b"cut") == b"poison"
    assert store.get(b"good") == 1
    store.change({b"cut": None})
    store.commit({b"cut": None})
    assert b"cut" not in store
