"""Writes ``schemas/*.avsc`` from the record types, with their docstrings: ``python -m pipeline.records.generate``.

``--release N`` also freezes the schemas that changed since the last release as ``schemas/history/<Record>/vN.avsc``.
"""

from __future__ import annotations

import argparse
import ast
import json
import sys
from collections.abc import Iterable, Mapping
from itertools import pairwise
from pathlib import Path

from pipeline.records.catalogue import RECORDS
from pipeline.records.released import history_folder, schemas_folder, version_of
from pipeline.records.schema_of import named_types, schema_of
from pipeline.records.schemas import parse
from pipeline.records.types import AvroRecord


def documented(record: type[AvroRecord]) -> str:
    """The text of the record's ``.avsc``: its schema with the docstrings of types and fields."""
    docs: dict[str, str] = {}
    for module in {named.__module__ for named in named_types(record).values()}:
        docs |= _docs_of(Path(str(sys.modules[module].__file__)))
    return json.dumps(schema_of(record, docs), indent=2, ensure_ascii=False) + "\n"


def files() -> Mapping[Path, str]:
    """Every generated file and its content."""
    return {schemas_folder() / f"{record.__name__}.avsc": documented(record) for record in RECORDS}


def release(version: int, folder: Path) -> list[Path]:
    """Freeze what changed since each record's newest version in ``folder``; returns the files written.

    Raises ValueError when a changed record already has this version or a later one.
    """
    written = []
    for record in RECORDS:
        text = documented(record)
        versions = sorted((folder / record.__name__).glob("v*.avsc"), key=version_of)
        if versions and parse(versions[-1].read_text(encoding="utf-8")).fingerprint == parse(text).fingerprint:
            continue
        if versions and version_of(versions[-1]) >= version:
            raise ValueError(
                f"{record.__name__} differs from its released {versions[-1].name}; "
                f"a released schema never changes, so release a number above {version_of(versions[-1])}"
            )
        path = folder / record.__name__ / f"v{version}.avsc"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        written.append(path)
    return written


def _docs_of(path: Path) -> dict[str, str]:
    """Docstrings of the classes of a module, and the strings below their attributes."""
    docs: dict[str, str] = {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if not isinstance(node, ast.ClassDef):
            continue
        if text := ast.get_docstring(node):
            docs[node.name] = _one_line(text)
        for field, text in _fields(node.body):
            docs[f"{node.name}.{field}"] = _one_line(text)
    return docs


def _fields(body: list[ast.stmt]) -> Iterable[tuple[str, str]]:
    for statement, below in pairwise(body):
        if (
            isinstance(statement, ast.AnnAssign)
            and isinstance(statement.target, ast.Name)
            and isinstance(below, ast.Expr)
            and isinstance(below.value, ast.Constant)
            and isinstance(below.value.value, str)
        ):
            yield statement.target.id, below.value.value


def _one_line(text: str) -> str:
    return " ".join(text.split())


def main(arguments: list[str] | None = None) -> int:
    """Command line of this module; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.records.generate", description=__doc__)
    parser.add_argument("--release", type=int, metavar="N", help="also freeze changed schemas as version N")
    options = parser.parse_args(arguments)
    for path, text in files().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    if options.release is not None:
        try:
            release(options.release, history_folder())
        except ValueError as error:
            sys.stderr.write(f"{error}\n")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
