"""The page of messages: rules in words, and every language with a text and its segments as the catalogue makes them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pipeline.model.messages import Catalogue, Message, segments
from pipeline.model.messages.direction import FSI, PDI
from pipeline.model.messages.wording import TAGS
from pipeline.records.types import Channel
from pipeline.reference_made import MADE
from pipeline.settings import TenantSettings

_CODE: Final = "483920"
_BRAND: Final = "Example"
_VALID_S: Final = 300
_CATALOGUE: Final = Catalogue(tenants={"shop": TenantSettings(domain="login.example.org")})
_LONG: Final = {"brand": "Twenty Signs Company"}
_PAYMENT: Final = {**_LONG, "amount": "12345.50", "payee": "Twenty Signs Traders"}

_INTRO: Final = """\
What a person reads or hears, wherever a provider takes a text of ours. Providers that only send their own words are
told the language instead; see [providers](providers.md).

## Which text

The first of these that there is:

1. `text` of the step (or of `channel_defaults`),
2. the template that the step names with `template`, from `[templates.<name>]`,
3. the catalogue below, with or without brand and payment, as the request gives them.

Text and template are hard wishes: only routes that carry them are taken. An e-mail's subject is the step's `subject`,
the template's, or the catalogue's. No subject ever holds the code.

**Language.** The wished one is the step's, else the request's, that of the recipient's country, the tenant's,
English. The catalogue has it, or its language without region (`de` for `de-AT`), or is in English. Chinese goes by
script: Taiwan, Hong Kong and Macao read `zh-Hant`, all others `zh-Hans`. Of a template the nearest text is taken: the
same tag, else the one that shares most of it (`pt-BR` for `pt`); else the nearest to the tenant's language, English,
the first.

## Placeholders

| placeholder | value |
|---|---|
| `{code}` | the code; one to three times in a text, never in a subject |
| `{brand}` | `brand` of the request, else of the tenant |
| `{minutes}` | whole minutes that the code has left, rounded down, at least 1 |
| `{amount}` `{payee}` | of the request |

Values are filled in in one pass: a brand such as `{code}` stays as it is. A step whose text or template uses a brand
or payment that the request has not is refused as `invalid_text`.

## Own templates

```toml
[templates.login]
texts = { en = "{code} is your {brand} code. It expires in {minutes} min.", de = "{code} ist Ihr Code für {brand}." }
subjects = { en = "Sign in to {brand}", de = "Anmelden bei {brand}" }
```

Keys are BCP-47 languages (`pt_BR` is read as `pt-BR`). One template serves every channel: for voice its code is read
sign by sign. Texts may have several lines. `pipeline config check` tells what is wrong with one.
"""
_RULES: Final = """\
## Voice

A code of ours is handed over as `4, 8, 3, 9, 2, 0`, which voices read digit by digit; letters as capitals. The
catalogue says it twice. Where the provider puts in the code itself, it decides how to read it.

## Segments

An SMS holds 160 signs of the GSM 7-bit alphabet, or 153 in each part of a longer one; `^ { } \\ [ ] ~ | €` count as
two. One sign outside it (`ó`, `ç`, a typographic quote, any Cyrillic letter) makes the whole text UCS-2: 70 signs, or
67 a part, an emoji as two. You pay for parts. The catalogue's texts keep to GSM-7 where good wording allows it, and
never take more than two parts with a brand of 20 signs; a longer brand, a payee of more than 20 signs or the autofill
line may.

## Autofill

With `[tenants.<name>] domain = "login.example.org"` every SMS of the tenant that is a text of ours ends with a line of
its own (at Telesign such are only those with a text, brand or payment, unless `own_texts` is set):

```text
EXAMPLE
```

Browsers then offer the code on that site, and on no other (the form is the WICG's, "Origin-bound one-time codes
delivered via SMS"). The field needs `autocomplete="one-time-code"`. The domain is the host alone, without scheme,
port or path. A step's text or template that already ends with such a line keeps its own. The line counts for
segments; where a provider does not take that many signs (Telesign: `max_text_chars`), it is left out rather than the
message. Other channels have none.

## Right to left

Arabic texts begin with an Arabic word and have words between code, brand and amounts, so that telephones lay them out
from the right and nothing changes places. A value with Latin letters or loose signs in a line from right to left
(also of your own texts in Hebrew, Persian or Urdu) stands between U+2068 and U+2069, which are invisible and keep it
together. A code of digits never does, so that copying it copies nothing else; nor does the autofill line. Signs in
brand or payee that would turn the rest of a text round are left out.
"""


def messages_page() -> str:
    """Rules, and the catalogue's text of each language."""
    rules = _RULES.replace("EXAMPLE", _message("en", Channel.SMS, {"brand": _BRAND}, "shop").text(_CODE)).rstrip()
    return "\n".join(["# Messages", "", MADE, _INTRO, *_languages(), "", rules, "", *_texts()]).rstrip() + "\n"


def _languages() -> Iterator[str]:
    yield from [
        "## Languages",
        "",
        "An SMS with a code of six digits and a brand of 20 signs, and the same for a payment:",
        "",
    ]
    yield from ["| language | SMS | for a payment |", "|---|---|---|"]
    for tag in sorted(TAGS):
        yield f"| `{tag}` | {_cost(tag, _LONG)} | {_cost(tag, _PAYMENT)} |"


def _cost(tag: str, given: dict[str, str]) -> str:
    found = segments(_message(tag, Channel.SMS, given).text(_CODE))
    return f"{found.encoding}, {found.units} units, {'1 part' if found.count == 1 else f'{found.count} parts'}"


def _texts() -> Iterator[str]:
    yield from ["## Texts", "", f"For the brand {_BRAND}: SMS (WhatsApp and Viber have its words), voice, e-mail.", ""]
    for tag in sorted(TAGS):
        mail = _message(tag, Channel.EMAIL, {"brand": _BRAND})
        shown = [_message(tag, channel, {"brand": _BRAND}).text(_CODE) for channel in (Channel.SMS, Channel.VOICE)]
        page = "\n\n".join((*shown, f"[{mail.subject}]", mail.text(_CODE)))
        # What nobody sees would make every forge warn of the page.
        yield from [f"### `{tag}`", "", "```text", page.replace(FSI, "").replace(PDI, ""), "```", ""]


def _message(tag: str, channel: Channel, given: dict[str, str], tenant: str = "") -> Message:
    return _CATALOGUE.message(channel=channel, tenant=tenant, language=tag, valid_s=_VALID_S, **given)
