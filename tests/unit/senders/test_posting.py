"""A POST made from a template is the one httpx would have made."""

from __future__ import annotations

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.senders.posting import Post

URL = httpx.URL("https://api.example.org:8443/v2/send")
HEADERS = {"X-API-Key": "k", "Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "ours"}


@given(st.binary(max_size=2_000))
def test_it_has_the_same_headers_and_body(body: bytes) -> None:
    ours, theirs = Post(URL, HEADERS).request(body), httpx.Request("POST", URL, headers=HEADERS, content=body)
    assert sorted(ours.headers.raw) == sorted(theirs.headers.raw)
    assert (ours.method, ours.url, ours.content, ours.read()) == (theirs.method, theirs.url, theirs.content, body)


def test_a_header_set_on_one_request_is_on_no_other() -> None:
    post = Post(URL, HEADERS)
    post.request(b"one").headers["X-Signature"] = "of this body"
    assert "X-Signature" not in post.request(b"two").headers


@pytest.mark.parametrize("body", [b"", b"x" * 100_000])
def test_the_length_is_that_of_the_body(body: bytes) -> None:
    assert Post(URL, HEADERS).request(body).headers["Content-Length"] == str(len(body))
