"""Plain SMTP as the RFCs say: the message's bytes, and every reply's meaning."""

from __future__ import annotations

import email
import re
from email import policy
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.utils import getaddresses, parseaddr
from html.parser import HTMLParser
from typing import Any

import pytest

from pipeline.model.messages import Catalogue, Message
from pipeline.model.messages.catalogue import LANGUAGES
from pipeline.model.reasons import Reason
from pipeline.records.types import AttemptResult, AttemptStatus, Channel, CommandKind, ResultClass
from pipeline.senders.mail import Mail, MailProbe, MailReply, Stage
from pipeline.senders.provider import Answer, BadWebhook, Opened, Unsendable, Webhook
from pipeline.senders.providers.smtp import CAPABILITIES, Smtp, tables
from pipeline.settings import SmtpSettings
from tests.unit.senders.doubles import command as any_command

NOW_MS = 1_735_787_045_678
TO = "jo@xn--bcher-kva.example"


def provider(**settings: Any) -> Smtp:
    return Smtp(
        instance="smtp",
        settings=SmtpSettings.model_validate(
            {"host": "mail.example.org", "from_address": "verify@example.org"} | settings
        ),
    )


PROVIDER = provider()


def command(**differences: Any) -> Any:
    return any_command(**({"channel": Channel.EMAIL, "provider": "smtp", "reference": "v1_1_aairem"} | differences))


def message(template: str = "Your code is {code}", **differences: Any) -> Message:
    return Message(template=template, **differences)


def opened(code: str | None = "482913", recipient: str = TO, **differences: Any) -> Opened:
    return Opened(recipient=recipient, code=code, message=message(**differences))


def built(held: Opened, *, by: Smtp = PROVIDER, **wishes: Any) -> Mail:
    return by.build(command(**wishes), held, NOW_MS)


def parsed(mail: Mail) -> EmailMessage:
    read = email.message_from_bytes(mail.content, policy=policy.default)
    assert isinstance(read, EmailMessage)
    return read


def part(read: EmailMessage, kind: str) -> str:
    found = read.get_body((kind,))
    assert found is not None
    return str(found.get_content()).replace("\r\n", "\n")


# The message ---------------------------------------------------------------------------------------------------------


def test_a_command_becomes_exactly_this_message() -> None:
    mail = built(opened(template="Your code is {code}.\nDon't share it.", subject="Sign in"), brand="Acme, Inc.")
    assert (mail.envelope_from, mail.envelope_to, mail.extensions) == ("verify@example.org", TO, ())
    assert mail.content.decode("ascii").split("\r\n") == [
        'From: "Acme, Inc." <verify@example.org>',
        "To: jo@xn--bcher-kva.example",
        "Subject: Sign in",
        "Date: Thu, 02 Jan 2025 03:04:05 +0000",
        "Message-ID: <v1_1_aairem@example.org>",
        "Auto-Submitted: auto-generated",
        "MIME-Version: 1.0",
        "Content-Type: multipart/alternative;",
        ' boundary="=_7e49e87f7dc42129b011cb75d0e0d239"',
        "",
        "--=_7e49e87f7dc42129b011cb75d0e0d239",
        'Content-Type: text/plain; charset="utf-8"',
        "Content-Transfer-Encoding: 7bit",
        "",
        "Your code is 482913.",
        "Don't share it.",
        "",
        "--=_7e49e87f7dc42129b011cb75d0e0d239",
        'Content-Type: text/html; charset="utf-8"',
        "Content-Transfer-Encoding: quoted-printable",
        "MIME-Version: 1.0",
        "",
        "<!DOCTYPE html>",
        '<html lang=3D"en" dir=3D"ltr">',
        '<head><meta charset=3D"utf-8"><title>Sign in</title></head>',
        '<body style=3D"font-family:sans-serif;font-size:16px;line-height:1.5">',
        '<p>Your code is <strong dir=3D"ltr" style=3D"font-size:1.25em;white-space:now=',
        'rap">482913</strong>.<br>',
        "Don&#x27;t share it.</p>",
        "</body>",
        "</html>",
        "",
        "--=_7e49e87f7dc42129b011cb75d0e0d239--",
        "",
    ]


def test_the_same_command_makes_the_same_bytes_and_another_makes_others() -> None:
    assert built(opened()).content == built(opened()).content
    assert built(opened()).content != built(opened("482914")).content


def test_text_and_html_say_the_same_and_the_html_marks_the_code() -> None:
    read = parsed(built(opened(template="<b>Code</b> & more: {code}\nbye")))
    assert part(read, "plain") == "<b>Code</b> & more: 482913\nbye\n"
    html = part(read, "html")
    assert "&lt;b&gt;Code&lt;/b&gt; &amp; more: <strong" in html
    assert re.search(r">482913</strong><br>\s*bye", html)
    assert html.count("482913") == 1


@pytest.mark.parametrize("sign", ["<", ">", "&", '"', "'"])
def test_nothing_in_a_text_becomes_markup(sign: str) -> None:
    class Tags(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.seen: list[str] = []

        def handle_starttag(self, tag: str, attrs: object) -> None:
            self.seen.append(tag)

    plain, hostile = Tags(), Tags()
    plain.feed(part(parsed(built(opened())), "html"))
    evil = f"{sign}><script src=//x>{sign}"
    values = {"brand": evil}
    hostile.feed(
        part(parsed(built(opened(template="{brand} {code}", values=values, subject="</title>" + evil))), "html")
    )
    assert hostile.seen == plain.seen


@pytest.mark.parametrize(
    ("language", "text", "way"),
    [
        ("de", "Ihr Code lautet {code}", "ltr"),
        ("ar", "رمز التحقق {code}", "rtl"),
        ("he", "הקוד שלך הוא {code}", "rtl"),
        ("ar-Latn", "ramz {code}", "ltr"),
    ],
)
def test_the_html_reads_in_the_direction_of_its_text_and_the_code_from_left_to_right(
    language: str, text: str, way: str
) -> None:
    html = part(parsed(built(opened(template=text, language=language))), "html")
    assert f'<html lang="{language}" dir="{way}">' in html
    assert '<strong dir="ltr"' in html


@pytest.mark.parametrize("language", sorted(set(LANGUAGES.values())))
def test_the_text_of_every_language_goes_out_with_its_subject_and_the_code_marked_once(language: str) -> None:
    ours = Catalogue().message(
        channel=Channel.EMAIL, tenant="default", language=language, valid_s=300, brand="Bücher & Söhne"
    )
    read = parsed(built(Opened(recipient=TO, code="482913", message=ours)))
    assert part(read, "plain").rstrip("\n") == ours.text("482913")
    assert part(read, "html").count(">482913</strong>") == ours.text("482913").count("482913") == 1
    assert read["Subject"] == ours.subject
    assert "482913" not in str(read["Subject"])


def test_a_text_of_any_script_arrives_and_needs_no_server_that_takes_eight_bits() -> None:
    text = "رمز التحقق: {code} · 您的验证码 · ü"
    mail = built(opened(template=text, subject="Bestätigung für Sie: 您的验证码"), by=provider(from_name="Bücher"))
    assert mail.content.isascii()
    read = parsed(mail)
    assert part(read, "plain") == text.replace("{code}", "482913") + "\n"
    assert read["Subject"] == "Bestätigung für Sie: 您的验证码"
    assert read["From"].addresses[0].display_name == "Bücher"


@pytest.mark.parametrize("first", range(1, 12))
def test_long_names_and_subjects_keep_every_blank(first: int) -> None:
    # Wherever an encoded word ends, be it at a blank: standard libraries before 3.13 lose that one.
    brand = ("Я" * first + " банк и друзья, очень большие дома")[:32].strip()
    subject = "Я" * first + " код для входа в личный кабинет" * 6
    head = built(opened(subject=subject), brand=brand).content.partition(b"\r\n\r\n")[0]
    assert head.isascii()
    assert max(map(len, head.split(b"\r\n"))) <= 78
    raw = email.message_from_bytes(head, policy=policy.compat32)
    assert str(make_header(decode_header(raw["Subject"]))) == subject
    assert str(make_header(decode_header(raw["From"]))) == f"{brand} <verify@example.org>"


@pytest.mark.parametrize("recipient", ["user@example.org", "jörg@example.org"])
@pytest.mark.parametrize(
    "name",
    [
        "The Verification Department of Example, Incorporated, " * 2 + "Ltd.",
        "The Verification Department of Söhne, Incorporated, " * 2 + "Ltd.",
        '"' * 80,
    ],
)
def test_a_long_name_with_a_comma_is_still_that_of_one_sender(name: str, recipient: str) -> None:
    mail = built(opened(recipient=recipient), by=provider(from_name=name))
    head = mail.content.partition(b"\r\n\r\n")[0]
    told = email.message_from_bytes(head, policy=policy.compat32)["From"]
    [(shown, address)] = getaddresses([told])
    assert (str(make_header(decode_header(shown))), address) == (name, "verify@example.org")


def test_every_line_ends_in_crlf_and_is_short_enough_for_any_server() -> None:
    mail = built(opened(template="{code} " + "x" * 1_500, subject="s" * 200), brand="B" * 32)
    lines = mail.content.split(b"\r\n")
    assert lines[-1] == b""
    assert not any(b"\r" in line or b"\n" in line for line in lines)
    assert max(map(len, lines)) <= 998


def test_the_default_subject_keeps_the_code_from_locked_screens() -> None:
    read = parsed(built(opened()))
    assert read["Subject"] == "Your verification code"


@pytest.mark.parametrize(
    ("from_name", "brand", "shown"),
    [("", None, ""), ("", "Acme", "Acme"), ("Login", "Acme", "Login"), ("Login", None, "Login")],
)
def test_the_sender_is_called_as_set_or_as_the_brand(from_name: str, brand: str | None, shown: str) -> None:
    read = parsed(built(opened(), by=provider(from_name=from_name), brand=brand))
    assert read["From"].addresses[0].display_name == shown
    assert read["From"].addresses[0].addr_spec == "verify@example.org"


def test_a_wished_sender_is_the_address_of_envelope_and_header_but_not_of_the_message_id() -> None:
    mail = built(opened(), sender="Login@Bücher.example")
    assert mail.envelope_from == "Login@xn--bcher-kva.example"
    assert parsed(mail)["From"].addresses[0].addr_spec == "Login@xn--bcher-kva.example"
    assert parsed(mail)["Message-ID"] == "<v1_1_aairem@example.org>"


def test_a_recipient_that_is_not_ascii_needs_a_server_that_says_it_can() -> None:
    mail = built(opened(recipient="jö@example.net"))
    assert (mail.envelope_to, mail.extensions) == ("jö@example.net", ("SMTPUTF8", "8BITMIME"))
    assert "\r\nTo: jö@example.net\r\n".encode() in mail.content


def test_a_long_reference_stays_one_message_id() -> None:
    mail = built(
        opened(), by=provider(from_address="v@" + "a" * 60 + ".example.org"), reference="r" * 48 + "_12_aairem"
    )
    assert f"Message-ID: <{'r' * 48}_12_aairem@{'a' * 60}.example.org>\r\n".encode() in mail.content


# What must not get through -------------------------------------------------------------------------------------------

HOSTILE = [
    "a\r\nBcc: x@evil.example",
    "a\nBcc: x@evil.example",
    "a\rBcc: x@evil.example",
    "a\r\n\r\nbody",
    "a\x00b",
    "a\x0bb",
    "a\x85Bcc: x@evil.example",
    "a\u2028Bcc: x@evil.example",
    "a\ud800b",
    "=?utf-8?q?a=0D=0ABcc:_x@evil.example?=",
    "hello =?UTF-8?B?YQ0KQmNjOiB4QGV2aWwuZXhhbXBsZQ==?= there",
]


@pytest.mark.parametrize("evil", HOSTILE)
@pytest.mark.parametrize("field", ["subject", "brand", "sender", "recipient"])
def test_no_field_breaks_out_of_its_header(field: str, evil: str) -> None:
    held, wishes = opened(), {}
    if field == "subject":
        held = opened(subject=evil)
    elif field == "recipient":
        held = opened(recipient=f"{evil}@example.net")
    else:
        wishes = {field: evil if field == "brand" else f"{evil}@example.net"}
    with pytest.raises(Unsendable) as problem:
        built(held, **wishes)
    assert "evil" not in problem.value.detail


@pytest.mark.parametrize("field", ["subject", "brand"])
@pytest.mark.parametrize(
    "odd", ["2+2=?", "a, b <c@d.example>", 'say "hi"', "x: y", "(comment)", "ü" * 32, "\u200f\u05d0"]
)
def test_odd_but_harmless_words_arrive_as_they_are(field: str, odd: str) -> None:
    mail = built(opened(subject=odd)) if field == "subject" else built(opened(), brand=odd)
    # Not the newer parser of the standard library: it puts blanks between the words of a long name.
    read = email.message_from_bytes(mail.content)
    shown = read["Subject"] if field == "subject" else parseaddr(read["From"])[0]
    assert str(make_header(decode_header(shown))) == odd
    assert read.keys() == [
        "From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "recipient",
    ["+491711234567", "jo", "@example.net", "jo@", "jo@example.net> SIZE=1", "<jo@example.net", "j o@example.net",
     "jo@example.net,x@example.net", "a@b@example.net", '"jo"@example.net', "jo@exämple.net"],
)  # fmt: skip
def test_what_is_not_one_address_is_never_put_on_a_command_line(recipient: str) -> None:
    with pytest.raises(Unsendable) as problem:
        built(opened(recipient=recipient))
    assert problem.value.reason is Reason.INVALID_RECIPIENT
    assert recipient not in problem.value.detail


def test_a_text_with_control_characters_is_no_mail() -> None:
    with pytest.raises(Unsendable) as problem:
        built(opened(template="{brand} {code}", values={"brand": "a\x00b"}))
    assert problem.value.reason is Reason.INVALID_TEXT


@pytest.mark.parametrize(
    "sender", ["+491711234567", "nobody", "Name <a@example.org>", "a@b@example.org", "a@localhost"]
)
def test_a_wished_sender_must_be_an_address(sender: str) -> None:
    with pytest.raises(Unsendable) as problem:
        built(opened(), sender=sender)
    assert problem.value.reason is Reason.INVALID_FIELD
    assert sender not in problem.value.detail


@pytest.mark.parametrize("code", ["4829", "0000", "AB12cd", "123456789012"])
def test_any_code_the_pipeline_knows_is_carried(code: str) -> None:
    assert f": {code}\n" in part(parsed(built(opened(code, template="C: {code}"))), "plain")


@pytest.mark.parametrize("code", [None, "123", "1234567890123", "12 34", "12345\n", "١٢٣٤", "12<b>34"])
def test_a_code_that_is_none_is_never_sent(code: str | None) -> None:
    with pytest.raises(Unsendable) as problem:
        built(opened(code))
    assert problem.value.reason is Reason.UNSUPPORTED_BY_PROVIDER


@pytest.mark.parametrize(
    ("wishes", "reason"),
    [
        ({"channel": Channel.SMS}, Reason.UNSUPPORTED_BY_PROVIDER),
        ({"options": {"track": "yes"}}, Reason.UNKNOWN_OPTION),
        *(({"kind": kind}, Reason.UNSUPPORTED_BY_PROVIDER) for kind in CommandKind if kind is not CommandKind.SEND),
    ],
)
def test_what_mail_cannot_carry_is_never_dropped_silently(wishes: dict[str, Any], reason: Reason) -> None:
    with pytest.raises(Unsendable) as problem:
        built(opened(), **wishes)
    assert problem.value.reason is reason


def test_a_send_without_a_text_is_a_bug_and_told() -> None:
    with pytest.raises(Unsendable):
        built(Opened(recipient=TO, code="482913"))


def test_no_repr_shows_the_code_or_the_address() -> None:
    mail = built(opened())
    assert "482913" not in repr(mail)
    assert "jo@" not in repr(mail)


def test_capabilities_hold_what_mail_can_do() -> None:
    (able,) = CAPABILITIES.channels.values()
    assert list(CAPABILITIES.channels) == [Channel.EMAIL]
    assert (able.code_min, able.code_max, able.code_digits_only, able.code_leading_zero) == (4, 12, False, True)
    assert (able.text, able.subject, able.sender, able.brand, able.amount) == (True,) * 5
    assert (able.receipts, able.check, able.provider_code, able.lookups_s, able.finds_lost_s) == (
        False,
        False,
        None,
        (),
        (),
    )


# Replies -------------------------------------------------------------------------------------------------------------

A = AttemptResult
C = ResultClass
R = Reason

RECIPIENT = (A.REJECTED, C.RECIPIENT, R.RECIPIENT_REJECTED)
BLOCKED = (A.REJECTED, C.RECIPIENT, R.RECIPIENT_BLOCKED)
CONTENT = (A.REJECTED, C.CONTENT, R.CONTENT_REJECTED)
ACCOUNT = (A.REJECTED, C.ACCOUNT, R.ACCOUNT_REJECTED)
ROUTE = (A.REJECTED, C.ROUTE, R.ROUTE_UNAVAILABLE)
PROTOCOL = (A.REJECTED, C.ROUTE, R.PROVIDER_ERROR)
DOWN = (A.NOT_SENT, C.ROUTE, R.ROUTE_UNAVAILABLE)
BUSY = (A.NOT_SENT, C.ROUTE, R.THROTTLED)
ODD = (A.NOT_SENT, C.ROUTE, R.PROVIDER_ERROR)
DOUBT = (A.IN_DOUBT, C.NONE, R.IN_DOUBT)


def interpret(stage: Stage, code: int, status: str = "") -> Answer:
    return PROVIDER.interpret(command(), opened(), MailReply(stage=stage, code=code, status=status))


def row(answer: Answer) -> tuple[AttemptResult, ResultClass, Reason | None]:
    return answer.result, answer.result_class, answer.reason


@pytest.mark.parametrize("code", [250, 251, 299])
def test_a_good_reply_after_the_content_is_sent_and_the_last_that_is_heard(code: int) -> None:
    assert interpret(Stage.CONTENT, code, "2.0.0") == Answer(
        result=A.ACCEPTED,
        status=AttemptStatus.SENT,
        used_channel=Channel.EMAIL,
        provider_message_id="<v1_1_aairem@example.org>",
        detail=f"SMTP {code} 2.0.0 at content",
    )


MEANINGS: dict[str, list[tuple[Stage, int, str, tuple[AttemptResult, ResultClass, Reason]]]] = {
    "the recipient": [
        (Stage.RCPT, 550, "5.1.1", RECIPIENT),
        (Stage.RCPT, 550, "", RECIPIENT),
        (Stage.RCPT, 551, "", RECIPIENT),
        (Stage.RCPT, 552, "", RECIPIENT),
        (Stage.RCPT, 552, "5.2.2", RECIPIENT),
        (Stage.RCPT, 553, "5.1.3", RECIPIENT),
        (Stage.RCPT, 501, "", RECIPIENT),
        (Stage.RCPT, 550, "5.1.99", RECIPIENT),
        (Stage.RCPT, 550, "5.2.99", RECIPIENT),
        (Stage.RCPT, 556, "5.1.10", RECIPIENT),
        (Stage.RCPT, 553, "5.6.7", RECIPIENT),
        (Stage.RCPT, 550, "5.7.17", RECIPIENT),
        (Stage.RCPT, 550, "5.7.2", BLOCKED),
        (Stage.CONTENT, 550, "5.1.1", RECIPIENT),
        (Stage.RCPT, 452, "4.2.2", RECIPIENT),
    ],
    "the content or sender": [
        (Stage.CONTENT, 554, "5.7.1", CONTENT),
        (Stage.CONTENT, 554, "", CONTENT),
        (Stage.CONTENT, 552, "5.3.4", CONTENT),
        (Stage.CONTENT, 552, "", CONTENT),
        (Stage.CONTENT, 550, "5.6.0", CONTENT),
        (Stage.CONTENT, 550, "5.6.99", CONTENT),
        (Stage.MAIL, 550, "", CONTENT),
        (Stage.MAIL, 553, "5.1.8", CONTENT),
        (Stage.MAIL, 552, "5.3.4", CONTENT),
    ],
    "the account": [
        (Stage.AUTH, 535, "5.7.8", ACCOUNT),
        (Stage.AUTH, 535, "", ACCOUNT),
        (Stage.AUTH, 534, "", ACCOUNT),
        (Stage.AUTH, 538, "", ACCOUNT),
        (Stage.AUTH, 525, "5.7.13", ACCOUNT),
        (Stage.AUTH, 501, "", ACCOUNT),
        (Stage.AUTH, 504, "", ACCOUNT),
        (Stage.AUTH, 432, "4.7.12", ACCOUNT),
        (Stage.MAIL, 530, "5.7.0", ACCOUNT),
        (Stage.RCPT, 554, "5.7.1", ACCOUNT),
        (Stage.CONTENT, 550, "5.7.26", ACCOUNT),
        (Stage.CONNECT, 554, "5.7.1", ACCOUNT),
    ],
    "the route": [
        (Stage.RCPT, 550, "5.4.4", ROUTE),
        (Stage.CONTENT, 554, "5.3.0", ROUTE),
        (Stage.CONTENT, 554, "5.4.99", ROUTE),
        (Stage.MAIL, 503, "", PROTOCOL),
        (Stage.MAIL, 500, "5.5.2", PROTOCOL),
        (Stage.MAIL, 555, "", PROTOCOL),
        (Stage.DATA, 554, "", PROTOCOL),
        (Stage.CONNECT, 554, "", DOWN),
        (Stage.CONNECT, 521, "", DOWN),
        (Stage.HELLO, 550, "", DOWN),
        (Stage.TLS, 550, "", DOWN),
    ],
}


@pytest.mark.parametrize(("stage", "code", "status", "means"), [each for rows in MEANINGS.values() for each in rows])
def test_a_refusal_means_this(
    stage: Stage, code: int, status: str, means: tuple[AttemptResult, ResultClass, Reason]
) -> None:
    answer = interpret(stage, code, status)
    assert (row(answer), answer.unmapped, answer.throttled) == (means, False, False)
    assert answer.detail == " ".join(filter(None, ["SMTP", str(code), status, "at", stage.value]))
    assert answer.provider_message_id is None


@pytest.mark.parametrize("stage", list(Stage))
def test_a_lasting_refusal_is_certain_and_known_at_every_stage(stage: Stage) -> None:
    for code in tables.LASTING_CODES:
        for detail in (None, *tables.LASTING, *(f"{subject}.999" for subject in tables.SUBJECTS)):
            answer = interpret(stage, code, f"5.{detail}" if detail else "")
            assert answer.result in (A.REJECTED, A.NOT_SENT), (code, detail)
            assert (answer.throttled, answer.unmapped) == (False, False), (code, detail)


@pytest.mark.parametrize("stage", [Stage.MAIL, Stage.RCPT, Stage.DATA, Stage.CONTENT])
@pytest.mark.parametrize(
    ("code", "status", "after_s", "pauses"),
    [
        (450, "4.7.1", 30.0, False),  # greylisting
        (450, "", 30.0, False),
        (451, "4.3.0", 30.0, False),
        (455, "", 30.0, False),
        (452, "4.3.1", 30.0, True),
        (421, "4.7.0", 5.0, True),
        (421, "", 5.0, True),
    ],
)
def test_a_passing_refusal_lets_the_same_attempt_come_again(
    stage: Stage, code: int, status: str, after_s: float, pauses: bool
) -> None:
    answer = interpret(stage, code, status)
    assert (row(answer), answer.throttled, answer.unmapped) == (BUSY, True, False)
    assert (answer.retry_after_s, answer.pauses_provider) == (after_s, pauses)


@pytest.mark.parametrize("stage", [Stage.CONNECT, Stage.HELLO, Stage.TLS, Stage.AUTH])
@pytest.mark.parametrize("code", [421, 450, 451, 454])
def test_a_passing_refusal_before_any_message_is_everybodys(stage: Stage, code: int) -> None:
    answer = interpret(stage, code)
    assert (row(answer), answer.throttled, answer.pauses_provider) == (BUSY, True, True)


@pytest.mark.parametrize(("code", "throttled"), [(499, True), (599, False)])
def test_a_refusal_in_no_table_goes_by_its_first_digit_and_is_counted(code: int, throttled: bool) -> None:
    for stage in Stage:
        answer = interpret(stage, code)
        assert (answer.throttled, answer.unmapped) == (throttled, True)
        assert answer.result is not A.IN_DOUBT


@pytest.mark.parametrize("code", [-1, 0, 25, 99, 150, 220 + 400, 354, 999, 12_345])
def test_what_is_no_reply_to_the_content_is_counted_and_in_doubt(code: int) -> None:
    answer = interpret(Stage.CONTENT, code)
    assert (row(answer), answer.unmapped) == (DOUBT, True)


@pytest.mark.parametrize("code", [0, 150, 250, 354, 600])
@pytest.mark.parametrize("stage", [stage for stage in Stage if stage is not Stage.CONTENT])
def test_what_is_no_refusal_before_the_content_is_counted_and_certainly_not_sent(stage: Stage, code: int) -> None:
    answer = interpret(stage, code)
    assert (row(answer), answer.unmapped) == (ODD, True)


def test_a_server_that_cannot_carry_the_address_rejects_the_recipient() -> None:
    answer = PROVIDER.interpret(command(), opened(), MailReply(stage=Stage.MAIL, lacks="SMTPUTF8"))
    assert (row(answer), answer.unmapped) == (RECIPIENT, False)
    assert answer.detail == "the mail server does not offer SMTPUTF8"


# The rest ------------------------------------------------------------------------------------------------------------


def test_the_probe_is_right_when_the_server_went_along_to_the_end() -> None:
    assert PROVIDER.probe(NOW_MS) == MailProbe()
    good = PROVIDER.probed(MailReply(stage=Stage.NOOP, code=250))
    assert (good.ok, good.detail) == (True, "SMTP 250 at noop")
    refused = PROVIDER.probed(MailReply(stage=Stage.AUTH, code=535, status="5.7.8"))
    assert (refused.ok, refused.detail) == (False, "SMTP 535 5.7.8 at auth")
    assert not PROVIDER.probed(MailReply(stage=Stage.NOOP, code=421)).ok


def test_there_are_no_webhooks() -> None:
    assert not PROVIDER.webhooks_enabled
    assert not PROVIDER.verify_signature(Webhook(), max_age_s=300)
    with pytest.raises(BadWebhook):
        PROVIDER.statuses(Webhook(body=b"{}"))
