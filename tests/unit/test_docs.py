"""README and docs say what is there: links resolve, commands, settings, metrics and tests named in them exist."""

from __future__ import annotations

import ast
import re
import shlex
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from pipeline.metrics import Metrics
from pipeline.reference_commands import commands
from pipeline.settings.problems import known_paths, unknown_variables
from pipeline.settings.sources import read

ROOT = Path(__file__).parents[2]
# The libraries of an example that somebody installed beside it bring pages of their own.
OURS = [page for page in sorted((ROOT / "docs").rglob("*.md")) if "node_modules" not in page.parts]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *OURS]
FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")
COMMAND = re.compile(r"(?:^|[ ;|(])pipeline ((?:--config \S+ )?[a-z][^|;)#&]*)")
GLOBAL = {"--config", "--debug", "--version", "--help", "--json"}
HOSTS = re.compile(r"\b(?:[a-z0-9-]+\.)+(?:org|com|net|io|dev|cloud|internal|local)\b", re.IGNORECASE)
OURS_TO_NAME = re.compile(r"(?:.+\.)?example\.(?:org|com|net)|(?:.+\.)?ycloud\.com|neutrinoapi\.(?:net|com)")


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def blocks(page: Path, *languages: str) -> list[str]:
    """The fenced blocks of these languages."""
    return [match[3] for match in FENCE.finditer(text_of(page)) if match[2] in languages]


def spans(page: Path) -> list[str]:
    """The code within lines."""
    return re.findall(r"`([^`\n]+)`", FENCE.sub("", text_of(page)))


@cache
def anchors(page: Path) -> set[str]:
    """What a link may name after #, as forges make it of headings."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", text_of(page)), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def command_lines(page: Path) -> list[str]:
    """Every `pipeline …` that a reader could type."""
    lines = [line for block in blocks(page, "sh") for line in block.splitlines()]
    lines += [span for span in spans(page) if span.startswith("pipeline ")]
    return [found.strip() for line in lines for found in COMMAND.findall(line.partition("  #")[0])]


def wrong(line: str) -> str | None:
    """What is wrong with a command line, without the word `pipeline`."""
    words = shlex.split(line)
    if words[:1] == ["--config"]:
        words = words[2:]
    known: dict[str, Any] = commands()
    name = next((n for n in (" ".join(words[:2]), words[0]) if n in known), None)
    if name is None:
        group_alone = len(words) == 1 and any(each.startswith(f"{words[0]} ") for each in known)
        return None if group_alone else f"there is no `pipeline {line}`"
    options = {option for each in known[name].params for option in (*each.opts, *each.secondary_opts)}
    unknown = [word for word in words if word.startswith("--") and word not in options | GLOBAL]
    return f"`pipeline {name}` has no {', '.join(unknown)}" if unknown else None


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_somewhere(page: Path) -> None:
    broken = []
    for target in LINK.findall(FENCE.sub("", text_of(page))):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        if not found.exists() or (anchor and anchor not in anchors(found)):
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_command_exists_with_its_options(page: Path) -> None:
    assert [told for line in command_lines(page) if (told := wrong(line))] == []


def test_every_process_of_the_procfile_is_a_command_and_has_a_port_of_its_own() -> None:
    lines = text_of(ROOT / "Procfile").splitlines()
    assert [told for line in lines if (told := wrong(line.partition(" pipeline ")[2]))] == []
    ports = re.findall(r"PIPELINE_METRICS__PORT=(\d+)", "\n".join(lines))
    assert len(set(ports)) == len(lines)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_make_target_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):.*## ", text_of(ROOT / "Makefile"), re.MULTILINE))
    lines = [line for block in blocks(page, "sh") for line in block.splitlines()] + spans(page)
    named = {line.split()[1] for line in lines if re.match(r"make [a-z]", line)}
    assert named - targets == set()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_variable_and_metric_exists(page: Path) -> None:
    text = text_of(page)
    known = {"__".join(path).upper() for path in known_paths()}
    patterns = [re.escape(name).replace(r"\*", "[A-Z0-9]+") for name in known]
    variables = re.findall(r"\bPIPELINE_([A-Z0-9_]+__[A-Z0-9_]+)\b", text)
    assert [name for name in variables if not any(re.fullmatch(each, name) for each in patterns)] == []
    metrics = {spec.full_name for spec in Metrics.catalogue().values()}
    told = {word for span in spans(page) for word in re.findall(r"\bverification_[a-z0-9_]+", span)}
    assert told - metrics - {"verification_id"} == set()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_no_variable_it_tells_to_export_is_refused_by_the_program(page: Path) -> None:
    names = re.findall(r"\bPIPELINE_[A-Z][A-Z0-9_]*\b(?!<)", text_of(page))
    sources, _ = read(None, dict.fromkeys(names, "1"))
    assert unknown_variables(sources) == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_test_and_file_named_exists(page: Path) -> None:
    code = "\n".join(text_of(path) for path in (ROOT / "tests").rglob("*.py"))
    tests = {span for span in spans(page) if re.fullmatch(r"test_\w+_\w+_\w+", span)}
    assert [name for name in sorted(tests) if f"def {name}(" not in code] == []
    files = {span for span in spans(page) if re.fullmatch(r"(?:tests|pipeline|docs|deploy|schemas)/[\w./-]+", span)}
    assert [name for name in sorted(files) if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_python_block_is_python(page: Path) -> None:
    for block in blocks(page, "python"):
        compile(block, name_of(page), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_no_mark_of_a_merge_is_left(page: Path) -> None:
    assert re.findall(r"^(?:<{7}|>{7}|={7}$).*", text_of(page), re.MULTILINE) == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_no_path_of_a_machine_and_no_foreign_host_appears(page: Path) -> None:
    text = text_of(page)
    assert re.findall(r"(?<![\w.])/(?:root|home|Users|tmp|work|opt)/\S*", text) == []
    assert str(ROOT) not in text
    assert [host for host in HOSTS.findall(text) if not OURS_TO_NAME.fullmatch(host.lower())] == []


def test_every_page_is_reached_from_the_index() -> None:
    index = ROOT / "docs" / "README.md"
    linked, new = {index}, [index]
    while new:
        page = new.pop()
        for target in LINK.findall(text_of(page)):
            found = (page.parent / target.partition("#")[0]).resolve()
            if found.suffix == ".md" and found.exists() and found not in linked:
                linked.add(found)
                new.append(found)
    assert [name_of(page) for page in PAGES if page not in linked and page.name != "README.md"] == []
