"""The ordered steps of a plan: validated, with their defaults merged and their recipients normalised and sealed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from pipeline.errors import Refused, SettingsError
from pipeline.model.capabilities import ProviderCapabilities
from pipeline.model.fields import invalid
from pipeline.model.keys import KeyRing
from pipeline.model.language import choose_language, normalise_language
from pipeline.model.messages.templates import needs
from pipeline.model.reasons import Reason
from pipeline.model.recipient import Recipient
from pipeline.model.recipients import Recipients
from pipeline.model.rules import Place, PolicyRules, TemplateRules, TenantRules
from pipeline.model.steps import (
    MAX_STEPS,
    automatic_steps,
    channel_defaults,
    check_fit,
    check_step,
    country_of,
    gives_no_receipts,
    merge,
    step_name,
    steps_in_time,
)
from pipeline.records.internal import PlannedStep
from pipeline.records.public import Step, VerificationRequest
from pipeline.records.types import Channel


class Seal(Protocol):
    """``KeyRing.seal``, for the record it seals for by default."""

    def __call__(self, plaintext: bytes, /, *, verification_id: str, field: str) -> bytes:
        """Seal a field."""


class Identity(msgspec.Struct, frozen=True):
    """A recipient as a plan names it; most plans have one for all their steps."""

    recipient: Recipient
    sealed: bytes
    hash: str
    key: str
    partition: int


class StepPlanner:
    """Plans the steps of requests by the settings of one deployment; pure and safe to share."""

    def __init__(
        self,
        *,
        key_ring: KeyRing,
        tenants: Mapping[str, TenantRules],
        policy: PolicyRules,
        providers: Mapping[str, ProviderCapabilities],
        place: Place,
        recipients: Recipients,
        templates: Mapping[str, TemplateRules],
        seal: Seal,
    ) -> None:
        """Raises SettingsError for a tenant whose language is none."""
        self._key_ring = key_ring
        self._seal = seal
        self._tenants = tenants
        self._policy = policy
        self._providers = providers
        self._receiptless: dict[tuple[Channel, str | None, bool], bool] = {}
        self._automatic_steps: dict[tuple[str, str | None, Channel | None, bool], Sequence[Step]] = {}
        self._place = place
        self._recipients = recipients
        self._templates = {name: needs(template) for name, template in templates.items()}
        self._languages = {name: _tenant_language(name, tenant) for name, tenant in tenants.items()}

    def plan(
        self,
        request: VerificationRequest,
        key: Identity,
        *,
        tenant: str,
        language: str | None,
        brand: bool,
        payment: bool,
        expires_in_s: int,
    ) -> list[PlannedStep]:
        """The steps of a request of a known tenant; ``brand`` and ``payment`` say whether their texts have values.

        Raises Refused for the first rule that is broken.
        """
        if request.prefer_channel is Channel.UNKNOWN:
            raise invalid("prefer_channel", "is none of sms voice whatsapp viber email", Reason.INVALID_CHANNEL)
        if request.prefer_channel is not None and request.steps:
            raise invalid("prefer_channel", "is for automatic plans; leave it or steps out", Reason.INVALID_STEPS)
        if len(request.steps) > MAX_STEPS:
            raise invalid("steps", f"has {len(request.steps)} entries; use at most {MAX_STEPS}", Reason.INVALID_STEPS)
        defaults = channel_defaults(request)
        for index, default in enumerate(request.channel_defaults):
            self._check(default, f"channel_defaults[{index}]", brand=brand, payment=payment)
        test = self._recipients.is_test(key.recipient)
        asked: Sequence[Step] = request.steps or self._automatic(key.recipient, request.prefer_channel, test=test)
        automatic = not request.steps
        steps: list[PlannedStep] = []
        identities = {key.recipient.canonical: key}
        for index, step in enumerate(asked):
            name = step_name(index)
            recipient = self._recipient(step, request, key.recipient, index)
            merged = merge(step, defaults.get(step.channel))
            if not automatic:
                self._check(merged, name, brand=brand, payment=payment)
                check_fit(merged, recipient, name)
            if self._recipients.is_test(recipient) != test:
                raise invalid(name, "mixes test numbers with other recipients; keep them apart", Reason.INVALID_STEPS)
            identity = identities.get(recipient.canonical)
            if identity is None:
                identity = self.identity(recipient, request.verification_id, tenant)
                identities[recipient.canonical] = identity
            steps.append(self._planned(merged, identity, index=index, language=language, automatic=automatic))
        return self._in_time(steps, expires_in_s=expires_in_s, tenant=self._tenants[tenant], automatic=automatic)

    def _automatic(self, recipient: Recipient, prefer: Channel | None, *, test: bool) -> Sequence[Step]:
        asked = recipient.kind, recipient.line_type, prefer, test
        steps = self._automatic_steps.get(asked)
        if steps is None:
            # A few kinds of line and channels, and most requests ask for the same.
            steps = self._automatic_steps[asked] = automatic_steps(
                recipient, listed=self._policy.automatic, prefer=prefer, providers=self._providers, test=test
            )
        return steps

    def _check(self, step: Step, name: str, *, brand: bool, payment: bool) -> None:
        check_step(step, name, brand=brand, payment=payment, providers=self._providers, templates=self._templates)

    def _recipient(self, step: Step, request: VerificationRequest, key: Recipient, index: int) -> Recipient:
        name = step_name(index)
        if step.recipient is not None:
            return self._recipients.read(step.recipient, country_of(step, request), field=f"{name}.recipient")
        if request.recipient is None:
            problem = "is missing; without a recipient of the request every step needs one"
            raise invalid(f"{name}.recipient", problem, Reason.MISSING_FIELD)
        if step.country is not None:
            raise invalid(f"{name}.country", "belongs to a recipient of this step, which is missing; move it")
        return key

    def identity(self, recipient: Recipient, verification_id: str, tenant: str) -> Identity:
        """A recipient as a plan of this verification names it."""
        spelled = recipient.canonical.encode()
        return Identity(
            recipient=recipient,
            sealed=self._seal(spelled, verification_id=verification_id, field="recipient"),
            hash=self._key_ring.recipient_hash(tenant, recipient.canonical),
            key=self._key_ring.recipient_key(recipient.canonical),
            partition=self._place(spelled),
        )

    def _planned(
        self, step: Step, identity: Identity, *, index: int, language: str | None, automatic: bool
    ) -> PlannedStep:
        recipient = identity.recipient
        return PlannedStep(
            index=index,
            channel=step.channel,
            recipient_sealed=identity.sealed,
            recipient_masked=recipient.masked,
            recipient_hash=identity.hash,
            recipient_key=identity.key,
            partition=identity.partition,
            country=recipient.country,
            provider=step.provider,
            wait_s=self._wait_s(step, test=self._recipients.is_test(recipient)),
            ttl_s=step.ttl_s,
            language=language if step.language is None else normalise_language(step.language),
            sender=step.sender,
            template=step.template,
            text=step.text,
            flow_id=step.flow_id,
            subject=step.subject,
            options=step.options,
            automatic=automatic,
        )

    def language(self, step: PlannedStep, tenant: str) -> str:
        """The language a message of this step is asked for in."""
        fallback = self._languages[tenant]
        return choose_language(requested=step.language, country=step.country, tenant=fallback, channel=step.channel)

    def _wait_s(self, step: Step, *, test: bool) -> int:
        """How long the step will be waited for, as far as that is known before its provider is."""
        asked = step.channel, step.provider, test
        receiptless = self._receiptless.get(asked)
        if receiptless is None:
            # A few channels and the configured providers: anything else was refused before.
            receiptless = self._receiptless[asked] = gives_no_receipts(step, self._providers, test=test)
        if receiptless:
            return self._policy.no_receipt_wait_s
        return self._policy.wait_s if step.wait_s is None else step.wait_s

    def _in_time(
        self, steps: list[PlannedStep], *, expires_in_s: int, tenant: TenantRules, automatic: bool
    ) -> list[PlannedStep]:
        longest = tenant.max_expires_in_s
        if expires_in_s > longest and any(step.channel is not Channel.EMAIL for step in steps):
            raise invalid("expires_in_s", f"is more than the tenant may use on phone channels; use 30-{longest}")
        in_time = steps_in_time(
            [step.wait_s for step in steps], expires_in_s=expires_in_s, min_time_left_s=self._policy.min_time_left_s
        )
        if in_time < len(steps) and not automatic:
            problem = "cannot start before the code expires; shorten the waits before it or raise expires_in_s"
            raise invalid(step_name(in_time), problem, Reason.INVALID_STEPS)
        return steps[:in_time]


def _tenant_language(name: str, tenant: TenantRules) -> str:
    try:
        return normalise_language(tenant.language, field=f"tenants.{name}.language")
    except Refused as refused:
        raise SettingsError(refused.detail) from None
