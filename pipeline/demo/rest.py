"""The demo's cases that come in over the REST API, as any service that knows HTTP and nothing of Kafka."""

from __future__ import annotations

import uuid
from typing import Any, Final

import httpx
import msgspec

from pipeline.errors import Infrastructure
from pipeline.model.reasons import ReplyReason
from pipeline.records.public import VerificationRequest

_START: Final = "/v1/verifications"


class Rest:
    """A client of the gateway; ``http`` has its base URL and the API key."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def start(self, request: VerificationRequest) -> None:
        """Ask for a verification. Raises Infrastructure when it is not taken."""
        default = VerificationRequest(verification_id=request.verification_id)
        body = {
            name: msgspec.to_builtins(value)
            for name, value in msgspec.structs.asdict(request).items()
            if name == "verification_id" or value != getattr(default, name)
        }
        await self._post(_START, body, takes=(202,))

    async def check(self, verification_id: str, code: str, *, check_id: str | None = None) -> ReplyReason:
        """Check a code; the same ``check_id`` is answered alike."""
        path = f"{_START}/{verification_id}/check"
        answer = await self._post(path, {"code": code}, takes=(200,), key=check_id)
        return ReplyReason(answer["reason"])

    async def command(self, verification_id: str, action: str, **body: Any) -> ReplyReason:
        """``resend``, ``failover`` or ``cancel``."""
        answer = await self._post(f"{_START}/{verification_id}/{action}", body, takes=(202, 409))
        return ReplyReason(answer["reason"])

    async def _post(self, path: str, body: Any, *, takes: tuple[int, ...], key: str | None = None) -> dict[str, Any]:
        headers = {"Idempotency-Key": key or uuid.uuid4().hex}
        try:
            answer = await self._http.post(path, json=body, headers=headers)
        except httpx.HTTPError as error:
            raise Infrastructure(f"the gateway did not answer: {error!r}") from error
        if answer.status_code not in takes:
            raise Infrastructure(f"the gateway answered {answer.status_code}: {answer.text}")
        return dict(answer.json())
