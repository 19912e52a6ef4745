"""Neutrino's telephony APIs (reference/providers/neutrino.md): no receipts, no ids, errors nearly all 400."""

from __future__ import annotations

import hmac
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson
from starlette.requests import Request

from pipeline.simulator import texts
from pipeline.simulator.answers import Answer
from pipeline.simulator.behaviour import Behaviour, Limits, Refusal
from pipeline.simulator.limits import Bounded
from pipeline.simulator.provider import UNKNOWN_OPERATION, Asked, Provider, Refused
from pipeline.simulator.providers.neutrino import fields, lookups
from pipeline.simulator.providers.neutrino.errors import ERRORS
from pipeline.simulator.world import Account, World

CODE_LIFE_MS: Final = 900_000
MAX_FAILURES: Final = 10
"""Failed checks of one ``limit-by`` after which its checks are ignored."""
_DAY_MS: Final = 86_400_000
_MOST_SENDS: Final = 1_000
"""Sends remembered per number; a higher ``limit`` is no limit here."""
_DEFAULTS: Final[Mapping[str, tuple[int, int]]] = {"sms-verify": (5, 10), "phone-verify": (6, 3)}
"""Default ``code-length`` and ``limit``."""


class Neutrino(Provider):
    """The simulated Neutrino."""

    name = "neutrino"
    required_credentials = ("user_id", "api_key")
    base_path = "/neutrino"
    sending = frozenset(_DEFAULTS)
    operations = (*_DEFAULTS, "verify-security-code", "phone-validate", "hlr-lookup")
    channels = ("sms", "voice")
    answers = ("sent", "invalid_number", "not_sent")
    unhappy_answers = ("invalid_number", "not_sent")
    error_codes = tuple(ERRORS)
    refusals = {
        Refusal.RECIPIENT: "1",
        Refusal.BLOCKED: "14",
        Refusal.ACCOUNT: "8",
        Refusal.CREDENTIALS: "43",
        Refusal.CREDIT: "19",
        Refusal.ROUTE: "5",
        Refusal.INTERNAL: "51",
    }
    # Published for the check and an older SMS operation; those that send are taken to have the same.
    operation_limits = dict.fromkeys((*_DEFAULTS, "verify-security-code"), Limits(per_s=2, concurrency=10))
    max_body = 5_242_880

    def __init__(self, world: World, accounts: Sequence[Account]) -> None:
        super().__init__(world, accounts)
        # A code belongs to the account only, not to a number: any live code of the account verifies.
        self._codes: Bounded[tuple[str, str], int] = Bounded(world.keep)
        self._sent_to: Bounded[tuple[str, str, str], deque[int]] = Bounded(world.keep)
        self._failures: Bounded[tuple[str, str], int] = Bounded(world.keep)

    def operation(self, method: str, path: str) -> str:
        name = path.removeprefix("/")
        return name if method in ("GET", "POST") and name in self.operations else UNKNOWN_OPERATION

    def read(self, operation: str, request: Request, raw: bytes) -> Asked:
        values: dict[str, str] = {}
        try:
            values = fields.parameters(request, raw)
            account = self._account(request, values)
            if operation == UNKNOWN_OPERATION:
                raise fields.Wrong("45")
            fields.check(operation, values)
        except fields.Wrong as wrong:
            raise Refused(_error(wrong.code, values.get("output-case", "kebab"))) from wrong
        asked = Asked(operation=operation, account=account, values=dict(values))
        if operation in _DEFAULTS:
            asked.channel = "sms" if operation == "sms-verify" else "voice"
        if "number" in values:
            number = fields.number(values["number"], values.get("country-code", ""))
            asked.values["parsed"] = number
            asked.recipient = number.e164
        if "security-code" in values:
            asked.code = values["security-code"]
        return asked

    def _account(self, request: Request, values: Mapping[str, str]) -> Account:
        key = request.headers.get("api-key") or values.get("api-key", "")
        user = request.headers.get("user-id") or values.get("user-id", "")
        if not user:
            user, _, key = key.partition(":")
        given = f"{user}:{key}".encode()
        for account in self.accounts:
            right = f"{account.credentials['user_id']}:{account.credentials['api_key']}".encode()
            if hmac.compare_digest(given, right):
                return account
        raise fields.Wrong("43")

    def perform(self, asked: Asked, answer: str) -> Answer:
        match asked.operation:
            case "sms-verify" | "phone-verify":
                return self._telephony(asked, answer)
            case "verify-security-code":
                return self._good(asked, {"verified": self._verify(asked)})
            case "phone-validate":
                return self._good(asked, lookups.validated(asked.values["parsed"]))
            case _:
                return self._good(asked, lookups.hlr(asked.values["parsed"]))

    def _telephony(self, asked: Asked, answer: str) -> Answer:
        now_ms = self.world.clock.now_ms()
        number: fields.Number = asked.values["parsed"]
        length, limit = _DEFAULTS[asked.operation]
        limit = int(asked.values.get("limit", limit))
        counted = (asked.account.instance, asked.operation, number.e164)
        times = self._sent_to.get(counted)
        if times is None:
            times = self._sent_to[counted] = deque(maxlen=_MOST_SENDS)
        horizon_ms = now_ms - int(asked.values.get("limit-ttl", 1)) * _DAY_MS
        if sum(1 for at in times if at > horizon_ms) >= limit:
            raise Refused(self.error("14", asked))
        length = int(asked.values.get("code-length", length))
        # The API takes an integer, so a leading zero is gone from here on.
        code = str(int(asked.code)) if asked.code is not None else self.world.digits(length)
        valid = number.valid and answer != "invalid_number"
        goes_out = valid and answer == "sent"
        asked.code = code
        asked.values["goes_out"] = goes_out
        if goes_out:
            times.append(now_ms)
            self._codes[asked.account.instance, code] = now_ms + CODE_LIFE_MS
        flag = "sent" if asked.operation == "sms-verify" else "calling"
        return self._good(asked, {"number-valid": valid, "security-code": code, flag: goes_out})

    def send_message(self, asked: Asked, behaviour: Behaviour) -> bool:
        if not asked.values["goes_out"]:
            return False
        code = asked.code or ""
        language = asked.values.get("language-code", "en")
        if asked.operation == "sms-verify":
            self.show(asked, text=texts.text(language, code, brand=asked.values.get("brand-name")), code=code)
        else:
            self.show(asked, text=texts.speech(language, code), code=code)
        return True

    def _verify(self, asked: Asked) -> bool:
        account = asked.account.instance
        limit_by = asked.values.get("limit-by")
        if limit_by is not None and self._failures.get((account, limit_by), 0) >= MAX_FAILURES:
            return False
        expires_ms = self._codes.get((account, asked.values["security-code"]), 0)
        verified = self.world.clock.now_ms() < expires_ms
        if not verified and limit_by is not None:
            self._failures[account, limit_by] = self._failures.get((account, limit_by), 0) + 1
        return verified

    def error(self, code: str, asked: Asked | None = None) -> Answer:
        return _error(code, asked.values.get("output-case", "kebab") if asked is not None else "kebab")

    def throttled(self, retry_after_s: int, asked: Asked | None = None) -> Answer:
        # There is no 429 and no header that says when to come back.
        return self.error("6", asked)

    def too_large(self) -> Answer:
        return self.error("44")

    def _good(self, asked: Asked, body: Mapping[str, Any]) -> Answer:
        shown = _cased(body, asked.values.get("output-case", "kebab"))
        return Answer(status=200, body=orjson.dumps(shown), said="200")


def _error(code: str, case: str) -> Answer:
    status, text = ERRORS[code]
    body = _cased({"api-error": int(code), "api-error-msg": text}, case)
    return Answer(status=status, body=orjson.dumps(body), said=f"{status} {code}")


def _cased(body: Mapping[str, Any], case: str) -> Mapping[str, Any]:
    if case == "snake":
        return {name.replace("-", "_"): value for name, value in body.items()}
    if case == "camel":
        return {_camel(name): value for name, value in body.items()}
    return body


def _camel(name: str) -> str:
    first, *others = name.split("-")
    return first + "".join(other.capitalize() for other in others)
