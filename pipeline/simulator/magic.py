"""Recipients that choose a behaviour by their last digits, for tests that cannot or should not set one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from pipeline.simulator.behaviour import Behaviour, Fault, Receipt, Refusal, Throttle

PREFIX: Final = "9000"
"""A phone number that ends in ``9000NN``, or an e-mail address whose local part does, is magic."""

_MAGIC: Final = re.compile(rf"{PREFIX}(\d\d)(?:@|$)", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Magic:
    """One line of the table."""

    sentence: str
    behaviour: Behaviour = field(default_factory=Behaviour)
    unhappy: int | None = None
    """Index into the provider's good answers that mean something bad; instead of ``behaviour.answer``."""
    first: int | None = None
    """Only this many requests of one recipient are treated so, the others by the default."""


TABLE: Final[Mapping[str, Magic]] = {
    "01": Magic(sentence="accepted and delivered, whatever the default is"),
    "02": Magic(sentence="accepted, later undelivered", behaviour=Behaviour(receipt=Receipt(status="undelivered"))),
    "03": Magic(sentence="delivered, the receipt is missing", behaviour=Behaviour(receipt=Receipt(status="missing"))),
    "04": Magic(sentence="delivered, the receipt is 15 s late", behaviour=Behaviour(receipt=Receipt(delay_ms=15_000))),
    "05": Magic(sentence="delivered, each receipt comes twice", behaviour=Behaviour(receipt=Receipt(copies=2))),
    "06": Magic(
        sentence="read or delivered, receipts out of order",
        behaviour=Behaviour(receipt=Receipt(status="read", reordered=True)),
    ),
    "07": Magic(
        sentence="delivered, the receipt comes before the answer",
        behaviour=Behaviour(delay_ms=1_000, receipt=Receipt(delay_ms=0)),
    ),
    "10": Magic(sentence="refused: recipient", behaviour=Behaviour(refusal=Refusal.RECIPIENT)),
    "11": Magic(sentence="refused: recipient blocked", behaviour=Behaviour(refusal=Refusal.BLOCKED)),
    "12": Magic(sentence="refused: content or sender", behaviour=Behaviour(refusal=Refusal.CONTENT)),
    "13": Magic(sentence="refused: account", behaviour=Behaviour(refusal=Refusal.ACCOUNT)),
    "14": Magic(sentence="refused: no credit", behaviour=Behaviour(refusal=Refusal.CREDIT)),
    "15": Magic(sentence="refused: no route", behaviour=Behaviour(refusal=Refusal.ROUTE)),
    "16": Magic(sentence="refused: credentials", behaviour=Behaviour(refusal=Refusal.CREDENTIALS)),
    "17": Magic(sentence="a good answer that says blocked (YCloud) or invalid number (Neutrino)", unhappy=0),
    "18": Magic(sentence="a good answer that says undelivered (YCloud) or not sent (Neutrino)", unhappy=1),
    "20": Magic(sentence="throttled for 1 s twice, then accepted", behaviour=Behaviour(throttle=Throttle()), first=2),
    "21": Magic(sentence="always throttled for 2 s", behaviour=Behaviour(throttle=Throttle(retry_after_s=2))),
    "30": Magic(sentence="error 500, nothing sent", behaviour=Behaviour(refusal=Refusal.INTERNAL)),
    "31": Magic(sentence="error 500 after sending", behaviour=Behaviour(refusal=Refusal.INTERNAL, sends=True)),
    "32": Magic(sentence="sent, but no answer ever", behaviour=Behaviour(fault=Fault.NO_ANSWER)),
    "33": Magic(sentence="nothing sent and no answer ever", behaviour=Behaviour(fault=Fault.NO_ANSWER, sends=False)),
    "34": Magic(
        sentence="connection reset, the request is not handled",
        behaviour=Behaviour(delay_ms=0, fault=Fault.CLOSE_BEFORE_READING),
    ),
    "35": Magic(sentence="sent, then closed", behaviour=Behaviour(fault=Fault.CLOSE_AFTER_READING)),
    "36": Magic(sentence="closed, nothing sent", behaviour=Behaviour(fault=Fault.CLOSE_AFTER_READING, sends=False)),
    "37": Magic(sentence="sent, the answer is garbage", behaviour=Behaviour(fault=Fault.GARBAGE)),
    "38": Magic(sentence="sent, the answer is cut in half", behaviour=Behaviour(fault=Fault.TRUNCATED)),
    "39": Magic(sentence="sent, then reset", behaviour=Behaviour(fault=Fault.RESET_AFTER_READING)),
    "40": Magic(sentence="answered after 2 s", behaviour=Behaviour(delay_ms=2_000)),
    "41": Magic(sentence="answered after 15 s", behaviour=Behaviour(delay_ms=15_000)),
    "42": Magic(sentence="the answer drips, ten bytes a second", behaviour=Behaviour(fault=Fault.DRIP)),
}


def magic_of(recipient: str) -> Magic | None:
    """The line of the table a canonical recipient chooses, if any."""
    found = _MAGIC.search(recipient)
    return TABLE.get(found.group(1)) if found else None
