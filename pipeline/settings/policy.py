"""What verifications may do: tenants, policy, routes, sender ids, templates, prices, protections."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal
from unicodedata import category

from pydantic import AfterValidator, Field

from pipeline.settings.base import ChannelName, CountryCode, DecimalText, Section, shaped

Mode = Literal["off", "monitor", "enforce"]
_LABEL = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
DomainName = Annotated[
    str,
    shaped(
        rf"(?=.{{1,253}}\Z)(?:{_LABEL}\.)+(?![0-9]+\Z){_LABEL}",
        'a host name in small letters, such as "login.example.org", without https://, port and path; in its xn-- form '
        "where it has other letters",
    ),
]
"""A host as browsers write the origin of its pages."""
UseCase = Literal[
    "ATCK", "BACF", "BACS", "CHBK", "CLDR", "LEAD", "OTHR", "PWRT", "RESV", "RXPF", "SHIP", "THEF", "TRVF", "UNKN"
]
"""All that a request may name; a rule for any other would match none."""


def _one_line(text: str) -> str:
    if not text.strip() or any(category(sign) in ("Cc", "Zl", "Zp") for sign in text):
        raise ValueError("is blank, or holds a line break or control character; write a name on one line")
    return text


Line = Annotated[str, AfterValidator(_one_line)]
"""What stands in messages and requests, where a request's own would have to be one line too."""


def _growing(waits_s: list[int]) -> list[int]:
    if any(later < earlier for earlier, later in pairwise(waits_s)):
        raise ValueError("must not become shorter from one resend to the next, such as [30, 60, 120]")
    return waits_s


Cooldowns = Annotated[list[Annotated[int, Field(ge=1, le=3_600)]], AfterValidator(_growing)]


class TenantSettings(Section):
    """What one tenant may do and gets by default."""

    code_length: int = Field(6, ge=4, le=12)
    """Digits of a code of ours when the request does not say."""
    min_code_length: int = Field(6, ge=4, le=12)
    """Shorter codes are refused, also the caller's own."""
    max_expires_in_s: int = Field(600, ge=30, le=3_600)
    """Limit for phone channels; e-mail may always use 3600."""
    language: str = "en"
    """BCP-47; used when neither request nor country says."""
    brand: Line | None = Field(None, min_length=1, max_length=32)
    """Name shown to the person when the request has none."""
    signature: Line | None = Field(None, min_length=1, max_length=64)
    """Approved signature for SMS to mainland China."""
    domain: DomainName | None = None
    """Host of the site where codes are typed; SMS then end with a line by which browsers fill them in there."""


class PolicySettings(Section):
    """Rules that hold for every verification."""

    id_horizon_s: int = Field(172_800, ge=3_600)
    """How long a verification id is remembered; must exceed what ``deploy/topics.yaml`` keeps of requests, 42 hours."""
    wait_s: int = Field(30, ge=5, le=900)
    """Wait of a step that names none."""
    no_receipt_wait_s: int = Field(90, ge=5, le=900)
    """Wait of a step at a provider that reports no delivery."""
    provider_check_s: int = Field(35, ge=5, le=60)
    """How long one provider that made a code has to judge a typed one; more than its ``timeout_s``."""
    misplaced_grace_ms: int = Field(500, ge=0, le=5_000)
    """How much later than ``expires_at`` an expiry is told, so that checks in time from a wrong partition, which are
    passed on first, are still judged; 0 where all who publish checks key them by verification id with murmur2."""
    min_time_left_s: int = Field(15, ge=0, le=300)
    """Nothing is sent with less time left than this."""
    max_attempts_total: int = Field(6, ge=1, le=50)
    """Attempts per verification over all steps."""
    resend_code: Literal["same", "new"] = "same"
    """Whether a resend brings the code of the message before it or a new one, where the code is one of ours. With a new
    one the earlier is void once a provider took a message with the new, while that is not known to have failed; expiry
    and wrong codes counted stay."""
    resend_cooldown_s: Cooldowns = Field([30, 60, 120], min_length=1, max_length=50)
    """Least time from the last provider call to the first, second, third resend, each no shorter than the one before;
    the last also before all later ones. 1-3600 s each."""
    max_resends: int = Field(3, ge=0, le=50)
    """Resends per verification, within ``max_attempts_total``."""
    max_failures_per_recipient: int = Field(20, ge=1)
    """Wrong codes per recipient within ``failures_window_s`` over all verifications."""
    failures_window_s: int = Field(86_400, ge=60)
    """Window of ``max_failures_per_recipient``."""
    repeat_window_s: int = Field(600, ge=1)
    """A repeated request for a recipient within this takes another route."""
    allow_provider_codes: bool = True
    """Whether a provider may make the code itself where it cannot carry ours."""
    final_state_s: int = Field(86_400, ge=60)
    """How long a final state stays for late receipts; and how long its id, published again for another recipient, is
    known as a conflict."""
    automatic: list[Literal["sms", "voice", "whatsapp", "viber"]] = Field(["sms", "voice"], min_length=1)
    """Channels of an automatic plan for phone numbers, in order; e-mail addresses always use email."""
    phone_library: Literal["phonenumbers", "rphonenumbers"] = "phonenumbers"
    """Who reads phone numbers: ``phonenumbers``, or with the extra ``rust`` the younger ``rphonenumbers``, which needs
    a tenth of the CPU and refuses and accepts the same numbers."""


class RouteRule(Section):
    """One rule; the first whose matches all hold decides the order of providers."""

    tenant: str | None = None
    """Only for this tenant."""
    use_case: UseCase | None = None
    """Only for requests with this use case."""
    country: CountryCode | None = None
    """Only for recipients of this country."""
    prefix: Annotated[str, shaped(r"\+[1-9][0-9]{0,14}", '+ and digits, such as "+4915"')] | None = None
    """Only for numbers that begin like this, with ``+``."""
    channel: ChannelName | None = None
    """Only for this channel."""
    strategy: Literal["priority"] = "priority"
    """How to choose between the providers: ``priority`` takes the first that can."""
    providers: list[str] = Field(min_length=1)
    """Names from ``[providers]``, best first."""


class RoutesSettings(Section):
    """``rules`` in order; providers not named by the rule that matches are not used by it."""

    rules: list[RouteRule] = []
    """Without rules, all enabled providers in the order of the file."""


class SenderRule(Section):
    """The sender id for a route; the first rule whose matches all hold and whose sender the channel takes: a name is
    none for a call that shows a number, or for a mail that comes from an address."""

    provider: str | None = None
    """Only for this configured provider."""
    channel: ChannelName | None = None
    """Only for this channel."""
    country: CountryCode | None = None
    """Only for recipients of this country."""
    sender: str = Field(min_length=1)
    """Sender id, number or address shown to the person."""


class TemplateSettings(Section):
    """A text that a step names with ``template``, on whatever channel."""

    texts: dict[str, str] = Field(min_length=1)
    """BCP-47 language → text; ``{code}`` one to three times; ``{brand} {minutes} {amount} {payee}`` allowed."""
    subjects: dict[str, str] = {}
    """BCP-47 language → subject, for e-mail; one line without ``{code}``. Without any, the catalogue's."""


class PriceRule(Section):
    """What one message costs; the first rule whose matches all hold."""

    provider: str
    """Name from ``[providers]``."""
    channel: ChannelName | None = None
    """Only for this channel."""
    country: CountryCode | None = None
    """Only for recipients of this country."""
    price: DecimalText
    """Decimal as text, in ``currency`` of the section."""


class PricesSettings(Section):
    """Prices where providers do not tell them; used to choose by cost and for budgets."""

    currency: Annotated[str, shaped(r"[A-Z]{3}", 'three capital letters, such as "EUR"')] = "EUR"
    """ISO 4217."""
    rules: list[PriceRule] = []
    """In order; not in this version, which refuses them."""


class Protection(Section):
    """A rule against abuse; ``monitor`` only counts what ``enforce`` would refuse."""

    mode: Mode = "off"
    """``off``, ``monitor`` or ``enforce``; this version refuses all but ``off``."""


class CountriesProtection(Protection):
    """Countries that may be sent to."""

    allow: list[CountryCode] = []
    """All others are ``country_not_allowed``."""


class LineTypesProtection(Protection):
    """Kinds of number that are never sent to."""

    deny: list[Literal["premium_rate", "toll_free", "shared_cost", "pager", "voicemail", "uan", "personal"]] = [
        "premium_rate",
        "toll_free",
        "shared_cost",
        "pager",
    ]
    """Refused as ``unsupported_line_type``."""


class VelocityProtection(Protection):
    """At most ``limit`` verifications per ``window_s``."""

    limit: int = Field(10, ge=1)
    """Verifications per window."""
    window_s: int = Field(3_600, ge=1, le=604_800)
    """Length of the sliding window."""


class BudgetProtection(Protection):
    """Money one tenant may spend."""

    amount: DecimalText = "100"
    """Per window, in the currency of ``[prices]``."""
    window_s: int = Field(86_400, ge=60, le=2_678_400)
    """Length of the window."""


class ConversionProtection(Protection):
    """Stops number ranges whose verifications are hardly ever completed."""

    min_verifications: int = Field(30, ge=1)
    """Fewer than this say nothing."""
    min_share: float = Field(0.05, ge=0, le=1)
    """Share of completed verifications below which the range is refused."""
    window_s: int = Field(3_600, ge=60, le=604_800)
    """Length of the window."""


class DeniedProtection(Protection):
    """Recipients that are never sent to."""

    recipients: list[str] = []
    """E.164 numbers with ``+`` or e-mail addresses."""


class ProtectionsSettings(Section):
    """Rules against abuse, each with a mode of its own and a named reason."""

    countries: CountriesProtection = CountriesProtection()
    """Allow-list of countries."""
    line_types: LineTypesProtection = LineTypesProtection()
    """Premium, toll-free and the like."""
    recipient: VelocityProtection = VelocityProtection()
    """Verifications per recipient."""
    ip: VelocityProtection = VelocityProtection(limit=20)
    """Verifications per ``end_user_ip``."""
    prefix: VelocityProtection = VelocityProtection(limit=50)
    """Verifications per number range."""
    country: VelocityProtection = VelocityProtection(limit=1_000)
    """Verifications per country."""
    tenant: VelocityProtection = VelocityProtection(limit=10_000)
    """Verifications per tenant."""
    budget: BudgetProtection = BudgetProtection()
    """Money per tenant."""
    conversion: ConversionProtection = ConversionProtection()
    """The conversion guard."""
    denied: DeniedProtection = DeniedProtection()
    """The deny list."""
