from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import Refused
from pipeline.model.text import check_text, render


@pytest.mark.parametrize(
    "text",
    [
        "{code}",
        "{code} is your code.\nNever share it.",
        "{code}, again {code}, {code}",
        "{brand}: {code}, {minutes} min",
    ],
)
def test_a_text_that_shows_the_code_is_taken_as_it_is(text: str) -> None:
    assert check_text(text, field="text", brand=True, payment=False) == text


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is empty"),
        ("  ", "is empty"),
        ("Your code", "0 times"),
        ("{code} {code} {code} {code}", "4 times"),
        ("{code} for {name}", "does not exist"),
        ("{code} {0}", "does not exist"),
        ("{code} {}", "does not exist"),
        ("{code!r} {code}", "does not exist"),
        ("{code} {", "without its partner"),
        ("{code} }", "without its partner"),
        ("{{code}}", "without its partner"),
        ("{brand}: {code}", "neither the request nor the tenant has a brand"),
        ("{code} pays {amount}", "the request gives none"),
        ("{code} pays {payee}", "the request gives none"),
        ("{code}\x00", "control characters"),
        ("{code}\r\nBcc: eve@example.org", "control characters"),
        ("{code}" + "x" * 1600, "use at most 1600"),
    ],
)
def test_a_text_that_cannot_be_rendered_is_refused(text: str, problem: str) -> None:
    with pytest.raises(Refused, match=problem) as caught:
        check_text(text, field="steps[0].text", brand=False, payment=False)
    assert (caught.value.reason, caught.value.field) == ("invalid_text", "steps[0].text")


def test_a_subject_may_do_without_the_code_but_not_show_it() -> None:
    assert check_text("Sign in to {brand}", field="subject", brand=True, payment=False, required=False)
    with pytest.raises(Refused, match=r"shows \{code\}"):
        check_text("{code} is your code", field="subject", brand=True, payment=False, required=False)


def test_rendering_fills_in_every_placeholder_once() -> None:
    values = {"code": "483920", "brand": "{code}", "minutes": "5"}
    assert render("{brand}: {code} {code} for {minutes} min", values) == "{code}: 483920 483920 for 5 min"


@given(st.text(max_size=60))
def test_every_text_that_was_accepted_can_be_rendered(text: str) -> None:
    try:
        check_text(text + "{code}", field="text", brand=True, payment=True)
    except Refused:
        return
    rendered = render(text + "{code}", dict.fromkeys(("code", "brand", "minutes", "amount", "payee"), "x"))
    assert "{" not in rendered
