"""Bird's Verify API as far as it is documented (reference/providers/bird.md, Part A).

Where it is not (paths of resend, failover, list and get, names of the list's parameters), the simulator has what the
page assumes, so that our settings can be tried; that says nothing about the real one.
"""

from __future__ import annotations

import hmac
import re
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson
from starlette.requests import Request

from pipeline.simulator import texts
from pipeline.simulator.answers import Answer
from pipeline.simulator.behaviour import Behaviour, Refusal
from pipeline.simulator.limits import Bounded
from pipeline.simulator.provider import UNKNOWN_OPERATION, Asked, Provider, Refused
from pipeline.simulator.providers.bird import fields
from pipeline.simulator.providers.bird.errors import ERRORS, error_answer
from pipeline.simulator.providers.bird.events import Events
from pipeline.simulator.providers.bird.state import OPEN, Message, Verification
from pipeline.simulator.webhooks import RetryPolicy
from pipeline.simulator.world import Account, World

_PATH: Final = re.compile(r"/workspaces/([^/]{1,64})/verify(?:/([^/]{1,64})(?:/(resend|failover))?)?")
_CHANNELS: Final = {"sms": "phonenumber", "whatsapp": "phonenumber", "email": "emailaddress"}
"""Channels and the address each needs."""


class Bird(Provider):
    """The simulated Bird."""

    name = "bird"
    required_credentials = ("workspace_id", "access_key")
    base_path = "/bird"
    sending = frozenset({"create", "resend", "failover"})
    operations = ("create", "check", "resend", "failover", "list", "get")
    channels = tuple(_CHANNELS)
    answers = (OPEN, "failed", "canceled")
    unhappy_answers = ("failed", "canceled")
    error_codes = tuple(ERRORS)
    refusals = {
        Refusal.RECIPIENT: "422",
        Refusal.CONTENT: "400",
        Refusal.ACCOUNT: "403",
        Refusal.CREDENTIALS: "401",
        Refusal.CREDIT: "402",
        Refusal.ROUTE: "404",
        Refusal.INTERNAL: "500",
    }
    # "At growing intervals for 8 h" is all that is published; these end after 8 h.
    retries = RetryPolicy(
        schedule_s=(10, 30, 60, 120, 300, 600, 1_200, 2_400, 4_800, 7_200, 12_080),
        timeout_s=10,
    )

    def __init__(self, world: World, accounts: Sequence[Account]) -> None:
        super().__init__(world, accounts)
        self._verifications: Bounded[str, Verification] = Bounded(world.keep)
        self._events = Events(world=world, provider=self.name)

    def operation(self, method: str, path: str) -> str:
        found = _PATH.fullmatch(path)
        if found is None:
            return UNKNOWN_OPERATION
        _, verification, action = found.groups()
        if method == "POST":
            return action or ("create" if verification is None else "check")
        if method == "GET" and action is None:
            return "list" if verification is None else "get"
        return UNKNOWN_OPERATION

    def read(self, operation: str, request: Request, raw: bytes) -> Asked:
        account = self._account(request)
        found = _PATH.fullmatch(request.url.path.removeprefix(self.base_path))
        if operation == UNKNOWN_OPERATION or found is None or found[1] != account.credentials["workspace_id"]:
            raise Refused(error_answer("404"))
        asked = Asked(operation=operation, account=account)
        content_type = request.headers.get("content-type", "")
        try:
            if operation == "create":
                self._read_create(asked, fields.create(fields.json_object(content_type, raw)))
            elif operation == "list":
                asked.values["query"] = fields.list_query(request.query_params)
            else:
                self._read_existing(asked, found[2])
                if operation == "check":
                    asked.code = fields.check(fields.json_object(content_type, raw))
                elif operation != "get":
                    self._read_step(asked, fields.step_index(raw, content_type))
        except fields.Wrong as wrong:
            raise Refused(error_answer(wrong.status, wrong.message)) from wrong
        return asked

    def _account(self, request: Request) -> Account:
        given = request.headers.get("authorization", "").encode()
        for account in self.accounts:
            if hmac.compare_digest(given, f"AccessKey {account.credentials['access_key']}".encode()):
                return account
        raise Refused(error_answer("401"))

    def _read_create(self, asked: Asked, values: dict[str, Any]) -> None:
        for step in values["steps"]:
            channel = _channel_of(asked.account, step)
            if channel is None:
                raise Refused(error_answer("404", "There is no such channel in the workspace."))
            address = _CHANNELS[channel]
            if address not in values["identifier"] and address not in step.get("identifier", {}):
                raise fields.Wrong("422", f"A step by {channel} needs an identifier.{address}.")
            if channel == "whatsapp" and "template" not in step:
                raise fields.Wrong("422", "A step by WhatsApp needs a template.")
        now_ms = self.world.clock.now_ms()
        verification = Verification(
            id=self._uuid(),
            account=asked.account.instance,
            fields=values,
            code=self.world.digits(values["codeLength"]),
            status=OPEN,
            created_ms=now_ms,
            updated_ms=now_ms,
        )
        self._aim(asked, verification, 0)

    def _read_existing(self, asked: Asked, verification_id: str) -> None:
        verification = self._verifications.get(verification_id)
        if verification is None or verification.account != asked.account.instance:
            raise Refused(error_answer("404"))
        verification.look(self.world.clock.now_ms())
        self._aim(asked, verification, verification.step)

    def _read_step(self, asked: Asked, index: int | None) -> None:
        verification: Verification = asked.values["verification"]
        if verification.status != OPEN:
            raise fields.Wrong("400", f"The verification is {verification.status}.")
        if index is None:
            index = verification.step + (asked.operation == "failover")
        if index >= len(verification.fields["steps"]):
            raise fields.Wrong("422", "There is no such step.")
        self._aim(asked, verification, index)

    def _aim(self, asked: Asked, verification: Verification, step: int) -> None:
        channel = _channel_of(asked.account, verification.fields["steps"][step]) or ""
        asked.channel = channel
        asked.recipient = verification.recipient(step, _CHANNELS[channel])
        asked.reference = verification.id
        asked.values |= {"verification": verification, "step": step}

    def perform(self, asked: Asked, answer: str) -> Answer:
        if asked.operation == "list":
            return self._list(asked.account, asked.values["query"])
        verification: Verification = asked.values["verification"]
        if asked.operation == "get":
            return _good(200, verification.shown())
        now_ms = self.world.clock.now_ms()
        if asked.operation == "check":
            if not verification.check(asked.code or "", now_ms):
                raise Refused(error_answer("400", "Verification failed."))
            return _good(200, verification.shown())
        verification.status = answer
        verification.step = asked.values["step"]
        verification.updated_ms = now_ms
        self._verifications[verification.id] = verification
        asked.code = verification.code
        return _good(202, verification.shown())

    def send_message(self, asked: Asked, behaviour: Behaviour) -> bool:
        verification: Verification = asked.values["verification"]
        now_ms = self.world.clock.now_ms()
        step = verification.fields["steps"][asked.values["step"]]
        locale = step.get("template", {}).get("locale") or verification.fields["locale"]
        message = Message(
            id=self._uuid(),
            channel=asked.channel or "",
            # A navigator picks one of the workspace's channels, or one nobody configured.
            channel_id=step.get("channelId") or asked.account.credentials.get("channels.sms") or self._uuid(),
            recipient=asked.recipient or "",
            text=texts.text(locale.replace("-", "_"), verification.code),
            created_ms=now_ms,
            updated_ms=now_ms,
        )
        if behaviour.receipt.status != "undelivered":
            self.show(asked, text=message.text, code=verification.code)
        self._events.follow(asked.account, message, behaviour.receipt, self.behaviours.rng)
        return True

    def _list(self, account: Account, query: fields.ListQuery) -> Answer:
        now_ms = self.world.clock.now_ms()
        found = [
            verification
            for verification in self._verifications.values()
            if verification.account == account.instance
            and verification.created_ms >= query.start_ms
            and (query.end_ms is None or verification.created_ms <= query.end_ms)
        ]
        if not query.reverse:
            found.reverse()
        begin = 0
        if query.page_token is not None:
            places = [place for place, each in enumerate(found) if each.id == query.page_token]
            if not places:
                raise Refused(error_answer("400", "The page token is unknown."))
            begin = places[0]
        page = found[begin : begin + query.limit]
        for verification in page:
            verification.look(now_ms)
        body: dict[str, Any] = {"results": [verification.shown() for verification in page]}
        if begin + query.limit < len(found):
            body["nextPageToken"] = found[begin + query.limit].id
        return _good(200, body)

    def error(self, code: str, asked: Asked | None = None) -> Answer:
        return error_answer(code, retry_after_s=1 if code == "429" else None)

    def throttled(self, retry_after_s: int, asked: Asked | None = None) -> Answer:
        return error_answer("429", retry_after_s=retry_after_s)

    def too_large(self) -> Answer:
        return error_answer("413")

    def _uuid(self) -> str:
        return str(uuid.UUID(int=self.world.rng.getrandbits(128), version=4))


def _channel_of(account: Account, step: Mapping[str, Any]) -> str | None:
    """The channel a step goes through, by the ids of the account; a navigator is for SMS."""
    if "navigatorId" in step:
        return "sms" if step["navigatorId"].lower() == account.credentials.get("navigator_id", "").lower() else None
    wanted = step["channelId"].lower()
    return next((name for name in _CHANNELS if account.credentials.get(f"channels.{name}", "").lower() == wanted), None)


def _good(status: int, body: Mapping[str, Any]) -> Answer:
    return Answer(status=status, body=orjson.dumps(body), said=str(status))
