"""Whose question a reply answers, as two tenants may ask of one verification under the same request id.

A reply has no field for it, and the request id is its caller's: without this, whoever waits for ``login-1`` of a
verification would take what another tenant was told of it under that name.
"""

from __future__ import annotations

from typing import Final

from pipeline.errors import Refused
from pipeline.model.fields import check_echo
from pipeline.model.limits import KEPT_TEXT

TENANT_HEADER: Final = "tenant"
"""Header of replies: the tenant that asked; the verification's own where the question named none."""


def to_tenant(tenant: str | None) -> tuple[tuple[str, bytes], ...]:
    """The header of a reply to this tenant's question; none where it named none and the verification is unknown."""
    return () if tenant is None else ((TENANT_HEADER, _told(tenant)),)


def is_for(told: bytes | None, tenant: str | None) -> bool:
    """Whether a reply with this header (None: without one) may answer a question that named ``tenant``."""
    return told is None or tenant is None or told == _told(tenant)


def _told(tenant: str) -> bytes:
    """A tenant as replies name it: no longer than the tracker keeps it.

    A name that must not be published, such as somebody's number, is left empty. No caller of ours has such a one, but
    whoever asks under it is answered all the same.
    """
    tenant = tenant[:KEPT_TEXT]
    try:
        check_echo(tenant, TENANT_HEADER)
    except Refused:
        tenant = ""
    return tenant.encode()
