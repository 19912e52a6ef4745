"""What the platform pushes of the messages it sends: one body for SMS, one for voice, one for the others.

That messages of verify objects raise these is not documented; where they do not, a receiver polls.
"""

from __future__ import annotations

import hmac
import random
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import orjson

from pipeline.simulator.behaviour import Receipt
from pipeline.simulator.providers.thundersms.state import Leg, Verify, shown_time
from pipeline.simulator.receipts import Moment, moments
from pipeline.simulator.webhooks import Event, RetryPolicy
from pipeline.simulator.world import Account, World

SMS_RETRIES: Final = RetryPolicy(schedule_s=(1_800, 1_800, 1_800), timeout_s=10)
"""3 retries, 30 min apart; how long an answer may take is not published. Taken for voice too."""
CHANNEL_RETRIES: Final = RetryPolicy(schedule_s=(10, 100), timeout_s=3)
"""WhatsApp, Viber, RCS: an answer within 3 s, two more tries."""
_ONCE: Final = RetryPolicy(schedule_s=(), timeout_s=3)


def course(channel: str, receipt: Receipt) -> list[str]:
    """The statuses a message goes through after it was sent: SMS and voice know only their end."""
    failed = receipt.status == "undelivered"
    match channel:
        case "sms":
            return [(receipt.error_code or "UNDELIV") if failed else "DELIVRD"]
        case "voice":
            return [(receipt.error_code or "NOANSWER") if failed else "ANSWER"]
        case _ if failed:
            return ["sent", receipt.error_code or "failed"]
        case _:
            return ["sent", "delivered", "read"] if receipt.status == "read" else ["sent", "delivered"]


class Events:
    """Lets messages proceed and tells the account's receiver, once that has answered the challenge."""

    def __init__(self, *, world: World, provider: str) -> None:
        self._world = world
        self._provider = provider
        self._confirmed: set[str] = set()
        self._waiting: dict[str, list[tuple[Event, Moment]]] = {}
        """Of receivers that are being asked."""

    def follow(self, account: Account, verify: Verify, leg: Leg, receipt: Receipt, rng: random.Random) -> None:
        """Move a message through its course."""
        if receipt.status == "missing":
            return
        statuses = course(leg.channel.name, receipt)
        for status, moment in zip(statuses, moments(len(statuses), receipt, rng), strict=True):
            self._world.webhooks.later(
                moment.after_s, partial(self._move, account, verify, leg, status, receipt.copies, moment)
            )

    def _move(self, account: Account, verify: Verify, leg: Leg, status: str, copies: int, moment: Moment) -> None:
        leg.status = status
        secret = account.credentials.get("webhook_secret")
        if not secret or not self._world.webhooks.url:
            return
        name, body, policy = self._told(verify, leg)
        for _ in range(copies):
            event = self._event(account, name, body, policy)
            event.event_id = leg.event_id
            if account.instance in self._confirmed:
                self._post(event, moment)
            elif account.instance in self._waiting:
                self._waiting[account.instance].append((event, moment))
            else:
                self._waiting[account.instance] = [(event, moment)]
                self._ask(account)

    def _post(self, event: Event, moment: Moment) -> None:
        self._world.webhooks.post(event, after_s=moment.wait_s, hold=moment.hold)

    def _ask(self, account: Account) -> None:
        """The first request to a new webhook, as when it is created; without the right answer nothing is pushed."""
        key = account.credentials.get("webhook_validation_key", "")
        challenge = self._world.token(16)
        event = self._event(account, "challenge", {"validation_key": key, "challenge": challenge}, _ONCE)
        event.query = f"token={key}"
        event.takes = lambda status, body: status == 200 and _object(body) == {"challenge": challenge}
        event.then = partial(self._answered, account.instance)
        self._world.webhooks.post(event, after_s=0)

    def _answered(self, instance: str, right: bool) -> None:
        waiting = self._waiting.pop(instance, [])
        if right:
            self._confirmed.add(instance)
            for event, moment in waiting:
                self._post(event, moment)

    def _event(self, account: Account, name: str, body: Mapping[str, Any], policy: RetryPolicy) -> Event:
        secret = account.credentials.get("webhook_secret", "")
        webhook_id = account.credentials.get("webhook_id", "")
        signed = webhook_id and policy is CHANNEL_RETRIES

        def sign(raw: bytes, time_s: int) -> Mapping[str, str]:
            headers = {"Authorization": f"Bearer {secret}"}
            if signed:
                headers["Signature"] = hmac.digest(webhook_id.encode(), raw, "sha256").hex()
            return headers

        return Event(
            provider=self._provider,
            instance=account.instance,
            event_id="",
            event_type=name,
            body=orjson.dumps(body),
            sign=sign,
            policy=policy,
            # Other good answers count as failures of an SMS push, and as success of the others.
            takes=_taken_of_sms if policy is SMS_RETRIES else _taken,
        )

    def _told(self, verify: Verify, leg: Leg) -> tuple[str, Mapping[str, Any], RetryPolicy]:
        """Name, body and retries of the push for a message as it stands."""
        now_ms = self._world.clock.now_ms()
        channel, reference = leg.channel, verify.start.foreign_id
        if channel.name == "sms":
            times = {name: shown_time(now_ms) for name in ("deliv_time", "sent_time", "submit_time")}
            stamps = {name: str(now_ms // 1_000) for name in ("deliv_at", "sent_at", "submit_at")}
            told = {"id": leg.event_id, "mobile": channel.to, "status": leg.status, "credits": "1.0000", "units": 1}
            return "sms:message:status", {**told, **times, **stamps, "cid": reference, "custom": None}, SMS_RETRIES
        if channel.name == "voice":
            call = {
                "bridge": channel.sender,
                "from": channel.sender,
                "to": channel.to,
                "source": "api",
                "mid": leg.event_id,
                "flow_id": "",
                "start_at": shown_time(leg.created_ms),
                "end_at": shown_time(now_ms),
                "duration": 12 if leg.arrived else 0,
                "status": leg.status,
                "recording_url": None,
            }
            return "voice:message:out", call, SMS_RETRIES
        at = datetime.fromtimestamp(now_ms / 1_000, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        message = {
            "id": leg.event_id,
            "channel": channel.name,
            "from": channel.sender,
            "to": channel.to,
            "status": leg.status,
            "delivered_at": at if leg.arrived else None,
            "read_at": at if leg.status == "read" else None,
            "processed_at": at,
            "timestamp": at,
            "foreign_id": reference,
        }
        name = f"{channel.name}:message:status"
        return name, {"event": name, "payload": message}, CHANNEL_RETRIES


def _taken(status: int, body: bytes) -> bool:
    return 200 <= status < 300


def _taken_of_sms(status: int, body: bytes) -> bool:
    return status in (200, 202)


def _object(body: bytes) -> object:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
