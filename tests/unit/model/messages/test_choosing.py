"""Whose text a message has, and in which language."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.errors import Refused, SettingsError
from pipeline.model.capabilities import ChannelCapabilities, provider_language
from pipeline.model.country import LANGUAGE
from pipeline.model.language import closest
from pipeline.model.messages import LANGUAGES, Catalogue, Message
from pipeline.model.messages.wording import TAGS
from pipeline.records.types import Channel
from pipeline.settings import TemplateSettings, TenantSettings

TEMPLATES = {
    "login": TemplateSettings(
        texts={"de": "{code} für {brand}", "pt_BR": "{code} é seu", "zh-TW": "{code} 碼", "en": "{code} for {brand}"},
        subjects={"de-AT": "Anmelden bei {brand}", "en": "Sign in to {brand}"},
    ),
    "french": TemplateSettings(texts={"fr": "{code} pour vous", "it": "{code} per te"}),
}
TENANTS = {
    "default": TenantSettings(),
    "tedesco": TenantSettings(language="de"),
    "italian": TenantSettings(language="it"),
}
CATALOGUE = Catalogue(tenants=TENANTS, templates=TEMPLATES)


def message(language: str | None = "en", channel: Channel = Channel.SMS, **given: Any) -> Message:
    values: dict[str, Any] = {"tenant": "default", "valid_s": 300, **given}
    return CATALOGUE.message(channel=channel, language=language, **values)


@pytest.mark.parametrize(
    ("wished", "tag"),
    [
        ("de", "de"),
        ("de-AT", "de"),
        ("de-CH-1996", "de"),
        ("pt", "pt"),
        ("pt-PT", "pt"),
        ("pt-AO", "pt"),
        ("pt-BR", "pt-BR"),
        ("pt_BR", "pt-BR"),
        ("PT-br", "pt-BR"),
        ("en-US", "en"),
        ("es-419", "es"),
        ("zh", "zh-Hans"),
        ("zh-CN", "zh-Hans"),
        ("zh-SG", "zh-Hans"),
        ("zh-Hans", "zh-Hans"),
        ("zh-Hans-HK", "zh-Hans"),
        ("zh-TW", "zh-Hant"),
        ("zh-HK", "zh-Hant"),
        ("zh-MO", "zh-Hant"),
        ("zh-Hant", "zh-Hant"),
        ("zh-Hant-CN", "zh-Hant"),
        ("fi", "en"),
        ("arn", "en"),
        (None, "en"),
    ],
)
def test_the_catalogue_speaks_the_wished_language_or_english(wished: str | None, tag: str) -> None:
    assert message(wished).language == tag


@pytest.mark.parametrize(
    "wished", sorted({*LANGUAGE.values(), *TAGS, "zh-SG", "zh-Hant-HK", "zh-Hans-HK", "pt-PT", "en-US"})
)
def test_a_provider_that_sends_our_texts_is_told_the_language_they_are_in(wished: str) -> None:
    able = ChannelCapabilities(own_code=True, languages=LANGUAGES, default_language="en")
    assert provider_language(able, wished)[0] == message(wished).language


def test_a_steps_own_text_wins_over_its_template_and_that_over_the_catalogue() -> None:
    own = message("fr", text="{code}!", template="login", brand="Shop")
    assert (own.text("483920"), own.language, own.wished) == ("483920!", "fr", True)
    of_template = message("de", template="login", brand="Shop")
    assert (of_template.text("483920"), of_template.language, of_template.wished) == ("483920 für Shop", "de", True)
    ours = message("de", brand="Shop")
    assert (ours.text("483920").split(".")[0], ours.wished) == ("483920 ist Ihr Bestätigungscode für Shop", False)


@pytest.mark.parametrize(
    ("template", "wished", "tenant", "tag"),
    [
        ("login", "de", "default", "de"),
        ("login", "de-CH", "default", "de"),
        ("login", "pt-BR", "default", "pt-BR"),
        ("login", "pt", "default", "pt-BR"),
        ("login", "zh-HK", "default", "zh-TW"),
        ("login", "zh-CN", "default", "zh-TW"),
        ("login", "fi", "default", "en"),
        ("login", "fi", "tedesco", "de"),
        ("login", None, "tedesco", "de"),
        ("login", "fi", "unknown", "en"),
        ("french", "fi", "default", "fr"),
        ("french", "fi", "italian", "it"),
        ("french", "de", "tedesco", "fr"),
    ],
)
def test_a_template_is_taken_in_the_wished_language_the_tenants_english_or_its_first(
    template: str, wished: str | None, tenant: str, tag: str
) -> None:
    assert message(wished, template=template, tenant=tenant, brand="Shop").language == tag


@pytest.mark.parametrize(
    ("language", "given", "subject"),
    [
        ("de", {"template": "login", "subject": "Hallo von {brand}"}, "Hallo von Shop"),
        ("de", {"template": "login"}, "Anmelden bei Shop"),
        ("en", {"template": "login"}, "Sign in to Shop"),
        ("pt-BR", {"template": "login"}, "Seu código de verificação Shop"),
        ("fr", {"template": "french"}, "Votre code de vérification Shop"),
        ("fr", {"text": "{code}"}, "Votre code de vérification Shop"),
        ("fr", {}, "Votre code de vérification Shop"),
    ],
)
def test_a_subject_is_the_steps_the_templates_or_the_catalogues_in_the_language_of_the_text(
    language: str, given: dict[str, str], subject: str
) -> None:
    assert message(language, Channel.EMAIL, brand="Shop", **given).subject == subject


def test_a_template_that_settings_no_longer_hold_is_refused() -> None:
    with pytest.raises(Refused) as caught:
        message(template="gone")
    assert caught.value.reason == "unknown_template"


@pytest.mark.parametrize(
    ("texts", "subjects", "named"),
    [
        ({"en": "no code"}, {}, "templates.bad.texts.en: "),
        ({"en": "{code} {name}"}, {}, "templates.bad.texts.en: "),
        ({"klingon!": "{code}"}, {}, "templates.bad.texts.klingon!: "),
        ({"en": "{code}"}, {"en": "{code}"}, "templates.bad.subjects.en: "),
        ({"en": "{code}"}, {"en": "two\nlines"}, "templates.bad.subjects.en: "),
        ({"en": "{code}"}, {"en": "x" * 201}, "templates.bad.subjects.en: "),
    ],
)
def test_a_template_that_cannot_be_rendered_stops_the_start(
    texts: dict[str, str], subjects: dict[str, str], named: str
) -> None:
    with pytest.raises(SettingsError, match=f"^{named}"):
        Catalogue(templates={"bad": TemplateSettings(texts=texts, subjects=subjects)})


@pytest.mark.parametrize(
    ("wished", "offered", "found"),
    [
        ("en-GB", ("en-US", "en"), "en"),
        ("en-GB", ("en", "en-GB"), "en-GB"),
        ("en", ("de", "en-AU", "en-US"), "en-AU"),
        ("sr-Latn-RS", ("sr-Cyrl", "sr-Latn"), "sr-Latn"),
        ("zh", ("zh-Hant", "zh-CN"), "zh-CN"),
        ("zh-TW", ("zh", "zh-HK"), "zh-HK"),
        ("fi", ("fil", "et"), None),
        ("fi", (), None),
    ],
)
def test_the_closest_language_shares_most_of_its_tag(wished: str, offered: tuple[str, ...], found: str | None) -> None:
    assert closest(wished, offered) == found
