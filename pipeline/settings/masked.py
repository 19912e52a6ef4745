"""The settings as a person may see them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, SecretStr

from pipeline.settings.root import Settings

MASK: Final = "********"
_CREDENTIALS = re.compile(r"(?<=//)([^/@\s]*)@")


def masked(settings: Settings) -> dict[str, Any]:
    """Plain data of every setting with its effective value; secrets and denied recipients are ``********``."""
    shown: dict[str, Any] = _plain(settings)
    shown["readmodel"]["url"] = _without_password(settings.readmodel.url.get_secret_value())
    shown["protections"]["denied"]["recipients"] = [MASK for _ in settings.protections.denied.recipients]
    return shown


def _plain(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return MASK if value.get_secret_value() else ""
    if isinstance(value, BaseModel):
        fields = type(value).model_fields.items()
        return {field.alias or name: _plain(getattr(value, name)) for name, field in fields}
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, str):
        return _without_password(value)
    return str(value) if isinstance(value, Path) else value


def _without_password(text: str) -> str:
    return _CREDENTIALS.sub(f"{MASK}@", text)
