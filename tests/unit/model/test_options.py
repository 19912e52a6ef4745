from __future__ import annotations

import pytest

from pipeline.model.options import Line, OneOf, OptionRule, WholeNumber, takes_options


@pytest.mark.parametrize(
    ("rule", "value", "taken"),
    [
        (WholeNumber(1, 1_000), "1", True),
        (WholeNumber(1, 1_000), "1000", True),
        (WholeNumber(1, 1_000), "007", True),
        (WholeNumber(0, 60_000), "0", True),
        (WholeNumber(1, 1_000), "0", False),
        (WholeNumber(1, 1_000), "1001", False),
        (WholeNumber(1, 1_000), "abc", False),
        (WholeNumber(1, 1_000), "", False),
        (WholeNumber(1, 1_000), "-1", False),
        (WholeNumber(1, 1_000), "1.0", False),
        (WholeNumber(1, 1_000), " 1", False),
        (WholeNumber(1, 1_000), "٣", False),
        (WholeNumber(1, 1_000), "9" * 5_000, False),
        (OneOf(("true", "false")), "true", True),
        (OneOf(("true", "false")), "True", False),
        (OneOf(("true", "false")), "", False),
        (Line(5), "straß", True),
        (Line(5), "straße", False),
        (Line(5), "  ", False),
        (Line(5), "a\nb", False),
        (Line(5), "a\u200bb", False),
    ],
)
def test_an_option_takes_what_its_rule_says(rule: OptionRule, value: str, taken: bool) -> None:
    assert rule.takes(value) is taken


def test_every_rule_can_be_told() -> None:
    assert WholeNumber(1, 9).says == "must be a whole number of 1-9"
    assert OneOf(("a", "b")).says == "must be one of a b"
    assert Line(5).says == "must be one line of 1-5 visible characters"


def test_a_provider_takes_options_it_has_with_values_it_takes() -> None:
    rules = {"limit": WholeNumber(1, 5), "voice": OneOf(("high", "low"))}
    assert takes_options(rules, {})
    assert takes_options(rules, {"limit": "5", "voice": "low"})
    assert not takes_options(rules, {"limit": "6", "voice": "low"})
    assert not takes_options(rules, {"limit": "5", "speed": "1"})
