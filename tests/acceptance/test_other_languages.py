"""The how-tos "from Java", "from Go" and "from Node": their programs do what they say, with Kafka and Avro alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from pipeline.runtime.partition import murmur2
from tests.acceptance.harness import PARTITIONS, ROOT, Deployment, Simulator
from tests.acceptance.plain_avro import MAGIC
from tests.acceptance.programs import LANGUAGES, Builds, Program
from tests.acceptance.stranger import Stranger, assert_exact

# A build without any cache may take a minute, and the first test of each language waits for it.
pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(600)]

Run = Callable[..., Program]


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Builds]:
    """All languages, being built side by side."""
    building = Builds(tmp_path_factory.mktemp("programs"))
    yield building
    building.close()


@pytest.fixture(params=list(LANGUAGES))
def verify(request: pytest.FixtureRequest, builds: Builds, deployment: Deployment) -> Run:
    """``verify ...`` of one language, against the installation of these tests."""
    folder = builds.folder_of(request.param)
    environment = builds.environment() | {
        "KAFKA": deployment.kafka,
        "TOPIC_PREFIX": deployment.prefix,
        "SCHEMAS": str(ROOT / "schemas"),
    }
    return lambda *arguments: Program(request.param, folder, environment, *arguments)


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
    verify: Run, stranger: Stranger, simulator: Simulator, people: Iterator[str]
) -> None:
    # Half of all keys have a murmur2 with its sign bit set, which is where clients differ.
    person = next(one for one in people if murmur2(one.encode()) & 0x8000_0000)
    with verify("start", person) as program:
        program.line("v1 ")
        program.type("cancel")
        assert program.ended() == 1, program.lines
    assert "accepted" in program.lines
    assert any("canceled canceled_by_caller" in line for line in program.lines)

    request = next(one for one in stranger.read("verification.requests") if one.key == person.encode())
    assert request.partition == (murmur2(person.encode()) & 0x7FFF_FFFF) % PARTITIONS
    assert request.value is not None
    assert request.value[:2] == MAGIC
    schemas = {one.key for one in stranger.read("verification.schemas")}
    assert f"{int.from_bytes(request.value[2:10], 'little'):016x}".encode() in schemas


def test_codes_and_commands_may_come_from_another_process_than_the_request(
    verify: Run, stranger: Stranger, people: Iterator[str]
) -> None:
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
    with verify("check", "never-asked-for", "123456") as program:
        assert program.ended() == 0
        assert program.lines == ["unknown_verification, 0 checks left"]
    with verify("check", verification_id) as program:
        assert program.ended() == 1
        assert program.lines[0].startswith("usage: ")
