"""The least that answers a JSON body with 202 on the same server and framework: what a start is measured against.

``python -m tests.benchmarks.bare_server PORT`` serves until SIGTERM.
"""

from __future__ import annotations

import sys

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.benchmarks.whole_pipeline import HOST


class _Body(msgspec.Struct):
    recipient: str
    external_id: str | None = None


_decoder = msgspec.json.Decoder(_Body)


async def _start(request: Request) -> Response:
    body = _decoder.decode(await request.body())
    answer = msgspec.json.encode({"verification_id": body.external_id})
    return Response(answer, 202, media_type="application/json")


def main() -> None:
    """Serve."""
    app = Starlette(routes=[Route("/v1/verifications", _start, methods=["POST"])])
    uvicorn.run(
        app, host=HOST, port=int(sys.argv[1]), loop="uvloop", http="httptools", access_log=False, log_config=None
    )


if __name__ == "__main__":
    main()
