"""Every metric the pipeline exports, in one typed catalogue, and the one way to apply what a stage measured.

Pure stages never touch Prometheus: they return measures (``effects.count("requests_total", lane="bulk", …)``) and the
runtime hands them to :meth:`Metrics.apply` after the commit. Edges may use the attributes directly
(``metrics.http_requests_total.labels(...)``), or ``apply`` as well.

A label value is never a recipient, an id or free text: each label is either a closed list, a number, or a short name
from code or configuration, and ``apply`` refuses anything else. ``country`` and ``tenant`` come from requests, so
values without a series of their own become ``other`` instead of growing the number of series.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar, cast, overload

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, disable_created_metrics

from pipeline.errors import DeadLetterReason
from pipeline.model.reasons import Reason, ReplyReason
from pipeline.records.types import AttemptResult, AttemptStatus, Channel, CommandKind, ReplyKind, VerificationState
from pipeline.runtime.api import Measure

PREFIX: Final = "verification_"
NONE: Final = "none"
"""Label value where a reason does not apply (an accepted attempt, a verified outcome); an empty value means it too."""
OTHER: Final = "other"

COUNTRIES: Final[tuple[str, ...]] = (
    *("AE", "AR", "AT", "AU", "BD", "BE", "BR", "CA", "CH", "CL", "CN", "CO", "CZ", "DE", "EG"),
    *("ES", "FR", "GB", "HK", "ID", "IE", "IL", "IN", "IT", "JP", "KE", "KR", "MX", "MY", "NG"),
    *("NL", "PE", "PH", "PK", "PL", "PT", "SA", "SE", "SG", "TH", "TR", "US", "VN", "ZA"),
)
"""Countries with a label value of their own unless ``[metrics] countries`` says otherwise."""

# Borders are where somebody's promise lies: a human's patience, a provider's time-out, a maturity horizon.
HOP_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60)
CALL_S: Final = (0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 30)
SEND_S: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300, 3_600)
DELIVERY_S: Final = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1_800)
PERSON_S: Final = (5, 10, 20, 30, 45, 60, 90, 120, 180, 300, 600, 1_800, 3_600)
OUTCOME_S: Final = (0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 3_600, 86_400)
RESTORE_S: Final = (0.1, 0.5, 1, 2, 5, 10, 30, 60, 120, 300)
LATENESS_S: Final = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300)
LOOP_S: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)
HTTP_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

_NAME = re.compile(r"[a-z][a-z0-9_.-]{0,63}", re.IGNORECASE | re.ASCII)
_ROUTE = re.compile(r"/[a-z0-9_{}/.-]{0,95}|other", re.IGNORECASE | re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,6}")
_COUNTRY = re.compile(r"[A-Z]{2}")
_ACT: Final = {"counter": "inc", "gauge": "set", "histogram": "observe"}

LABELS: Final[Mapping[str, re.Pattern[str] | frozenset[str]]] = {
    "lane": frozenset({"interactive", "bulk"}),
    "channel": frozenset(Channel),
    "delivered": frozenset({"yes", "no", "unknown"}),
    "converted": frozenset({"yes", "no", "no_attempt", "test", "canceled", "reach"}),
    "operation": frozenset(CommandKind),
    "state": frozenset(VerificationState),
    "kind": frozenset(ReplyKind),
    "mode": frozenset({"off", "monitor", "enforce"}),
    "tenant": _NAME,
    "country": _COUNTRY,
    "provider": _NAME,
    "stage": _NAME,
    "topic": _NAME,
    "partition": _NUMBER,
    "decision": _NAME,
    "result": _NAME,
    "status": _NAME,
    "reason": _NAME,
    "cause": _NAME,
    "source": _NAME,
    "name": _NAME,
    "currency": re.compile(r"[A-Z]{3}"),
    "kid": _NAME,
    "route": _ROUTE,
}
"""What each label may hold: a closed list, or the shape of a short name given by code or configuration."""

M = TypeVar("M", Counter, Gauge, Histogram, Info)


@dataclass(slots=True)
class Spec(Generic[M]):
    """One entry of the catalogue: a descriptor that gives the Prometheus object of a :class:`Metrics`."""

    factory: type[M]
    meaning: str
    """What is measured and in which unit, one sentence."""
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    closed: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Label values narrower than :data:`LABELS` says."""
    name: str = ""
    """Without prefix; the attribute's own name."""

    @property
    def kind(self) -> str:
        """``counter``, ``gauge``, ``histogram`` or ``info``."""
        return self.factory.__name__.lower()

    @property
    def full_name(self) -> str:
        """The name as scraped."""
        return PREFIX + self.name

    def allows(self, label: str, value: str) -> bool:
        """Whether ``value`` may stand in ``label`` of this metric."""
        if value in (NONE, OTHER):
            return True
        known = self.closed.get(label) or LABELS[label]
        return value in known if isinstance(known, frozenset) else known.fullmatch(value) is not None

    def make(self, registry: CollectorRegistry) -> M:
        """The Prometheus object, registered."""
        if issubclass(self.factory, Info):
            return self.factory(self.full_name.removesuffix("_info"), self.meaning, registry=registry)
        if self.buckets:
            return self.factory(self.full_name, self.meaning, self.labels, registry=registry, buckets=self.buckets)  # type: ignore[call-arg]
        return self.factory(self.full_name, self.meaning, self.labels, registry=registry)

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, instance: None, owner: type) -> Spec[M]: ...
    @overload
    def __get__(self, instance: Metrics, owner: type) -> M: ...
    def __get__(self, instance: Metrics | None, owner: type) -> Spec[M] | M:
        if instance is None:
            return self
        return cast(M, instance.objects[self.name])


def _counter(meaning: str, *labels: str, **closed: Iterable[str]) -> Spec[Counter]:
    return Spec(Counter, meaning, labels, closed={label: frozenset(values) for label, values in closed.items()})


def _gauge(meaning: str, *labels: str) -> Spec[Gauge]:
    return Spec(Gauge, meaning, labels)


def _histogram(buckets: tuple[float, ...], meaning: str, *labels: str) -> Spec[Histogram]:
    return Spec(Histogram, meaning, labels, buckets)


class Metrics:
    """All metrics of one process, on the registry it was given.

    ``countries`` and ``tenants`` get label values of their own, all others are ``other``.
    """

    requests_total = _counter(
        "Requests by what the router made of them: accepted, duplicate, misplaced, or the state a refusal led to.",
        "lane",
        "tenant",
        "decision",
    )
    attempts_total = _counter(
        "Attempts by the provider's immediate answer.",
        "provider",
        "channel",
        "country",
        "result",
        "reason",
        result=AttemptResult,
        reason=Reason,
    )
    provider_request_seconds = _histogram(
        CALL_S,
        "Seconds from the first byte of a provider call to its full answer or its failure.",
        "provider",
        "operation",
        "result",
    )
    delivery_matured_60s_total = _counter(
        "Attempts by whether they were delivered 60 seconds after sending; each attempt once, at that moment.",
        "provider",
        "channel",
        "country",
        "delivered",
    )
    delivery_matured_600s_total = _counter(
        "Attempts by whether they were delivered 600 seconds after sending; each attempt once, at that moment.",
        "provider",
        "channel",
        "country",
        "delivered",
    )
    delivery_seconds = _histogram(
        DELIVERY_S, "Seconds from the provider call to its report of delivery.", "provider", "channel"
    )
    conversion_matured_total = _counter(
        "Verifications at their end by whether the person entered the right code (`yes`, `no`), credited to the last "
        "accepted attempt before the check; apart from both are `no_attempt` (also what was refused), `test`, "
        "`canceled`, and `reach`, where no code is asked for.",
        "provider",
        "channel",
        "country",
        "converted",
    )
    outcomes_total = _counter("Final outcomes.", "state", "reason", "lane", reason=Reason)
    checks_total = _counter("Code checks by what the reply said.", "reason", reason=ReplyReason)
    time_to_send_seconds = _histogram(SEND_S, "Seconds from requested_at to the provider call.", "lane")
    time_to_verify_seconds = _histogram(PERSON_S, "Seconds from the provider call to the right code.")
    end_to_end_seconds = _histogram(OUTCOME_S, "Seconds from requested_at to the final outcome.", "lane")
    hop_seconds = _histogram(
        HOP_S, "Seconds from the time of an input record to the commit of what the stage made of it.", "stage"
    )
    in_flight = _gauge("Provider calls running now.", "provider")
    breaker_state = _gauge("Circuit breaker: 0 closed, 1 half open, 2 open.", "provider", "channel")
    in_doubt_total = _counter("Attempts of which nobody knows whether the provider took them.", "provider")
    unmapped_answers_total = _counter("Answers or receipts whose code is in no table of ours.", "provider")
    provider_throttled_total = _counter("Calls the provider refused because of their rate.", "provider")
    receipts_total = _counter("Delivery reports by what they say.", "provider", "status", status=AttemptStatus)
    receipts_unmatched_total = _counter("Delivery reports that belong to no attempt we know of.", "provider")
    last_receipt_timestamp_seconds = _gauge("Time of the newest delivery report, epoch seconds.", "provider")
    dead_letters_total = _counter("Records that could never be handled.", "stage", "reason", reason=DeadLetterReason)
    schema_unknown_total = _counter("Records refused or held because nobody published their writer schema.", "topic")
    records_total = _counter("Input records handled.", "stage", "topic")
    offset_gaps_total = _counter(
        "Positions out of range, mostly as retention deleted unread records, that went to the first record kept.",
        "stage",
        "topic",
    )
    lag_records = _gauge("Records between the group's position and the end.", "stage", "topic", "partition")
    stable_offset_lag_records = _gauge(
        "Records behind an open transaction: high watermark less last stable offset.", "topic", "partition"
    )
    oldest_unprocessed_seconds = _gauge("Age in seconds of the next record to handle; 0 without lag.", "stage", "topic")
    transactions_total = _counter("Transactions by how they ended.", "stage", "result")
    transaction_seconds = _histogram(HOP_S, "Seconds a transaction took, from its begin to its commit.", "stage")
    rebalances_total = _counter("Rebalances of the consumer group seen by this process.", "stage")
    task_rebuilds_total = _counter("Tasks rebuilt with a fresh producer, by what made it necessary.", "stage", "cause")
    restore_seconds = _histogram(RESTORE_S, "Seconds to read a task's changelog back.", "stage")
    state_entries = _gauge("State entries held by this process.", "stage")
    state_decodes_total = _counter(
        "State entries that had to be decoded, as they were not among the runtime.decoded_entries used last.", "stage"
    )
    timer_lateness_seconds = _histogram(LATENESS_S, "Seconds between a timer's deadline and its firing.", "stage")
    event_loop_lag_seconds = _histogram(LOOP_S, "Seconds by which the event loop woke up late.")
    event_loop_tasks = _gauge("Tasks of the event loop that have not ended.")
    clock_skew_seconds = _gauge("Seconds by which another clock is ahead of ours.", "source")
    cost_total = _counter("What providers charged, in units of the currency.", "provider", "currency")
    protections_total = _counter("Requests a protection refused (enforce) or would have (monitor).", "name", "mode")
    bulk_rows_total = _counter("Rows of bulk files by what became of them.", "result")
    webhooks_total = _counter("Webhook calls by what the gateway made of them.", "provider", "result")
    http_requests_total = _counter(
        "HTTP requests by route template and status.", "route", "status", status=map(str, range(100, 600))
    )
    http_request_seconds = _histogram(HTTP_S, "Seconds to answer an HTTP request.", "route")
    reply_timeouts_total = _counter("Checks and commands whose reply did not come in time.", "kind")
    build_info = Spec(Info, "The version that runs.")
    key_ring_info = _gauge("Keys this process has loaded: 2 the current one, 1 another.", "kid")

    def __init__(
        self, registry: CollectorRegistry, *, countries: Collection[str] = (), tenants: Collection[str] = ("default",)
    ) -> None:
        # A `_created` series per child would double what is scraped and stored, and nobody reads it.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = registry
        self.countries = frozenset(countries or COUNTRIES)
        self.tenants = frozenset(tenants)
        self.objects: dict[str, Counter | Gauge | Histogram | Info] = {
            name: spec.make(registry) for name, spec in self.catalogue().items()
        }
        self._acts: dict[tuple[object, ...], Callable[[float], None]] = {}

    @classmethod
    def catalogue(cls) -> dict[str, Spec[Any]]:
        """Every entry by its name without prefix, in the order of the file."""
        return {name: spec for name, spec in vars(Metrics).items() if isinstance(spec, Spec)}

    def apply(self, measures: Iterable[Measure]) -> None:
        """Apply what stages measured: counters grow, gauges are set, histograms observe.

        Raises ValueError for a metric that is not in the catalogue, another set of labels, a label value that is not
        allowed, or a counter that would shrink: each is a mistake in the code that measured. All the others are
        applied first, whatever their place, so that one mistake does not hide what else happened.
        """
        acts = self._acts
        refused: list[str] = []
        for name, value, labels in measures:
            try:
                act = acts.get((name, *labels.items()))
                if act is None:
                    act = self._act(name, labels)
                act(value)
            except ValueError as error:
                refused.append(str(error))
        if refused:
            raise ValueError("; ".join(refused))

    def _act(self, name: str, labels: Mapping[str, str]) -> Callable[[float], None]:
        spec = self.catalogue().get(name)
        if spec is None or spec.factory is Info:
            raise ValueError(f"metric {name!r} is not in the catalogue of pipeline/metrics.py")
        if labels.keys() != set(spec.labels):
            raise ValueError(f"metric {name!r} has the labels {sorted(spec.labels)}, not {sorted(labels)}")
        values = {label: self._value(spec, label, value) for label, value in labels.items()}
        child: Any = self.objects[name].labels(**values) if values else self.objects[name]
        act: Callable[[float], None] = getattr(child, _ACT[spec.kind])
        # Any text may come as tenant or country: only values from a bounded set may stay in the cache for ever.
        if all(values[label] == value or _COUNTRY.fullmatch(value) for label, value in labels.items()):
            self._acts[(name, *labels.items())] = act
        return act

    def _value(self, spec: Spec[Any], label: str, value: str) -> str:
        if label == "country":
            return value if value in self.countries else OTHER
        if label == "tenant":
            return value if value in self.tenants else OTHER
        value = str(value) or NONE
        if not spec.allows(label, value):
            # The value itself is not told: what does not belong in a label may be a recipient.
            raise ValueError(f"label {label!r} of metric {spec.name!r} takes no such value ({len(value)} characters)")
        return value
