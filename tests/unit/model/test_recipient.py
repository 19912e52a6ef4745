from __future__ import annotations

import contextlib
import random
import re
from collections.abc import Callable

import phonenumbers
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pipeline.errors import Refused
from pipeline.model.numbering_python import _parsed
from pipeline.model.recipient import canonical


@pytest.mark.parametrize(
    ("typed", "country", "expected"),
    [
        ("+4915123456789", None, "+4915123456789"),
        ("+49 151 2345-6789", None, "+4915123456789"),
        (" +49 (0)151 / 23456789 ", None, "+4915123456789"),
        ("0151 23456789", "DE", "+4915123456789"),
        ("0151 23456789", " de ", "+4915123456789"),
        ("0049 151 23456789", "DE", "+4915123456789"),
        ("+4915123456789", "FR", "+4915123456789"),
        ("＋４９１５１２３４５６７８９", None, "+4915123456789"),
        ("+٤٩١٥١٢٣٤٥٦٧٨٩", None, "+4915123456789"),
        ("\u202a+49 151 23456789\u202c", None, "+4915123456789"),
        ("+39 06 6982 1234", None, "+390669821234"),
        ("06 6982 1234", "IT", "+390669821234"),
        ("+1 (650) 253-0000", None, "+16502530000"),
        ("jane@example.org", None, "jane@example.org"),
        (" Jane.Doe+otp@EXAMPLE.Org ", None, "Jane.Doe+otp@example.org"),
        ("jane@bücher.example", None, "jane@xn--bcher-kva.example"),
        ("jane@BÜCHER.example", None, "jane@xn--bcher-kva.example"),
        ("jane@XN--BCHER-KVA.example", None, "jane@xn--bcher-kva.example"),
        ("jane@straße.example", None, "jane@xn--strae-oqa.example"),
    ],
)
def test_however_a_recipient_is_typed_it_comes_out_the_same(typed: str, country: str | None, expected: str) -> None:
    assert canonical(typed, country).canonical == expected


@pytest.mark.parametrize(
    ("typed", "country", "reason"),
    [
        ("", None, "invalid_recipient"),
        ("   ", None, "invalid_recipient"),
        ("0151 23456789", None, "invalid_recipient"),
        ("004915123456789", None, "invalid_recipient"),
        ("+49", None, "invalid_recipient"),
        ("+999999999999", None, "invalid_recipient"),
        ("+49151234567890123", None, "invalid_recipient"),
        ("+15555550100", None, "invalid_recipient"),
        ("+4915123456789 ext. 12", None, "invalid_recipient"),
        ("+4915123456789;ext=12", None, "invalid_recipient"),
        ("tel:+4915123456789", None, "invalid_recipient"),
        ("call +4915123456789", None, "invalid_recipient"),
        ("1-800-FLOWERS", "US", "invalid_recipient"),
        ("+4915123456789\n+4915123456780", None, "invalid_recipient"),
        ("++4915123456789", None, "invalid_recipient"),
        ("+" + "1" * 400, None, "invalid_recipient"),
        ("0151 23456789", "Germany", "invalid_country"),
        ("0151 23456789", "XX", "invalid_country"),
        ("07911 123456", "UK", "invalid_country"),
        ("0151 23456789", "", "invalid_country"),
        ("123456", "AQ", "invalid_country"),
        ("+18003569377", None, "unsupported_line_type"),
        ("+80012345678", None, "unsupported_line_type"),
        ("+499001234567", None, "unsupported_line_type"),
        ("jane@", None, "invalid_recipient"),
        ("@example.org", None, "invalid_recipient"),
        ("jane@example", None, "invalid_recipient"),
        ("jane@localhost", None, "invalid_recipient"),
        ("jane@[127.0.0.1]", None, "invalid_recipient"),
        ("jane@127.0.0.1", None, "invalid_recipient"),
        ("jane@example..org", None, "invalid_recipient"),
        ("jane@.example.org", None, "invalid_recipient"),
        ("jane@-example.org", None, "invalid_recipient"),
        ("jane@exa_mple.org", None, "invalid_recipient"),
        ("jane@example.org.", None, "invalid_recipient"),
        (".jane@example.org", None, "invalid_recipient"),
        ("ja..ne@example.org", None, "invalid_recipient"),
        ("jane doe@example.org", None, "invalid_recipient"),
        ('"jane doe"@example.org', None, "invalid_recipient"),
        ("jane@example.org\r\nBcc: eve@example.org", None, "invalid_recipient"),
        ("jane\r\nBcc: eve@example.org", None, "invalid_recipient"),
        ("Jane <jane@example.org>", None, "invalid_recipient"),
        ("jane@example.org,eve@example.org", None, "invalid_recipient"),
        ("jäne@example.org", None, "invalid_recipient"),
        ("j" * 65 + "@example.org", None, "invalid_recipient"),
        ("jane@" + "a" * 64 + ".org", None, "invalid_recipient"),
        ("jane@" + "abcdefghi." * 26 + "org", None, "invalid_recipient"),
        ("jane@example.org", "XX", "invalid_country"),
    ],
)
def test_what_is_no_recipient_is_refused_without_repeating_it(typed: str, country: str | None, reason: str) -> None:
    with pytest.raises(Refused) as caught:
        canonical(typed, country)
    assert caught.value.reason == reason
    assert len(typed) < 6 or typed not in str(caught.value)
    assert caught.value.field == ("country" if reason == "invalid_country" else "recipient")


def test_a_refusal_names_the_field_as_the_caller_wrote_it() -> None:
    with pytest.raises(Refused, match=r"steps\[1\]\.country: no ISO 3166-1") as caught:
        canonical("0151 23456789", "XX", field="steps[1].recipient")
    assert caught.value.field == "steps[1].country"
    with pytest.raises(Refused, match=r"steps\[1\]\.recipient: is no phone number"):
        canonical("nonsense", field="steps[1].recipient")


@pytest.mark.parametrize(
    ("typed", "masked"),
    [
        ("+491701234678", "+49*******678"),
        ("+4915123456789", "+49********789"),
        ("+16502530000", "+1*******000"),
        ("+390669821234", "+39*******234"),
        ("+2908123", "+290***3"),
        ("jane@example.org", "j***@example.org"),
        ("j@example.org", "***@example.org"),
    ],
)
def test_a_mask_shows_too_little_to_reach_anybody(typed: str, masked: str) -> None:
    found = canonical(typed)
    assert found.masked == masked
    assert found.canonical not in repr(found)


@pytest.mark.parametrize(
    ("typed", "country", "line_type"),
    [
        ("+4915123456789", "DE", "mobile"),
        ("+493012345678", "DE", "fixed_line"),
        ("+16502530000", "US", "fixed_line_or_mobile"),
        ("+447911123456", "GG", "mobile"),
        ("+24762123", "SH", "fixed_line"),
        ("jane@example.org", None, None),
    ],
)
def test_country_and_line_type_are_told(typed: str, country: str | None, line_type: str | None) -> None:
    found = canonical(typed)
    assert (found.country, found.line_type) == (country, line_type)


def test_an_address_keeps_the_country_hint() -> None:
    assert canonical("jane@example.org", "at").country == "AT"


phones = st.from_regex(r"\+(49151|4930|1650253|33612|44791|39066|5491123|52155|86138|91987)[0-9]{4,9}", fullmatch=True)
addresses = st.from_regex(r"[a-z0-9.+_-]{1,12}@[a-zA-Z0-9äöüß-]{1,12}\.(org|de|example)", fullmatch=True)


@given(phones | addresses | st.text(max_size=30), st.sampled_from([None, "DE", "US", "AR", "IT"]))
def test_the_canonical_form_is_its_own_canonical_form(typed: str, country: str | None) -> None:
    try:
        once = canonical(typed, country)
    except Refused:
        assume(False)
        return
    assert canonical(once.canonical).canonical == once.canonical
    assert canonical(once.canonical, country).canonical == once.canonical


@given(st.text(max_size=60), st.none() | st.text(max_size=4))
def test_any_text_is_a_recipient_or_refused(typed: str, country: str | None) -> None:
    try:
        found = canonical(typed, country)
    except Refused:
        return
    assert found.canonical.isascii()
    assert not set(found.canonical) & set("\r\n \t<>,;")


def _spelled() -> list[str]:
    """Numbers of every country code: examples of every kind of line and near misses, and any digits at all."""
    drawn = random.Random(1)
    codes = [code for code in phonenumbers.COUNTRY_CODE_TO_REGION_CODE for _ in range(30)]
    made = [f"+{code}" + "".join(drawn.choices("0123456789", k=drawn.randint(2, 12))) for code in codes]
    for region in phonenumbers.SUPPORTED_REGIONS:
        for kind in phonenumbers.PhoneNumberType.values():
            example = phonenumbers.example_number_for_type(region, kind)
            if example is not None:
                text = phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164)
                made += [text, text[:-1], f"{text}1", f"{text[:-1]}7"]
    return made


def _read_by(parse: Callable[[str, str | None], object], text: str) -> object:
    try:
        return parse(text, None)
    except phonenumbers.NumberParseException as error:
        return error.error_type


def test_a_number_in_e164_is_read_as_the_library_reads_it() -> None:
    texts = _spelled()
    assert len(texts) > 10_000
    wrong = [text for text in texts if _read_by(_parsed, text) != _read_by(phonenumbers.parse, text)]
    assert wrong == []


def test_numbers_of_all_countries_in_turn_compile_nothing_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    examples = [
        phonenumbers.example_number_for_type(region, phonenumbers.PhoneNumberType.MOBILE)
        for region in sorted(phonenumbers.SUPPORTED_REGIONS)
    ]
    typed = [phonenumbers.format_number(each, phonenumbers.PhoneNumberFormat.E164) for each in examples if each]
    assert len(typed) > 200

    def read_all(begin: str) -> None:
        for number in typed:  # spelled otherwise each time, as the very same text is remembered
            with contextlib.suppress(Refused):
                canonical(begin + number)

    def compiled_again(*_: object) -> None:
        raise AssertionError("this was compiled before")

    read_all("")
    monkeypatch.setattr(re, "compile", compiled_again)
    read_all(" ")
