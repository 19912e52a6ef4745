"""``schemas/asyncapi.yaml`` says of the public topics what ``deploy/topics.yaml`` and the records say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
SCHEMAS = ROOT / "schemas"
DOCUMENT: dict[str, Any] = yaml.safe_load((SCHEMAS / "asyncapi.yaml").read_text(encoding="utf-8"))
TOPICS: list[dict[str, Any]] = yaml.safe_load((ROOT / "deploy" / "topics.yaml").read_text(encoding="utf-8"))["topics"]
MESSAGES: dict[str, dict[str, Any]] = DOCUMENT["components"]["messages"]
PUBLIC = {
    name: topic["key"]
    for topic in TOPICS
    if topic.get("public")
    for name in (topic["name"], *([f"{topic['name']}.bulk"] if topic.get("lanes") == "both" else []))
}
YOU_PUBLISH = {"verification.requests", "verification.requests.bulk", "verification.checks", "verification.commands"}
BOTH = {"verification.schemas"}


def followed(reference: str) -> Any:
    """What a reference within the document leads to."""
    found: Any = DOCUMENT
    for name in reference.removeprefix("#/").split("/"):
        found = found[name]
    return found


def references(node: Any) -> list[str]:
    """All references of the document."""
    if isinstance(node, dict):
        here = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return here + [one for value in node.values() for one in references(value)]
    return [one for value in node for one in references(value)] if isinstance(node, list) else []


def message_of(topic: str) -> dict[str, Any]:
    """The one message of a topic."""
    (channel,) = (one for one in DOCUMENT["channels"].values() if one["address"] == topic)
    ((name, message),) = channel["messages"].items()
    assert followed(message["$ref"])["name"] == name
    return MESSAGES[name]


def test_every_public_topic_and_no_other_has_a_channel() -> None:
    assert DOCUMENT["asyncapi"] == "3.0.0"
    assert sorted(one["address"] for one in DOCUMENT["channels"].values()) == sorted(PUBLIC)


@pytest.mark.parametrize("topic", PUBLIC)
def test_the_key_of_a_topic_is_the_one_of_its_file(topic: str) -> None:
    assert message_of(topic)["bindings"]["kafka"]["key"]["description"] == PUBLIC[topic]


@pytest.mark.parametrize("topic", sorted(set(PUBLIC) - BOTH))
def test_a_message_is_the_published_record_of_its_name(topic: str) -> None:
    message = message_of(topic)
    path = SCHEMAS / message["payload"]["schema"]["$ref"]
    record = json.loads(path.read_text(encoding="utf-8"))
    assert (record["name"], record["namespace"]) == (message["name"], "verification.v1")


def test_the_records_of_the_topics_are_those_of_the_page_of_records() -> None:
    page = (ROOT / "docs" / "reference" / "records.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines() if line.startswith("| ")]
    told = {row[0]: row[1].split("`")[1] for row in rows if len(row) == 4 and row[1].startswith("`verification.")}
    assert told
    assert {message_of(topic)["name"]: topic for topic in PUBLIC if not topic.endswith(".bulk")} == told | {
        "WriterSchema": "verification.schemas"
    }


def test_the_pipeline_receives_what_you_publish_and_sends_what_you_read() -> None:
    done: dict[str, set[str]] = {topic: set() for topic in PUBLIC}
    for operation in DOCUMENT["operations"].values():
        done[followed(operation["channel"]["$ref"])["address"]].add(operation["action"])
    for topic, actions in done.items():
        wanted = {"receive", "send"} if topic in BOTH else {"receive"} if topic in YOU_PUBLISH else {"send"}
        assert actions == wanted, topic


def test_every_reference_leads_somewhere() -> None:
    for reference in references(DOCUMENT):
        assert followed(reference) if reference.startswith("#/") else (SCHEMAS / reference).exists(), reference
