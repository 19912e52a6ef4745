"""What the simulated mail server finds in a mail."""

from __future__ import annotations

import pytest

from pipeline.settings import SmtpSettings
from pipeline.simulator.providers.smtp import Smtp
from pipeline.simulator.providers.smtp.messages import NoMail, read
from pipeline.simulator.server import accounts_of
from pipeline.simulator.world import Account, World

HEAD = "From: a@example.com\r\nDate: Thu, 02 Jan 2025 03:04:05 +0000\r\nMessage-ID: <ref_1@example.com>\r\n"


def mail(text: str, kind: str = "plain") -> bytes:
    return f'{HEAD}Content-Type: text/{kind}; charset="utf-8"\r\n\r\n{text}\r\n'.encode()


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Your code is 482913.", "482913"),
        ("Shop 2000: 482913", "482913"),
        ("482913 is your code, call +4930123456 for help", "482913"),
        ("Code: 0042", "0042"),
        ("no code here 123", None),
    ],
)
def test_the_last_digits_of_a_text_are_its_code(text: str, code: str | None) -> None:
    assert read(mail(text), eight_bits=True).code == code


@pytest.mark.parametrize("tag", ["strong", "b", "code"])
def test_what_a_page_marks_is_the_code_even_of_letters(tag: str) -> None:
    page = f"<p>Shop 2000: <{tag} class=x>AbCd</{tag}> till 2031</p>"
    assert read(mail(page, "html"), eight_bits=True).code == "AbCd"


def test_the_reference_is_the_first_part_of_the_message_id() -> None:
    assert read(mail("1234"), eight_bits=True).reference == "ref_1"


def test_bytes_that_are_not_ascii_must_be_announced() -> None:
    assert read(mail("ü 1234"), eight_bits=True).text == "ü 1234"
    with pytest.raises(NoMail, match="unannounced"):
        read(mail("ü 1234"), eight_bits=False)


def test_only_whole_credentials_open_an_account(world: World) -> None:
    account = Account(kind="smtp", instance="a", credentials={"username": "u", "password": "p"})
    relay = Account(kind="smtp", instance="b", credentials={"username": "", "password": ""})
    server = Smtp(world, [account, relay])
    assert server.login(b"u", b"p") is account
    assert [server.login(*pair) for pair in ((b"u", b""), (b"", b""), (b"u", b"P"), (b"U", b"p"))] == [None] * 4
    assert server.open_account() is relay
    assert Smtp(world, [account]).open_account() is None


def test_the_domain_of_a_recipient_has_no_case(world: World) -> None:
    account = Account(kind="smtp", instance="a", credentials={"username": "u", "password": "p"})
    assert Smtp(world, [account]).asked(account, "Jo@Example.ORG").recipient == "Jo@example.org"


def test_a_section_that_is_not_filled_in_yet_takes_no_door_off_its_hinges() -> None:
    off = SmtpSettings.model_validate({"enabled": False})
    on = SmtpSettings.model_validate({"enabled": True, "host": "127.0.0.1", "from_address": "a@example.com"})
    assert accounts_of({"smtp": off}) == []
    (relay,) = accounts_of({"smtp": on})
    assert relay.credentials == {"username": "", "password": ""}
