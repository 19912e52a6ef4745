"""The programs of other languages and their pages: what is told is what is tried, pinned, and names no hosts."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.acceptance.pages import difference
from tests.acceptance.programs import EXAMPLES, LANGUAGES, ROOT

HOW_TO = ROOT / "docs" / "how-to"
BUILT = {"target", "node_modules"}


def sources(name: str) -> list[Path]:
    return [path for path in sorted((EXAMPLES / name).rglob("*")) if path.is_file() and not BUILT & set(path.parts)]


@pytest.mark.parametrize("name", LANGUAGES)
def test_a_how_to_tells_the_commands_that_are_tried_and_links_every_file_of_code(name: str) -> None:
    language = LANGUAGES[name]
    page = (HOW_TO / f"from-{name}.md").read_text(encoding="utf-8")
    lines = page.splitlines()
    assert f"cd docs/how-to/examples/{name}" in lines
    assert language.fetch in lines
    assert language.build is None or language.build in lines
    run = " ".join(f"'{word}'" if "*" in word else word for word in language.run)
    for words in ("start +", "check ", "resend ", "failover ", "cancel "):
        assert any(line.startswith(f"{run} {words}") for line in lines), words
    for path in sources(name):
        if path.suffix in (".java", ".go", ".js"):
            assert f"]({path.relative_to(HOW_TO).as_posix()})" in page


@pytest.mark.parametrize("name", LANGUAGES)
def test_the_programs_name_no_host_but_this_machine_and_stay_short(name: str) -> None:
    for path in sources(name):
        text = path.read_text(encoding="utf-8")
        if path.suffix in (".java", ".go", ".js"):
            assert len(text.splitlines()) <= 200, path.name
        if path.name == "package-lock.json":
            packages = json.loads(text)["packages"]
            assert [one for one, package in packages.items() if "resolved" in package] == []
            assert [one for one, package in packages.items() if one and "integrity" not in package] == []
        else:
            # The name of the form of a POM, which nobody opens.
            addresses = set(re.findall(r"https?://[^\s\"'<>]+", text)) - {"http://maven.apache.org/POM/4.0.0"}
            assert addresses == set(), path.name


def test_the_libraries_of_the_programs_are_pinned() -> None:
    pom = (EXAMPLES / "java" / "pom.xml").read_text(encoding="utf-8")
    blocks = re.findall(r"<(dependency|plugin)>(.*?)</\1>", pom, re.DOTALL)
    assert blocks
    assert [block for _, block in blocks if not re.search(r"<version>[\d.]+</version>", block)] == []
    package = json.loads((EXAMPLES / "node" / "package.json").read_text(encoding="utf-8"))
    assert [one for one in package["dependencies"].values() if not re.fullmatch(r"[\d.]+", one)] == []
    assert (EXAMPLES / "go" / "go.sum").stat().st_size > 0


HEAD = "HTTP/1.1 202 Accepted\r\nlocation: /v1/x\r\nretry-after: 29\r\n\r\n"
ANSWER = HEAD + '{"state":"sent","steps":[{"index":0}],"code":"1"}'


@pytest.mark.parametrize(
    "told",
    [
        'HTTP/1.1 202 Accepted\nlocation: /v1\n\n{"state":"sent"}',
        'HTTP/1.1 202 Accepted\nretry-after: 30\n\n{"steps":[{}],"code":"2"}',
    ],
)
def test_a_page_may_shorten_an_answer(told: str) -> None:
    assert difference(told, ANSWER, free=("code", "retry-after")) is None


@pytest.mark.parametrize(
    "told",
    [
        'HTTP/1.1 200 OK\n\n{"state":"sent"}',
        'HTTP/1.1 202 Accepted\nlocation: /v2\n\n{"state":"sent"}',
        'HTTP/1.1 202 Accepted\nx-other: 1\n\n{"state":"sent"}',
        'HTTP/1.1 202 Accepted\n\n{"state":"delivered"}',
        'HTTP/1.1 202 Accepted\n\n{"reason":null}',
        'HTTP/1.1 202 Accepted\n\n{"steps":[]}',
        'HTTP/1.1 202 Accepted\n\n{"steps":[{"index":1}]}',
    ],
)
def test_a_page_that_tells_another_answer_is_found_out(told: str) -> None:
    assert difference(told, ANSWER, free=("code", "retry-after")) is not None
