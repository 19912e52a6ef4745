"""ThunderSMS Verify, API v2 (reference/providers/thundersms.md): the provider may make the code, and walks channels."""

from __future__ import annotations

import hmac
import re
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final
from uuid import UUID

import orjson
from starlette.requests import Request

from pipeline.simulator import texts
from pipeline.simulator.answers import Answer
from pipeline.simulator.behaviour import Behaviour, Refusal
from pipeline.simulator.limits import Bounded
from pipeline.simulator.provider import UNKNOWN_OPERATION, Asked, Provider, Refused
from pipeline.simulator.providers.thundersms import fields
from pipeline.simulator.providers.thundersms.errors import ERRORS, error_answer, invalid
from pipeline.simulator.providers.thundersms.events import SMS_RETRIES, Events
from pipeline.simulator.providers.thundersms.state import Leg, Verify
from pipeline.simulator.world import Account, World

GETS_PER_MINUTE: Final = 1_000
_ROUTES: Final[Mapping[str, tuple[str, re.Pattern[str]]]] = {
    "send": ("POST", re.compile(r"/verify/send")),
    "check": ("GET", re.compile(r"/verify/check/([^/]+)/([^/]+)")),
    "search": ("GET", re.compile(r"/verify/search/([^/]+)")),
    "cancel": ("GET", re.compile(r"/verify/cancel/([^/]+)")),
    "me": ("GET", re.compile(r"/auth/me")),
}
_BAD_NEWS: Final = {"blacklisted": "BLACKLST", "undeliverable": "failed"}
"""Good answers whose message reaches nobody, and what a search then says of it."""


class ThunderSms(Provider):
    """The simulated ThunderSMS.

    What ends its walk through the channels is not documented: here a message that arrived, a right code, a cancel or
    the end of the code's life does, and a message that failed waits its time all the same.
    """

    name = "thundersms"
    base_path = "/thundersms/api/v2"
    required_credentials = ("access_token",)
    sending = frozenset({"send"})
    operations = tuple(_ROUTES)
    channels = tuple(dict.fromkeys(fields.CHANNELS.values()))
    answers = ("sent", "old_style", *_BAD_NEWS)
    unhappy_answers = ("blacklisted", "undeliverable")
    error_codes = tuple(ERRORS)
    refusals = {
        Refusal.RECIPIENT: "recipient",
        Refusal.CONTENT: "422",
        Refusal.ACCOUNT: "403",
        Refusal.CREDENTIALS: "401",
        Refusal.CREDIT: "credit",
        Refusal.INTERNAL: "500",
    }
    retries = SMS_RETRIES

    def __init__(self, world: World, accounts: Sequence[Account]) -> None:
        super().__init__(world, accounts)
        self._verifies: Bounded[str, Verify] = Bounded(world.keep)
        self._gets: dict[str, deque[int]] = {}
        self._events = Events(world=world, provider=self.name)

    def operation(self, method: str, path: str) -> str:
        for operation, (wanted, pattern) in _ROUTES.items():
            if method == wanted and pattern.fullmatch(path):
                return operation
        return UNKNOWN_OPERATION

    def read(self, operation: str, request: Request, raw: bytes) -> Asked:
        path = request.scope["path"].removeprefix(self.base_path)
        if operation == UNKNOWN_OPERATION:
            known = any(pattern.fullmatch(path) for _, pattern in _ROUTES.values())
            raise Refused(error_answer("405" if known else "404"))
        account = self._account(request)
        if operation == "send":
            return self._read_start(account, request, raw)
        self._count(account)
        found = _ROUTES[operation][1].fullmatch(path)
        parts = found.groups() if found is not None else ()
        asked = Asked(operation=operation, account=account, values={"id": parts[0] if parts else ""})
        verify = self._verify(asked)
        if verify is not None:
            asked.recipient = f"+{verify.start.channels[0].to}"
            asked.reference = verify.start.foreign_id
        if operation == "check":
            asked.code = parts[1]
        return asked

    def _read_start(self, account: Account, request: Request, raw: bytes) -> Asked:
        content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        try:
            body = orjson.loads(raw) if content_type == "application/json" else {}
        except orjson.JSONDecodeError:
            raise Refused(error_answer("400")) from None
        try:
            # What is no JSON object has no fields.
            start = fields.start(body if isinstance(body, dict) else {})
        except fields.Wrong as wrong:
            raise Refused(invalid(wrong.field, wrong.message)) from wrong
        first = start.channels[0]
        return Asked(
            operation="send",
            account=account,
            channel=first.name,
            recipient=f"+{first.to}",
            reference=start.foreign_id,
            code=start.token,
            values={"start": start},
        )

    def _account(self, request: Request) -> Account:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        given = (token if scheme == "Bearer" else request.query_params.get("access_token", "")).encode()
        for account in self.accounts:
            if hmac.compare_digest(given, account.credentials["access_token"].encode()):
                return account
        raise Refused(error_answer("401"))

    def _count(self, account: Account) -> None:
        """All GET requests of an account together; raises Refused beyond the limit."""
        now_ms = self.world.clock.now_ms()
        recent = self._gets.setdefault(account.instance, deque())
        while recent and recent[0] <= now_ms - 60_000:
            recent.popleft()
        if len(recent) >= GETS_PER_MINUTE:
            raise Refused(error_answer("429"))
        recent.append(now_ms)

    def perform(self, asked: Asked, answer: str) -> Answer:
        match asked.operation:
            case "send":
                return self._start(asked, answer)
            case "check":
                return self._good({"id": asked.values["id"], "status": self._check(asked)})
            case "search":
                return self._search(asked)
            case "cancel":
                return self._good({"id": asked.values["id"], "status": self._cancel(asked)})
            case _:
                return self._good({"status": "OK", "code": 200, "data": {"name": asked.account.instance}})

    def _start(self, asked: Asked, answer: str) -> Answer:
        start: fields.Start = asked.values["start"]
        asked.code = start.token or self.world.digits(start.length)
        verify = Verify(
            id=self._uuid(),
            account=asked.account.instance,
            start=start,
            code=asked.code,
            created_ms=self.world.clock.now_ms(),
        )
        asked.values["verify"] = self._verifies[verify.id] = verify
        if answer in _BAD_NEWS:
            self._leg(verify).status = _BAD_NEWS[answer]
        return self._good(verify.started(old_style=answer == "old_style"))

    def send_message(self, asked: Asked, behaviour: Behaviour) -> bool:
        self._trigger(asked, behaviour)
        return True

    def _trigger(self, asked: Asked, behaviour: Behaviour) -> None:
        """Send on the next channel, and look again after its wait."""
        verify: Verify = asked.values["verify"]
        leg = self._leg(verify)
        if behaviour.receipt.status != "undelivered":
            template, code, channel = verify.start.template, verify.code, leg.channel.name
            spoken = ", ".join(code) if channel == "voice" else code
            text = template.replace("{token}", spoken) if template is not None else texts.text("en", spoken)
            self.show(replace(asked, recipient=f"+{leg.channel.to}"), text=text, code=code, channel=channel)
        self._events.follow(asked.account, verify, leg, behaviour.receipt, self.behaviours.rng)
        if len(verify.legs) < len(verify.start.channels):
            self.world.webhooks.later(leg.channel.wait_s, partial(self._go_on, asked, behaviour, leg))

    def _go_on(self, asked: Asked, behaviour: Behaviour, leg: Leg) -> None:
        verify: Verify = asked.values["verify"]
        if not leg.arrived and verify.status(self.world.clock.now_ms()) == "sent":
            self._trigger(asked, behaviour)

    def _leg(self, verify: Verify) -> Leg:
        """Begin the next channel."""
        leg = Leg(
            id=self._uuid(),
            event_id=f"{self._uuid()}:1",
            channel=verify.start.channels[len(verify.legs)],
            created_ms=self.world.clock.now_ms(),
        )
        verify.legs.append(leg)
        return leg

    def _verify(self, asked: Asked) -> Verify | None:
        verify = self._verifies.get(asked.values["id"])
        return verify if verify is not None and verify.account == asked.account.instance else None

    def _check(self, asked: Asked) -> str:
        verify = self._verify(asked)
        if verify is None or verify.deleted:
            return "failed"
        if verify.verified:
            return "OTP already verified"
        if self.world.clock.now_ms() >= verify.expires_ms:
            return "expired"
        verify.verified = hmac.compare_digest(verify.code.encode(), (asked.code or "").encode())
        return "success" if verify.verified else "invalid"

    def _search(self, asked: Asked) -> Answer:
        verify = self._verify(asked)
        if verify is None:
            return self._good({"id": asked.values["id"], "status": "failed"})
        return self._good(verify.shown(self.world.clock.now_ms()))

    def _cancel(self, asked: Asked) -> str:
        verify = self._verify(asked)
        if verify is None or verify.deleted:
            return "failed"
        verify.deleted = not verify.verified
        return "success" if verify.deleted else "OTP already verified"

    def error(self, code: str, asked: Asked | None = None) -> Answer:
        return error_answer(code)

    def throttled(self, retry_after_s: int, asked: Asked | None = None) -> Answer:
        # No header says when to come back.
        return error_answer("429")

    def too_large(self) -> Answer:
        return error_answer("413")

    def _good(self, body: Mapping[str, Any]) -> Answer:
        return Answer(status=200, body=orjson.dumps(body), said=f"200 {body['status']}")

    def _uuid(self) -> str:
        return str(UUID(int=self.world.rng.getrandbits(128), version=4))
