"""The compiled reader of phone numbers gives the answers of ``phonenumbers``, whatever is asked."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from itertools import chain

import phonenumbers
import pytest

from pipeline.errors import Refused, SettingsError
from pipeline.fitness import unfit
from pipeline.model import numbering, numbering_python
from pipeline.model.recipient import Recipient, canonical, read_numbers_with
from pipeline.settings import Settings
from tests.unit.model.spelled_numbers import Spelled, examples, random_numbers, spelled_examples

RANDOM_NUMBERS, OF_ONE_SEED = 100_000, 12_500

if os.environ.get("CI", "").lower() in ("true", "1"):
    import rphonenumbers
else:
    rphonenumbers = pytest.importorskip("rphonenumbers", reason="needs the extra rust")


@pytest.fixture
def compiled() -> numbering.Reader:
    return numbering.reader("rphonenumbers")


@pytest.fixture
def _restored() -> Iterator[None]:
    yield
    read_numbers_with("phonenumbers")


def answer(reader: numbering.Reader, spelled: Spelled) -> object:
    try:
        return reader(*spelled)
    except numbering.Unreadable:
        return "unreadable"


def as_recipient(spelled: Spelled) -> Recipient | tuple[object, ...]:
    try:
        return canonical(*spelled)
    except Refused as refused:
        return refused.reason, refused.detail, refused.field


def differing(compiled: numbering.Reader, texts: Iterator[Spelled]) -> list[object]:
    return [
        (spelled, ours, theirs)
        for spelled in texts
        if (ours := answer(compiled, spelled)) != (theirs := answer(numbering_python.read, spelled))
    ]


def test_examples_of_every_region_and_type_are_read_alike_in_every_form(compiled: numbering.Reader) -> None:
    spelled = spelled_examples()
    assert len(spelled) > 15_000
    assert differing(compiled, iter(spelled)) == []


@pytest.mark.parametrize("seed", range(RANDOM_NUMBERS // OF_ONE_SEED))
def test_a_hundred_thousand_random_numbers_are_read_alike(compiled: numbering.Reader, seed: int) -> None:
    assert differing(compiled, random_numbers(OF_ONE_SEED, seed)) == []


@pytest.mark.usefixtures("_restored")
def test_a_recipient_is_the_same_and_is_refused_with_the_same_words() -> None:
    texts = list(chain(spelled_examples()[::7], random_numbers(4_000, seed=7)))
    default = [as_recipient(spelled) for spelled in texts]
    read_numbers_with("rphonenumbers")
    assert [as_recipient(spelled) for spelled in texts] == default
    assert sum(isinstance(found, Recipient) for found in default) > 1_000


def test_a_country_whose_plan_changed_since_is_read_by_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.model.numbering_rust.plan_fingerprint", lambda code: "of another release")
    asked: list[Spelled] = []

    def default(text: str, region: str | None) -> numbering.Number:
        asked.append((text, region))
        return numbering_python.read(text, region)

    from pipeline.model.numbering_rust import RustReader

    compiled = RustReader(default)
    wanted: list[Spelled] = [("+31612345678", None), ("0612345678", "NL")]
    for spelled in wanted:
        compiled(*spelled)
    assert asked == wanted


def test_most_countries_are_read_without_the_default() -> None:
    from pipeline.model.numbering_rust import RustReader

    def default(text: str, region: str | None) -> numbering.Number:
        raise numbering.Unreadable

    compiled = RustReader(default)
    texts = [
        phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
        for region, number in examples()
        if phonenumbers.number_type(number) == phonenumbers.PhoneNumberType.MOBILE
    ]
    passed_on = [text for text in texts if answer(compiled, (text, None)) == "unreadable"]
    assert len(passed_on) < len(texts) / 3


def test_what_the_compiled_reader_refuses_is_asked_of_the_default() -> None:
    from pipeline.model.numbering_rust import RustReader

    newer = numbering.Number(31, "970000000000", "NL", "mobile")
    compiled = RustReader(lambda text, region: newer)
    assert compiled("+31 97 000 000 0000 00", None) == newer
    assert compiled("no number at all", None) == newer


def test_installed_it_is_still_not_used_until_the_setting_says_so() -> None:
    assert Settings().policy.phone_library == "phonenumbers"
    assert numbering.reader(Settings().policy.phone_library) is numbering_python.read


def test_a_release_with_unknown_plans_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rphonenumbers, "__phonenumbers_version__", "8.0.0")
    with pytest.raises(SettingsError, match=r"policy\.phone_library.*plans of 8\.0\.0.*verification-pipeline\[rust\]"):
        read_numbers_with("rphonenumbers")


def test_the_setting_without_the_extra_is_a_problem_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rphonenumbers", None)
    settings = Settings.model_validate({"policy": {"phone_library": "rphonenumbers"}})
    assert ["not installed" in finding.message for finding in unfit(settings)] == [True]
