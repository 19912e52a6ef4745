"""POSTs whose headers are the same each time: made once, and copied with the length of the body."""

from __future__ import annotations

from collections.abc import Mapping

import httpx


class Post:
    """Makes the requests of one URL.

    They are what ``httpx.Request("POST", url, headers=headers, content=body)`` is, for a third of its time: httpx
    writes, lowers and searches every header three times over for each request.
    """

    def __init__(self, url: httpx.URL, headers: Mapping[str, str]) -> None:
        self._url = url
        self._headers = httpx.Request("POST", url, headers=headers).headers

    def request(self, body: bytes) -> httpx.Request:
        """A request with this body."""
        request = httpx.Request("POST", self._url, headers=self._headers, stream=httpx.ByteStream(body))
        request.read()
        request.headers["Content-Length"] = str(len(body))
        return request
