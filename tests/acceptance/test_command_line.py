"""``pipeline send`` and its likes from a shell: what they print, and how they end."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.acceptance.harness import Deployment
from tests.acceptance.stranger import new_id

pytestmark = pytest.mark.kafka


def test_json_is_one_document_a_line_for_send_check_and_show(deployment: Deployment, people: Iterator[str]) -> None:
    person, verification_id = next(people), new_id()
    [asked] = json_lines(deployment, "send", person, "--id", verification_id, "--json")
    assert asked == {"verification_id": verification_id}
    [sent] = json_lines(deployment, "send", next(people), "--wait", "--json")
    assert sent["state"] in ("sent", "delivered")
    versions = [each["version"] for each in json_lines(deployment, "show", sent["verification_id"], "--json")]
    assert versions == list(range(1, len(versions) + 1))
    assert len(versions) > 1


def test_an_id_used_again_for_the_same_request_shows_where_it_stands(
    deployment: Deployment, people: Iterator[str]
) -> None:
    person, verification_id = next(people), new_id()
    arguments = ("send", person, "--id", verification_id, "--wait")
    deployment.pipeline(*arguments)
    code, out, told = deployment.ended(*arguments)
    assert code == 0
    assert out.startswith(f"{verification_id}  v")
    assert f"{verification_id} was used before" in told
    assert "changes nothing" in told


def test_an_id_used_again_for_another_request_is_told_as_the_conflict_it_is(
    deployment: Deployment, people: Iterator[str]
) -> None:
    verification_id = new_id()
    deployment.pipeline("send", next(people), "--id", verification_id, "--wait")
    code, out, told = deployment.ended("send", next(people), "--id", verification_id, "--wait")
    assert (code, out) == (1, "")
    assert "error:" in told
    assert "id_conflict" in told
    assert f"pipeline show {verification_id}" in told


def json_lines(deployment: Deployment, *arguments: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in deployment.pipeline(*arguments).splitlines()]
