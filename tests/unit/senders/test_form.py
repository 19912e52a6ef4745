from __future__ import annotations

from urllib.parse import urlencode

from hypothesis import given
from hypothesis import strategies as st

from pipeline.senders.form import form

NAMES = st.text("abcdefghijklmnopqrstuvwxyz_-", min_size=1, max_size=20)


@given(st.dictionaries(NAMES, st.text(st.characters(exclude_categories=["Cs"]))))
def test_a_form_is_encoded_as_the_standard_library_has_it(fields: dict[str, str]) -> None:
    assert form(fields) == urlencode(fields).encode("ascii")
