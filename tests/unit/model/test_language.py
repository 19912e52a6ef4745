from __future__ import annotations

import phonenumbers
import pytest

from pipeline.errors import Refused
from pipeline.model.country import LANGUAGE, normalise_country
from pipeline.model.language import choose_language, normalise_language
from pipeline.records.types import Channel


@pytest.mark.parametrize(
    ("written", "tag"),
    [
        ("en", "en"),
        ("EN", "en"),
        ("pt_BR", "pt-BR"),
        ("pt-br", "pt-BR"),
        ("zh_hans_cn", "zh-Hans-CN"),
        ("es-419", "es-419"),
        ("fil", "fil"),
        ("de-CH-1996", "de-CH-1996"),
        ("iw", "he"),
        (" fr ", "fr"),
    ],
)
def test_a_language_is_read_however_it_is_written(written: str, tag: str) -> None:
    assert normalise_language(written) == tag


@pytest.mark.parametrize(
    "written", ["", "e", "english", "dk", "xx", "en-", "en_US_", "de DE", "en-US\n-", "1", "e" * 60]
)
def test_what_is_no_language_is_refused(written: str) -> None:
    with pytest.raises(Refused, match=r"^invalid_language: steps\[0\].language") as caught:
        normalise_language(written, field="steps[0].language")
    assert caught.value.field == "steps[0].language"


def test_every_country_has_a_language_that_is_one() -> None:
    assert len(LANGUAGE) == 250
    assert all(normalise_language(language) == language for language in LANGUAGE.values())


def test_every_country_with_a_numbering_plan_is_known() -> None:
    assert phonenumbers.SUPPORTED_REGIONS - set(LANGUAGE) == {"AC", "TA"}


def test_a_country_that_does_not_exist_is_refused_with_a_hint() -> None:
    assert normalise_country("de") == "DE"
    with pytest.raises(Refused, match="United Kingdom is GB"):
        normalise_country("UK")


@pytest.mark.parametrize(
    ("requested", "country", "tenant", "channel", "expected"),
    [
        ("fr", "DE", "it", Channel.SMS, "fr"),
        (None, "BR", "it", Channel.SMS, "pt-BR"),
        (None, None, "it", Channel.EMAIL, "it"),
        (None, None, None, Channel.SMS, "en"),
        (None, None, None, Channel.VOICE, "en-US"),
        (None, "GB", None, Channel.VOICE, "en-US"),
        ("en", "GB", None, Channel.VOICE, "en"),
        (None, "DE", None, Channel.VOICE, "de"),
    ],
)
def test_the_language_is_the_requests_then_the_countrys_then_the_tenants(
    requested: str | None, country: str | None, tenant: str | None, channel: Channel, expected: str
) -> None:
    assert choose_language(requested=requested, country=country, tenant=tenant, channel=channel) == expected
