"""The contract as one HTML page that needs no script and no other host.

A viewer from a registry would be a megabyte of script and a policy that lets it run; what a reader needs is a list,
some tables and examples.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from typing import Any, Final, NamedTuple

import orjson

from pipeline.gateway import contract_words as words
from pipeline.gateway.contract import contract as document
from pipeline.gateway.contract import reasons, resolved
from pipeline.gateway.docs_style import STYLE

_NOTHING_ELSE: Final = "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_CODE: Final = re.compile(r"`([^`]+)`")
_BOLD: Final = re.compile(r"\*\*([^*]+)\*\*")


class Page(NamedTuple):
    """The page and what it may do."""

    html: bytes
    policy: str
    """Content-Security-Policy."""


def page(contract: Mapping[str, Any]) -> Page:
    """Made once at the start."""
    schemas = contract["components"]["schemas"]
    info = contract["info"]
    body = "".join(
        [
            '<a class="skip" href="#content">Skip to the content</a>',
            f'<nav aria-label="Contents">{"".join(_contents(schemas))}</nav>',
            '<main id="content">',
            f"<h1>{escape(info['title'])}</h1>",
            f'<p class="lead">{_inline(info["summary"])}</p>',
            _text(info["description"]),
            '<p>For programs: <a href="/openapi.json">openapi.json</a> (OpenAPI 3.1).</p>',
            *(_tag(tag, found) for tag, found in words.by_tag()),
            '<h2 id="schemas">Schemas</h2>',
            *(_schema(name, node) for name, node in schemas.items()),
            "</main>",
        ]
    )
    html = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(info['title'])}: HTTP API</title><style>{STYLE}</style></head><body>{body}</body></html>"
    )
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return Page(html.encode(), policy)


def _contents(schemas: Iterable[str]) -> Iterator[str]:
    yield "<details open><summary>Contents</summary>"
    for tag, found in words.by_tag():
        yield f"<h2>{escape(tag['name'])}</h2><ul>"
        for each in found:
            yield f'<li><a href="#{each.id}">{_method(each)} {escape(each.node["summary"])}</a></li>'
        yield "</ul>"
    yield "<h2>Schemas</h2><ul>"
    for name in schemas:
        yield f'<li><a href="#{name}">{name}</a></li>'
    yield "</ul></details>"


def _tag(tag: Mapping[str, Any], found: Iterable[words.Operation]) -> str:
    head = f'<h2 id="{tag["name"].lower().replace(" ", "-")}">{escape(tag["name"])}</h2>'
    return head + _text(tag["description"]) + "".join(map(_operation, found))


def _operation(operation: words.Operation) -> str:
    node = operation.node
    # What key it needs stands in the description, for readers of other viewers too.
    needs = "" if operation.scopes else " Needs no API key."
    parts = [
        f'<section id="{operation.id}">',
        f'<h3>{_method(operation)} <code class="path">{escape(operation.path)}</code></h3>',
        f"<p><strong>{escape(node['summary'])}.</strong>{needs}</p>",
        _text(node.get("description", "")),
    ]
    given = [(place, member) for place, member in words.parameters(operation) if member.name != "X-Request-ID"]
    if given:
        rows = [(f"{_name(member)}<small>{place}</small>", *_cells(member)) for place, member in given]
        parts.append(_table(("parameter", "value", "default", "meaning"), rows))
    body = words.body_of(operation)
    if body is not None and body[1].get("schema"):
        needed = "" if body[0] else ", may be left out"
        parts.append(f"<h4>Body</h4><p>{_inline(words.type_of(body[1]['schema']))}{needed}</p>{_examples(body[1])}")
    parts.append("<h4>Answers</h4>")
    answers = [(f"<b>{status}</b>", *_answer(response)) for status, response in node["responses"].items()]
    parts.append(_table(("status", "body", "meaning"), answers))
    for status, response in node["responses"].items():
        media = resolved(response).get("content", {})
        if status.startswith("2"):
            parts.append(_examples(media.get("application/json", {})))
    return "".join(parts) + "</section>"


def _answer(response: Mapping[str, Any]) -> tuple[str, str]:
    known = reasons(response)
    name = words.answer_of(response)
    body = " ".join(f"<code>{reason}</code>" for reason in known) if known else _inline(f"`{name}`") if name else ""
    return body, _inline(" ".join(resolved(response)["description"].split()))


def _schema(name: str, node: Mapping[str, Any]) -> str:
    parts = [f'<section id="{name}"><h3>{name}</h3>', _text(node.get("description", ""))]
    if "properties" in node:
        rows = [(_name(member), *_cells(member)) for member in words.members(node)]
        parts.append(_table(("member", "value", "default", "meaning"), rows) if rows else "<p>No members.</p>")
    else:
        parts.append(f"<p>{_inline(words.type_of(node))}</p>")
    return "".join(parts) + "</section>"


def _name(member: words.Member) -> str:
    needed = '<abbr title="required">*</abbr>' if member.required else ""
    return f"<code>{escape(member.name)}</code>{needed}"


def _cells(member: words.Member) -> tuple[str, str, str]:
    return _inline(member.type), _inline(member.default), _inline(member.meaning)


def _examples(media: Mapping[str, Any]) -> str:
    return "".join(
        f"<details><summary>Example: {escape(title)}</summary><pre tabindex=0>"
        f"{escape(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode(), quote=False)}</pre></details>"
        for title, value in words.examples_of(media)
    )


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    head = "".join(f"<th scope=col>{each}</th>" for each in heads)
    lines = "".join(
        "<tr>" + "".join(f'<td data-head="{name}">{cell}</td>' for name, cell in zip(heads, row, strict=True)) + "</tr>"
        for row in rows
    )
    return f'<div class="table"><table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table></div>'


def _method(operation: words.Operation) -> str:
    return f'<span class="method {operation.method.lower()}">{operation.method}</span>'


def _text(text: str) -> str:
    return "".join(f"<p>{_inline(each)}</p>" for each in text.strip().split("\n\n") if each)


def _inline(text: str) -> str:
    """Backticks and bold; a schema's name in backticks leads to it."""
    return _BOLD.sub(r"<strong>\1</strong>", _CODE.sub(_code, escape(text, quote=False)))


def _code(found: re.Match[str]) -> str:
    name = found[1]
    known = document()["components"]["schemas"]
    return f'<a href="#{name}"><code>{name}</code></a>' if name in known else f"<code>{name}</code>"
