"""The simulator's own endpoints: inbox, calls, webhooks, behaviours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson
from pydantic import ValidationError
from pydantic_core import from_json
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from pipeline.simulator import magic
from pipeline.simulator.behaviour import ConnectionBehaviour, ProviderBehaviour
from pipeline.simulator.behaviours import INHERITED
from pipeline.simulator.connection import Gate
from pipeline.simulator.simulated import Simulated
from pipeline.simulator.world import World

CONNECTIONS: Final = "connections"
"""The name under which connection faults are set; they come before any provider."""


class Control:
    """Handlers over the state all providers share."""

    def __init__(self, *, world: World, providers: Mapping[str, Simulated[Any]], gate: Gate) -> None:
        self._world = world
        self._providers = providers
        self._gate = gate

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            Route("/", self.index, methods=["GET"]),
            Route("/healthz", self.healthz, methods=["GET"]),
            Route("/inbox", self.inbox, methods=["GET"]),
            Route("/inbox", self.clear_inbox, methods=["DELETE"]),
            Route("/calls", self.calls, methods=["GET"]),
            Route("/calls", self.clear_calls, methods=["DELETE"]),
            Route("/webhooks", self.webhooks, methods=["GET"]),
            Route("/behaviour", self.behaviours, methods=["GET"]),
            Route("/behaviour/{provider}", self.behaviour, methods=["GET"]),
            Route("/behaviour/{provider}", self.set_behaviour, methods=["PUT"]),
            Route("/behaviour/{provider}", self.reset_behaviour, methods=["DELETE"]),
        ]

    async def index(self, request: Request) -> Response:
        """Where everything is."""
        return _json(
            {
                "providers": {name: provider.place for name, provider in self._providers.items()},
                "inbox": "/inbox?recipient=&since=",
                "calls": "/calls?provider=",
                "webhooks": "/webhooks",
                "behaviour": "/behaviour/{provider}",
                "webhook_url": self._world.webhooks.url,
            }
        )

    async def healthz(self, request: Request) -> Response:
        """The loop is alive; also says what is waiting."""
        webhooks = self._world.webhooks
        return _json({"status": "ok", "pending_events": webhooks.pending, "dropped_events": webhooks.dropped})

    async def inbox(self, request: Request) -> Response:
        """Messages, oldest first; a plus that a client left bare in the query arrives as a blank."""
        recipient = request.query_params.get("recipient") or None
        if recipient is not None and recipient.startswith(" "):
            recipient = "+" + recipient[1:]
        since = request.query_params.get("since") or "0"
        if not since.isdecimal() or len(since) > 15:
            return _problem([("since", "must be epoch milliseconds, such as 1735787045000")])
        return _json(self._world.inbox.find(recipient=recipient, since=int(since)))

    async def clear_inbox(self, request: Request) -> Response:
        self._world.inbox.clear()
        return Response(status_code=204)

    async def calls(self, request: Request) -> Response:
        """Every request to a provider in order, as JSON lines."""
        provider = request.query_params.get("provider")
        lines = self._world.calls.lines()
        return _lines(line for line in lines if provider is None or line["provider"] == provider)

    async def clear_calls(self, request: Request) -> Response:
        self._world.calls.clear()
        return Response(status_code=204)

    async def webhooks(self, request: Request) -> Response:
        """Every try to deliver an event, as JSON lines."""
        return _lines(self._world.webhooks.lines())

    async def behaviours(self, request: Request) -> Response:
        """What is set, and the table of magic recipients."""
        shown: dict[str, Any] = {name: self._shown(name) for name in (*self._providers, CONNECTIONS)}
        table = {f"*{magic.PREFIX}{digits}": line.sentence for digits, line in magic.TABLE.items()}
        return _json(shown | {"magic": table})

    async def behaviour(self, request: Request) -> Response:
        name = request.path_params["provider"]
        return _json(self._shown(name)) if self._knows(name) else self._unknown(name)

    async def set_behaviour(self, request: Request) -> Response:
        """Replace the whole behaviour of one provider."""
        name = request.path_params["provider"]
        if not self._knows(name):
            return self._unknown(name)
        try:
            raw = await request.body()
        except ClientDisconnect:
            return Response(status_code=400)
        try:
            if name == CONNECTIONS:
                self._gate.set(ConnectionBehaviour.model_validate_json(raw))
            else:
                wanted = ProviderBehaviour.model_validate_json(raw)
                provider = self._providers[name]
                problems = provider.problems(wanted)
                if problems:
                    return _problem(problems)
                provider.behaviours.set(wanted)
        except ValidationError as error:
            return _problem(_told(error, raw))
        return _json(self._shown(name))

    async def reset_behaviour(self, request: Request) -> Response:
        """Back to the beginning."""
        name = request.path_params["provider"]
        if not self._knows(name):
            return self._unknown(name)
        if name == CONNECTIONS:
            self._gate.set(ConnectionBehaviour())
        else:
            self._providers[name].behaviours.set(ProviderBehaviour())
        return Response(status_code=204)

    def _knows(self, name: str) -> bool:
        return name == CONNECTIONS or name in self._providers

    def _unknown(self, name: str) -> Response:
        known = ", ".join((*self._providers, CONNECTIONS))
        return _problem([("provider", f"{name!r} is not simulated: use one of {known}")], status=404)

    def _shown(self, name: str) -> dict[str, Any]:
        if name == CONNECTIONS:
            return self._gate.behaviour.model_copy(update={"next": self._gate.left}).model_dump(mode="json")
        provider = self._providers[name]
        current = provider.behaviours.current
        shown = current.model_dump(mode="json", exclude_none=True)
        if provider.retries is None:
            del shown["default"]["receipt"]
        # What a rule does not name is the default's; its own defaults, shown, would look as if they were in force.
        for rule, said in zip(shown["rules"], current.rules, strict=True):
            for unsaid in {*INHERITED} - said.model_fields_set:
                del rule[unsaid]
        return shown


def _told(error: ValidationError, raw: bytes) -> list[tuple[str, str]]:
    """Each field as the person wrote it with what is wrong with it; the forms a value may have are told in one."""
    errors = error.errors(include_url=False)
    body = None if errors[0]["type"] == "json_invalid" else from_json(raw)
    told: dict[str, list[str]] = {}
    for found in errors:
        problem = str(found.get("ctx", {}).get("error", found["msg"]))
        told.setdefault(_field(found["loc"], found["type"], body), []).append(problem)
    return [(field, ", or: ".join(dict.fromkeys(problems))) for field, problems in told.items()]


def _field(place: tuple[int | str, ...], kind: str, body: Any) -> str:
    """The path without the names that pydantic gives to the forms of a value: they stand nowhere in the body."""
    parts: list[str] = []
    for number, part in enumerate(place):
        missing = kind == "missing" and number == len(place) - 1
        held = isinstance(body, dict) and part in body
        if held or missing or (isinstance(body, list) and isinstance(part, int)):
            parts.append(str(part))
            body = None if missing else body[part]
    return ".".join(parts) or "body"


def _json(value: object, status: int = 200) -> Response:
    return Response(orjson.dumps(value), status_code=status, media_type="application/json")


def _lines(values: Iterable[Mapping[str, Any]]) -> Response:
    return Response(b"".join(orjson.dumps(value) + b"\n" for value in values), media_type="application/x-ndjson")


def _problem(errors: list[tuple[str, str]], status: int = 422) -> Response:
    body = {
        "type": "about:blank",
        "title": "Unprocessable Content" if status == 422 else "Not Found",
        "status": status,
        "reason": "invalid_field" if status == 422 else "not_found",
        "errors": [{"field": field, "problem": problem} for field, problem in errors],
    }
    return Response(orjson.dumps(body), status_code=status, media_type="application/problem+json")
