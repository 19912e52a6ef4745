"""Bird, by the names of its console, and what its documentation leaves open."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Annotated, Literal, get_args

from pydantic import Field, SecretStr, TypeAdapter, field_validator

from pipeline.settings.base import Section, Uuid, shaped
from pipeline.settings.credentials import Credential
from pipeline.settings.providers.common import Secrets, SigningProviderSettings

BirdChannel = Literal["sms", "email", "whatsapp"]
_ItemPath = Annotated[
    str,
    shaped(
        r"(?:/[A-Za-z0-9._/-]*\{id\}[A-Za-z0-9._/-]*)?",
        # Whoever copies an example for another request than the one it is of would have that one made.
        'a path that begins with / and holds {id}; probable are "/verify/{id}" to get, "/verify/{id}/resend" and '
        '"/verify/{id}/failover"',
    ),
]
_ListPath = Annotated[str, shaped(r"(?:/[A-Za-z0-9._/-]+)?", 'a path, such as "/verify"')]
_Locale = Annotated[str, shaped(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8}){0,3}", "a locale, such as en or pt-BR")]
_FieldName = Annotated[str, shaped(r"[A-Za-z][A-Za-z0-9_.-]{0,39}", "the name of a field, such as pageToken")]


class BirdTemplateSettings(Section):
    """A template of the workspace, by the ids of its studio."""

    project_id: Uuid = Field(min_length=1)
    """The template's project."""
    version: Uuid = Field(min_length=1)
    """Its published version."""
    locale: _Locale | None = None
    """The one language it is written in; without it each message asks for the wished one."""


class BirdNames(Section):
    """Names of fields that Bird's documentation leaves open; only the requests switched on by a path use them."""

    limit: _FieldName = "limit"
    """Query of the list: how many."""
    start: _FieldName = "startAt"
    """Query of the list: created at or after, RFC 3339."""
    end: _FieldName = "endAt"
    """Query of the list: created at or before, RFC 3339."""
    items: _FieldName = "results"
    """Answer of the list: the verifications."""
    next_page: _FieldName = "nextPageToken"
    """Answer of the list: set while there are more."""
    created: _FieldName = "createdAt"
    """When a verification was created."""
    step: _FieldName = "stepIndex"
    """Body of the resend and the failover: which step."""


class BirdSettings(SigningProviderSettings):
    """Bird Verify: sms, email, whatsapp; Bird makes and checks the code.

    Requests whose path is not documented for certain are off until their path is set; paths begin below
    ``/workspaces/<workspace_id>``.
    """

    kind: Literal["bird"] = "bird"
    """Which provider it is."""
    rate_per_s: float = Field(10.0, gt=0)
    """Calls per second of this credential, over all processes; a careful one, as Bird publishes no limit."""
    channels: dict[BirdChannel, Uuid] = {}
    """Channel → channel id in the workspace; only the channels named here are used."""
    workspace_id: Credential = SecretStr("")
    """The workspace, a UUID (not the ``ws_…`` id of Bird's new platform)."""
    access_key: Credential = SecretStr("")
    """Access key with the verify role."""
    signing_key: Secrets = []
    """Of the webhook subscription; without it receipts are refused. Several are accepted while rotating."""
    navigator_id: Uuid = ""
    """Navigator that picks the SMS channel by country, used instead of ``channels.sms``."""
    templates: dict[BirdChannel, BirdTemplateSettings] = {}
    """Channel → its template; WhatsApp needs one."""
    max_attempts: int = Field(10, ge=1, le=10)
    """Wrong codes that Bird takes for one message; ``max_checks`` of the request is counted by us."""
    ok_is_right: bool = False
    """Whether HTTP 200 to a typed code means that it is right whatever status stands in it. Bird documents that answer
    for right codes only, but not the words of its status: without this, only ``verified`` is a yes."""
    get_path: _ItemPath = ""
    """Request for one verification, for look-ups: probably ``/verify/{id}``; empty: off."""
    list_path: _ListPath = ""
    """Request for the list of verifications, to find one whose answer was lost and to probe the credentials:
    probably ``/verify``; empty: off."""
    list_limit: int = Field(25, ge=1, le=1_000)
    """How many verifications to ask a list for; Bird's default, its maximum is not published."""
    resend_path: _ItemPath = ""
    """Request to send a step again: probably ``/verify/{id}/resend``; empty: a resend is a new verification."""
    failover_path: _ItemPath = ""
    """Request to go on to a further step: probably ``/verify/{id}/failover``. With it Bird is told of the steps after
    an SMS or WhatsApp message that are WhatsApp or SMS to the same number; when such a step is due and Bird is its
    route, it goes on to it with the same code. Empty: each step is a new verification."""
    names: BirdNames = BirdNames()
    """Names of fields that the documentation leaves open."""

    @field_validator("workspace_id")
    @classmethod
    def _is_a_uuid(cls, value: SecretStr) -> SecretStr:
        TypeAdapter(Uuid).validate_python(value.get_secret_value())
        return value

    @property
    def used_channels(self) -> Collection[str]:
        """Those with a channel id, and sms with a navigator."""
        by_navigator = {"sms": self.navigator_id}
        return tuple(name for name in get_args(BirdChannel) if self.channels.get(name) or by_navigator.get(name))

    def lacks(self) -> Iterator[tuple[str, str]]:
        """A channel; for WhatsApp its template, and for each template its channel; fields that differ in name."""
        if not self.used_channels:
            yield "channels", "no channel is set; set navigator_id or channels.sms, channels.email, channels.whatsapp"
        if "whatsapp" in self.used_channels and "whatsapp" not in self.templates:
            yield (
                "templates.whatsapp",
                "Bird sends WhatsApp by template only; set its project_id and version, or remove channels.whatsapp",
            )
        for name in self.templates:
            if name not in self.used_channels:
                yield f"templates.{name}", f"belongs to a channel that is not used; set channels.{name}, or remove it"
        for fields in (("limit", "start", "end"), ("items", "next_page")):
            for place, field in enumerate(fields):
                same = [one for one in fields[:place] if getattr(self.names, one) == getattr(self.names, field)]
                if same:
                    yield f"names.{field}", f"is the name of {same[0]} too; give each its own"
