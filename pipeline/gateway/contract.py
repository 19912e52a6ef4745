"""``schemas/openapi.yaml``: the contract that the API is written to."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import yaml

from pipeline.records.released import schemas_folder

METHODS: Final = ("get", "post")


@cache
def contract() -> dict[str, Any]:
    """The whole document; not to be changed."""
    text = (schemas_folder() / "openapi.yaml").read_text(encoding="utf-8")
    found: dict[str, Any] = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
    return found


def resolved(node: Any) -> Any:
    """What a node refers to, when it is a reference; else itself."""
    while isinstance(node, dict) and "$ref" in node:
        target: Any = contract()
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        node = target
    return node


def reasons(response: Any) -> list[str]:
    """The reasons that a response's problem document may have, in the contract's order."""
    content = resolved(response).get("content", {}).get("application/problem+json")
    parts = [] if content is None else content["schema"]["allOf"][1:]
    return [reason for part in parts for reason in part["properties"]["reason"]["enum"]]
