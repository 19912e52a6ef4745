"""A request becomes a plan, or a list of refusals with as much of the plan as is certain.

Every rule of CONTRACTS 1 and 2 that can be decided from the request alone is here, so that the gateway refuses exactly
what the router would.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, TypeVar

import msgspec

from pipeline.errors import Poison, Refused
from pipeline.model import fields
from pipeline.model.capabilities import ProviderCapabilities
from pipeline.model.codes import own_code, wished_length
from pipeline.model.country import normalise_country
from pipeline.model.fields import invalid
from pipeline.model.keys import KeyRing
from pipeline.model.language import normalise_language
from pipeline.model.plan import Seal, StepPlanner
from pipeline.model.reasons import Reason
from pipeline.model.recipient import Recipient
from pipeline.model.recipients import Recipients
from pipeline.model.rules import Place, PolicyRules, TemplateRules, TenantRules
from pipeline.model.steps import check_default_country, country_of
from pipeline.records.internal import Plan, PlannedStep
from pipeline.records.public import VerificationRequest
from pipeline.records.types import CodeHolder, VerificationMode

DEFAULT_EXPIRES_IN_S: Final = 300
DEFAULT_MAX_CHECKS: Final = 3
BULK_QUEUE_MS: Final = 86_400_000
_EMAIL_EXPIRES_IN_S: Final = 3_600
_TENANT: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")

T = TypeVar("T")


class Planned(msgspec.Struct, frozen=True):
    """The plan of a request, and why it is refused.

    With refusals the plan is only good for an outcome: it has what of the request was in order.
    """

    plan: Plan
    refusals: tuple[Refused, ...] = ()
    key: Recipient | None = None
    """The recipient it is placed by, None when that cannot be read."""

    @property
    def refused(self) -> Refused | None:
        """The first refusal: the one an outcome tells."""
        return self.refusals[0] if self.refusals else None


class _Findings:
    """Goes on after a refusal, so that one answer can name every wrong field."""

    def __init__(self) -> None:
        self.refusals: list[Refused] = []

    def take(self, check: Callable[..., T], otherwise: T, *values: Any, **named: Any) -> T:
        try:
            return check(*values, **named)
        except Refused as refused:
            self.refusals.append(refused)
            return otherwise


def _unsealed(plaintext: bytes, *, verification_id: str, field: str) -> bytes:
    return b""


class Validator:
    """Plans requests by the settings of one deployment; pure and safe to share."""

    def __init__(
        self,
        *,
        key_ring: KeyRing,
        tenants: Mapping[str, TenantRules],
        policy: PolicyRules,
        providers: Mapping[str, ProviderCapabilities],
        place: Place,
        test_numbers: Collection[str] = (),
        templates: Mapping[str, TemplateRules] | None = None,
        seals: bool = True,
    ) -> None:
        """``providers`` are the enabled instances in order, ``place`` gives the partition of a canonical recipient.

        Without ``seals`` the sealed fields of a plan stay empty: that is for who wants its refusals and what of it is
        shown, not to send anything. Raises SettingsError for a tenant's language or a test number nobody can write.
        """
        self._key_ring = key_ring
        self._seal: Seal = key_ring.seal if seals else _unsealed
        self._tenants = tenants
        self._policy = policy
        self._recipients = Recipients(test_numbers)
        self._planner = StepPlanner(
            key_ring=key_ring,
            tenants=tenants,
            policy=policy,
            providers=providers,
            place=place,
            recipients=self._recipients,
            templates=templates or {},
            seal=self._seal,
        )

    def key_recipient(self, request: VerificationRequest) -> Recipient:
        """The recipient a request is placed by: its own, or its first step's. Raises Refused."""
        if request.recipient is not None:
            return self._recipients.read(request.recipient, request.country)
        if request.steps and request.steps[0].recipient is not None:
            for index, default in enumerate(request.channel_defaults):
                check_default_country(default, index)  # else the step would be blamed for it
            country = country_of(request.steps[0], request)
            return self._recipients.read(request.steps[0].recipient, country, field="steps[0].recipient")
        raise invalid("recipient", "is missing; give one here or in every step", Reason.MISSING_FIELD)

    def plan(self, request: VerificationRequest, *, bulk: bool, recorded_at: int, partition: int) -> Planned:
        """Plan a request whose record was appended at ``recorded_at`` (ms) to ``partition`` of its topic."""
        findings = _Findings()
        take = findings.take
        vid = take(fields.check_id, request.verification_id, request.verification_id)
        tenant_name = take(self._known_tenant, "", request.tenant)
        tenant = self._tenants.get(tenant_name)
        key = take(self.key_recipient, None, request)
        # What a request leaves out needs no check; most leave out most, and each check is a call within a call.
        expires_in_s = request.expires_in_s
        if expires_in_s is not None:
            expires_in_s = take(fields.check_range, None, expires_in_s, "expires_in_s", 30, _EMAIL_EXPIRES_IN_S)
        expires_in_s = DEFAULT_EXPIRES_IN_S if expires_in_s is None else expires_in_s
        requested_at = take(fields.check_requested_at, recorded_at, request.requested_at, recorded_at=recorded_at)
        horizon_ms = self._policy.id_horizon_s * 1000
        send_before_at = take(
            fields.check_send_before_at, None, request.send_before_at, recorded_at=recorded_at, horizon_ms=horizon_ms
        )
        shown_tenant = tenant_name or (request.tenant if _TENANT.fullmatch(request.tenant) else "unknown")
        if request.mode is VerificationMode.UNKNOWN:
            findings.refusals.append(invalid("mode", "is neither verify nor reach"))
        if request.country is not None and key is not None:  # without a key it was looked at already
            take(normalise_country, "", request.country)
        no_code: tuple[str | None, int] = (None, 0)
        code, code_length = take(self._code, no_code, request, tenant)
        own = request.code is not None or request.code_sealed is not None
        no_payment: tuple[str | None, str | None] = (None, None)
        amount, payee = no_payment
        if request.amount is not None or request.payee is not None:
            amount, payee = take(fields.check_payment, no_payment, request.amount, request.payee, own_code=own)
        brand = None if request.brand is None else take(fields.check_line, None, request.brand, "brand", 32)
        signature = request.signature
        if signature is not None:
            signature = take(fields.check_line, None, signature, "signature", 64)
        max_checks = request.max_checks
        if max_checks is not None:
            max_checks = take(fields.check_range, None, max_checks, "max_checks", 1, 10)
        max_checks = max_checks or DEFAULT_MAX_CHECKS
        end_user_ip = None if request.end_user_ip is None else take(fields.check_ip, None, request.end_user_ip)
        language = None if request.language is None else take(normalise_language, None, request.language)
        if tenant is not None:
            brand = tenant.brand if request.brand is None else brand
            signature = tenant.signature if request.signature is None else signature
        steps: list[PlannedStep] = []
        test = key is not None and self._recipients.is_test(key)
        identity = None if key is None else self._planner.identity(key, vid, shown_tenant)
        if tenant is not None and identity is not None:
            steps = take(
                self._planner.plan,
                steps,
                request,
                identity,
                tenant=tenant_name,
                language=language,
                brand=brand is not None,
                payment=amount is not None,
                expires_in_s=expires_in_s,
            )
        seal = self._seal
        queue_ms = BULK_QUEUE_MS if bulk else expires_in_s * 1000
        raw = request.recipient or (request.steps[0].recipient if request.steps else None) or ""
        if identity is not None:
            recipient_hash, recipient_key, partition = identity.hash, identity.key, identity.partition
        else:
            recipient_hash = self._key_ring.fingerprint("unreadable", shown_tenant.encode(), raw.encode())
            recipient_key = self._key_ring.fingerprint("unreadable", raw.encode())
        return Planned(
            Plan(
                tenant=shown_tenant,
                external_id=request.external_id and take(fields.check_echo, None, request.external_id, "external_id"),
                job_id=request.job_id and take(fields.check_echo, None, request.job_id, "job_id"),
                row=request.row and take(fields.check_range, None, request.row, "row", 0, 2**63 - 1),
                mode=request.mode,
                metadata=take(fields.check_metadata, {}, request.metadata) if request.metadata else {},
                bulk=bulk,
                test=test,
                recipient_masked="" if key is None else key.masked,
                recipient_hash=recipient_hash,
                recipient_key=recipient_key,
                recipient_partition=partition,
                country=None if key is None else key.country,
                steps=steps,
                code_holder=CodeHolder.CALLER if own else CodeHolder.OURS,
                kid=self._key_ring.current,
                code_length=code_length,
                code_length_asked=request.code_length is not None,
                code_sealed=None if code is None else seal(code.encode(), verification_id=vid, field="code"),
                amount=amount,
                payee_sealed=None if payee is None else seal(payee.encode(), verification_id=vid, field="payee"),
                language=self._planner.language(steps[0], tenant_name) if steps else language,
                brand=brand,
                signature=signature,
                signature_by_tenant=signature is not None and request.signature is None,
                use_case=None if request.use_case is None else take(fields.check_use_case, None, request.use_case),
                end_user_ip_sealed=None
                if end_user_ip is None
                else seal(end_user_ip.encode(), verification_id=vid, field="end_user_ip"),
                prefer_channel=request.prefer_channel,
                expires_in_s=expires_in_s,
                max_checks=max_checks,
                checks_allowed=max_checks,
                queue_deadline_at=send_before_at or requested_at + queue_ms,
                requested_at=requested_at,
            ),
            tuple(findings.refusals),
            key,
        )

    def own_code(self, request: VerificationRequest) -> str | None:
        """The caller's own code in clear, unchecked. Raises Refused ``invalid_code`` when it does not open."""
        if request.code_sealed is None:
            return request.code
        try:
            return self._key_ring.open_public(
                request.code_sealed, verification_id=request.verification_id, field="code"
            )
        except Poison as poison:
            raise Refused(Reason.INVALID_CODE, poison.detail, "code_sealed") from None

    def _known_tenant(self, name: str) -> str:
        if name in self._tenants:
            return name
        raise invalid("tenant", "is not configured; add [tenants.<name>] or use one that is", Reason.UNKNOWN_TENANT)

    def _code(self, request: VerificationRequest, tenant: TenantRules | None) -> tuple[str | None, int]:
        if request.code is not None and request.code_sealed is not None:
            raise invalid("code_sealed", "cannot go with code; give one of them", Reason.INVALID_CODE)
        shortest = 4 if tenant is None else tenant.min_code_length
        code = self.own_code(request)
        if code is None:
            default = 6 if tenant is None else max(tenant.code_length, shortest)
            return None, wished_length(request.code_length, default=default, min_code_length=shortest)
        field = "code" if request.code_sealed is None else "code_sealed"
        code = own_code(code, code_length=request.code_length, min_code_length=shortest, field=field)
        return code, len(code)
