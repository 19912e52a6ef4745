from __future__ import annotations

import re

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from pipeline.metrics import COUNTRIES, LABELS, Metrics
from pipeline.runtime.api import Effects, Measure

CONTRACT = """
requests_total{lane,tenant,decision} attempts_total{provider,channel,country,result,reason}
provider_request_seconds{provider,operation,result}
delivery_matured_60s_total{provider,channel,country,delivered}
delivery_matured_600s_total{provider,channel,country,delivered}
delivery_seconds{provider,channel} conversion_matured_total{provider,channel,country,converted}
outcomes_total{state,reason,lane} checks_total{reason} time_to_send_seconds{lane} time_to_verify_seconds
end_to_end_seconds{lane} hop_seconds{stage} in_flight{provider} breaker_state{provider,channel} in_doubt_total{provider}
unmapped_answers_total{provider} provider_throttled_total{provider} receipts_total{provider,status}
receipts_unmatched_total{provider} last_receipt_timestamp_seconds{provider} dead_letters_total{stage,reason}
schema_unknown_total{topic} records_total{stage,topic} lag_records{stage,topic,partition}
stable_offset_lag_records{topic,partition} oldest_unprocessed_seconds{stage,topic} transactions_total{stage,result}
transaction_seconds{stage} rebalances_total{stage} task_rebuilds_total{stage,cause} restore_seconds{stage}
state_entries{stage} timer_lateness_seconds{stage} event_loop_lag_seconds clock_skew_seconds{source}
cost_total{provider,currency} protections_total{name,mode} bulk_rows_total{result} webhooks_total{provider,result}
http_requests_total{route,status} http_request_seconds{route} reply_timeouts_total{kind} build_info
"""
"""CONTRACTS 8 as data."""

BEYOND_THE_CONTRACT = {
    "key_ring_info": ("kid",),
    "offset_gaps_total": ("stage", "topic"),
    "event_loop_tasks": (),
    "state_decodes_total": ("stage",),
}
"""DESIGN 5: rotation promotes a key when every process reports it. DESIGN 6: a position out of range is counted. A long
run that leaves tasks behind is seen by their number; a bound of decoded entries that is too small, by decodes."""


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(CollectorRegistry(), tenants=["default", "acme"])


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"verification_{name}", labels)


def test_the_catalogue_is_the_contract_s() -> None:
    expected = {
        name: tuple(labels.strip("{}").split(",")) if labels else ()
        for name, labels in re.findall(r"([a-z0-9_]+)(\{[a-z,]+\})?", CONTRACT)
    }
    assert {name: spec.labels for name, spec in Metrics.catalogue().items()} == expected | BEYOND_THE_CONTRACT


def test_every_metric_says_what_it_means_and_is_named_after_its_unit() -> None:
    for name, spec in Metrics.catalogue().items():
        assert spec.meaning.endswith("."), name
        assert (spec.kind == "counter") == name.endswith("_total"), name
        assert (spec.kind == "histogram") <= name.endswith("_seconds"), name
        assert list(spec.buckets) == sorted(set(spec.buckets)), name
        assert set(spec.labels) <= set(LABELS), name


def test_country_is_never_on_a_histogram() -> None:
    assert not [name for name, spec in Metrics.catalogue().items() if spec.buckets and "country" in spec.labels]


def test_each_attribute_is_scraped_under_its_own_name(metrics: Metrics) -> None:
    metrics.build_info.info({"version": "1.2.3"})
    metrics.apply([("time_to_verify_seconds", 3.0, {}), ("in_flight", 4.0, {"provider": "ycloud"})])
    scraped = {family.name for family in text_string_to_metric_families(generate_latest(metrics.registry).decode())}
    for spec in Metrics.catalogue().values():
        assert spec.full_name.removesuffix("_total") in scraped
    assert value(metrics, "build_info", version="1.2.3") == 1
    assert value(metrics, "time_to_verify_seconds_sum") == 3


def test_counters_grow_gauges_are_set_and_histograms_observe(metrics: Metrics) -> None:
    effects: Effects[None] = Effects()
    for _ in range(2):
        effects.count("checks_total", reason="wrong_code")
        effects.count("state_entries", 7, stage="router")
        effects.count("hop_seconds", 0.02, stage="router")
    metrics.apply(effects.counts)
    assert value(metrics, "checks_total", reason="wrong_code") == 2
    assert value(metrics, "state_entries", stage="router") == 7
    assert value(metrics, "hop_seconds_count", stage="router") == 2
    assert value(metrics, "hop_seconds_sum", stage="router") == pytest.approx(0.04)


def test_the_order_in_which_labels_are_given_does_not_matter(metrics: Metrics) -> None:
    metrics.apply([("records_total", 1, {"stage": "router", "topic": "verification.requests"})])
    metrics.apply([("records_total", 1, {"topic": "verification.requests", "stage": "router"})])
    assert value(metrics, "records_total", stage="router", topic="verification.requests") == 2


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("no_such_metric_total", {}),
        ("checks_total", {}),
        ("checks_total", {"reason": "valid", "lane": "bulk"}),
        ("checks_total", {"lane": "bulk"}),
        ("build_info", {}),
    ],
)
def test_a_wrong_metric_or_label_set_is_refused(metrics: Metrics, name: str, labels: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=name):
        metrics.apply([(name, 1, labels)])


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("checks_total", {"reason": "no_such_reason"}),
        ("outcomes_total", {"state": "done", "reason": "none", "lane": "bulk"}),
        ("outcomes_total", {"state": "verified", "reason": "none", "lane": "slow"}),
        ("in_doubt_total", {"provider": "+4915112345678"}),
        ("in_doubt_total", {"provider": "4915112345678"}),
        ("in_doubt_total", {"provider": "jo@example.org"}),
        ("http_requests_total", {"route": "/v1/x?recipient=+4915112345678", "status": "200"}),
        ("lag_records", {"stage": "router", "topic": "verification.requests", "partition": "4915112345678"}),
        ("lag_records", {"stage": "router", "topic": "verification.requests", "partition": "١"}),
        ("in_doubt_total", {"provider": "\u212a"}),
    ],
)
def test_a_value_outside_its_closed_list_is_refused_and_not_told(
    metrics: Metrics, name: str, labels: dict[str, str]
) -> None:
    with pytest.raises(ValueError, match="takes no such value") as refused:
        metrics.apply([(name, 1, labels)])
    assert "4915112345678" not in str(refused.value)
    assert "example" not in str(refused.value)
    assert not [line for line in generate_latest(metrics.registry).decode().splitlines() if "4915" in line]


def test_a_refused_measure_takes_no_other_with_it_and_all_refused_ones_are_named(metrics: Metrics) -> None:
    good = ("checks_total", 1.0, {"reason": "valid"})
    bad: list[Measure] = [
        ("in_doubt_total", 1.0, {"provider": "+4915112345678"}),
        ("no_such_metric_total", 1.0, {}),
        ("checks_total", -1.0, {"reason": "valid"}),
    ]
    with pytest.raises(ValueError, match=r"(?s)in_doubt_total.*no_such_metric_total.*") as refused:
        metrics.apply([bad[0], good, bad[1], bad[2], good])
    assert value(metrics, "checks_total", reason="valid") == 2
    assert "4915112345678" not in str(refused.value)


def test_no_reason_is_the_reason_none(metrics: Metrics) -> None:
    metrics.apply([("outcomes_total", 1, {"state": "verified", "reason": "", "lane": "interactive"})])
    assert value(metrics, "outcomes_total", state="verified", reason="none", lane="interactive") == 1


def test_rare_and_nonsense_countries_share_one_series(metrics: Metrics) -> None:
    labels = {"provider": "ycloud", "channel": "sms", "delivered": "yes"}
    for country in ("DE", "TV", "NU", "de", "", "XX", "+4915112345678"):
        metrics.apply([("delivery_matured_60s_total", 1, {**labels, "country": country})])
    assert value(metrics, "delivery_matured_60s_total", country="DE", **labels) == 1
    assert value(metrics, "delivery_matured_60s_total", country="other", **labels) == 6


def test_the_number_of_series_and_of_cached_children_is_bounded_whatever_requests_say(metrics: Metrics) -> None:
    for i in range(3_000):
        country = chr(65 + i % 26) + chr(65 + i // 26 % 26)
        tenant = f"tenant{i}"
        metrics.apply(
            [
                ("requests_total", 1, {"lane": "bulk", "tenant": tenant, "decision": "accepted"}),
                (
                    "conversion_matured_total",
                    1,
                    {"provider": "p", "channel": "sms", "country": country, "converted": "no"},
                ),
                (
                    "conversion_matured_total",
                    1,
                    {"provider": "p", "channel": "sms", "country": f"c{i}", "converted": "no"},
                ),
            ]
        )
    samples = [sample for family in metrics.registry.collect() for sample in family.samples]
    assert len([s for s in samples if s.name == "verification_conversion_matured_total"]) == len(COUNTRIES) + 1
    assert value(metrics, "requests_total", lane="bulk", tenant="other", decision="accepted") == 3_000
    assert len(metrics._acts) <= 26 * 26


def test_configured_countries_replace_the_usual_ones() -> None:
    metrics = Metrics(CollectorRegistry(), countries=["TV"])
    for country in ("TV", "DE"):
        metrics.apply(
            [
                (
                    "attempts_total",
                    1,
                    {"provider": "p", "channel": "sms", "country": country, "result": "accepted", "reason": ""},
                )
            ]
        )
    labels = {"provider": "p", "channel": "sms", "result": "accepted", "reason": "none"}
    assert value(metrics, "attempts_total", country="TV", **labels) == 1
    assert value(metrics, "attempts_total", country="other", **labels) == 1


def test_two_processes_worth_of_metrics_do_not_share_anything() -> None:
    one, two = Metrics(CollectorRegistry()), Metrics(CollectorRegistry())
    one.apply([("rebalances_total", 1, {"stage": "router"})])
    assert value(two, "rebalances_total", stage="router") is None
