"""How every client of ours connects: one place for addresses, security and names."""

from __future__ import annotations

import contextlib
import logging
import ssl
from collections.abc import Iterator
from typing import Any

from pipeline.errors import LogUnavailable
from pipeline.settings import KafkaSettings


def no_broker(bootstrap_servers: str) -> LogUnavailable:
    """To raise when none of these can be connected to."""
    return LogUnavailable(f"no Kafka broker answers at {bootstrap_servers}")


def connection_options(settings: KafkaSettings, client_id: str) -> dict[str, Any]:
    """Keyword arguments that aiokafka's producer, consumer and admin client share."""
    options: dict[str, Any] = {
        "bootstrap_servers": settings.bootstrap_servers,
        "client_id": client_id,
        "security_protocol": settings.security_protocol,
    }
    if settings.security_protocol.startswith("SASL"):
        options["sasl_mechanism"] = settings.sasl_mechanism
        options["sasl_plain_username"] = settings.sasl_username
        options["sasl_plain_password"] = settings.sasl_password.get_secret_value()
    if settings.security_protocol.endswith("SSL"):
        context = ssl.create_default_context(cafile=str(settings.ssl_cafile) if settings.ssl_cafile else None)
        if settings.ssl_certfile:
            context.load_cert_chain(str(settings.ssl_certfile), str(settings.ssl_keyfile or settings.ssl_certfile))
        options["ssl_context"] = context
    return options


def compression(settings: KafkaSettings) -> str | None:
    """The producer's compression, None for none."""
    return None if settings.compression == "none" else settings.compression


@contextlib.contextmanager
def reasons_kept() -> Iterator[list[str]]:
    """Collects why brokers cannot be reached: aiokafka only writes it to its log, and its error does not say it."""
    reasons: list[str] = []

    def keep(record: logging.LogRecord) -> bool:
        if not (str(record.msg).startswith("Unable ") and isinstance(record.args, tuple) and record.args):
            return True
        error = record.args[-1]
        reasons.append(str(error) or type(error).__name__)
        return False

    logger = logging.getLogger("aiokafka")
    logger.addFilter(keep)
    try:
        yield reasons
    finally:
        logger.removeFilter(keep)
