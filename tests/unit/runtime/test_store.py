"""The store: committed state under the changes of the open transaction."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.runtime.store import Store

KEYS = st.sampled_from([b"a", b"b", b"c"])
CHANGES = st.dictionaries(KEYS, st.one_of(st.none(), st.integers()))


@given(committed=st.dictionaries(KEYS, st.integers()), changes=st.lists(CHANGES))
def test_a_stage_sees_its_own_uncommitted_changes_as_a_dict_would_show_them(
    committed: dict[bytes, int], changes: list[dict[bytes, int | None]]
) -> None:
    store: Store[int] = Store()
    store.load(committed)
    expected = dict(committed)
    for change in changes:
        store.change(change)
        for key, value in change.items():
            if value is None:
                expected.pop(key, None)
            else:
                expected[key] = value
        assert dict(store.items()) == expected
        assert len(store) == len(expected)
        assert [store.get(key) for key in (b"a", b"b", b"c")] == [expected.get(key) for key in (b"a", b"b", b"c")]
        assert [key in store for key in (b"a", b"b", b"c")] == [key in expected for key in (b"a", b"b", b"c")]
    store.commit()
    assert dict(store.items()) == expected
    assert store.changed == {}


def test_the_changelog_gets_the_last_value_of_each_changed_key() -> None:
    store: Store[int] = Store()
    store.load({b"a": 1})
    store.change({b"a": 2, b"b": 1})
    store.change({b"a": 3, b"b": None})
    assert dict(store.changed) == {b"a": 3, b"b": None}
