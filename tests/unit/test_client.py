from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from structlog.testing import capture_logs

from pipeline import topics
from pipeline.client import VerificationClient
from pipeline.errors import DeadlinePassed, LogUnavailable, UsageError
from pipeline.model.reasons import ReplyReason
from pipeline.records.codec import Codec
from pipeline.records.public import CodeCheck, Command, Reply, VerificationOutcome, VerificationRequest
from pipeline.records.types import AvroRecord, CommandAction, ReplyKind, VerificationState
from pipeline.runtime.api import Emit, Record
from pipeline.runtime.log import TopicPartition, scan
from pipeline.testing import virtual_time
from pipeline.testing.clock import ManualClock
from pipeline.testing.memory_log import Faults, MemoryCluster, MemoryLog
from pipeline.testing.memory_log.log import MemoryProducer, MemoryReader


class Reading(Faults):
    """Lets fetching fail for as long as ``error`` is set."""

    error: Exception | None = None

    async def before_fetch(self, reader: str) -> None:
        if self.error is not None:
            raise self.error


class KeepingLog(MemoryLog):
    """Keeps what it made, to see what became of it."""

    producer_error: Exception | None = None

    def __init__(self, cluster: MemoryCluster) -> None:
        super().__init__(cluster)
        self.readers: list[MemoryReader] = []
        self.producers: list[MemoryProducer] = []

    async def reader(self, starts: Mapping[TopicPartition, int]) -> MemoryReader:
        self.readers.append(await super().reader(starts))
        return self.readers[-1]

    async def producer(self) -> MemoryProducer:
        if self.producer_error is not None:
            raise self.producer_error
        self.producers.append(await super().producer())
        return self.producers[-1]

    async def has_stopped(self) -> bool:
        for reader in self.readers:
            with pytest.raises(LogUnavailable, match="was stopped"):
                await reader.fetch(timeout_ms=0, max_records=1)
        for producer in self.producers:
            with pytest.raises(LogUnavailable, match="was stopped"):
                await producer.send(Emit(topics.CHECKS, b"", b"", 0))
        return True


class World:
    """A client, and the one who answers it."""

    def __init__(self) -> None:
        self.reading = Reading()
        self.log = KeepingLog(MemoryCluster(ManualClock(now_ms=0), faults=self.reading))
        for topic in (topics.OUTCOMES, topics.REPLIES, topics.CHECKS, topics.COMMANDS, topics.REQUESTS):
            self.log.create_topic(topic, partitions=2)
        self.codec = Codec()

    @asynccontextmanager
    async def client(self) -> AsyncIterator[VerificationClient]:
        ids = iter(range(1_000))
        async with VerificationClient(
            log=self.log, codec=self.codec, clock=ManualClock(now_ms=0), new_id=lambda: f"id-{next(ids)}"
        ) as client:
            yield client

    async def publish(self, topic: str, record: AvroRecord | bytes | None) -> None:
        producer = await MemoryLog.producer(self.log)
        value = self.codec.encode(record) if isinstance(record, AvroRecord) else record
        await producer.send(Emit(topic, None, value, 0))

    async def reply(self, verification_id: str, request_id: str, reason: ReplyReason, **more: Any) -> None:
        fields = {"kind": ReplyKind.CHECK, "ok": reason in (ReplyReason.VALID, ReplyReason.ACCEPTED)} | more
        reply = Reply(request_id=request_id, verification_id=verification_id, reason=reason, **fields)
        await self.publish(topics.REPLIES, reply)

    async def end(self, verification_id: str) -> None:
        outcome = VerificationOutcome(
            verification_id=verification_id, version=1, state=VerificationState.VERIFIED, is_final=True
        )
        await self.publish(topics.OUTCOMES, outcome)

    async def checks(self, count: int) -> list[CodeCheck]:
        """The checks on their topic once there are as many."""
        return [
            self.codec.decode(CodeCheck, record.value, public=True) for record in await self.on(topics.CHECKS, count)
        ]

    async def commands(self, count: int) -> list[Command]:
        """The commands, likewise."""
        return [
            self.codec.decode(Command, record.value, public=True) for record in await self.on(topics.COMMANDS, count)
        ]

    async def on(self, topic: str, count: int) -> list[Record]:
        while True:
            starts = {TopicPartition(topic, number): 0 for number in range(2)}
            found = [record async for records in scan(self.log, starts) for record in records]
            if len(found) >= count:
                return found
            await asyncio.sleep(0.01)


world = virtual_time.scenario(World)


@pytest.mark.parametrize(
    ("verification_id", "check_id"),
    [("", None), ("x" * 49, None), ("+4915123456789", None), ("v1", "+4915123456789"), ("v1", "x" * 129)],
)
async def test_a_check_that_could_never_be_answered_is_refused_at_once(
    verification_id: str, check_id: str | None
) -> None:
    client = VerificationClient(log=MemoryLog(MemoryCluster(ManualClock(now_ms=0))), codec=Codec())
    with pytest.raises(UsageError, match="_id: ") as refused:
        await client.check(verification_id, "123456", check_id=check_id)
    assert "4915123456789" not in str(refused.value)


@world
async def test_a_check_is_answered_by_no_reply_of_another_verification(world: World) -> None:
    async with world.client() as client:
        check = asyncio.create_task(client.check("victim", "000000", check_id="K"))
        await world.checks(1)
        await world.reply("attacker", "K", ReplyReason.VALID)
        await world.reply("victim", "K", ReplyReason.WRONG_CODE)
        reply = await check
    assert (reply.verification_id, reply.ok) == ("victim", False)


@world
async def test_a_check_is_answered_by_no_reply_to_a_command_of_the_same_id(world: World) -> None:
    async with world.client() as client:
        check = asyncio.create_task(client.check("v", "000000", check_id="K"))
        await world.checks(1)
        await world.reply("v", "K", ReplyReason.ACCEPTED, kind=ReplyKind.COMMAND)
        await world.reply("v", "K", ReplyReason.WRONG_CODE)
        assert (await check).reason == ReplyReason.WRONG_CODE


@world
async def test_two_verifications_checks_of_one_id_each_get_their_own_reply(world: World) -> None:
    async with world.client() as client:
        checks = [asyncio.create_task(client.check(name, "000000", check_id="K")) for name in ("a", "b")]
        await world.checks(2)
        await world.reply("b", "K", ReplyReason.VALID)
        await world.reply("a", "K", ReplyReason.WRONG_CODE)
        first, second = await asyncio.gather(*checks)
    assert (first.verification_id, second.verification_id) == ("a", "b")
    assert (first.ok, second.ok) == (False, True)


@world
async def test_a_check_asked_twice_at_once_is_answered_twice(world: World) -> None:
    async with world.client() as client:
        checks = [asyncio.create_task(client.check("v", "000000", check_id="K")) for _ in range(2)]
        await world.checks(2)
        await world.reply("v", "K", ReplyReason.VALID)
        assert [reply.ok for reply in await asyncio.gather(*checks)] == [True, True]


@world
async def test_a_check_that_gives_up_leaves_the_same_check_of_somebody_else_waiting(world: World) -> None:
    async with world.client() as client:
        patient = asyncio.create_task(client.check("v", "000000", check_id="K", timeout_s=5))
        with pytest.raises(DeadlinePassed, match="no reply to check K within 1 s"):
            await client.check("v", "000000", check_id="K", timeout_s=1)
        await world.reply("v", "K", ReplyReason.VALID)
        assert (await patient).ok


@world
async def test_whoever_waits_is_told_at_once_that_reading_failed(world: World) -> None:
    loop = asyncio.get_running_loop()
    async with world.client() as client:
        waiting = asyncio.create_task(client.wait("v", timeout_s=600))
        check = asyncio.create_task(client.check("v", "000000", timeout_s=600))
        await world.checks(1)
        world.reading.error = RuntimeError("not authorized to read outcomes")
        for waiter in (waiting, check):
            with pytest.raises(LogUnavailable, match="not authorized to read outcomes") as told:
                await waiter
            assert told.value.__cause__ is world.reading.error
        assert loop.time() < 2


@world
async def test_whoever_asks_later_is_told_too_and_no_check_is_spent_on_it(world: World) -> None:
    async with world.client() as client:
        world.reading.error = RuntimeError("not authorized")
        await asyncio.sleep(10)
        with pytest.raises(LogUnavailable, match="not authorized"):
            await client.wait("v", timeout_s=600)
        with pytest.raises(LogUnavailable, match="not authorized"):
            await client.check("v", "000000", timeout_s=600)
    world.reading.error = None
    assert await world.checks(0) == []


@world
async def test_reading_goes_on_where_it_was_once_it_can(world: World) -> None:
    async with world.client() as client:
        await world.end("before")
        await client.wait("before")
        world.reading.error = RuntimeError("a damaged batch")
        await asyncio.sleep(10)
        await world.end("meanwhile")
        world.reading.error = None
        await asyncio.sleep(2)
        assert (await client.wait("meanwhile", timeout_s=1)).is_final
        check = asyncio.create_task(client.check("v", "000000", check_id="K"))
        await world.checks(1)
        await world.reply("v", "K", ReplyReason.VALID)
        assert (await check).ok


@world
async def test_an_outcome_seen_before_reading_failed_needs_no_reader(world: World) -> None:
    async with world.client() as client:
        await world.end("v")
        await client.wait("v")
        world.reading.error = RuntimeError("not authorized")
        await asyncio.sleep(10)
        assert (await client.wait("v")).is_final


@world
async def test_leaving_stops_producer_and_reader_after_reading_failed(world: World) -> None:
    async with world.client():
        world.reading.error = RuntimeError("not authorized")
        await asyncio.sleep(10)
    world.reading.error = None
    assert await world.log.has_stopped()


@world
async def test_whoever_waits_while_the_client_is_left_is_told_so_at_once(world: World) -> None:
    loop = asyncio.get_running_loop()
    async with world.client() as client:
        waiting = asyncio.create_task(client.wait("v", timeout_s=300))
        check = asyncio.create_task(client.check("v", "000000", timeout_s=120))
        await world.checks(1)
        left_s = loop.time()
    for waiter in (waiting, check):
        with pytest.raises(UsageError, match=r"not open .* within its"):
            await waiter
    assert loop.time() - left_s < 1


@world
async def test_a_client_that_was_left_or_never_entered_says_so_at_once(world: World) -> None:
    loop = asyncio.get_running_loop()
    async with world.client() as client:
        await world.end("seen")
        await client.wait("seen")
    began_s = loop.time()
    request = VerificationRequest(verification_id="v", recipient="+4915112345678")
    for each in (client, VerificationClient(log=world.log, codec=world.codec)):
        for ask in (each.wait("v"), each.check("v", "000000"), each.start(request)):
            with pytest.raises(UsageError, match="not open"):
                await ask
    assert (await client.wait("seen")).is_final
    assert loop.time() == began_s
    assert await world.checks(0) == []


@world
async def test_a_reader_that_cannot_be_stopped_is_replaced_all_the_same(world: World) -> None:
    async def cannot_stop() -> None:
        raise RuntimeError("cannot stop")

    async with world.client() as client:
        world.log.readers[0].stop = cannot_stop  # type: ignore[method-assign]
        world.reading.error = RuntimeError("a damaged batch")
        with capture_logs() as told:
            await asyncio.sleep(3)
        world.reading.error = None
        await asyncio.sleep(3)
        await world.end("v")
        assert (await client.wait("v", timeout_s=5)).is_final
    assert "cannot stop" in next(line["cause"] for line in told if line["action"] == "reader_not_stopped")


@world
async def test_an_entrance_that_fails_leaves_no_reader_behind(world: World) -> None:
    world.log.producer_error = LogUnavailable("no broker answers")
    with pytest.raises(LogUnavailable, match="no broker answers"):
        async with world.client():
            pass
    assert len(world.log.readers) == 1
    assert await world.log.has_stopped()


@world
async def test_records_nobody_can_read_hurt_no_waiter(world: World) -> None:
    garbage = (None, b"", b"\xc3\x01", b"\xc3\x01" + b"\x00" * 8, b"\xff" * 100)
    async with world.client() as client:
        check = asyncio.create_task(client.check("v", "000000", check_id="K"))
        await world.checks(1)
        for topic, foreign in ((topics.REPLIES, VerificationOutcome), (topics.OUTCOMES, Reply)):
            names = {"request_id": "K"} if foreign is Reply else {"version": 1}
            for value in (*garbage, foreign(verification_id="v", **names)):
                await world.publish(topic, value)
        await world.reply("v", "K", ReplyReason.VALID)
        await world.end("v")
        assert (await check).ok
        assert (await client.wait("v")).is_final


@world
async def test_a_start_returns_once_the_request_is_written(world: World) -> None:
    async with world.client() as client:
        request = VerificationRequest(verification_id="v", recipient="+49 1511 2345678")
        assert await client.start(request) == "v"
        (record,) = await world.on(topics.REQUESTS, 1)
    assert record.key == b"+4915112345678"
    assert world.codec.decode(VerificationRequest, record.value, public=True) == request


@world
async def test_a_start_that_was_not_written_says_so(world: World) -> None:
    async with world.client() as client:
        await world.log.producers[0].stop()
        with pytest.raises(LogUnavailable):
            await client.start(VerificationRequest(verification_id="v", recipient="+4915112345678"))


@pytest.mark.parametrize("action", ["resend", "failover", "cancel"])
def test_a_command_is_published_by_verification_id_and_answered(action: str) -> None:
    @world
    async def asked_and_answered(world: World) -> None:
        async with world.client() as client:
            ask, step = getattr(client, action), None if action == "cancel" else 1
            named = {} if step is None else {"step_index": step}
            asked = asyncio.create_task(ask("v", command_id="K", tenant="shop", **named))
            (command,) = await world.commands(1)
            assert command == Command(
                command_id="K",
                verification_id="v",
                tenant="shop",
                action=CommandAction(action),
                step_index=step,
                issued_at=0,
            )
            assert [record.key for record in await world.on(topics.COMMANDS, 1)] == [b"v"]
            await world.reply("v", "K", ReplyReason.ACCEPTED)
            await world.reply("v", "K", ReplyReason.RESEND_TOO_SOON, kind=ReplyKind.COMMAND, retry_at=30_000)
            reply = await asked
        assert (reply.ok, reply.reason, reply.retry_at) == (False, "resend_too_soon", 30_000)

    asked_and_answered()


@world
async def test_a_command_without_an_id_gets_a_new_one_each_time(world: World) -> None:
    async with world.client() as client:
        for number in range(2):
            with pytest.raises(DeadlinePassed, match=f"no reply to command id-{number} within 0.5 s"):
                await client.cancel("v", timeout_s=0.5)
        assert [command.command_id for command in await world.commands(2)] == ["id-0", "id-1"]


@world
async def test_a_check_names_its_tenant_and_the_persons_address_when_told_to(world: World) -> None:
    async with world.client() as client:
        with pytest.raises(DeadlinePassed):
            await client.check("v", "000000", tenant="shop", end_user_ip="192.0.2.1", timeout_s=0.1)
        (check,) = await world.checks(1)
    assert (check.tenant, check.end_user_ip) == ("shop", "192.0.2.1")


@world
async def test_more_than_may_wait_at_once_are_refused(world: World) -> None:
    async with VerificationClient(log=world.log, codec=world.codec, max_waiting=1) as client:
        first = asyncio.create_task(client.check("v", "000000", check_id="K"))
        await world.checks(1)
        with pytest.raises(LogUnavailable, match="already wait"):
            await client.resend("v")
        await world.reply("v", "K", ReplyReason.VALID)
        assert (await first).ok
    assert await world.commands(0) == []


@world
async def test_an_outcome_waited_for_is_not_missed_when_the_next_one_comes_with_it(world: World) -> None:
    states = (VerificationState.PENDING, VerificationState.SENT, VerificationState.VERIFIED)
    async with world.client() as client:
        waiting = asyncio.create_task(client.wait("v", lambda seen: seen.state is VerificationState.SENT))
        await asyncio.sleep(0)
        for version, state in enumerate(states, start=1):
            await world.publish(topics.OUTCOMES, VerificationOutcome(verification_id="v", version=version, state=state))
        assert (await waiting).version == 2


@world
async def test_a_condition_that_fails_is_told_to_whoever_gave_it_and_hurts_nobody_else(world: World) -> None:
    async with world.client() as client:
        mistaken = asyncio.create_task(client.wait("v", lambda seen: bool(1 / 0)))
        other = asyncio.create_task(client.wait("v"))
        await asyncio.sleep(0)
        await world.end("v")
        with pytest.raises(ZeroDivisionError):
            await mistaken
        assert (await other).is_final
