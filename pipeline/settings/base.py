"""What all sections share."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Any, Final, Literal, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationInfo, field_validator
from pydantic_core import PydanticKnownError


def shaped(pattern: str, says: str) -> AfterValidator:
    """Text that matches ``pattern`` as a whole; ``says`` tells a person what that is."""
    whole = re.compile(pattern, re.ASCII)

    def check(text: str) -> str:
        if not whole.fullmatch(text):
            raise ValueError(f"must be {says}")
        return text

    return AfterValidator(check)


ChannelName = Literal["sms", "voice", "whatsapp", "viber", "email"]
CountryCode = Annotated[str, shaped(r"[A-Z]{2}", 'two capital letters, such as "DE"')]
"""ISO 3166-1 alpha-2, capitals."""
DecimalText = Annotated[str, shaped(r"[0-9]{1,12}(\.[0-9]{1,6})?", 'a decimal as text, such as "12.50"')]
"""An amount of money; a string, so that no digit is lost."""
Name = Annotated[str, shaped(r"[a-z][a-z0-9_-]{0,39}", "a lower-case letter, then at most 39 of a-z 0-9 _ -")]
"""What an operator calls a tenant, provider, template or key; it stands in topics, metrics and variables."""

_LABEL: Final = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
# The last label is no number: what looks like an IP address and is none (127.0.0.256) is no host name either.
_HOST_NAME: Final = re.compile(rf"(?=.{{1,253}}\Z)(?:{_LABEL}\.)*(?![0-9]+\.?\Z){_LABEL}\.?")


def is_host(text: str) -> bool:
    """Whether this is an IP address (IPv6 without brackets) or can be a host name."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return _HOST_NAME.fullmatch(text) is not None
    return True


def _host(text: str) -> str:
    if not is_host(text):
        raise ValueError("is neither an IP address nor a host name; write 127.0.0.1, or 0.0.0.0 for every interface")
    return text


def _url(text: str) -> str:
    if not text:
        return text
    # A value is not repeated: it may hold a password.
    try:
        parts = urlsplit(text)
        fine = parts.scheme in ("http", "https") and is_host(parts.hostname or "") and parts.port != 0
    except ValueError:
        fine = False
    if not fine or re.search(r"\s", text):
        raise ValueError("is no address; write http:// or https://, a host, perhaps :port and a path")
    if "@" in parts.netloc:
        raise ValueError("must not hold a user or password; remove what stands before the @")
    if "?" in text or "#" in text:
        raise ValueError("must end with a path, as more is put behind it; remove what begins with ? or #")
    return text


def _one_text(servers: object) -> object:
    if isinstance(servers, list | tuple):
        raise ValueError('must be one text with commas between the brokers, such as "10.0.0.1:9092,10.0.0.2:9092"')
    return servers


def _servers(text: str) -> str:
    for server in text.split(","):
        host, _, port = server.strip().rpartition(":")
        bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
        if not is_host(bare) or (":" in bare and bare == host):
            raise ValueError("each broker must be host:port, with commas between several, such as 10.0.0.1:9092")
        if not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65_535):
            raise ValueError("each broker needs a port from 1 to 65535, such as 10.0.0.1:9092")
    return text


Host = Annotated[str, AfterValidator(_host)]
"""An address to listen on."""
Url = Annotated[str, AfterValidator(_url)]
"""Base address of an HTTP service, or empty."""
Servers = Annotated[str, BeforeValidator(_one_text), AfterValidator(_servers)]
"""``host:port`` with commas between them."""
Uuid = Annotated[
    str,
    shaped(
        r"(?:[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12})?",
        "a UUID, such as 6f0c1f6e-0d1b-4c1e-9b0a-3f5d2c7e8a90; copy it from the provider's console",
    ),
]
"""An id that a provider gave something of ours, or empty."""


class Section(BaseModel):
    """Base of every section: frozen, a name nobody knows is an error, and the text below a field documents it."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, use_attribute_docstrings=True, hide_input_in_errors=True
    )

    @field_validator("*", mode="before")
    @classmethod
    def _truth_is_no_number(cls, value: object, info: ValidationInfo) -> object:
        # pydantic takes true for 1.
        if isinstance(value, bool):
            annotation: Any = cls.model_fields[str(info.field_name)].annotation
            kinds = get_args(annotation) or (annotation,)
            if int in kinds:
                raise PydanticKnownError("int_type")
            if float in kinds:
                raise PydanticKnownError("float_type")
        return value
