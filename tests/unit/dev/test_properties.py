"""What the development broker is told."""

from __future__ import annotations

import io
from pathlib import Path

from pipeline.dev.progress import Lines
from pipeline.dev.properties import ExtraListener, render, server_properties


def properties(**changed: object) -> dict[str, str]:
    return server_properties(port=1, controller_port=2, log_dir=Path("/data"), **changed)  # type: ignore[arg-type]


def test_nobody_outside_this_machine_can_connect() -> None:
    plain = properties(extra_listener=ExtraListener(port=3, advertised_port=4))
    addresses = [address.split("://")[1] for address in plain["listeners"].split(",")]
    assert {address.split(":")[0] for address in addresses} == {"127.0.0.1"}


def test_topics_are_never_made_by_a_typing_error() -> None:
    assert properties()["auto.create.topics.enable"] == "false"


def test_the_extra_listener_is_advertised_where_the_proxy_listens() -> None:
    found = properties(extra_listener=ExtraListener(port=3, advertised_port=4))
    assert "CHAOS://127.0.0.1:3" in found["listeners"].split(",")
    assert found["advertised.listeners"] == "PLAINTEXT://127.0.0.1:1,CHAOS://127.0.0.1:4"
    assert "CHAOS:PLAINTEXT" in found["listener.security.protocol.map"]
    assert "CHAOS" not in str(properties())


def test_properties_given_win() -> None:
    assert properties(overrides={"broker.session.timeout.ms": "3000"})["broker.session.timeout.ms"] == "3000"


def test_a_windows_path_keeps_its_backslashes() -> None:
    assert render({"log.dirs": "C:\\data"}) == "log.dirs=C:\\\\data\n"


def test_progress_in_a_log_is_a_line_per_quarter() -> None:
    output = io.StringIO()
    lines = Lines(output)
    lines.begin("4.3.1", 50)
    for done in range(1, 51):
        lines.advance("jar", done, done * 1_000_000)
    lines.end()
    assert output.getvalue().splitlines() == [
        "Fetching Apache Kafka 4.3.1 (50 jars, once)",
        "  13 of 50 jars, 13 MB",
        "  25 of 50 jars, 25 MB",
        "  38 of 50 jars, 38 MB",
        "  50 of 50 jars, 50 MB",
    ]
