"""Imports point one way (docs/architecture.md): edges → stages → model, records; the runtime knows no domain."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "pipeline"

LEAVES = {"errors", "clock", "topics", "__version__"}
STAGE = {*LEAVES, "model", "records", "settings", "runtime.api", "runtime.partition"}
ALLOWED: dict[str, set[str]] = {
    "settings": {"errors"},
    "model": {"errors", "records.types", "records.public", "records.internal"},
    "records": {*LEAVES, "runtime.api", "runtime.log"},
    "runtime": {*LEAVES, "settings"},
    "router": STAGE,
    "tracker": STAGE,
    "correlator": STAGE,
    "senders": STAGE,
    "simulator": {*LEAVES, "settings", "serving", "http_body"},
    "gateway": {
        *(*LEAVES, "model", "records", "settings", "runtime", "senders", "serving", "http_body", "process"),
        # Where its parts are put together it needs the ports' implementations, and nowhere else.
        *("readmodel.ports", "readmodel.view", "readmodel.opening", "request_reply"),
        # What of a stage is told before the stage has read it: the same request, and its outcome of version 0.
        *("router.content", "tracker.outcome"),
    },
    "readmodel": {*LEAVES, "model", "records", "settings", "runtime", "dev.filelock"},
}
"""What each package may import of ours besides itself; a name covers everything below it."""


def imports(path: Path) -> set[str]:
    """The modules of ours that a file imports, without the package's name; also those for type checkers only."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            # `from pipeline import topics` names modules; `from pipeline.errors import Poison` names one.
            found |= {f"pipeline.{alias.name}" for alias in node.names} if node.module == "pipeline" else {node.module}
    return {name.removeprefix("pipeline.") for name in found if name.startswith("pipeline.")}


def crossed(package: str) -> list[str]:
    """Every import of the package that is not allowed."""
    allowed = {package, *ALLOWED[package]}
    return [
        f"{path.relative_to(PACKAGE)} imports {name}"
        for path in sorted((PACKAGE / package).rglob("*.py"))
        for name in sorted(imports(path))
        if not any(name == each or name.startswith(f"{each}.") for each in allowed)
    ]


@pytest.mark.parametrize("package", list(ALLOWED))
def test_a_package_imports_only_what_stands_below_it(package: str) -> None:
    assert crossed(package) == []


def test_only_the_runtimes_kafka_half_and_the_topics_admin_know_the_client_library() -> None:
    knowing = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if re.search(r"^\s*(?:from|import) aiokafka\b", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    others = {path for path in knowing if not path.startswith("runtime/kafka/")}
    assert others <= {"topics_admin.py", "dev/readiness.py", "hanging/wire.py", "hanging/transactions.py"}


def test_what_reads_phone_numbers_is_known_to_the_numbering_modules_alone() -> None:
    # The simulator and the demo play others, who may well use another library than we do.
    knowing = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if re.search(r"^\s*(?:from|import) r?phonenumbers\b", path.read_text(encoding="utf-8"), re.MULTILINE)
        and path.relative_to(PACKAGE).parts[0] not in ("simulator", "demo")
    }
    assert knowing == {f"model/numbering_{name}.py" for name in ("plans", "python", "rust")}
