from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import AsyncIterator
from html.parser import HTMLParser

import pytest

from pipeline.gateway import contract_words as words
from pipeline.gateway.contract import contract
from pipeline.model.keys import PublicKey, seal_public
from pipeline.records.public import VerificationRequest
from pipeline.records.store import current
from tests.unit.gateway.api_bench import RING, ApiBench
from tests.unit.gateway.bench import assert_problem


@pytest.fixture
async def api() -> AsyncIterator[ApiBench]:
    made = ApiBench()
    yield made
    await made.http.aclose()


async def test_a_writer_schema_is_found_by_its_fingerprint_and_may_be_kept_for_ever(api: ApiBench) -> None:
    schema = current(VerificationRequest).schema
    answer = await api.http.get(f"/v1/schemas/{schema.key}")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert "immutable" in answer.headers["Cache-Control"]
    assert answer.json() == json.loads(schema.text)


@pytest.mark.parametrize("fingerprint", ["0" * 16, "ff", "g" * 16, "FF" * 8, "0x" + "0" * 14, "-" + "0" * 15])
async def test_an_unknown_fingerprint_is_404(api: ApiBench, fingerprint: str) -> None:
    assert_problem(await api.http.get(f"/v1/schemas/{fingerprint}"), 404, "not_found")


async def test_what_is_sealed_with_the_published_key_opens_here(api: ApiBench) -> None:
    told = (await api.http.get("/v1/keys/seal")).json()
    assert told["text"] == f"{told['kid']}.{told['key']}"
    key = PublicKey(told["kid"], base64.urlsafe_b64decode(told["key"] + "="))
    assert key == PublicKey.parse(told["text"])
    sealed = seal_public(key, "483920", verification_id="v1", field="code")
    assert RING.open_public(sealed, verification_id="v1", field="code") == "483920"


async def test_the_contract_is_served_as_it_stands_in_the_file(api: ApiBench) -> None:
    answer = await api.http.get("/openapi.json")
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json() == contract()


async def test_the_contract_is_not_served_where_that_is_switched_off() -> None:
    api = ApiBench(docs=False)
    for path in ("/openapi.json", "/docs"):
        assert_problem(await api.http.get(path), 404, "not_found")
    assert (await api.http.get("/v1/keys/seal")).status_code == 200
    await api.http.aclose()


class Reader(HTMLParser):
    """Collects ids, links, and whatever would be fetched or run."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if given.get("id"):
            self.ids.append(str(given["id"]))
        if tag == "a":
            self.links.append(str(given["href"]))
        if tag in ("script", "img", "link", "iframe") or {"src", "style", "onclick"} & set(given):
            self.loaded.append(tag)
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


async def test_the_page_of_the_contract_needs_nothing_but_itself(api: ApiBench) -> None:
    answer = await api.http.get("/docs")
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    reader = Reader()
    reader.feed(answer.text)
    assert reader.loaded == []
    assert reader.open == []
    assert len(reader.ids) == len(set(reader.ids))
    assert {link[1:] for link in reader.links if link.startswith("#")} <= set(reader.ids)
    assert {link for link in reader.links if not link.startswith("#")} == {"/openapi.json"}
    style = re.search(r"<style>(.*)</style>", answer.text, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert f"style-src 'sha256-{digest}'" in policy
    assert "unsafe" not in policy


async def test_the_page_tells_every_operation_schema_and_field(api: ApiBench) -> None:
    text = (await api.http.get("/docs")).text
    for operation in words.operations():
        assert f'id="{operation.id}"' in text
    for name, schema in contract()["components"]["schemas"].items():
        assert f'id="{name}"' in text
        for member in schema.get("properties", {}):
            assert f"<code>{member}</code>" in text


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_a_method_that_an_address_does_not_take_is_405_with_those_it_takes(api: ApiBench, method: str) -> None:
    taken = {
        "/v1/verifications": {"GET", "HEAD", "POST"},
        "/v1/verifications/v/check": {"POST"},
        "/docs": {"GET", "HEAD"},
    }
    for path, methods in taken.items():
        answer = await api.http.request(method, path)
        if method in methods:
            assert answer.status_code != 405
        else:
            assert answer.status_code == 405
            assert method == "HEAD" or answer.json()["reason"] == "method_not_allowed"
            assert set(answer.headers["Allow"].split(", ")) == methods
