"""Asking over the log: who gets which reply, who is refused, and what is left behind (nothing)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from pipeline import topics
from pipeline.errors import DeadlinePassed, LogUnavailable, UsageError
from pipeline.model.addressee import to_tenant
from pipeline.model.limits import KEPT_TEXT
from pipeline.model.reasons import ReplyReason
from pipeline.records.codec import Codec
from pipeline.records.public import CodeCheck, Command, Reply
from pipeline.records.types import AvroRecord, CommandAction, ReplyKind, VerificationState
from pipeline.request_reply import Asking
from pipeline.runtime.api import Emit, Headers
from pipeline.runtime.log import TopicPartition, scan
from pipeline.testing import virtual_time
from pipeline.testing.clock import ManualClock
from pipeline.testing.memory_log import Faults, MemoryCluster, MemoryLog
from pipeline.testing.memory_log.log import MemoryReader

PARTITIONS = 2


class Reading(Faults):
    """Lets fetching fail for as long as ``error`` is set, or once with ``once``."""

    error: Exception | None = None
    once: Exception | None = None

    async def before_fetch(self, reader: str) -> None:
        if self.error is not None:
            raise self.error
        if self.once is not None:
            error, self.once = self.once, None
            raise error


class CountingLog(MemoryLog):
    """Counts the readers it made."""

    made = 0

    async def reader(self, starts: Mapping[TopicPartition, int]) -> MemoryReader:
        self.made += 1
        return await super().reader(starts)


class CountingCodec(Codec):
    """Counts what it was asked to decode."""

    decoded = 0

    def decode(self, kind: Any, data: bytes | None, *, public: bool) -> Any:
        self.decoded += 1
        return super().decode(kind, data, public=public)


class World:
    """Some who ask, and the one who answers them."""

    def __init__(self) -> None:
        self.reading = Reading()
        self.log = CountingLog(MemoryCluster(ManualClock(now_ms=0), faults=self.reading))
        for topic in (topics.REPLIES, topics.CHECKS, topics.COMMANDS):
            self.log.create_topic(topic, partitions=PARTITIONS)
        self.codec = CountingCodec()
        self.refusing: Exception | None = None

    @asynccontextmanager
    async def asking(self, *, max_waiting: int = 10) -> AsyncIterator[Asking]:
        producer = await self.log.producer()

        async def publish(emit: Emit) -> None:
            if self.refusing is not None:
                raise self.refusing
            await producer.send(emit)

        asking = Asking(log=self.log, codec=self.codec, publish=publish, max_waiting=max_waiting)
        await asking.start()
        try:
            yield asking
        finally:
            await asking.stop()
            assert asking.waiting == 0

    async def reply(self, verification_id: str, request_id: str, *, to: str | None = None, **more: Any) -> None:
        fields: dict[str, Any] = {"kind": ReplyKind.CHECK, "reason": ReplyReason.WRONG_CODE, **more}
        reply = Reply(request_id=request_id, verification_id=verification_id, **fields)
        await self.write(verification_id, reply, to_tenant(to))

    async def write(self, key: str | None, record: AvroRecord | bytes | None, headers: Headers = ()) -> None:
        producer = await self.log.producer()
        value = self.codec.encode(record) if isinstance(record, AvroRecord) else record
        await producer.send(Emit(topics.REPLIES, None if key is None else key.encode(), value, 0, headers))

    async def written(self, topic: str, count: int) -> list[Any]:
        """What stands on the topic once there is as much."""
        kind = CodeCheck if topic == topics.CHECKS else Command
        while True:
            starts = {TopicPartition(topic, number): 0 for number in range(PARTITIONS)}
            found = [record async for records in scan(self.log, starts) for record in records]
            if len(found) >= count:
                return [Codec().decode(kind, record.value, public=True) for record in found]
            await asyncio.sleep(0.01)


def check(verification_id: str = "v", check_id: str = "K", tenant: str | None = None) -> CodeCheck:
    return CodeCheck(check_id=check_id, verification_id=verification_id, code="000000", tenant=tenant)


def command(verification_id: str = "v", command_id: str = "K") -> Command:
    return Command(command_id=command_id, verification_id=verification_id, action=CommandAction.RESEND)


def ask(asking: Asking, request: CodeCheck | Command, timeout_s: float = 5.0) -> asyncio.Task[Reply]:
    return asyncio.create_task(asking.ask(request, timeout_s=timeout_s))


world = virtual_time.scenario(World)


@world
async def test_each_gets_the_reply_to_its_own_kind_verification_and_request(world: World) -> None:
    async with world.asking() as asking:
        requests = [check(), command(), check("w"), check("v", "L")]
        asked = [ask(asking, request) for request in requests]
        await world.written(topics.CHECKS, 3)
        await world.written(topics.COMMANDS, 1)
        await world.reply("v", "L", checks_left=1)
        await world.reply("w", "K", checks_left=2)
        await world.reply("v", "K", checks_left=3, kind=ReplyKind.COMMAND)
        await world.reply("v", "K", checks_left=4)
        assert [reply.checks_left for reply in await asyncio.gather(*asked)] == [4, 3, 2, 1]


@world
async def test_all_who_wait_for_one_id_get_its_one_reply(world: World) -> None:
    async with world.asking() as asking:
        asked = [ask(asking, check()) for _ in range(3)]
        await world.written(topics.CHECKS, 3)
        await world.reply("v", "K", state=VerificationState.SENT)
        assert [reply.state for reply in await asyncio.gather(*asked)] == ["sent"] * 3


@world
async def test_of_two_tenants_that_ask_under_one_id_each_gets_its_own_reply(world: World) -> None:
    async with world.asking() as asking:
        asked = [ask(asking, check(tenant=tenant)) for tenant in ("shop", "kiosk", None)]
        await world.written(topics.CHECKS, 3)
        await world.reply("v", "K", to="shop", ok=True, checks_left=1)
        await world.reply("v", "K", to="+4915123456789", checks_left=2)
        await world.reply("v", "K", to="kiosk", checks_left=3)
        replies = await asyncio.gather(*asked)
        # Who names no tenant takes the first: whose question it was cannot be told.
        assert [reply.checks_left for reply in replies] == [1, 3, 1]


@world
async def test_who_names_a_tenant_that_replies_cannot_name_is_answered_all_the_same(world: World) -> None:
    async with world.asking() as asking:
        for count, tenant in enumerate(("+4915123456789", "kiosk-" * 50), start=1):
            asked = ask(asking, check(tenant=tenant))
            await world.written(topics.CHECKS, count)
            # The tracker keeps no more of it.
            await world.reply("v", "K", to=tenant[:KEPT_TEXT], reason=ReplyReason.UNKNOWN_VERIFICATION)
            assert (await asked).reason == ReplyReason.UNKNOWN_VERIFICATION


@world
async def test_a_reply_of_a_later_verification_state_does_not_change_the_one_given(world: World) -> None:
    async with world.asking() as asking:
        asked = ask(asking, check())
        await world.written(topics.CHECKS, 1)
        await world.reply("v", "K", checks_left=2)
        await world.reply("v", "K", checks_left=1)
        assert (await asked).checks_left == 2


@world
async def test_replies_of_others_are_not_even_decoded(world: World) -> None:
    async with world.asking() as asking:
        asked = ask(asking, check())
        await world.written(topics.CHECKS, 1)
        for number in range(100):
            await world.reply(f"foreign-{number}", "K")
        await world.reply("v", "other request")
        await world.reply("v", "K")
        await asked
        assert world.codec.decoded == 2


@world
async def test_a_reply_without_a_key_is_found_all_the_same(world: World) -> None:
    async with world.asking() as asking:
        asked = ask(asking, check())
        await world.written(topics.CHECKS, 1)
        await world.write(
            None, Reply(request_id="K", verification_id="v", kind=ReplyKind.CHECK, reason="valid", ok=True)
        )
        assert (await asked).ok


@world
async def test_bytes_that_are_no_reply_hurt_no_waiter(world: World) -> None:
    async with world.asking() as asking:
        asked = ask(asking, check())
        await world.written(topics.CHECKS, 1)
        for key in (None, "v"):
            for value in (None, b"", b"\xc3\x01" + b"\x00" * 8, b"\xff" * 100, command()):
                await world.write(key, value)
        await world.reply("v", "K", ok=True)
        assert (await asked).ok


@world
async def test_what_was_written_before_the_start_is_not_read(world: World) -> None:
    await world.reply("v", "K", checks_left=9)
    async with world.asking() as asking:
        asked = ask(asking, check())
        await world.written(topics.CHECKS, 1)
        await world.reply("v", "K", checks_left=1)
        assert (await asked).checks_left == 1


@world
async def test_no_reply_in_time_is_told_with_kind_id_and_time_and_nothing_stays_behind(world: World) -> None:
    async with world.asking() as asking:
        with pytest.raises(DeadlinePassed, match="no reply to command K within 2 s"):
            await asking.ask(command(), timeout_s=2)
        assert asking.waiting == 0
        await world.reply("v", "K", kind=ReplyKind.COMMAND)
        await asyncio.sleep(1)
        assert world.codec.decoded == 0


@world
async def test_each_has_a_deadline_of_its_own(world: World) -> None:
    loop = asyncio.get_running_loop()
    async with world.asking() as asking:
        began_s = loop.time()
        short, long = ask(asking, check(), 1), ask(asking, check(), 9)
        with pytest.raises(DeadlinePassed):
            await short
        assert loop.time() - began_s == pytest.approx(1, abs=0.1)
        await world.reply("v", "K")
        await long


@world
async def test_whoever_stops_waiting_leaves_nothing_behind(world: World) -> None:
    async with world.asking() as asking:
        gone, patient = ask(asking, check()), ask(asking, check())
        await world.written(topics.CHECKS, 2)
        gone.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert asking.waiting == 1
        await world.reply("v", "K", ok=True)
        assert (await patient).ok
        assert asking.waiting == 0


@world
async def test_one_more_than_may_wait_is_refused_before_anything_is_written(world: World) -> None:
    async with world.asking(max_waiting=2) as asking:
        asked = [ask(asking, check(f"v{number}")) for number in range(2)]
        await world.written(topics.CHECKS, 2)
        with pytest.raises(LogUnavailable, match="2 requests already wait for a reply"):
            await asking.ask(check("v2"), timeout_s=5)
        await world.reply("v0", "K")
        await asked[0]
        third = ask(asking, check("v3"))
        await world.written(topics.CHECKS, 3)
        for verification_id in ("v1", "v3"):
            await world.reply(verification_id, "K")
        await asyncio.gather(*asked, third)


@world
async def test_what_kafka_did_not_take_is_not_waited_for(world: World) -> None:
    loop = asyncio.get_running_loop()
    async with world.asking() as asking:
        began_s = loop.time()
        for refusing in (LogUnavailable("away"), DeadlinePassed("not acknowledged within 5 s")):
            world.refusing = refusing
            # Never DeadlinePassed, which says that it was written, and that only the reply is missing.
            with pytest.raises(LogUnavailable, match=str(refusing)):
                await asking.ask(check(), timeout_s=60)
        assert loop.time() == began_s
        assert asking.waiting == 0


@world
async def test_a_reader_that_fails_is_replaced_at_once_and_goes_on_where_it_was(world: World) -> None:
    loop = asyncio.get_running_loop()
    async with world.asking() as asking:
        asked = ask(asking, check(), 5)
        await world.written(topics.CHECKS, 1)
        world.reading.once = RuntimeError("a damaged batch")
        await asyncio.sleep(0.6)
        assert world.reading.once is None
        before_s = loop.time()
        await world.reply("v", "K", ok=True)
        assert (await asked).ok
        assert loop.time() - before_s < 0.1


@world
async def test_replies_written_while_nothing_could_be_read_are_found_afterwards(world: World) -> None:
    async with world.asking() as asking:
        asked = ask(asking, check(), 30)
        await world.written(topics.CHECKS, 1)
        world.reading.error = RuntimeError("not authorized")
        await asyncio.sleep(5)
        await world.reply("v", "K", ok=True)
        await asyncio.sleep(5)
        world.reading.error = None
        assert (await asked).ok


@world
async def test_nothing_is_asked_while_replies_cannot_be_read(world: World) -> None:
    async with world.asking() as asking:
        world.reading.error = RuntimeError("not authorized")
        await asyncio.sleep(5)
        with pytest.raises(LogUnavailable, match=r"replies cannot be read: .*not authorized"):
            await asking.ask(check(), timeout_s=5)
    world.reading.error = None
    assert await world.written(topics.CHECKS, 0) == []


@world
async def test_a_reader_that_fails_again_and_again_is_replaced_once_a_second(world: World) -> None:
    async with world.asking():
        made = world.log.made
        world.reading.error = RuntimeError("not authorized")
        await asyncio.sleep(20)
        assert 18 <= world.log.made - made <= 22


@world
async def test_whoever_waits_at_the_end_is_told_so(world: World) -> None:
    async with world.asking() as asking:
        asked = [ask(asking, check(), 60), ask(asking, command(), 60)]
        await world.written(topics.COMMANDS, 1)
    for each in asked:
        with pytest.raises(LogUnavailable, match="closed"):
            await each
    with pytest.raises(LogUnavailable, match="closed"):
        await asking.ask(check(), timeout_s=1)


@world
async def test_an_id_that_no_reply_may_repeat_is_refused_before_anything_is_written(world: World) -> None:
    async with world.asking() as asking:
        for request in (check("v", ""), check("", "K"), command("v", "+4915123456789"), command("v", "x" * 129)):
            with pytest.raises(UsageError, match="_id: ") as refused:
                await asking.ask(request, timeout_s=5)
            assert "4915123456789" not in str(refused.value)
    assert await world.written(topics.CHECKS, 0) == []
    assert await world.written(topics.COMMANDS, 0) == []
