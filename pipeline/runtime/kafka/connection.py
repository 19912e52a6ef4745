"""How every client of ours connects: one place for addresses, security and names."""

from __future__ import annotations

import ssl
from typing import Any

from pipeline.settings import KafkaSettings


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
