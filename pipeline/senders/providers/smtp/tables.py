"""What replies of mail servers mean: by enhanced status code, else by code and stage, else by class and stage.

A client may act on the first digit of a reply alone (RFC 5321, 4.2.1): 2 took it, 4 and 5 did not, whatever follows. So
a refusal is certain at every stage, also after the content; what these tables add is who is to blame for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from pipeline.model.reasons import Reason
from pipeline.records.types import ResultClass
from pipeline.senders.answers import not_sent, rejected, throttled
from pipeline.senders.mail import Stage
from pipeline.senders.provider import Answer

_RECIPIENT: Final = rejected(ResultClass.RECIPIENT, Reason.RECIPIENT_REJECTED)
_BLOCKED: Final = rejected(ResultClass.RECIPIENT, Reason.RECIPIENT_BLOCKED)
_CONTENT: Final = rejected(ResultClass.CONTENT, Reason.CONTENT_REJECTED)
_ACCOUNT: Final = rejected(ResultClass.ACCOUNT, Reason.ACCOUNT_REJECTED)
_ROUTE: Final = rejected(ResultClass.ROUTE, Reason.ROUTE_UNAVAILABLE)
_PROTOCOL: Final = rejected(ResultClass.ROUTE, Reason.PROVIDER_ERROR)
"""The server understands us not, or we it: another provider may serve."""

BY_STAGE: Final[Mapping[Stage, Answer]] = MappingProxyType(
    {
        Stage.CONNECT: not_sent(),
        Stage.HELLO: not_sent(),
        Stage.TLS: not_sent(),
        Stage.AUTH: _ACCOUNT,
        Stage.MAIL: _CONTENT,  # the sender's address
        Stage.RCPT: _RECIPIENT,
        Stage.DATA: _PROTOCOL,
        Stage.CONTENT: _CONTENT,
        Stage.NOOP: _PROTOCOL,
    }
)
"""What a lasting refusal at a stage is about when its codes say no more."""

POLICY: Final[Mapping[Stage, Answer]] = MappingProxyType(
    {stage: _CONTENT if stage is Stage.CONTENT else _ACCOUNT for stage in Stage}
)
"""Refusals for policy. Before the content (no relaying, a blocked address of ours) they are about us."""

LASTING: Final[Mapping[str, Answer | Mapping[Stage, Answer]]] = MappingProxyType(
    {
        "0.0": BY_STAGE,
        # Addresses.
        "1.0": BY_STAGE,
        "1.1": _RECIPIENT,  # no such mailbox
        "1.2": _RECIPIENT,  # no such domain
        "1.3": _RECIPIENT,  # address badly written
        "1.4": _RECIPIENT,  # ambiguous
        "1.5": _PROTOCOL,  # "valid": only in good replies
        "1.6": _RECIPIENT,  # moved
        "1.7": _CONTENT,  # sender's address badly written
        "1.8": _CONTENT,  # sender's domain
        "1.9": _PROTOCOL,  # relayed to a mailer that reports nothing: only in reports
        "1.10": _RECIPIENT,  # the domain takes no mail (null MX)
        # Mailboxes.
        "2.0": _RECIPIENT,
        "2.1": _RECIPIENT,  # disabled
        "2.2": _RECIPIENT,  # full
        "2.3": _CONTENT,  # too long for it
        "2.4": _RECIPIENT,  # mailing list
        # The server.
        "3.0": _ROUTE,
        "3.1": _ROUTE,  # full
        "3.2": _ROUTE,  # takes no messages now
        "3.3": _PROTOCOL,  # a feature it lacks
        "3.4": _CONTENT,  # too big
        "3.5": _ROUTE,  # badly configured
        "3.6": _PROTOCOL,  # priority changed: only in good replies
        # The way beyond it.
        "4.0": _ROUTE,
        "4.1": _ROUTE,  # no answer from the host
        "4.2": _ROUTE,  # bad connection
        "4.3": _ROUTE,  # directory server
        "4.4": _ROUTE,  # no way
        "4.5": _ROUTE,  # congestion
        "4.6": _ROUTE,  # loop
        "4.7": _ROUTE,  # delivery time over
        # The protocol.
        "5.0": BY_STAGE,
        "5.1": _PROTOCOL,  # invalid command
        "5.2": _PROTOCOL,  # syntax
        "5.3": _PROTOCOL,  # too many recipients
        "5.4": _PROTOCOL,  # invalid arguments
        "5.5": _PROTOCOL,  # version
        "5.6": _ACCOUNT,  # login line too long
        # Content.
        "6.0": _CONTENT,
        "6.1": _CONTENT,
        "6.2": _CONTENT,
        "6.3": _CONTENT,
        "6.4": _CONTENT,
        "6.5": _CONTENT,
        "6.6": _CONTENT,
        "6.7": _RECIPIENT,  # address not ASCII
        "6.8": _RECIPIENT,
        "6.9": _RECIPIENT,  # a recipient cannot get headers in UTF-8
        "6.10": _RECIPIENT,
        # Policy and security.
        "7.0": POLICY,
        "7.1": POLICY,  # not authorised
        "7.2": _BLOCKED,  # mailing list closed to us
        "7.3": _ACCOUNT,
        "7.4": _ACCOUNT,
        "7.5": _ACCOUNT,
        "7.6": _ACCOUNT,
        "7.7": _CONTENT,  # message integrity
        "7.8": _ACCOUNT,  # credentials invalid
        "7.9": _ACCOUNT,  # mechanism too weak
        "7.10": _ACCOUNT,  # encryption needed
        "7.11": _ACCOUNT,  # encryption needed for this mechanism
        "7.12": _ACCOUNT,  # password transition
        "7.13": _ACCOUNT,  # user disabled
        "7.14": _ACCOUNT,  # trust relationship
        "7.15": _CONTENT,  # priority too low
        "7.16": _CONTENT,  # too big for its priority
        "7.17": _RECIPIENT,  # the mailbox has another owner now
        "7.18": _RECIPIENT,  # the domain has another owner now
        "7.19": _RECIPIENT,  # whether the owner changed cannot be told
        # Our domain: DKIM, SPF, reverse DNS, ARC; someone has to set it up.
        "7.20": _ACCOUNT,
        "7.21": _ACCOUNT,
        "7.22": _ACCOUNT,
        "7.23": _ACCOUNT,
        "7.24": _ACCOUNT,
        "7.25": _ACCOUNT,
        "7.26": _ACCOUNT,
        "7.27": _CONTENT,  # the sender's domain takes no mail
        "7.28": _ACCOUNT,  # flood
        "7.29": _ACCOUNT,
        "7.30": _ROUTE,  # REQUIRETLS
    }
)
"""All registered enhanced status codes of class 5, without it."""

SUBJECTS: Final[Mapping[str, Answer | Mapping[Stage, Answer]]] = MappingProxyType(
    {
        "0": BY_STAGE,
        "1": BY_STAGE,
        "2": _RECIPIENT,
        "3": _ROUTE,
        "4": _ROUTE,
        "5": _PROTOCOL,
        "6": _CONTENT,
        "7": POLICY,
    }
)
"""The subject of an enhanced status code whose detail is in no table."""

LASTING_CODES: Final[Mapping[int, Answer | Mapping[Stage, Answer]]] = MappingProxyType(
    {
        500: _PROTOCOL,  # syntax, line too long
        501: BY_STAGE,  # syntax of the argument: an address, or the login
        502: _PROTOCOL,  # not implemented
        503: _PROTOCOL,  # order of commands
        504: {**BY_STAGE, Stage.MAIL: _PROTOCOL, Stage.RCPT: _PROTOCOL},  # parameter not implemented
        521: BY_STAGE,  # takes no mail (RFC 7504)
        523: _ACCOUNT,  # encryption needed (RFC 5248)
        524: _ACCOUNT,
        525: _ACCOUNT,  # user disabled
        530: _ACCOUNT,  # login or encryption needed
        534: _ACCOUNT,  # mechanism too weak
        535: _ACCOUNT,  # credentials invalid
        538: _ACCOUNT,  # encryption needed for this mechanism
        550: BY_STAGE,
        551: BY_STAGE,  # not local
        552: BY_STAGE,  # over quota at RCPT, too big elsewhere
        553: BY_STAGE,  # address not allowed
        554: BY_STAGE,  # failed; at the greeting: no SMTP here
        555: _PROTOCOL,  # parameters of MAIL or RCPT
        556: _RECIPIENT,  # the domain takes no mail (RFC 7504)
    }
)
"""Lasting refusals by their code, for servers without enhanced ones."""

LATER: Final = throttled(30.0, pauses_provider=False)
"""Greylisting, a busy mailbox, a passing error with this message: the others go on. Also for codes in no table."""

PASSING_CODES: Final[Mapping[int, Answer]] = MappingProxyType(
    {
        421: throttled(5.0),  # closes the connection: overloaded, or too much from us
        432: _ACCOUNT,  # password transition needed: waiting does not help
        450: LATER,
        451: LATER,
        452: throttled(30.0),  # out of storage
        454: throttled(5.0),  # login or TLS not available now
        455: LATER,  # parameters not possible now
    }
)
"""Passing refusals by their code: nothing was taken and the same attempt may be made again."""

PASSING: Final[Mapping[str, Answer]] = MappingProxyType(
    {
        "2.2": _RECIPIENT,  # a full mailbox stays full for longer than a code lives
        "3.4": _CONTENT,
        "7.12": _ACCOUNT,
    }
)
"""Enhanced status codes of class 4, without it, that mean more than their reply code says."""
