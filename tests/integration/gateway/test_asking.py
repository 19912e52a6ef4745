"""Many who ask side by side on a real Kafka: each gets its own replies, whatever becomes of its reader."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

import pytest

from pipeline import topics
from pipeline.errors import DeadlinePassed
from pipeline.records.codec import Codec
from pipeline.records.public import CodeCheck, Command, Reply
from pipeline.records.types import CommandAction, ReplyKind
from pipeline.request_reply import Asking
from pipeline.runtime.api import Emit, Record
from pipeline.runtime.kafka import KafkaLog
from pipeline.runtime.log import TopicPartition
from pipeline.settings import KafkaSettings

pytestmark = pytest.mark.kafka

PARTITIONS: Final = 4
ASKED: Final = (topics.CHECKS, topics.COMMANDS)
ApplyTopics = Callable[..., Awaitable[None]]


class CountingCodec(Codec):
    """Counts what it decodes."""

    decoded = 0

    def decode(self, kind: Any, data: bytes | None, *, public: bool) -> Any:
        self.decoded += 1
        return super().decode(kind, data, public=public)


class One:
    """One gateway's part of it: a connection, a producer and a follower of its own."""

    def __init__(self, log: KafkaLog, asking: Asking, codec: CountingCodec) -> None:
        self.log = log
        self.asking = asking
        self.codec = codec

    async def check(self, verification_id: str, check_id: str, timeout_s: float = 20.0) -> Reply:
        check = CodeCheck(check_id=check_id, verification_id=verification_id, code="000000")
        return await self.asking.ask(check, timeout_s=timeout_s)

    async def lose_reader(self) -> None:
        """Its reader fails at the next fetch, as one whose connection is gone for good does."""
        reader = self.asking._follower._reader
        assert reader is not None
        await reader.stop()


class Answering:
    """Answers in transactions, as the tracker does, out of order, until the test ends."""

    def __init__(self, log: KafkaLog, *, delay_s: float = 0.0) -> None:
        self._log = log
        self._codec = Codec()
        self._delay_s = delay_s
        self._ending = False
        self.answered = 0

    async def run(self, starts: dict[TopicPartition, int]) -> None:
        reader = await self._log.reader(starts)
        writer = self._log.writer("answering")
        await writer.start()
        picks = random.Random(5)
        try:
            while not self._ending:
                records = await reader.fetch(timeout_ms=50, max_records=500)
                if not records:
                    continue
                await asyncio.sleep(self._delay_s)
                picks.shuffle(records)
                await writer.commit([self._reply(record) for record in records], {}, "answering")
                self.answered += len(records)
        finally:
            await writer.stop()
            await reader.stop()

    def stop(self) -> None:
        """Let :meth:`run` end: a fetch or commit is never canceled."""
        self._ending = True

    def _reply(self, record: Record) -> Emit:
        if record.topic == topics.CHECKS:
            check = self._codec.decode(CodeCheck, record.value, public=True)
            kind, request_id, verification_id = ReplyKind.CHECK, check.check_id, check.verification_id
        else:
            command = self._codec.decode(Command, record.value, public=True)
            kind, request_id, verification_id = ReplyKind.COMMAND, command.command_id, command.verification_id
        reply = Reply(request_id=request_id, verification_id=verification_id, kind=kind, reason=f"for {request_id}")
        # A request's key is its verification id, and so is the reply's.
        return Emit(topics.REPLIES, record.key, self._codec.encode(reply), record.partition)


@pytest.fixture
async def settings(kafka: str, topic_prefix: str, apply_topics: ApplyTopics) -> KafkaSettings:
    await apply_topics(topic_prefix, partitions=PARTITIONS)
    return KafkaSettings(bootstrap_servers=kafka, topic_prefix=topic_prefix)


@asynccontextmanager
async def gateways(settings: KafkaSettings, count: int) -> AsyncIterator[list[One]]:
    async with AsyncExitStack() as stack:
        made = []
        for number in range(count):
            log = KafkaLog(settings, client_id=f"one-{number}")
            await log.start()
            stack.push_async_callback(log.stop)
            producer = await log.producer()
            stack.push_async_callback(producer.stop)
            codec = CountingCodec()
            asking = Asking(log=log, codec=codec, publish=producer.send)
            await asking.start()
            stack.push_async_callback(asking.stop)
            made.append(One(log, asking, codec))
        yield made


@asynccontextmanager
async def answering(settings: KafkaSettings, *, delay_s: float = 0.0) -> AsyncIterator[Answering]:
    log = KafkaLog(settings, client_id="answering")
    await log.start()
    answerer = Answering(log, delay_s=delay_s)
    asked = [TopicPartition(topic, number) for topic in ASKED for number in range(PARTITIONS)]
    running = asyncio.create_task(answerer.run(await log.end_offsets(asked)))
    try:
        yield answerer
    finally:
        answerer.stop()
        await running
        await log.stop()


async def test_of_three_gateways_each_gets_its_own_replies_and_decodes_no_others(settings: KafkaSettings) -> None:
    checks = 200
    async with gateways(settings, 3) as ones, answering(settings) as answerer:
        asked = [(one, f"v-{number}-{n}", f"K-{number}-{n}") for number, one in enumerate(ones) for n in range(checks)]
        replies = await asyncio.gather(*(one.check(*ids) for one, *ids in asked))
        assert [(reply.verification_id, reply.reason) for reply in replies] == [
            (verification_id, f"for {check_id}") for _, verification_id, check_id in asked
        ]
        assert answerer.answered == 3 * checks
        assert [one.codec.decoded for one in ones] == [checks] * 3
        assert [one.asking.waiting for one in ones] == [0, 0, 0]


async def test_the_same_check_at_three_gateways_is_answered_at_each(settings: KafkaSettings) -> None:
    async with gateways(settings, 3) as ones, answering(settings):
        replies = await asyncio.gather(*(one.check("v", "K") for one in ones))
        assert [reply.reason for reply in replies] == ["for K"] * 3


async def test_no_reply_is_lost_when_a_followers_reader_is_replaced(settings: KafkaSettings) -> None:
    async with gateways(settings, 3) as ones, answering(settings, delay_s=0.05):
        asked: list[asyncio.Task[Reply]] = []
        losing = dict(zip((30, 60, 120), ones, strict=True))
        for n in range(150):
            asked += [asyncio.create_task(one.check(f"v-{id(one)}-{n}", f"K-{n}")) for one in ones]
            if n in losing:
                await losing[n].lose_reader()
            await asyncio.sleep(0.01)
        replies = await asyncio.gather(*asked)
        assert [reply.reason for reply in replies] == [f"for K-{n}" for n in range(150) for _ in ones]
        assert [one.asking.waiting for one in ones] == [0, 0, 0]


async def test_a_command_answered_after_its_waiter_has_left_leaves_nothing_behind(settings: KafkaSettings) -> None:
    command = Command(command_id="K", verification_id="v", action=CommandAction.RESEND)
    async with gateways(settings, 2) as (one, other):
        with pytest.raises(DeadlinePassed):
            await one.asking.ask(command, timeout_s=0.2)
        left = asyncio.create_task(one.asking.ask(command, timeout_s=20))
        await asyncio.sleep(0.2)
        left.cancel()
        starts = {TopicPartition(topic, number): 0 for topic in ASKED for number in range(PARTITIONS)}
        answerer = Answering(other.log)
        running = asyncio.create_task(answerer.run(starts))
        async with asyncio.timeout(20):
            while answerer.answered < 2:  # noqa: ASYNC110 - what is awaited has no event to offer
                await asyncio.sleep(0.02)
        # Both read all replies: whoever gets this one has those before it behind it.
        await asyncio.gather(*(each.check(f"w-{id(each)}-{n}", "L") for each in (one, other) for n in range(8)))
        assert (one.asking.waiting, one.asking._asked._waiting) == (0, {})
        assert (one.codec.decoded, other.codec.decoded) == (8, 8)
        answerer.stop()
        await running
