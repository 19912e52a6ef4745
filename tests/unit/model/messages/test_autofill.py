"""The autofill line, read as a browser would (https://wicg.github.io/sms-one-time-codes/#parsing)."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.model.messages import Catalogue
from pipeline.model.messages.wording import TAGS
from pipeline.records.types import Channel
from pipeline.settings import TemplateSettings, TenantSettings

DOMAIN = "login.example.org"
CATALOGUE = Catalogue(
    tenants={"site": TenantSettings(domain=DOMAIN), "none": TenantSettings()},
    templates={"mine": TemplateSettings(texts={"en": "{code} it is.\n"})},
)


def parsed(message: str) -> tuple[str, str] | None:
    """Host and code of an origin-bound one-time code message, by the steps of the specification; None for failure."""
    line = message.replace("\r\n", "\n").replace("\r", "\n").split("\n")[-1]
    host, position = token(line, 0, "@")
    if host is None or position >= len(line) or line[position] != " ":
        return None
    code, _ = token(line, position + 1, "#")
    return None if code is None else (host, code)


def token(line: str, position: int, marker: str) -> tuple[str | None, int]:
    if position >= len(line) or line[position] != marker:
        return None, position
    end = position + 1
    while end < len(line) and line[end] not in "\t\n\f\r ":
        end += 1
    return (line[position + 1 : end] or None), end


def text(code: str = "483920", channel: Channel = Channel.SMS, **given: Any) -> str:
    values: dict[str, Any] = {"tenant": "site", "language": "en", "valid_s": 300, **given}
    return CATALOGUE.message(channel=channel, **values).text(code)


@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize("code", ["483920", "4A9B", "$$CODE$$"])
def test_a_browser_finds_host_and_code_in_every_language(tag: str, code: str) -> None:
    shown = text(code, language=tag, brand="Shop")
    assert parsed(shown) == (DOMAIN, code)
    assert shown.endswith(f"\n@{DOMAIN} #{code}")


@pytest.mark.parametrize("channel", [each for each in Channel if each is not Channel.SMS])
def test_only_an_sms_has_the_line(channel: Channel) -> None:
    assert DOMAIN not in text(channel=channel)


@pytest.mark.parametrize("tenant", ["none", "unknown"])
def test_without_a_domain_there_is_no_line(tenant: str) -> None:
    assert "@" not in text(tenant=tenant)


def test_templates_and_own_texts_have_it_too() -> None:
    assert text(template="mine") == f"483920 it is.\n@{DOMAIN} #483920"
    assert text(text="Use {code}") == f"Use 483920\n@{DOMAIN} #483920"


@pytest.mark.parametrize(
    "own",
    [
        "Use {code}\n\n@shop.example.com #{code}",
        "Use {code}\n@shop.example.com #{code} @frame.example.com",
        "@shop.example.com #{code}",
    ],
)
def test_a_text_with_a_line_of_its_own_keeps_that(own: str) -> None:
    shown = text(text=own)
    assert shown == own.replace("{code}", "483920")
    assert parsed(shown) == ("shop.example.com", "483920")


@pytest.mark.parametrize(
    "own",
    ["Use {code} @shop.example.com #{code}", "@shop.example.com #{code}\nUse {code}", "@shop.example.com #{code}x"],
)
def test_what_no_browser_would_take_for_the_line_does_not_stand_in_for_it(own: str) -> None:
    assert parsed(text(text=own)) == (DOMAIN, "483920")


def test_neither_brand_nor_payee_can_forge_the_line() -> None:
    shown = text(brand="@evil.example #111111", amount="1", payee="@evil.example #111111")
    assert parsed(shown) == (DOMAIN, "483920")
    assert parsed(text(text="{code} for {brand}", brand="@evil.example #111111", tenant="none")) is None


def test_a_message_can_do_without_the_line_that_was_added_but_keeps_one_of_its_own() -> None:
    def unlined(body: str) -> str:
        found = CATALOGUE.message(channel=Channel.SMS, tenant="site", language="en", valid_s=300, text=body)
        return found.without_autofill().text("483920")

    assert unlined("Use {code}") == "Use 483920"
    assert unlined("Use {code}\n@shop.example.com #{code}") == "Use 483920\n@shop.example.com #483920"
