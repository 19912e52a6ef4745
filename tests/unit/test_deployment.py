"""The stages together on the runtime: what each of them alone cannot promise."""

from __future__ import annotations

import asyncio
from itertools import count

import pytest

from pipeline import topics
from pipeline.records.internal import SendResult
from pipeline.records.public import CodeCheck, Reply, Step, VerificationOutcome, VerificationRequest
from pipeline.records.types import AttemptResult, Channel, VerificationState
from pipeline.runtime.log import TopicPartition
from pipeline.testing import virtual_time
from pipeline.testing.deployment import PARTITIONS, Deployment, home
from pipeline.testing.memory_log import Faults
from tests.unit.senders.doubles import command

PHONE = "+4915123456789"
IP = "203.0.113.77"
ELSEWHERE = (home("v1") + 1) % PARTITIONS
IDS = count()

story = virtual_time.scenario(Deployment)


async def sent(world: Deployment, **fields: object) -> str:
    """Publish ``v1`` and give it time to be sent; its code."""
    request = VerificationRequest(verification_id="v1", recipient=PHONE, **fields)  # type: ignore[arg-type]
    await world.publish(topics.REQUESTS, request, key=PHONE.encode())
    await asyncio.sleep(5)
    return world.messages()[-1]["code"]


async def check(world: Deployment, code: str, partition: int = home("v1")) -> None:
    """From a producer that keys its checks by something else, and so may meet the wrong partition."""
    await world.publish(
        topics.CHECKS,
        CodeCheck(check_id=f"c{next(IDS)}", verification_id="v1", code=code),
        key=next(key for key in map(str, range(100)) if home(key) == partition).encode(),
        partition=partition,
    )


async def reasons(world: Deployment) -> list[str]:
    return [reply.reason for reply in await world.read(topics.REPLIES, Reply)]


@pytest.mark.parametrize("places", [(home("v1"), home("v1")), (home("v1"), ELSEWHERE), (ELSEWHERE, ELSEWHERE)])
def test_of_two_right_answers_at_once_one_is_accepted_wherever_they_lie(places: tuple[int, int]) -> None:
    @story
    async def run(world: Deployment) -> None:
        async with world.running():
            code = await sent(world)
            for place in places:
                await check(world, code, place)
            await asyncio.sleep(5)
        assert sorted(await reasons(world)) == ["already_verified", "valid"]
        outcomes = await world.read(topics.OUTCOMES, VerificationOutcome)
        assert [outcome.version for outcome in outcomes] == list(range(1, len(outcomes) + 1))
        assert [outcome.state for outcome in outcomes if outcome.is_final] == [VerificationState.VERIFIED]

    run()


@pytest.mark.parametrize(
    ("place", "late_ms", "reason"),
    [
        (home("v1"), 0, "valid"),
        (home("v1"), 1, "expired"),
        (ELSEWHERE, 0, "valid"),
        (ELSEWHERE, 1, "expired"),
    ],
)
def test_a_check_is_in_time_by_when_it_was_appended_though_the_tracker_comes_back_an_hour_later(
    place: int, late_ms: int, reason: str
) -> None:
    @story
    async def run(world: Deployment) -> None:
        async with world.running():
            code = await sent(world)
        (last,) = (await world.read(topics.OUTCOMES, VerificationOutcome))[-1:]
        await asyncio.sleep((last.expires_at + late_ms - world.clock.now_ms()) / 1000)
        await check(world, code, place)
        await asyncio.sleep(3_600)
        async with world.running():
            await asyncio.sleep(5)
        assert await reasons(world) == [reason]

    run()


@pytest.mark.parametrize(("late_ms", "reason"), [(0, "valid"), (-30, "valid"), (1, "expired")])
def test_a_check_of_the_last_moment_is_in_time_by_when_it_was_appended_while_it_is_passed_on(
    late_ms: int, reason: str
) -> None:
    class SlowElsewhere(Faults):
        async def before_append(self, writer: str, partition: TopicPartition) -> None:
            if writer == f"tracker.{ELSEWHERE}":
                await asyncio.sleep(0.1)

    @story
    async def run(world: Deployment) -> None:
        async with world.running():
            code = await sent(world)
            (last,) = (await world.read(topics.OUTCOMES, VerificationOutcome))[-1:]
            world.cluster.faults = SlowElsewhere()
            await asyncio.sleep((last.expires_at + late_ms - world.clock.now_ms()) / 1000)
            await check(world, code, ELSEWHERE)
            await asyncio.sleep(5)
        assert await reasons(world) == [reason]
        outcomes = await world.read(topics.OUTCOMES, VerificationOutcome)
        (final,) = (outcome for outcome in outcomes if outcome.is_final)
        assert final.state == {"valid": "verified", "expired": "expired"}[reason]
        assert final.updated_at - final.expires_at < 1_000, "to the second, whichever it is"

    run()


@story
async def test_no_topic_but_the_public_doors_shows_a_code_a_recipient_or_an_address(world: Deployment) -> None:
    """Through every way a secret takes: passed on, waiting, sent, failed over, judged, dead."""
    own, typed = "73915846", "91827364"
    async with world.running():
        await check(world, typed)
        await check(world, typed, ELSEWHERE)
        request = VerificationRequest(
            verification_id="v1", recipient=PHONE, code=own, end_user_ip=IP, steps=[Step(channel=Channel.SMS)] * 2
        )
        await world.publish(topics.REQUESTS, request, partition=(home(PHONE) + 1) % PARTITIONS)
        await asyncio.sleep(2)
        await world.publish(topics.REQUESTS, VerificationRequest(verification_id="v1", recipient=PHONE, code=typed))
        await world.publish(topics.REQUESTS, VerificationRequest(verification_id="v2", recipient=PHONE))
        await asyncio.sleep(60)
        derived = world.messages()[-1]["code"]
        assert {message["code"] for message in world.messages()} == {own, derived}
        await check(world, own, ELSEWHERE)
        await asyncio.sleep(5)
    assert {"wrong_code", "valid"} <= set(await reasons(world))
    assert len(await world.letters()) == 1
    doors = {topics.REQUESTS, topics.CHECKS}
    for topic in {topic.name for topic in world.topics} - doors:
        for record in await world.records(topic):
            shown = b"|".join([record.key or b"", record.value or b"", repr(record.headers).encode()])
            for secret in (own, typed, derived, PHONE, PHONE[1:], IP):
                assert secret.encode() not in shown, f"{topic} shows a secret"


@story
async def test_a_sender_killed_in_a_call_repeats_nothing_and_sends_what_had_not_begun(world: Deployment) -> None:
    world.max_concurrency, world.dawdles_s = 1, 9.0
    topic = topics.send(Channel.SMS)
    for n in (1, 2):
        await world.publish(topic, command(n), partition=0, headers=(("provider", b"ycloud"),))
    async with world.running("sender"):
        await asyncio.sleep(2)
        world.crash()
    world.dawdles_s = 0.0
    async with world.running("sender"):
        await asyncio.sleep(10)
    results = {found.verification_id: found.result for found in await world.read(topics.RESULTS, SendResult)}
    assert results == {"v1": AttemptResult.IN_DOUBT, "v2": AttemptResult.ACCEPTED}
    assert [message["externalId"] for message in world.messages()] == ["v1_1_aairem", "v2_1_aairem"]
