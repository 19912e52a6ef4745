"""What anybody may read: writer schemas, the key to seal with, the contract and its page."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Final, Protocol

import orjson
from starlette.requests import Request
from starlette.responses import Response

from pipeline.gateway import docs_page
from pipeline.gateway.contract import contract
from pipeline.gateway.problems import problem
from pipeline.model.keys import PublicKey
from pipeline.model.reasons import ProblemReason
from pipeline.records.store import Readable

_FINGERPRINT: Final = re.compile(r"[0-9a-f]{16}", re.ASCII)
_FOR_EVER: Final = "public, max-age=31536000, immutable"
_FOR_MINUTES: Final = "public, max-age=300"


class Schemas(Protocol):
    """Where writer schemas are found (``pipeline.records.store.SchemaStore``)."""

    def find(self, fingerprint: int) -> Readable | None:
        """The one of this fingerprint."""


class Published:
    """Answers without an API key."""

    def __init__(self, *, schemas: Schemas, public_key: PublicKey) -> None:
        self._schemas = schemas
        self._key = orjson.dumps(
            {"kid": public_key.kid, "key": public_key.text().partition(".")[2], "text": public_key.text()}
        )
        self._contract = orjson.dumps(contract())
        self._page = docs_page.page(contract())

    async def schema(self, request: Request) -> Response:
        """The JSON of a writer schema, as it was given; it can be kept for ever."""
        given = request.path_params["fingerprint"]
        found = self._schemas.find(int(given, 16)) if _FINGERPRINT.fullmatch(given) else None
        if found is None:
            return problem(HTTPStatus.NOT_FOUND, ProblemReason.NOT_FOUND)
        return _json(found.schema.text.encode(), _FOR_EVER)

    async def key(self, request: Request) -> Response:
        """The public key to seal codes with."""
        return _json(self._key, _FOR_MINUTES)

    async def openapi(self, request: Request) -> Response:
        """The contract as JSON."""
        return _json(self._contract, _FOR_MINUTES)

    async def docs(self, request: Request) -> Response:
        """The contract as a page, which may load nothing but what stands in it."""
        return Response(
            self._page.html,
            media_type="text/html",
            headers={"Cache-Control": _FOR_MINUTES, "Content-Security-Policy": self._page.policy},
        )


def _json(body: bytes, keep: str) -> Response:
    return Response(body, media_type="application/json", headers={"Cache-Control": keep})
