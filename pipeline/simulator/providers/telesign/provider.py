"""Telesign's Verify family (reference/providers/telesign.md): digest, form, statuses, completion, callbacks."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import orjson
import phonenumbers
from starlette.requests import Request

from pipeline.simulator import texts
from pipeline.simulator.answers import Answer
from pipeline.simulator.behaviour import Behaviour, Limits, Refusal
from pipeline.simulator.limits import Bounded
from pipeline.simulator.provider import UNKNOWN_OPERATION, Asked, Provider, Refused
from pipeline.simulator.providers.telesign import fields
from pipeline.simulator.providers.telesign.auth import Gatekeeper
from pipeline.simulator.providers.telesign.errors import ERRORS, STATUSES, UNAVAILABLE, error_answer, updated_on
from pipeline.simulator.providers.telesign.events import FIRST, Events
from pipeline.simulator.providers.telesign.state import KEPT_MS, Transaction
from pipeline.simulator.webhooks import RetryPolicy
from pipeline.simulator.world import Account, World

_SENDING: Final = ("sms", "call", "smart")
_WRONG_METHOD: Final = "wrong_method"
_STATUS: Final = re.compile(r"/v1/verify/([^/]{1,64})")
_COMPLETION: Final = re.compile(r"/v1/verify/completion/([^/]{1,64})")
_MADE: Final = {"sms": 7, "voice": 5}
"""Digits of a code that Telesign makes."""
_BLOCKED: Final = {"sms": "230", "call": "130", "smart": "2028"}
_UNDELIVERED: Final = {"sms": "207", "voice": "106"}


class Telesign(Provider):
    """The simulated Telesign."""

    name = "telesign"
    base_path = "/telesign"
    required_credentials = ("customer_id", "api_key")
    sending = frozenset(_SENDING)
    operations = (*_SENDING, "status", "completion")
    channels = ("sms", "voice")
    answers = ("accepted", "blocked", "undelivered")
    unhappy_answers = ("blocked", "undelivered")
    error_codes = (*ERRORS, *map(str, STATUSES))
    refusals = {
        Refusal.RECIPIENT: "-10001",
        Refusal.BLOCKED: "230",
        Refusal.CONTENT: "-40006",
        Refusal.ACCOUNT: "-30001",
        Refusal.CREDENTIALS: "-30006",
        Refusal.CREDIT: "-10030",
        Refusal.ROUTE: "-20004",
        Refusal.INTERNAL: "-90001",
    }
    # Four tries in all; an answer later than 5 s counts as none.
    retries = RetryPolicy(schedule_s=(5, 10, 15), timeout_s=5)
    # Of full-service accounts; none is published for Smart Verify.
    operation_limits = dict.fromkeys(("sms", "call"), Limits(per_s=50))

    def __init__(self, world: World, accounts: Sequence[Account]) -> None:
        super().__init__(world, accounts)
        self._gatekeeper = Gatekeeper(accounts, world.keep)
        self._transactions: Bounded[str, Transaction] = Bounded(world.keep)
        self._events = Events(world=world, provider=self.name)

    def operation(self, method: str, path: str) -> str:
        name = path.removeprefix("/v1/verify/")
        if name in _SENDING:
            return name if method == "POST" else _WRONG_METHOD
        if _COMPLETION.fullmatch(path):
            return "completion" if method == "PUT" else _WRONG_METHOD
        if _STATUS.fullmatch(path):
            return "status" if method == "GET" else _WRONG_METHOD
        return UNKNOWN_OPERATION

    def read(self, operation: str, request: Request, raw: bytes) -> Asked:
        path = request.url.path.removeprefix(self.base_path)
        sub_resource = operation if operation in _SENDING else None
        try:
            now_ms = self.world.clock.now_ms()
            account = self._gatekeeper.admit(request.method, path, request.headers, raw, now_ms)
            if operation == _WRONG_METHOD:
                raise fields.Wrong("-40005")
            if operation == UNKNOWN_OPERATION:
                raise fields.Wrong("-40004")
            if operation not in _SENDING:
                return self._about(operation, account, path.rpartition("/")[2], request, raw)
            values = fields.form(operation, request.headers.get("content-type", ""), raw)
        except fields.Wrong as wrong:
            answer = self._error(
                wrong.code,
                sub_resource=sub_resource,
                description=wrong.description,
                http=wrong.http,
                **wrong.further,
            )
            raise Refused(answer) from wrong
        return Asked(
            operation=operation,
            account=account,
            channel=_channel(operation, values),
            recipient="+" + values["phone_number"],
            # Nothing of its customers is echoed; an address of its own is all that can name a message.
            reference=urlsplit(values["callback_url"]).path.rpartition("/")[2] if "callback_url" in values else None,
            code=values.get("verify_code"),
            values=dict(values),
        )

    def _about(self, operation: str, account: Account, reference_id: str, request: Request, raw: bytes) -> Asked:
        code = fields.query(request.query_params) if operation == "status" else None
        if raw:
            raise fields.Wrong("-40006")
        asked = Asked(operation=operation, account=account, reference=reference_id, code=code)
        found = self._transactions.get(reference_id.upper())
        if found is not None and found.account == account.instance:
            asked.recipient, asked.channel = found.to, found.channel
            asked.values["found"] = found
        return asked

    def perform(self, asked: Asked, answer: str) -> Answer:
        if asked.operation == "status":
            return self._status(asked)
        if asked.operation == "completion":
            return self._completion(asked)
        now_ms = self.world.clock.now_ms()
        channel = asked.channel or "sms"
        asked.code = asked.code or self.world.digits(_MADE[channel])
        status = {"blocked": _BLOCKED[asked.operation], "undelivered": _UNDELIVERED[channel]}.get(answer)
        transaction = Transaction(
            id=self.world.token(32).upper(),
            account=asked.account.instance,
            sub_resource=channel if asked.operation == "smart" else asked.operation,
            channel=channel,
            to=asked.recipient or "",
            code=asked.code,
            text=_text(channel, asked.code, asked.values),
            status=FIRST[channel] if status is None else int(status),
            created_ms=now_ms,
            updated_ms=now_ms,
            callback_url=asked.values.get("callback_url", ""),
            caller_id=asked.values.get("caller_id"),
        )
        asked.values["transaction"] = self._transactions[transaction.id] = transaction
        return _good(transaction.shown())

    def send_message(self, asked: Asked, behaviour: Behaviour) -> bool:
        transaction: Transaction = asked.values["transaction"]
        asked.values["sent"] = True
        if behaviour.receipt.status != "undelivered":
            self.show(asked, text=transaction.text, code=transaction.code)
        self._events.follow(asked.account, transaction, behaviour.receipt, self.behaviours.rng)
        return True

    def _status(self, asked: Asked) -> Answer:
        found: Transaction | None = asked.values.get("found")
        if found is None:
            raise Refused(self._error("-10001", description="CustomerID/ReferenceID not found", http=404))
        now_ms = self.world.clock.now_ms()
        if now_ms >= found.created_ms + KEPT_MS:
            raise Refused(self._error("-10004", reference_id=found.id, sub_resource=found.sub_resource))
        if asked.code is not None:
            found.check(asked.code, now_ms)
        return _good(found.shown())

    def _completion(self, asked: Asked) -> Answer:
        found: Transaction | None = asked.values.get("found")
        if found is None:
            raise Refused(self._error("-30013"))
        status = {
            # As text, and only here.
            "code": "1900",
            "description": "Verify completion successfully recorded",
            "updated_on": updated_on(self.world.clock.now_ms()),
        }
        return _good({"reference_id": found.id, "subresource": found.sub_resource, "errors": [], "status": status})

    def error(self, code: str, asked: Asked | None = None) -> Answer:
        operation = asked.operation if asked is not None else "sms"
        if code == self.refusals[Refusal.BLOCKED]:
            code = _BLOCKED.get(operation, code)
        transaction: Transaction | None = asked.values.get("transaction") if asked is not None else None
        reference_id = transaction.id if transaction is not None else self.world.token(32).upper()
        if code not in ERRORS:
            return self._bad_news(int(code), reference_id, operation)
        # What left cannot be told as not attempted.
        sent = asked is not None and bool(asked.values.get("sent"))
        return self._error(
            code, reference_id=reference_id, sub_resource=operation, status=UNAVAILABLE if sent else None
        )

    def _bad_news(self, status: int, reference_id: str, sub_resource: str) -> Answer:
        shown = {"code": status, "description": STATUSES[status], "updated_on": updated_on(self.world.clock.now_ms())}
        verify = {"code_state": "UNKNOWN", "code_entered": ""}
        return _good(
            {
                "reference_id": reference_id,
                "sub_resource": sub_resource,
                "errors": [],
                "status": shown,
                "verify": verify,
            }
        )

    def throttled(self, retry_after_s: int, asked: Asked | None = None) -> Answer:
        # No header says when to come back.
        return self.error("-40007", asked)

    def too_large(self) -> Answer:
        return self._error("-40006")

    def _error(self, code: str, **differences: Any) -> Answer:
        return error_answer(code, now_ms=self.world.clock.now_ms(), **differences)


def _good(body: Mapping[str, Any]) -> Answer:
    return Answer(status=200, body=orjson.dumps(body), said="200")


def _channel(operation: str, values: Mapping[str, str]) -> str:
    """Smart Verify follows the preference, and calls where no SMS can arrive."""
    if operation != "smart":
        return "voice" if operation == "call" else "sms"
    preferred = fields.PREFERENCES.get(values.get("preference", "").lower(), "sms")
    number = phonenumbers.parse("+" + values["phone_number"])
    landline = phonenumbers.number_type(number) == phonenumbers.PhoneNumberType.FIXED_LINE
    return "voice" if landline else preferred


def _text(channel: str, code: str, values: Mapping[str, str]) -> str:
    language = values.get("language", "en").replace("-", "_")
    own = values.get("tts_message") if channel == "voice" else values.get("template", values.get("sms_message"))
    if own is None:
        return texts.speech(language, code) if channel == "voice" else texts.text(language, code)
    filled = own.replace("$$AMOUNT$$", values.get("transaction_amount", ""))
    filled = filled.replace("$$PAYEE$$", values.get("transaction_payee", ""))
    return filled.replace("$$CODE$$", ", ".join(code) if channel == "voice" else code)
