"""Texts from right to left, laid out by an implementation of the Unicode bidirectional algorithm."""

from __future__ import annotations

import re
from typing import Any

import pytest
from bidi import get_display

from pipeline.model.messages import Catalogue
from pipeline.model.messages.direction import direction, without_ordering
from pipeline.model.messages.wording import TAGS
from pipeline.records.types import Channel
from pipeline.settings import TenantSettings

CATALOGUE = Catalogue(tenants={"site": TenantSettings(domain="login.example.org")})
INVISIBLE = re.compile("[\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069]")
CODES = ["483920", "0042", "4A9B", "A4B9", "ABCD", "9ab"]
BASES: list[str | None] = [None, "L", "R"]
"""By each line's first letter, as phones do, or whatever the surroundings say."""


def shown(text: str, base: str | None = None) -> list[str]:
    """The lines as they stand on a display, from left to right."""
    return [INVISIBLE.sub("", str(get_display(line, base_dir=base))) for line in text.split("\n")]


def text(code: str = "483920", channel: Channel = Channel.SMS, **given: Any) -> str:
    values: dict[str, Any] = {"tenant": "none", "language": "ar", "valid_s": 300, **given}
    return CATALOGUE.message(channel=channel, **values).text(code)


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("brand", [None, "Shop", "Shop24", "24/7 Shop", "C++", "متجر", "Yahoo!", "365 24"])
def test_a_code_and_a_brand_are_shown_in_order_in_an_arabic_sms(code: str, base: str | None, brand: str | None) -> None:
    (line,) = shown(text(code, brand=brand), base)
    assert code in line
    if brand is not None:
        assert (brand[::-1] if brand == "متجر" else brand) in line


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("channel", [Channel.WHATSAPP, Channel.EMAIL])
def test_so_are_amount_and_payee(code: str, base: str | None, channel: Channel) -> None:
    lines = shown(text(code, channel, brand="C++", amount="12345.50", payee="Shop (24)"), base)
    page = "\n".join(lines)
    for value in (code, "C++", "12345.50", "Shop (24)"):
        assert value in page


@pytest.mark.parametrize("given", [{}, {"brand": "Shop"}, {"brand": "Shop", "amount": "1", "payee": "Me"}])
def test_an_arabic_line_is_laid_out_from_the_right_by_its_first_letter(given: dict[str, str]) -> None:
    (line,) = shown(text(**given))
    assert line == shown(text(**given), "R")[0]
    assert line != shown(text(**given), "L")[0]


@pytest.mark.parametrize("given", [{}, {"brand": "Shop24"}, {"brand": "Shop24", "amount": "12.50", "payee": "Me2"}])
def test_a_telephone_that_knows_no_isolates_shows_an_arabic_sms_in_order_too(given: dict[str, str]) -> None:
    plain = INVISIBLE.sub("", text(**given))
    (line,) = shown(plain)
    assert [line] == shown(plain, "R")
    places = [line.index(value) for value in ("483920", *given.values())]
    assert places == sorted(places, reverse=True)


@pytest.mark.parametrize(
    ("written", "code", "right_to_left"),
    [
        ("{brand}: {code}", "483920", False),
        ("{brand}: הקוד שלך הוא {code}.", "483920", True),
        ("הקוד של {brand}: {code}", "483920", True),
        ("הקוד של {brand}: {code}", "4A9B", True),
        ("{code} کد شما برای {brand} است", "4A9B", True),
        ("آپ کا کوڈ {brand}: {code}", "483920", True),
    ],
)
def test_a_callers_text_in_any_order_keeps_code_and_brand_apart(written: str, code: str, right_to_left: bool) -> None:
    found = CATALOGUE.message(
        channel=Channel.SMS, tenant="none", language="he", valid_s=300, text=written, brand="Shop24"
    )
    assert found.direction == ("rtl" if right_to_left else "ltr")
    (line,) = shown(found.text(code))
    assert code in line
    assert "Shop24" in line
    ahead = written.index("{brand}") < written.index("{code}")
    assert (line.index("Shop24") < line.index(code)) == (ahead is not right_to_left)


@pytest.mark.parametrize("code", CODES)
def test_an_autofill_line_stays_last_and_runs_from_left_to_right(code: str) -> None:
    written = text(code, tenant="site", brand="Shop")
    assert shown(written)[-1] == written.split("\n")[-1] == f"@login.example.org #{code}"


def test_a_code_of_digits_is_never_wrapped_so_that_copying_it_copies_nothing_else() -> None:
    assert re.search(r"(?<![\u2068\u200e])483920(?![\u2069\u200e])", text(brand="Shop"))
    assert "\u2068" not in text()


def test_a_providers_sign_for_the_code_is_never_wrapped() -> None:
    assert "\u2068" not in text("$$CODE$$")


@pytest.mark.parametrize("tag", [tag for tag in TAGS if tag != "ar"])
@pytest.mark.parametrize("channel", list(Channel))
def test_texts_from_left_to_right_hold_nothing_invisible(tag: str, channel: Channel) -> None:
    assert not INVISIBLE.search(text("4A9B", channel, language=tag, brand="Shop é 店", amount="1", payee="C++"))


@pytest.mark.parametrize("base", [None, "L"])
def test_a_hebrew_brand_in_an_english_text_does_not_change_places_with_the_code(base: str | None) -> None:
    (line,) = shown(text(language="en", text="{brand}: {code} is it", brand="חנות"), base)
    assert line == "תונח: 483920 is it"


def test_the_subject_is_laid_out_as_carefully() -> None:
    found = CATALOGUE.message(channel=Channel.EMAIL, tenant="none", language="ar", valid_s=300, brand="C++")
    assert "C++" in shown(found.subject or "")[0]


@pytest.mark.parametrize("sign", list("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"))
def test_a_payee_cannot_turn_the_text_round(sign: str) -> None:
    assert without_ordering(f"Sh{sign}op") == "Shop"
    written = text(language="en", text="To {payee}: {code}", amount="1", payee=f"Shop{sign}")
    assert shown(written) == ["To Shop: 483920"]


@pytest.mark.parametrize(
    ("written", "runs"),
    [
        ("", "ltr"),
        ("{code}", "ltr"),
        ("123 .", "ltr"),
        ("{code} رمز", "rtl"),
        ("{brand}: קוד", "rtl"),
        ("Shop: קוד", "ltr"),
        ("код", "ltr"),
        ("验证码", "ltr"),
    ],
)
def test_the_direction_is_that_of_the_first_letter_outside_placeholders(written: str, runs: str) -> None:
    assert direction(written) == runs


@pytest.mark.parametrize("tag", TAGS)
def test_a_message_says_which_way_it_runs(tag: str) -> None:
    for channel in Channel:
        found = CATALOGUE.message(channel=channel, tenant="site", language=tag, valid_s=300, brand="Shop")
        assert found.direction == ("rtl" if tag == "ar" else "ltr")
