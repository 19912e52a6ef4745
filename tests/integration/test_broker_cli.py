"""``pipeline dev broker`` and ``pipeline topics`` as a person types them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.cli import main

pytestmark = pytest.mark.kafka

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(kafka: str, topic_prefix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    config = tmp_path / "pipeline.toml"
    config.write_text(
        f'[kafka]\nbootstrap_servers = "{kafka}"\ntopic_prefix = "{topic_prefix}"\n'
        "[providers.neutrino]\nenabled = false\n"
    )

    def call(*arguments: str) -> tuple[int, str, str]:
        code = main(["--config", str(config), "topics", *arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def test_apply_then_check_is_the_way_to_a_first_deployment(run: Run, topic_prefix: str) -> None:
    code, output, _ = run("check", "--replication-factor", "1")
    assert code == 1, "nothing is there yet"
    assert f"{topic_prefix}verification.attempts.neutrino" in output
    code, _, told = run("apply", "--partitions", "3", "--replication-factor", "1")
    assert (code, "0 left for you to decide" in told) == (0, True)
    code, output, told = run("apply", "--replication-factor", "1")
    assert (code, output, told) == (0, "", "All topics are as the file wants them.\n")
    assert run("check", "--replication-factor", "1")[0] == 0


def test_differences_are_there_for_programs_too(run: Run, topic_prefix: str) -> None:
    run("apply", "--partitions", "3", "--replication-factor", "1")
    code, output, _ = run("check", "--partitions", "4", "--replication-factor", "1", "--json")
    found = json.loads(output)
    assert (code, found["ok"]) == (1, False)
    first = next(row for row in found["differences"] if row["topic"] == f"{topic_prefix}verification.checks")
    assert (first["setting"], first["current"], first["wanted"], first["action"]) == ("partitions", "3", "4", "refuse")
    assert "topic_prefix" in first["why"]


def test_another_partition_count_ends_with_1_and_says_that_nothing_was_done(run: Run) -> None:
    run("apply", "--partitions", "3", "--replication-factor", "1")
    code, _, told = run("apply", "--partitions", "4", "--replication-factor", "1")
    assert (code, "nothing can be applied" in told) == (1, True)


def test_apply_without_the_flag_harms_no_cluster_of_one_broker(run: Run) -> None:
    run("apply", "--partitions", "3", "--replication-factor", "1")
    code, output, _ = run("apply", "--json")
    found = json.loads(output)
    assert code == 1
    assert {row["setting"] for row in found["differences"]} == {"replicas", "min.insync.replicas"}
    assert not any(row["applied"] for row in found["differences"])
    assert run("check", "--replication-factor", "1")[0] == 0


def test_wrong_usage_ends_with_2(run: Run) -> None:
    code, _, told = run("apply", "--file", "nowhere.yaml")
    assert (code, "--file" in told) == (2, True)
    code, _, told = run("apply", "--partitions", "3")
    assert (code, "--replication-factor 1" in told) == (2, True)


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("name", ["SIGINT", "SIGHUP"])
def test_dev_broker_says_what_to_type_next_and_ends_cleanly(kafka_jars: str, name: str) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PIPELINE_")}
    command = [sys.executable, "-m", "pipeline"]
    process = subprocess.Popen(
        [*command, "dev", "broker", "--port", "0", "--kafka-version", kafka_jars],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**environment, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    try:
        lines = []
        # Not communicate(): what was read ahead while looking for a line would be lost to it.
        while not lines or "run all" not in lines[-1]:
            lines.append(process.stdout.readline())
            assert lines[-1], lines
        assert re.match(rf"Apache Kafka {re.escape(kafka_jars)} is ready at 127\.0\.0\.1:\d+\. Ctrl-C", lines[0])
        folder = re.search(r"Data: (\S+) \(deleted", lines[1])
        assert folder is not None
        assert Path(folder[1]).exists()
        process.send_signal(getattr(signal, name))
        rest, errors = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, errors
    said = "".join(lines)
    program = f"{sys.executable} -m pipeline"
    assert f"{program} keys new" in said
    assert f"{program} topics apply --partitions 4 --replication-factor 1" in said
    assert "Stopping Kafka" in rest
    assert not Path(folder[1]).exists()
    assert "Traceback" not in errors
