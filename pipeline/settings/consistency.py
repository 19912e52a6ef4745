"""What one setting demands of another; told at start instead of at the first request."""

from __future__ import annotations

import math
import ssl
from collections.abc import Iterator, Mapping
from hashlib import sha256
from itertools import combinations
from typing import Final

from pydantic import SecretStr

from pipeline.settings.edges import ApiKeySettings, GatewaySettings, MetricsSettings, SimulatorSettings
from pipeline.settings.finding import Finding
from pipeline.settings.kafka import KafkaSettings
from pipeline.settings.providers import DRAIN_S
from pipeline.settings.root import Settings
from pipeline.settings.without_effect import without_effect

_NEEDED: Final[Mapping[str, tuple[str, ...]]] = {
    "ycloud": ("api_key",),
    "neutrino": ("user_id", "api_key"),
    "telesign": ("customer_id", "api_key"),
    "thundersms": ("access_token",),
    "bird": ("workspace_id", "access_key"),
    "smtp": ("host", "from_address"),
}
_ANY_ADDRESS: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104  compared, not listened on

_REJOIN_S: Final = 10.0
"""What a member needs between letting go of its tasks and being back: the rest of an abandoned one, its producer."""


def contradictions(settings: Settings) -> Iterator[Finding]:
    """One finding for each setting that another one makes impossible."""
    yield from _providers(settings)
    yield from _references(settings)
    yield from _within_sections(settings)
    yield from _kafka(settings)
    yield from _ports(settings)
    yield from _shutdown(settings)
    yield from without_effect(settings)


def _providers(settings: Settings) -> Iterator[Finding]:
    for name, provider in settings.providers.items():
        for field in _NEEDED.get(provider.kind, ()) if provider.enabled else ():
            value = getattr(provider, field)
            if not (value.get_secret_value() if isinstance(value, SecretStr) else value):
                # No shell exports a variable with a hyphen in its name.
                variable = f"PIPELINE_PROVIDERS__{name.upper()}__{field.upper()} or " if "-" not in name else ""
                file = f"a secret file providers__{name}__{field}"
                yield Finding(
                    f"providers.{name}.{field}: an enabled provider needs it; set it, as {variable}{file}, "
                    "or set enabled = false"
                )
        if not provider.enabled:
            continue
        for field, problem in provider.lacks():
            yield Finding(f"providers.{name}.{field}: {problem}")
        tenants = {f"tenants.{tenant}.min_code_length": each for tenant, each in settings.tenants.items()}
        for field, problem in provider.idle(min((each.min_code_length for each in tenants.values()), default=0)):
            yield Finding(f"providers.{name}.{field}: {problem}", tuple(tenants))
        public_url = settings.gateway.public_url
        unreached = provider.cannot_reach(public_url) if public_url else None
        if unreached is not None:
            also = (f"providers.{name}.base_url", f"providers.{name}.requires_receipts")
            yield Finding(f"gateway.public_url: {unreached}", also)


def _references(settings: Settings) -> Iterator[Finding]:
    for index, rule in enumerate(settings.routes.rules):
        for provider in rule.providers:
            yield from _provider(settings, f"routes.rules[{index}].providers", provider)
        if rule.tenant is not None:
            yield from _tenant(settings, f"routes.rules[{index}].tenant", rule.tenant)
    for index, sender in enumerate(settings.senders):
        if sender.provider is not None:
            yield from _provider(settings, f"senders[{index}].provider", sender.provider)
    for index, price in enumerate(settings.prices.rules):
        yield from _provider(settings, f"prices.rules[{index}].provider", price.provider)
    for name, key in settings.gateway.api_keys.items():
        yield from _tenant(settings, f"gateway.api_keys.{name}.tenant", key.tenant)


def _provider(settings: Settings, path: str, name: str) -> Iterator[Finding]:
    if name not in settings.providers:
        known = ", ".join(settings.providers) or "none"
        problem = f"{name!r} is no section of [providers]; known: {known}"
        yield Finding(f"{path}: {problem}", (f"providers.{name}",))


def _tenant(settings: Settings, path: str, name: str) -> Iterator[Finding]:
    if name not in settings.tenants:
        problem = f"{name!r} is no section of [tenants]; known: {', '.join(settings.tenants)}"
        yield Finding(f"{path}: {problem}", (f"tenants.{name}",))


def _within_sections(settings: Settings) -> Iterator[Finding]:
    runtime = settings.runtime
    if runtime.queue_low >= runtime.queue_high:
        yield Finding("runtime.queue_low: must be below runtime.queue_high", ("runtime.queue_high",))
    # The broker must not take a member for dead while it waits for its own transaction to end.
    if runtime.transaction_timeout_ms >= settings.kafka.session_timeout_ms:
        yield Finding(
            "runtime.transaction_timeout_ms: must be below kafka.session_timeout_ms", ("kafka.session_timeout_ms",)
        )
    for name, tenant in settings.tenants.items():
        if tenant.code_length < tenant.min_code_length:
            least = f"tenants.{name}.min_code_length"
            yield Finding(f"tenants.{name}.code_length: must not be below {least}", (least,))
    for name, key in settings.gateway.api_keys.items():
        if (key.key is None) == (key.key_sha256 is None):
            path = f"gateway.api_keys.{name}"
            yield Finding(f"{path}: give exactly one of key_sha256 and key", (f"{path}.key", f"{path}.key_sha256"))
    yield from _same_keys(settings.gateway.api_keys)


def _same_keys(keys: Mapping[str, ApiKeySettings]) -> Iterator[Finding]:
    """Of two sections with one key only one would count, whatever tenant and scopes the other has."""
    names: dict[str, str] = {}
    for name, key in keys.items():
        digest = key.key_sha256 or ("" if key.key is None else sha256(key.key.get_secret_value().encode()).hexdigest())
        if digest and (other := names.setdefault(digest, name)) != name:
            path = f"gateway.api_keys.{name}"
            yield Finding(f"{path}: has the same key as {other!r}; make one for each", (f"gateway.api_keys.{other}",))


def _kafka(settings: Settings) -> Iterator[Finding]:
    kafka = settings.kafka
    if kafka.security_protocol.startswith("SASL") and not (kafka.sasl_username and kafka.sasl_password):
        yield Finding(
            f"kafka.sasl_username: {kafka.security_protocol} needs it and kafka.sasl_password; set both",
            ("kafka.sasl_password",),
        )
    if (kafka.ssl_certfile is None) != (kafka.ssl_keyfile is None):
        yield Finding(
            "kafka.ssl_keyfile: a certificate and its key belong together; set both or neither", ("kafka.ssl_certfile",)
        )
    elif kafka.security_protocol.endswith("SSL"):
        yield from _certificates(kafka)


def _shutdown(settings: Settings) -> Iterator[Finding]:
    shutdown_s = settings.runtime.shutdown_s
    enabled = [(provider.timeout_s, name) for name, provider in settings.providers.items() if provider.enabled]
    longest_s, name = max(enabled, default=(0.0, ""))
    least_s = longest_s + DRAIN_S
    if enabled and shutdown_s < least_s:
        lower = f", or providers.{name}.timeout_s = {shutdown_s - DRAIN_S:g}" if shutdown_s > DRAIN_S else ""
        yield Finding(
            f"runtime.shutdown_s: {shutdown_s:g} is less than a running call of providers.{name} may need "
            f"(its timeout_s {longest_s:g}, and {DRAIN_S:g} to commit the result); "
            f"set runtime.shutdown_s = {least_s:g}{lower}",
            (f"providers.{name}.timeout_s",),
        )
    least_ms = math.ceil((shutdown_s + _REJOIN_S) * 1_000)
    if settings.kafka.rebalance_timeout_ms < least_ms:
        yield Finding(
            f"kafka.rebalance_timeout_ms: {settings.kafka.rebalance_timeout_ms} is too short for runtime.shutdown_s = "
            f"{shutdown_s:g}: a member that lets go of its tasks for so long is thrown out of the group; set "
            f"kafka.rebalance_timeout_ms = {least_ms}, or lower shutdown_s",
            ("runtime.shutdown_s",),
        )


def _certificates(kafka: KafkaSettings) -> Iterator[Finding]:
    """The files are read here as every connection will read them."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if kafka.ssl_cafile is not None:
        try:
            context.load_verify_locations(cafile=kafka.ssl_cafile)
        except OSError as error:
            yield Finding(f"kafka.ssl_cafile: {kafka.ssl_cafile}: {_why(error)}; name a PEM file of certificates")
    if kafka.ssl_certfile is not None and kafka.ssl_keyfile is not None:
        try:
            # A password, so that a key that has one is refused instead of asked for at the terminal.
            context.load_cert_chain(kafka.ssl_certfile, kafka.ssl_keyfile, password="")
        except OSError as error:
            files = f"{kafka.ssl_certfile} and {kafka.ssl_keyfile}"
            fix = "name two PEM files that belong together, the key without a password"
            yield Finding(f"kafka.ssl_certfile: {files}: {_why(error)}; {fix}", ("kafka.ssl_keyfile",))


def _why(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return f"cannot be used ({error.reason or 'not PEM'})"
    return f"cannot be read ({error.strerror})"


def _ports(settings: Settings) -> Iterator[Finding]:
    places: dict[str, GatewaySettings | MetricsSettings | SimulatorSettings] = {"metrics": settings.metrics}
    # Every process shows metrics. Who does not mention the others may not run them here, and their default ports are
    # free for it; who does is told by the part that finds its port taken.
    if settings.gateway.model_fields_set or settings.simulator.model_fields_set:
        places = {"gateway": settings.gateway, **places}
    if settings.simulator.model_fields_set:
        places["simulator"] = settings.simulator
        mail, api = settings.simulator.smtp_port, settings.simulator.port
        if mail == api != 0:
            yield Finding(f"simulator.smtp_port: {mail} is simulator.port too; set another", ("simulator.port",))
    for (one, first), (other, second) in combinations(places.items(), 2):
        hosts = {first.host, second.host}
        if first.port == second.port != 0 and (len(hosts) == 1 or hosts & _ANY_ADDRESS):
            yield Finding(
                f"{other}.port: {second.port} is {one}.port too, and both may run on one machine; set another",
                (f"{one}.port", f"{one}.host", f"{other}.host"),
            )
