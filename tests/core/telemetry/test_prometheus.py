"""Turns as Prometheus metrics: what is counted, under which labels, and how many of them there may be."""

import threading
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from codemie_core.telemetry.prometheus import LONGEST_LABEL, OTHER, Counters
from codemie_core.usage.cost import Cost
from codemie_core.usage.record import AttemptRecord
from codemie_core.usage.usage import UNKNOWN, Usage
from support.records import new_record
from support.yardstick import microseconds

type Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


def series(counters: Counters) -> Series:
    """Every sample that Prometheus would read."""
    found = {}
    for family in text_string_to_metric_families(counters.rendered().decode()):
        for sample in family.samples:
            found[(sample.name.removeprefix("codemie_proxy_"), frozenset(sample.labels.items()))] = sample.value
    return found


def value(counters: Counters, name: str, **labels: str) -> float | None:
    """The sum over all series of this name that have these labels; None without one."""
    values = [count for (found, its), count in series(counters).items() if found == name and labels.items() <= set(its)]
    return sum(values) if values else None


def counted(*records: Any) -> Counters:
    counters = Counters()
    for record in records:
        counters.count(record)
    return counters


def test_tokens_are_counted_by_what_they_were() -> None:
    counters = counted(new_record(), new_record(usage=Usage(input=8, output=10, reasoning=4)))
    found = {
        kind: value(counters, "tokens_total", type=kind) for kind in ("input", "cache_read", "cache_write", "output")
    }
    assert found == {"input": 20, "cache_read": 30_000, "cache_write": 500, "output": 310}
    assert value(counters, "reasoning_tokens_total") == 4
    assert value(counters, "tokens_total", model="claude-sonnet-4-5-20250929", agent="claude", account="main")


def test_cost_is_counted_in_dollars_and_unknown_cost_apart() -> None:
    counters = counted(new_record(), new_record(cost=Cost()), new_record(cost=Cost(), usage=UNKNOWN))
    assert value(counters, "cost_usd_total") == pytest.approx(0.015411)
    assert value(counters, "unpriced_requests_total") == 1


def test_requests_are_counted_by_how_they_ended() -> None:
    counters = counted(
        new_record(),
        new_record(status=429),
        new_record(status=529),
        new_record(status=None, terminal="upstream_error"),
    )
    found = {status: value(counters, "requests_total", status=status) for status in ("2xx", "4xx", "5xx", "none")}
    assert found == {"2xx": 1, "4xx": 1, "5xx": 1, "none": 1}
    assert value(counters, "requests_total", terminal="upstream_error") == 1


def test_tries_and_changes_of_the_account_are_counted() -> None:
    attempts = (
        AttemptRecord(1, "main", "h", 429, "status", 1.0, 2.0),
        AttemptRecord(2, "main", "h", None, "connect", 1.0, 2.0),
        AttemptRecord(3, "spare", "h", 200, "", 1.0, 2.0),
    )
    counters = counted(new_record(attempts=attempts))
    assert value(counters, "attempts_total", account="main", outcome="status") == 1
    assert value(counters, "attempts_total", account="spare", outcome="2xx") == 1
    assert (
        value(counters, "failovers_total") == value(counters, "failovers_total", account="main", reason="connect") == 1
    )


def test_durations_are_histograms_in_seconds() -> None:
    counters = counted(new_record(), new_record(first_token_ms=None, total_ms=30_000.0))
    assert value(counters, "request_duration_seconds_bucket", le="2.5") == 1
    assert value(counters, "request_duration_seconds_sum") == 32.5
    assert value(counters, "first_token_seconds_count") == 1


def test_models_without_end_are_counted_as_other_after_the_first() -> None:
    counters = Counters(most_series=3)
    for number in range(10):
        counters.count(new_record(model_served=f"model-{number}"))
    assert value(counters, "requests_total", model="model-2", status="2xx") == 1
    assert value(counters, "requests_total", model="model-3") is None
    assert value(counters, "requests_total", model=OTHER, status="2xx") == 7
    assert value(counters, "requests_total") == 10


def test_a_family_has_no_more_series_than_it_may() -> None:
    counters = Counters(most_series=5)
    for number in range(200):
        counters.count(new_record(model_served=f"m{number}", account=f"a{number}", agent=f"g{number}"))
    names = [name for name, _ in series(counters) if name == "requests_total"]
    assert len(names) == 6


def test_ids_and_folders_are_no_labels() -> None:
    record = new_record()
    text = counted(record).rendered().decode()
    labels = record.labels
    kept_back = (record.id, record.conversation_id, record.session_id, labels.working_directory, labels.repository)
    assert [word for word in kept_back if word in text] == []


def test_names_that_would_break_the_format_do_not() -> None:
    counters = counted(new_record(model_served='a"b\n\ud800' + "x" * 999))
    [model] = {dict(labels)["model"] for name, labels in series(counters) if name == "requests_total"}
    assert model.startswith('a"bx')
    assert len(model) <= LONGEST_LABEL


def test_threads_may_count_and_read_at_once() -> None:
    counters = Counters()

    def count() -> None:
        for _ in range(200):
            counters.count(new_record())

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        series(counters)
    assert value(counters, "requests_total") == 800


def test_two_proxies_in_one_process_count_apart() -> None:
    one, other = counted(new_record()), Counters()
    assert (value(one, "requests_total"), value(other, "requests_total")) == (1, None)


def test_a_turn_is_counted_in_less_than_thirty_microseconds() -> None:
    counters, record = counted(new_record()), new_record()

    def count() -> None:
        for _ in range(200):
            counters.count(record)

    assert microseconds(count, 200) < 30
