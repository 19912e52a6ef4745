"""The contract in words, for the pages made of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from pipeline.gateway.contract import METHODS, contract, resolved

Node = Mapping[str, Any]

_KINDS: Final = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "object": "object",
    "array": "list",
    "null": "null",
}
_FORMATS: Final = {"date-time": "time (RFC 3339)", "date": "date", "uri-reference": "address"}


class Operation(NamedTuple):
    """One operation of the contract."""

    method: str
    path: str
    node: Node

    @property
    def id(self) -> str:
        """Unique in the contract."""
        found: str = self.node["operationId"]
        return found

    @property
    def scopes(self) -> list[str]:
        """What the key needs; empty for operations without a key."""
        return [scope for one in self.node["security"] for scope in one["apiKey"]]


def operations() -> list[Operation]:
    """Every operation in the contract's order."""
    return [
        Operation(method.upper(), path, node[method])
        for path, node in contract()["paths"].items()
        for method in node
        if method in METHODS
    ]


def by_tag() -> list[tuple[Node, list[Operation]]]:
    """The contract's tags in order, with their operations."""
    every = operations()
    return [(tag, [each for each in every if tag["name"] in each.node["tags"]]) for tag in contract()["tags"]]


def name_of(node: Node) -> str | None:
    """The schema that a node refers to; None when it is none of those with a name."""
    reference: str = node.get("$ref", "")
    return reference.rpartition("/")[2] if reference.startswith("#/components/schemas/") else None


def type_of(node: Node) -> str:
    """What a value may be; a schema with a name by its name in backticks."""
    name = name_of(node)
    if name is not None:
        return f"`{name}`"
    if "const" in node:
        return f"`{_literal(node['const'])}`"
    if "enum" in node:
        return " ".join(f"`{_literal(value)}`" for value in node["enum"])
    if "anyOf" in node:
        return " or ".join(type_of({**_kind(node), **each}) for each in node["anyOf"])
    kinds = node.get("type", "anything")
    return " or ".join(_one(kind, node) for kind in ([kinds] if isinstance(kinds, str) else kinds))


def _kind(node: Node) -> dict[str, Any]:
    return {"type": node["type"]} if "type" in node else {}


def _one(kind: str, node: Node) -> str:
    if kind == "array":
        most = f", at most {node['maxItems']}" if "maxItems" in node else ""
        return f"list of {type_of(node['items'])}{most}"
    if kind == "string":
        words = _FORMATS.get(node.get("format", ""), "text")
        return words + (f" like `{node['pattern']}`" if "pattern" in node else _span(node, "Length", " characters"))
    if kind == "integer":
        return "whole number" + _span(node, "imum", "")
    if kind == "object" and isinstance(node.get("additionalProperties"), Mapping):
        most = f"up to {node['maxProperties']} members" if "maxProperties" in node else "members"
        return f"object of {most}, each {type_of(node['additionalProperties'])}"
    return _KINDS.get(kind, kind)


def _span(node: Node, end: str, unit: str) -> str:
    least, most = node.get(f"min{end}"), node.get(f"max{end}")
    if least is None and most is None:
        return ""
    if most is None:
        return f", at least {least}{unit}"
    return f", at most {most}{unit}" if least is None else f", {least}-{most}{unit}"


def _literal(value: object) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


class Member(NamedTuple):
    """A member of an object, or a parameter."""

    name: str
    type: str
    default: str
    meaning: str
    required: bool


def members(schema: Node) -> list[Member]:
    """The members of an object's schema."""
    required = schema.get("required", ())
    return [_member(name, node, name in required) for name, node in schema.get("properties", {}).items()]


def parameters(operation: Operation) -> Iterator[tuple[str, Member]]:
    """The parameters of an operation, with where each stands."""
    for reference in operation.node.get("parameters", ()):
        node = resolved(reference)
        schema = node["schema"]
        shown = resolved(schema) if "$ref" in schema else schema
        member = _member(node["name"], shown, node.get("required", False))
        yield node["in"], member._replace(meaning=_line(node.get("description", "")))


def _member(name: str, node: Node, required: bool) -> Member:
    default = node.get("default")
    shown = "" if default is None else f"`{_literal(default)}`"
    return Member(name, type_of(node), shown, _line(node.get("description", "")), required)


def _line(text: str) -> str:
    return " ".join(text.split())


def body_of(operation: Operation) -> tuple[bool, Node] | None:
    """Whether a body is needed, and the media type object of JSON; None without a body of ours to describe."""
    body = resolved(operation.node.get("requestBody", {}))
    media = body.get("content", {}).get("application/json")
    return (body.get("required", False), media) if media else None


def answer_of(response: Node) -> str | None:
    """The name of the schema of a good answer; None when it has none."""
    media = resolved(response).get("content", {}).get("application/json", {})
    return name_of(media.get("schema", {}))


def examples_of(media: Node) -> list[tuple[str, Any]]:
    """Examples with their titles."""
    found = [(name, resolved(node)) for name, node in media.get("examples", {}).items()]
    return [(node.get("summary", name.replace("_", " ")), node["value"]) for name, node in found]
