"""The how-tos "from Java", "from Go" and "from Node": their programs do what they say, with Kafka and Avro alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from pipeline.runtime.partition import murmur2
from tests.acceptance.harness import ROOT, Deployment, Simulator
from tests.acceptance.plain_avro import Schema
from tests.acceptance.programs import LANGUAGES, Builds, Program
from tests.acceptance.reading import Reading
from tests.acceptance.stranger import Stranger, assert_exact

# A build without any cache may take a minute, and the first test of each language waits for it.
pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(600)]

Run = Callable[..., Program]
PARTITIONS = 3


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Builds]:
    """All languages, being built side by side."""
    building = Builds(tmp_path_factory.mktemp("programs"))
    yield building
    building.close()


@pytest.fixture(params=list(LANGUAGES))
def language(request: pytest.FixtureRequest) -> str:
    """Each that there is a how-to of."""
    return str(request.param)


@pytest.fixture
def run(language: str, builds: Builds, kafka: str) -> Run:
    """``run(prefix, ...)``: the program of one language, at the topics with a prefix."""
    folder = builds.folder_of(language)

    def begun(prefix: str, *arguments: str) -> Program:
        where = {"KAFKA": kafka, "TOPIC_PREFIX": prefix, "SCHEMAS": str(ROOT / "schemas")}
        return Program(language, folder, builds.environment() | where, *arguments)

    return begun


@pytest.fixture
def verify(run: Run, deployment: Deployment) -> Run:
    """``verify ...`` against the installation of these tests."""
    return lambda *arguments: run(deployment.prefix, *arguments)


@pytest.fixture
def nobodys(kafka: str, topic_prefix: str) -> str:
    """The prefix of topics that nobody else reads or writes. Of three partitions: the sign bit of a hash, which clients
    treat differently, moves no key where the number is a power of two."""
    admin = AdminClient({"bootstrap.servers": kafka})
    names = ("requests", "outcomes", "replies", "schemas")
    wanted = [NewTopic(f"{topic_prefix}verification.{name}", PARTITIONS, 1) for name in names]
    for created in admin.create_topics(wanted).values():
        created.result(30)
    return topic_prefix


def test_a_program_in_any_language_asks_for_a_verification_follows_it_and_has_the_code_judged(
    verify: Run, stranger: Stranger, simulator: Simulator, people: Iterator[str]
) -> None:
    person = next(people)
    with verify("start", person) as program:
        verification_id = program.line("verification ").split()[1]
        assert program.line("v1 ").startswith("v1 pending")
        delivered = program.line("v3 ")
        code = simulator.code(person)
        program.type("1" * len(code) if code != "1" * len(code) else "2" * len(code))
        assert program.line("wrong_code") == "wrong_code, 2 checks left"
        program.type(code)
        assert program.line("valid") == "valid, 2 checks left"
        assert program.ended() == 0, program.lines

    stranger.outcome(verification_id)
    history = stranger.history(verification_id)
    assert (history[-1]["state"], history[-1]["failed_checks"]) == ("verified", 1)
    assert_exact(history)
    assert delivered == f"v3 delivered {history[2]['provider']}"
    shown = [line for line in program.lines if line[0] == "v" and line[1].isdigit()]
    assert [int(line[1]) for line in shown] == [one["version"] for one in history], "every state, in order"


def test_what_it_publishes_lies_where_java_would_put_it_behind_the_schema_it_was_written_with(
    run: Run, nobodys: str, kafka: str, people: Iterator[str]
) -> None:
    signed, unsigned = (
        next(one for one in people if (murmur2(one.encode()) < 0) is negative) for negative in (True, False)
    )
    for person in (signed, unsigned):
        with run(nobodys, "start", person) as program:
            program.line("verification ")
    log = Reading(kafka, nobodys)
    requests = {one.key: one for one in log.read("verification.requests")}
    schemas = {one.key: one.value for one in log.read("verification.schemas")}
    ours = Schema.of("VerificationRequest")
    assert schemas.keys() == {ours.key.encode()}, "it reads nothing and has written nothing else"
    assert Schema((schemas[ours.key.encode()] or b"").decode()).frame == ours.frame
    for person in (signed, unsigned):
        request = requests[person.encode()]
        assert request.partition == (murmur2(person.encode()) & 0x7FFF_FFFF) % PARTITIONS
        assert request.value is not None
        assert request.value.startswith(ours.frame)
        assert ours.read(request.value, ours)["recipient"] == person


def test_commands_are_typed_beside_codes_and_both_may_come_from_another_process(
    verify: Run, stranger: Stranger, people: Iterator[str]
) -> None:
    with verify("start", next(people)) as program:
        program.line("v1 ")
        program.type("cancel")
        assert program.ended() == 1, program.lines
        assert "accepted" in program.lines
        assert any("canceled canceled_by_caller" in line for line in program.lines)

    verification_id = stranger.request(
        recipient=next(people), steps=[{"channel": "sms"}, {"channel": "voice"}], expires_in_s=300
    )
    stranger.outcome(verification_id, lambda outcome: bool(outcome["state"] == "delivered"))
    with verify("resend", verification_id) as program:
        assert program.line("resend_too_soon").startswith("resend_too_soon until 20")
        assert program.ended() == 0
    with verify("failover", verification_id, "1") as program:
        assert program.ended() == 0
        assert program.lines == ["accepted"]
    with verify("cancel", verification_id) as program:
        assert program.ended() == 0
        assert program.lines == ["accepted"]
    assert stranger.outcome(verification_id)["state"] == "canceled"
    with verify("check", "never-asked-for", "123456") as program:
        assert program.ended() == 0
        assert program.lines == ["unknown_verification, 0 checks left"]
    with verify("check", verification_id) as program:
        assert program.ended() == 1
        assert program.lines[0].startswith("usage: ")
