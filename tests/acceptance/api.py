"""A service that knows the REST API, and not one line of this package."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import Any, Final

import httpx

ENDS: Final = ("verified", "expired", "failed", "canceled", "blocked", "rejected")


class Api:
    """One API key's view of the gateway."""

    def __init__(self, url: str, key: str) -> None:
        self.http = httpx.Client(base_url=url, timeout=15, headers={"Authorization": f"Bearer {key}"}, trust_env=False)

    def close(self) -> None:
        """Close the connections."""
        self.http.close()

    def post(self, path: str, body: Any = None, *, key: str | None = None) -> httpx.Response:
        """POST JSON below ``/v1/verifications``; ``key`` is an Idempotency-Key."""
        headers = {} if key is None else {"Idempotency-Key": key}
        return self.http.post(f"/v1/verifications{path}", json={} if body is None else body, headers=headers)

    def start(self, *, key: str | None = None, **fields: Any) -> str:
        """Start a verification that must be taken; returns its id."""
        fields.setdefault("expires_in_s", 60)
        answer = self.post("", fields, key=key)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["verification_id"])

    def get(self, verification_id: str) -> httpx.Response:
        """GET one."""
        return self.http.get(f"/v1/verifications/{verification_id}")

    def check(self, verification_id: str, code: str, *, key: str | None = None) -> dict[str, Any]:
        """Check a code that must be judged; returns the answer."""
        answer = self.post(f"/{verification_id}/check", {"code": code}, key=key)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def page(self, **wanted: Any) -> dict[str, Any]:
        """GET a list."""
        answer = self.http.get("/v1/verifications", params=wanted)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def until(
        self, verification_id: str, holds: Callable[[dict[str, Any]], bool], within_s: float = 20.0
    ) -> dict[str, Any]:
        """The first state seen by GET for which ``holds``."""
        deadline = time.monotonic() + within_s
        while True:
            answer = self.get(verification_id)
            assert answer.status_code == 200, answer.text
            seen = dict(answer.json())
            if holds(seen):
                return seen
            assert time.monotonic() < deadline, f"not within {within_s:g} s; it is {seen['state']} v{seen['version']}"
            time.sleep(0.05)

    def final(self, verification_id: str, within_s: float = 20.0) -> dict[str, Any]:
        """The last state of a verification, waited for."""
        return self.until(verification_id, lambda seen: bool(seen["is_final"]), within_s)


def new_key() -> str:
    """An Idempotency-Key that nobody used before."""
    return uuid.uuid4().hex
