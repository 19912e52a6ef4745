"""The page of the REST API, from ``schemas/openapi.yaml``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson

from pipeline.gateway import contract_words as words
from pipeline.gateway.contract import contract, reasons, resolved
from pipeline.reference_made import MADE

_INTRO: Final = """\
The contract itself is `schemas/openapi.yaml` (OpenAPI 3.1). A running gateway serves it at `/openapi.json`, and as a
page to read at `/docs`.
"""


def http_page() -> str:
    """Every operation with its parameters, bodies, statuses and reasons, then every schema."""
    lines = ["# REST API", "", MADE, _INTRO, contract()["info"]["description"].strip(), ""]
    for tag, found in words.by_tag():
        lines += [f"## {tag['name']}", "", tag["description"].strip(), ""]
        for operation in found:
            lines += _operation(operation)
    lines += ["## Schemas", ""]
    for name, node in contract()["components"]["schemas"].items():
        lines += _schema(name, node)
    return "\n".join(lines).rstrip() + "\n"


def _operation(operation: words.Operation) -> list[str]:
    node = operation.node
    lines = [f"### `{operation.method} {operation.path}`", "", f"{node['summary']}."]
    if "description" in node:
        lines += ["", node["description"].strip()]
    lines += [] if operation.scopes else ["", "Needs no API key."]
    given = [(place, member) for place, member in words.parameters(operation) if member.name != "X-Request-ID"]
    if given:
        rows = [(f"`{member.name}`", place, *_cells(member)) for place, member in given]
        lines += ["", *_table(("parameter", "in", "value", "default", "meaning"), rows)]
    body = words.body_of(operation)
    if body is not None and "schema" in body[1]:
        lines += ["", f"Body{'' if body[0] else ' (may be left out)'}: {words.type_of(body[1]['schema'])}."]
        lines += _examples(body[1])
    answers = [(status, *_answer(response)) for status, response in node["responses"].items()]
    return [*lines, "", *_table(("status", "body", "meaning"), answers), ""]


def _answer(response: Mapping[str, Any]) -> tuple[str, str]:
    name = words.answer_of(response)
    body = " ".join(f"`{reason}`" for reason in reasons(response)) or (f"`{name}`" if name else "")
    return body, " ".join(resolved(response)["description"].split())


def _schema(name: str, node: Mapping[str, Any]) -> list[str]:
    lines = [f"### {name}", ""]
    if "description" in node:
        lines += [node["description"].strip(), ""]
    found = words.members(node)
    if found:
        rows = [(f"`{each.name}`{' (required)' if each.required else ''}", *_cells(each)) for each in found]
        lines += _table(("member", "value", "default", "meaning"), rows)
    else:
        lines.append("No members." if "properties" in node else words.type_of(node) + ".")
    return [*lines, ""]


def _cells(member: words.Member) -> tuple[str, str, str]:
    return member.type.replace("|", "\\|"), member.default, member.meaning


def _examples(media: Mapping[str, Any]) -> list[str]:
    lines: list[str] = []
    for title, value in words.examples_of(media):
        shown = orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
        lines += ["", f"{title[:1].upper()}{title[1:]}:", "", "```json", shown, "```"]
    return lines


def _table(heads: Iterable[str], rows: Iterable[tuple[str, ...]]) -> list[str]:
    columns = tuple(heads)
    return [
        f"| {' | '.join(columns)} |",
        "|---" * len(columns) + "|",
        *(f"| {' | '.join(row)} |" for row in rows),
    ]
