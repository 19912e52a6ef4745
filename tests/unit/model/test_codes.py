from __future__ import annotations

import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import Refused
from pipeline.model.codes import normalise_typed, own_code, same_code, wished_length


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("483920", "483920"),
        (" 483 920\n", "483920"),
        ("483-920", "483920"),
        ("４８３９２０", "483920"),
        ("٤٨٣٩٢٠", "483920"),
        ("۴۸۳۹۲۰", "483920"),
        ("४८३९२०", "483920"),
        ("\u200e483\u00a0920", "483920"),
        ("ab12cd", "AB12CD"),
        ("ＡＢ12cd", "AB12CD"),
        ("", ""),
        ("4" * 65, ""),
        ("48392О", ""),
    ],
)
def test_a_typed_code_is_what_the_person_meant(typed: str, meant: str) -> None:
    assert normalise_typed(typed) == meant


def test_the_same_code_in_another_script_or_case_is_right() -> None:
    assert same_code("483920", "٤٨٣ ٩٢٠")
    assert same_code("AbC123", "aBc 123")


@pytest.mark.parametrize("typed", ["483921", "48392", "4839200", "", "   ", "4" * 65])
def test_another_code_is_wrong(typed: str) -> None:
    assert not same_code("483920", typed)


@pytest.mark.parametrize("typed", ["483920", "983920", "483921", "48", "٤٨٣ ٩٢٠"])
def test_codes_are_compared_in_constant_time_wherever_they_differ(typed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return one == other

    monkeypatch.setattr(hmac, "compare_digest", compare)
    assert same_code("483920", typed) is (normalise_typed(typed) == "483920")
    assert compared == [(b"483920", normalise_typed(typed).encode())]


def test_nothing_typed_never_equals_nothing_expected() -> None:
    assert not same_code("", " - ")


@given(st.text(max_size=80), st.text(max_size=80))
def test_comparing_never_fails_and_agrees_with_normalising(one: str, other: str) -> None:
    assert same_code(one, other) == (normalise_typed(one) == normalise_typed(other) != "")


@given(st.text(max_size=80))
def test_normalising_twice_changes_nothing(typed: str) -> None:
    assert normalise_typed(normalise_typed(typed)) == normalise_typed(typed)


@pytest.mark.parametrize(
    ("code", "code_length", "reason"),
    [
        ("48 39 20", None, "invalid_code"),
        ("48392!", None, "invalid_code"),
        ("", None, "invalid_code"),
        ("кода12", None, "invalid_code"),
        ("123", None, "invalid_code_length"),
        ("1234567890123", None, "invalid_code_length"),
        ("123456", 8, "invalid_code_length"),
        ("12345", None, "invalid_code_length"),
    ],
)
def test_a_bad_own_code_is_refused_without_repeating_it(code: str, code_length: int | None, reason: str) -> None:
    with pytest.raises(Refused) as caught:
        own_code(code, code_length=code_length, min_code_length=6)
    assert caught.value.reason == reason
    assert not code or code not in str(caught.value)


@pytest.mark.parametrize("code", ["12", "12345", "1234567890123", "48-39"])
def test_a_bad_own_code_is_told_the_range_that_its_tenant_may_use(code: str) -> None:
    with pytest.raises(Refused, match=r"use .*6-12"):
        own_code(code, code_length=None, min_code_length=6)


def test_a_good_own_code_stays_as_the_caller_wrote_it() -> None:
    assert own_code("AbC123", code_length=6, min_code_length=6) == "AbC123"
    assert own_code("0123", code_length=None, min_code_length=4) == "0123"
    assert own_code("１２３４５６", code_length=None, min_code_length=6) == "123456"


@pytest.mark.parametrize("length", [3, 13, 5, 0, -1])
def test_a_code_length_outside_the_tenants_bounds_is_refused(length: int) -> None:
    with pytest.raises(Refused, match=r"^invalid_code_length: code_length"):
        wished_length(length, default=6, min_code_length=6)


def test_without_a_wish_the_tenants_length_is_used() -> None:
    assert wished_length(None, default=8, min_code_length=6) == 8
    assert wished_length(4, default=6, min_code_length=4) == 4
