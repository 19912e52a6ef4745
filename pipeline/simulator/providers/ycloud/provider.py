"""YCloud Verify, API v2: start, check, lists, balance and signed events (reference/providers/ycloud.md)."""

from __future__ import annotations

import hmac
import re
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson
from starlette.requests import Request

from pipeline.simulator import texts
from pipeline.simulator.answers import Answer
from pipeline.simulator.behaviour import Behaviour, Refusal
from pipeline.simulator.limits import Bounded
from pipeline.simulator.provider import UNKNOWN_OPERATION, Asked, Provider, Refused
from pipeline.simulator.providers.ycloud import fields
from pipeline.simulator.providers.ycloud.errors import ERRORS, TARGETS, error_answer
from pipeline.simulator.providers.ycloud.events import Events, statuses
from pipeline.simulator.providers.ycloud.state import PRICES, Message, Verification
from pipeline.simulator.webhooks import RetryPolicy
from pipeline.simulator.world import Account, World

CODE_LIFE_MS: Final = 600_000
"""YCloud states no lifetime; ten minutes is the customary one."""
_GENERATED_LENGTH: Final = 6
_WHATSAPP_MESSAGE: Final = re.compile(r"/whatsapp/messages/([^/]{1,255})")
_OPERATIONS: Final = {
    ("POST", "/verify/verifications"): "start",
    ("POST", "/verify/verificationChecks"): "check",
    ("GET", "/balance"): "balance",
    ("GET", "/sms"): "list_sms",
    ("GET", "/voices"): "list_voices",
}


class YCloud(Provider):
    """The simulated YCloud."""

    name = "ycloud"
    required_credentials = ("api_key",)
    base_path = "/ycloud/v2"
    sending = frozenset({"start"})
    operations = (*_OPERATIONS.values(), "whatsapp_message")
    channels = tuple(fields.CHANNELS.values())
    answers = ("pending", "blocked", "undelivered", "sms_fallback")
    unhappy_answers = ("blocked", "undelivered")
    error_codes = tuple(ERRORS)
    refusals = {
        Refusal.RECIPIENT: "PARAM_INVALID",
        Refusal.BLOCKED: "RECIPIENT_IN_BLOCK_LIST",
        Refusal.CONTENT: "CONTENT_PROHIBITED",
        Refusal.ACCOUNT: "ACCOUNT_UNAVAILABLE",
        Refusal.CREDENTIALS: "UNAUTHORIZED",
        Refusal.CREDIT: "BALANCE_INSUFFICIENT",
        Refusal.ROUTE: "MESSAGING_REGION_UNSUPPORTED",
        Refusal.INTERNAL: "INTERNAL_SERVER_ERROR",
    }
    # 7 retries, then dropped; an answer later than 10 s counts as none.
    retries = RetryPolicy(schedule_s=(10, 30, 300, 1_800, 3_600, 7_200, 7_200), timeout_s=10)

    def __init__(self, world: World, accounts: Sequence[Account]) -> None:
        super().__init__(world, accounts)
        self._verifications: Bounded[str, Verification] = Bounded(world.keep)
        self._newest_of: Bounded[tuple[str, str], str] = Bounded(world.keep)
        self._messages: deque[Message] = deque(maxlen=world.keep)
        self._whatsapp: Bounded[str, Message] = Bounded(world.keep)
        self._spent: dict[str, float] = {}
        self._events = Events(world=world, provider=self.name)

    def operation(self, method: str, path: str) -> str:
        found = _OPERATIONS.get((method, path))
        if found is None and method == "GET" and _WHATSAPP_MESSAGE.fullmatch(path):
            return "whatsapp_message"
        return found or UNKNOWN_OPERATION

    def read(self, operation: str, request: Request, raw: bytes) -> Asked:
        account = self._account(request)
        if operation == UNKNOWN_OPERATION:
            raise Refused(self.error("NOT_FOUND"))
        try:
            if operation == "start":
                return self._read_start(account, _object(request, raw))
            if operation == "check":
                return self._read_check(account, fields.check(_object(request, raw)))
            if operation in ("list_sms", "list_voices"):
                query = fields.list_query(request.query_params, now_ms=self.world.clock.now_ms())
                return Asked(operation=operation, account=account, values={"query": query})
        except fields.Wrong as wrong:
            raise Refused(
                error_answer(wrong.code, request_id=self._request_id(), target=wrong.target, message=wrong.message)
            ) from wrong
        return Asked(operation=operation, account=account, values={"path": request.url.path})

    def _read_start(self, account: Account, body: Mapping[str, Any]) -> Asked:
        values = fields.start(body)
        return Asked(
            operation="start",
            account=account,
            channel=fields.CHANNELS[values["channel"]],
            recipient=values["to"],
            reference=values.get("externalId"),
            code=values.get("code"),
            values=dict(values),
        )

    def _read_check(self, account: Account, values: Mapping[str, Any]) -> Asked:
        found = values.get("verificationId") or self._newest_of.get((account.instance, values.get("to", "")))
        verification = self._verifications.get(found or "")
        if verification is not None and verification.account != account.instance:
            verification = None
        return Asked(
            operation="check",
            account=account,
            recipient=values.get("to") if verification is None else verification.to,
            reference=values.get("verificationId"),
            code=values["code"],
            values={**values, "verification": verification},
        )

    def _account(self, request: Request) -> Account:
        key = request.headers.get("x-api-key", "").encode()
        for account in self.accounts:
            if hmac.compare_digest(key, account.credentials["api_key"].encode()):
                return account
        raise Refused(self.error("UNAUTHORIZED"))

    def perform(self, asked: Asked, answer: str) -> Answer:
        match asked.operation:
            case "start":
                return self._good(self._start(asked, answer).shown())
            case "check":
                return self._check(asked)
            case "balance":
                amount = round(1_000 - self._spent.get(asked.account.instance, 0.0), 4)
                return self._good({"amount": amount, "currency": "USD"})
            case "list_sms":
                return self._list("sms", asked.values["query"], asked.account)
            case "list_voices":
                return self._list("voice", asked.values["query"], asked.account)
            case _:
                return self._whatsapp_message(asked)

    def _start(self, asked: Asked, answer: str) -> Verification:
        if answer == "sms_fallback" and asked.channel != "whatsapp":
            answer = "pending"
        now_ms = self.world.clock.now_ms()
        values = asked.values
        asked.code = asked.code or self.world.digits(_GENERATED_LENGTH)
        verification = Verification(
            id=self.world.token(),
            account=asked.account.instance,
            channel=values["channel"],
            to=values["to"],
            code=asked.code,
            status=answer if answer in self.unhappy_answers else "pending",
            external_id=asked.reference,
            price=PRICES[asked.channel or "sms"],
            created_ms=now_ms,
            expires_ms=now_ms + CODE_LIFE_MS,
            language=values["language"],
            signature=values.get("signature"),
            sender_id=values.get("senderId"),
            sms_fallback=answer == "sms_fallback",
        )
        asked.values["verification"] = verification
        self._verifications[verification.id] = verification
        self._newest_of[verification.account, verification.to] = verification.id
        return verification

    def send_message(self, asked: Asked, behaviour: Behaviour) -> bool:
        verification: Verification = asked.values["verification"]
        account = asked.account.instance
        self._spent[account] = self._spent.get(account, 0.0) + verification.price
        channel = asked.channel or "sms"
        rng = self.behaviours.rng
        if verification.sms_fallback:
            failed = self._message(verification, "whatsapp")
            self._events.follow(asked.account, failed, ["failed"], behaviour.receipt, rng)
            channel = "sms"
        message = self._message(verification, channel)
        receipt = behaviour.receipt
        if receipt.status != "undelivered":
            self.show(asked, text=message.text, code=verification.code, channel=channel)
        self._events.follow(asked.account, message, statuses(channel, receipt.status), receipt, rng)
        return True

    def _message(self, verification: Verification, channel: str) -> Message:
        now_ms = self.world.clock.now_ms()
        language, code = verification.language, verification.code
        text = texts.speech(language, code) if channel == "voice" else ""
        message = Message(
            id=self.world.token(),
            verification=verification,
            channel=channel,
            text=text or texts.text(language, code, signature=verification.signature),
            created_ms=now_ms,
            updated_ms=now_ms,
            status="sending" if channel == "email" else "accepted",
        )
        if channel == "whatsapp":
            self._whatsapp[message.id] = message
        elif channel in ("sms", "voice"):
            self._messages.append(message)
        return message

    def _check(self, asked: Asked) -> Answer:
        values = asked.values
        verification: Verification | None = values["verification"]
        if verification is None:
            raise Refused(error_answer("NOT_FOUND", request_id=self._request_id(), target="verificationId"))
        if values.get("to") not in (None, "", verification.to):
            raise Refused(error_answer("PARAM_NOT_MATCH", request_id=self._request_id(), target="to"))
        if verification.status == "pending" and self.world.clock.now_ms() >= verification.expires_ms:
            verification.status = "expired"
        valid = verification.status == "pending" and hmac.compare_digest(
            verification.code.encode(), values["code"].encode()
        )
        if valid:
            verification.status = "approved"
        return self._good(
            {
                "id": self.world.token(),
                "valid": valid,
                "status": verification.status,
                "to": verification.to,
                "channel": verification.channel,
            }
        )

    def _list(self, channel: str, query: fields.ListQuery, account: Account) -> Answer:
        items = [
            message
            for message in reversed(self._messages)
            if message.channel == channel
            and message.verification.account == account.instance
            and (
                message.id == query.message_id
                if query.message_id is not None
                else message.created_ms >= query.since_ms
                and (query.until_ms is None or message.created_ms <= query.until_ms)
            )
        ]
        begin = (query.page - 1) * query.limit
        page: dict[str, Any] = {"items": [message.shown() for message in items[begin : begin + query.limit]]}
        if query.include_total:
            page["total"] = len(items)
        return self._good(page)

    def _whatsapp_message(self, asked: Asked) -> Answer:
        message = self._whatsapp.get(asked.values["path"].rpartition("/")[2])
        if message is None or message.verification.account != asked.account.instance:
            raise Refused(self.error("NOT_FOUND"))
        return self._good(message.shown())

    def error(self, code: str, asked: Asked | None = None) -> Answer:
        return error_answer(code, request_id=self._request_id(), target=TARGETS.get(code))

    def throttled(self, retry_after_s: int, asked: Asked | None = None) -> Answer:
        return error_answer("TOO_MANY_REQUESTS", request_id=self._request_id(), retry_after_s=retry_after_s)

    def too_large(self) -> Answer:
        return self.error("CONTENT_TOO_LARGE")

    def _good(self, body: Mapping[str, Any]) -> Answer:
        headers = ((b"ycloud-request-id", self._request_id().encode()),)
        return Answer(status=200, body=orjson.dumps(body), headers=headers, said="200")

    def _request_id(self) -> str:
        return f"req_{self.world.token()}"


def _object(request: Request, raw: bytes) -> Mapping[str, Any]:
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != "application/json":
        raise fields.Wrong("BAD_REQUEST", "Content-Type", "The content type must be application/json.")
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        body = None
    if not isinstance(body, dict):
        raise fields.Wrong("BAD_REQUEST", "body", "The body must be a JSON object.")
    return body
