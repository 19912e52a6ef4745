"""What planning needs of the settings, so that the model knows no settings file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

Place = Callable[[bytes], int]
"""The partition of a canonical recipient."""


class TenantRules(Protocol):
    """What a tenant may do and gets by default (``[tenants.<name>]``)."""

    @property
    def code_length(self) -> int: ...
    @property
    def min_code_length(self) -> int: ...
    @property
    def max_expires_in_s(self) -> int: ...
    @property
    def language(self) -> str: ...
    @property
    def brand(self) -> str | None: ...
    @property
    def signature(self) -> str | None: ...


class TextDefaults(Protocol):
    """What the messages to a tenant's people are written with (``[tenants.<name>]``)."""

    @property
    def language(self) -> str: ...
    @property
    def domain(self) -> str | None: ...


class TemplateRules(Protocol):
    """Texts that a step can name (``[templates.<name>]``), by language."""

    @property
    def texts(self) -> Mapping[str, str]: ...
    @property
    def subjects(self) -> Mapping[str, str]: ...


class PolicyRules(Protocol):
    """What holds for every tenant (``[policy]``)."""

    @property
    def id_horizon_s(self) -> int: ...
    @property
    def wait_s(self) -> int: ...
    @property
    def no_receipt_wait_s(self) -> int: ...
    @property
    def min_time_left_s(self) -> int: ...
    @property
    def automatic(self) -> Sequence[str]: ...
