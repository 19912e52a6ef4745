"""What becomes of a message, and the signed callbacks that tell it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import partial
from typing import Final

import orjson

from pipeline.simulator.behaviour import Receipt
from pipeline.simulator.providers.telesign.auth import sign
from pipeline.simulator.providers.telesign.errors import STATUSES
from pipeline.simulator.providers.telesign.state import Transaction
from pipeline.simulator.receipts import Moment, moments
from pipeline.simulator.webhooks import Event
from pipeline.simulator.world import Account, World

FIRST: Final = {"sms": 290, "voice": 103}
"""The status of the immediate answer."""
_GOOD: Final = {"sms": (203, 200), "voice": (100,)}
_BAD: Final = {"sms": (203, 207), "voice": (101,)}


def course(channel: str, receipt: Receipt) -> Sequence[int]:
    """The statuses after the first; an undelivered message ends with the receipt's error code where that is one."""
    if receipt.status != "undelivered":
        return _GOOD[channel]
    *before, last = _BAD[channel]
    asked = receipt.error_code or ""
    return (*before, int(asked) if asked.isdecimal() and int(asked) in STATUSES else last)


class Events:
    """Lets transactions proceed and tells the receiver that the request named, else the account's."""

    def __init__(self, *, world: World, provider: str) -> None:
        self._world = world
        self._provider = provider

    def follow(self, account: Account, transaction: Transaction, receipt: Receipt, rng: random.Random) -> None:
        """Move through the course, with a callback for every move."""
        statuses = course(transaction.channel, receipt)
        for status, moment in zip(statuses, moments(len(statuses), receipt, rng), strict=True):
            self._world.webhooks.later(
                moment.after_s, partial(self._move, account, transaction, status, receipt, moment)
            )

    def _move(self, account: Account, transaction: Transaction, status: int, receipt: Receipt, moment: Moment) -> None:
        transaction.move(status, self._world.clock.now_ms())
        if receipt.status == "missing":
            return
        body = orjson.dumps(transaction.told())
        customer_id, api_key = account.credentials["customer_id"], account.credentials["api_key"]

        def signed(raw: bytes, time_s: int) -> dict[str, str]:
            signature = sign(api_key, raw)
            return {"Authorization": f"TSA {customer_id}:{signature}", "X-TS-Authorization": signature}

        for _ in range(receipt.copies):
            self._world.webhooks.post(
                Event(
                    provider=self._provider,
                    instance=account.instance,
                    event_id=f"{transaction.id}.{status}",
                    event_type=transaction.sub_resource,
                    body=body,
                    sign=signed,
                    url=transaction.callback_url,
                ),
                after_s=moment.wait_s,
                hold=moment.hold,
            )
