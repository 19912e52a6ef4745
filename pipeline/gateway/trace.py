"""The trace context of a request, as headers for what is written because of it."""

from __future__ import annotations

from starlette.requests import Request

from pipeline.model.trace import carried
from pipeline.runtime.api import Headers


def trace_of(request: Request) -> Headers:
    """``traceparent`` as a header of Kafka records; nothing when it is missing or not of the right form."""
    return carried((name.decode("latin-1"), value) for name, value in request.scope["headers"])
