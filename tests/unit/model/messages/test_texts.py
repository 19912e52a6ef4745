"""Every text of the catalogue: complete, short enough, with the code where and as often as promised."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from pipeline.model.capabilities import ChannelCapabilities, provider_language
from pipeline.model.messages import LANGUAGES, Catalogue, Message, segments
from pipeline.model.messages import wording as wording_module
from pipeline.model.messages.plurals import plural
from pipeline.model.messages.wording import TAGS, wordings
from pipeline.model.text import MAX_SUBJECT, check_text
from pipeline.records.types import Channel

SMS, VOICE, WHATSAPP, VIBER, EMAIL = Channel.SMS, Channel.VOICE, Channel.WHATSAPP, Channel.VIBER, Channel.EMAIL
CHANNELS = (SMS, VOICE, WHATSAPP, VIBER, EMAIL)
CODE = "483920"
BRAND, PAYEE = "Twenty Signs Company", "Twenty Signs Traders"
GIVEN: list[dict[str, str]] = [
    {},
    {"brand": BRAND},
    {"amount": "12345.50", "payee": PAYEE},
    {"brand": BRAND, "amount": "12345.50", "payee": PAYEE},
]
ISOLATES = re.compile("[\u2068\u2069]")
CATALOGUE = Catalogue()
EVERY = [(tag, channel, given) for tag in TAGS for channel in CHANNELS for given in GIVEN]


def message(tag: str, channel: Channel = SMS, *, minutes: int = 10, **given: Any) -> Message:
    return CATALOGUE.message(channel=channel, tenant="default", language=tag, valid_s=minutes * 60, **given)


def test_there_is_a_file_for_every_language_and_no_other() -> None:
    folder = Path(wording_module.__file__).parent / "texts"
    assert {path.name for path in folder.iterdir()} == {f"{tag}.toml" for tag in TAGS}


@pytest.mark.parametrize(
    "published",
    [
        "ar de en es fr id it pt_BR ru tr vi zh_CN zh_HK",
        "af ar de en es fr it nl pl pt ru tr",
        "de en es fr it pt ru",
    ],
    ids=["ycloud", "bird", "neutrino"],
)
def test_every_language_that_a_provider_publishes_has_a_text_of_ours(published: str) -> None:
    able = ChannelCapabilities(own_code=True, languages=LANGUAGES, default_language="en")
    assert [tag for tag in published.split() if not provider_language(able, tag)[1]] == []


@pytest.mark.parametrize(("tag", "channel", "given"), EVERY)
def test_a_text_tells_all_it_was_given_and_leaves_no_placeholder(
    tag: str, channel: Channel, given: dict[str, str]
) -> None:
    found = message(tag, channel, **given)
    assert check_text(found.template, field=tag, brand="brand" in given, payment="payee" in given) == found.template
    shown = f"{found.text(CODE)}\n{found.subject or ''}"
    assert not re.search(r"[{}]", shown)
    for value in given.values():
        assert value in shown
    assert "10" in shown
    assert found.language == tag
    assert unicodedata.is_normalized("NFC", found.template)
    assert "http" not in shown


@pytest.mark.parametrize(("tag", "channel", "given"), EVERY)
def test_a_code_is_written_once_and_spoken_twice(tag: str, channel: Channel, given: dict[str, str]) -> None:
    shown = message(tag, channel, **given).text(CODE)
    if channel is VOICE:
        assert (shown.count("4, 8, 3, 9, 2, 0"), shown.count(CODE)) == (2, 0)
    else:
        assert shown.count(CODE) == 1


@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize("given", GIVEN)
def test_a_written_code_comes_early_enough_for_a_preview(tag: str, given: dict[str, str]) -> None:
    assert message(tag, **given).text(CODE).index(CODE) <= 24


@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize("given", GIVEN)
def test_a_digit_never_stands_against_the_code(tag: str, given: dict[str, str]) -> None:
    shown = message(tag, **given).text(CODE)
    assert re.search(rf"(?<!\w){CODE}(?!\w)", shown), "phones offer to copy a code that is a word of its own"


@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize("given", GIVEN)
def test_an_sms_is_one_segment_in_gsm_7_and_at_most_two_in_ucs_2(tag: str, given: dict[str, str]) -> None:
    found = segments(message(tag, **given).text(CODE))
    assert found.count <= (1 if found.encoding == "GSM-7" else 2)


@pytest.mark.parametrize("tag", ["en", "af", "de", "es", "fr", "id", "it", "nl", "pl", "tr"])
@pytest.mark.parametrize("given", GIVEN[:2])
def test_languages_that_can_do_without_ucs_2_do(tag: str, given: dict[str, str]) -> None:
    assert segments(message(tag, **given).text(CODE)).encoding == "GSM-7"


@pytest.mark.parametrize("tag", TAGS)
def test_without_a_brand_one_sms_is_enough_in_any_language(tag: str) -> None:
    assert segments(message(tag).text(CODE)).count == 1


@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize("given", GIVEN)
def test_an_sms_fits_160_signs_with_a_providers_sign_for_the_code_too(tag: str, given: dict[str, str]) -> None:
    assert len(message(tag, **given).text("$$CODE$$")) <= 160


@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize("given", GIVEN)
def test_a_mail_has_a_greeting_a_code_on_a_line_of_its_own_and_a_subject_without_it(
    tag: str, given: dict[str, str]
) -> None:
    found = message(tag, EMAIL, **given)
    greeting, _, code, *rest = found.text(CODE).split("\n\n")
    assert (greeting, code) == (wordings()[tag].mail.greeting, CODE)
    assert rest[-1] == wordings()[tag].mail.ignore
    assert found.subject is not None
    assert CODE not in found.subject
    assert "\n" not in found.subject
    assert len(found.subject) <= MAX_SUBJECT
    assert ("brand" in given) == (BRAND in found.subject)


@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize("channel", [SMS, VOICE, WHATSAPP, VIBER])
def test_only_mails_have_a_subject(tag: str, channel: Channel) -> None:
    assert message(tag, channel, brand=BRAND).subject is None


@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize("channel", CHANNELS)
def test_the_life_of_a_code_is_told_for_every_number_of_minutes(tag: str, channel: Channel) -> None:
    for minutes in range(1, 61):
        shown = message(tag, channel, minutes=minutes).text(CODE)
        assert "{" not in shown
        assert str(minutes) in shown or (tag == "ar" and minutes <= 2)


@pytest.mark.parametrize(
    ("valid_s", "told"),
    [(300, "5 minutes"), (299, "4 minutes"), (119, "1 minute."), (30, "1 minute."), (3600, "60 minutes")],
)
def test_minutes_are_whole_ones_and_at_least_one(valid_s: int, told: str) -> None:
    found = CATALOGUE.message(channel=SMS, tenant="default", language="en", valid_s=valid_s)
    assert f"expires in {told}" in found.text(CODE)


@pytest.mark.parametrize(
    ("tag", "minutes", "told"),
    [
        ("ru", 1, "1 минуту"),
        ("ru", 2, "2 минуты"),
        ("ru", 5, "5 минут"),
        ("ru", 11, "11 минут"),
        ("ru", 12, "12 минут"),
        ("ru", 21, "21 минуту"),
        ("ru", 22, "22 минуты"),
        ("pl", 1, "1 minutę"),
        ("pl", 2, "2 minuty"),
        ("pl", 12, "12 minut"),
        ("pl", 21, "21 minut"),
        ("pl", 22, "22 minuty"),
        ("ar", 1, "دقيقة واحدة"),
        ("ar", 2, "دقيقتين"),
        ("ar", 3, "3 دقائق"),
        ("ar", 10, "10 دقائق"),
        ("ar", 11, "11 دقيقة"),
        ("pt-BR", 1, "1 minuto"),
        ("zh-Hant", 1, "1分鐘"),
    ],
)
def test_minutes_take_the_form_their_number_wants(tag: str, minutes: int, told: str) -> None:
    forms = wordings()[tag].minutes
    assert plural(tag, minutes, forms).replace("{minutes}", str(minutes)) == told
    assert told in message(tag, VOICE, minutes=minutes).text(CODE)


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("tag", TAGS)
def test_what_looks_like_a_placeholder_in_a_value_stays_as_it_is(tag: str, channel: Channel) -> None:
    given = {"brand": "{code}", "amount": "1", "payee": "{brand} {duration} {x}"}
    found = message(tag, channel, **given)
    shown = ISOLATES.sub("", found.text(CODE))
    assert "{code}" in shown
    assert "{brand} {duration} {x}" in shown
    assert shown.count("4, 8, 3, 9, 2, 0" if channel is VOICE else CODE) == (2 if channel is VOICE else 1)
    assert CODE not in (found.subject or "")
