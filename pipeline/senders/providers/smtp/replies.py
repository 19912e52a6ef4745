"""From a reply to an answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from pipeline.model.reasons import Reason
from pipeline.records.types import AttemptResult, AttemptStatus, Channel, ResultClass
from pipeline.senders.answers import in_doubt, not_sent, rejected
from pipeline.senders.mail import MailReply, Stage
from pipeline.senders.provider import Answer
from pipeline.senders.providers.smtp import tables

_BEFORE_MAIL: Final = frozenset({Stage.CONNECT, Stage.HELLO, Stage.TLS, Stage.AUTH})
"""Whatever is said here is said to everybody."""


def read(reply: MailReply) -> Answer:
    """What the reply that ended a conversation means; the caller adds the message id to a good one."""
    if reply.lacks is not None:
        # Only recipients have needs of their own: the server cannot carry this address.
        answer = rejected(ResultClass.RECIPIENT, Reason.RECIPIENT_REJECTED)
        return replace(answer, detail=f"the mail server does not offer {reply.lacks}")
    return replace(_READERS.get(reply.code // 100, _odd)(reply), detail=told(reply))


def told(reply: MailReply) -> str:
    """The reply for people: its numbers and its stage."""
    code = str(reply.code) if 100 <= reply.code <= 999 else "an odd code"
    return " ".join(part for part in ("SMTP", code, reply.status, "at", reply.stage.value) if part)


def _taken(reply: MailReply) -> Answer:
    if reply.stage is not Stage.CONTENT:
        return _odd(reply)
    return Answer(result=AttemptResult.ACCEPTED, status=AttemptStatus.SENT, used_channel=Channel.EMAIL)


def _passing(reply: MailReply) -> Answer:
    answer = tables.PASSING.get(_detail(reply)) or tables.PASSING_CODES.get(reply.code)
    if answer is None:
        answer = replace(tables.LATER, unmapped=True)
    return replace(answer, pauses_provider=True) if reply.stage in _BEFORE_MAIL else answer


def _lasting(reply: MailReply) -> Answer:
    detail = _detail(reply)
    found = (
        tables.LASTING.get(detail)
        or tables.SUBJECTS.get(detail.partition(".")[0])
        or tables.LASTING_CODES.get(reply.code)
    )
    if found is None:
        return replace(tables.BY_STAGE[reply.stage], unmapped=True)
    return found[reply.stage] if isinstance(found, Mapping) else found


def _odd(reply: MailReply) -> Answer:
    """A reply that is none to what was asked."""
    if reply.stage is Stage.CONTENT:
        return in_doubt("", unmapped=True)
    return replace(not_sent(Reason.PROVIDER_ERROR), unmapped=True)


def _detail(reply: MailReply) -> str:
    """Subject and detail of the enhanced status code; empty without one."""
    return reply.status.partition(".")[2]


_READERS: Final = {2: _taken, 4: _passing, 5: _lasting}
"""By the first digit, which is all that RFC 5321 lets a client depend on."""
