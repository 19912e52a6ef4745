"""What one setting demands of another; told at start instead of at the first request."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from pydantic import SecretStr

from pipeline.settings.providers import (
    DRAIN_S,
    BirdSettings,
    NeutrinoSettings,
    ProviderSettings,
    SmtpSettings,
    TelesignSettings,
    ThunderSmsSettings,
    YCloudSettings,
)
from pipeline.settings.root import Settings
from pipeline.settings.without_effect import without_effect

_NEEDED: dict[type[ProviderSettings], tuple[str, ...]] = {
    YCloudSettings: ("api_key",),
    TelesignSettings: ("customer_id", "api_key"),
    BirdSettings: ("workspace_id", "access_key"),
    NeutrinoSettings: ("user_id", "api_key"),
    ThunderSmsSettings: ("access_token",),
    SmtpSettings: ("host", "from_address"),
}

_REJOIN_S: Final = 10.0
"""What a member needs between letting go of its tasks and being back: the rest of an abandoned one, its producer."""


def contradictions(settings: Settings) -> Iterator[str]:
    """One line for each setting that another one makes impossible."""
    yield from _providers(settings)
    yield from _references(settings)
    yield from without_effect(settings)
    if "@" in urlsplit(settings.registry.url).netloc:
        yield "registry.url: must not hold a user or password; set registry.username and registry.password"
    kafka = settings.kafka
    if kafka.security_protocol.startswith("SASL") and not (kafka.sasl_username and kafka.sasl_password):
        yield f"kafka.sasl_username: {kafka.security_protocol} needs it and kafka.sasl_password; set both"
    if (kafka.ssl_certfile is None) != (kafka.ssl_keyfile is None):
        yield "kafka.ssl_keyfile: a certificate and its key belong together; set both or neither"
    # The broker must not take a member for dead while it waits for its own transaction to end.
    if settings.runtime.transaction_timeout_ms >= kafka.session_timeout_ms:
        yield "runtime.transaction_timeout_ms: must be below kafka.session_timeout_ms"
    yield from _shutdown(settings)


def _shutdown(settings: Settings) -> Iterator[str]:
    shutdown_s = settings.runtime.shutdown_s
    enabled = [(provider.timeout_s, name) for name, provider in settings.providers.items() if provider.enabled]
    longest_s, name = max(enabled, default=(0.0, ""))
    least_s = longest_s + DRAIN_S
    if enabled and shutdown_s < least_s:
        lower = f", or providers.{name}.timeout_s = {shutdown_s - DRAIN_S:g}" if shutdown_s > DRAIN_S else ""
        yield (
            f"runtime.shutdown_s: {shutdown_s:g} is less than a running call of providers.{name} may need "
            f"(its timeout_s {longest_s:g}, and {DRAIN_S:g} to commit the result); "
            f"set runtime.shutdown_s = {least_s:g}{lower}"
        )
    least_ms = math.ceil((shutdown_s + _REJOIN_S) * 1_000)
    if settings.kafka.rebalance_timeout_ms < least_ms:
        yield (
            f"kafka.rebalance_timeout_ms: {settings.kafka.rebalance_timeout_ms} is too short for runtime.shutdown_s = "
            f"{shutdown_s:g}: a member that lets go of its tasks for so long is thrown out of the group; set "
            f"kafka.rebalance_timeout_ms = {least_ms}, or lower shutdown_s"
        )


def _providers(settings: Settings) -> Iterator[str]:
    for name, provider in settings.providers.items():
        if not provider.enabled:
            continue
        for field in _NEEDED[type(provider)]:
            value = getattr(provider, field)
            if not (value.get_secret_value() if isinstance(value, SecretStr) else value):
                yield (
                    f"providers.{name}.{field}: an enabled provider needs it; set it, as "
                    f"PIPELINE_PROVIDERS__{name.upper()}__{field.upper()} or a secret file, or set enabled = false"
                )


def _references(settings: Settings) -> Iterator[str]:
    known = ", ".join(settings.providers) or "none"
    for index, rule in enumerate(settings.routes.rules):
        for provider in rule.providers:
            if provider not in settings.providers:
                yield f"routes.rules[{index}].providers: {provider!r} is no section of [providers]; known: {known}"
        if rule.tenant is not None and rule.tenant not in settings.tenants:
            yield f"routes.rules[{index}].tenant: {rule.tenant!r} is no section of [tenants]"
    for index, sender in enumerate(settings.senders):
        if sender.provider is not None and sender.provider not in settings.providers:
            yield f"senders[{index}].provider: {sender.provider!r} is no section of [providers]; known: {known}"
    for index, price in enumerate(settings.prices.rules):
        if price.provider not in settings.providers:
            yield f"prices.rules[{index}].provider: {price.provider!r} is no section of [providers]; known: {known}"
    for name, key in settings.gateway.api_keys.items():
        if key.tenant not in settings.tenants:
            yield f"gateway.api_keys.{name}.tenant: {key.tenant!r} is no section of [tenants]"
