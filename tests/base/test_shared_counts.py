"""What a process does is counted for all processes, under bounded labels; its own statistics stay its own."""

from __future__ import annotations

from dataclasses import replace

import pytest

from snapproxy.base import metrics
from snapproxy.base.shared_counts import MAX_LABEL_VALUES, SharedCounts
from snapproxy.base.stats import Stats
from snapproxy.core.exchange import Served
from snapproxy.core.model import Proof, Role
from snapproxy.core.upstream_answer import Absent, BodyFollows, Broken, CoolingDown, Fault, Offer, QueueFull, Throttled
from snapproxy_storage import MemoryCounters


class NoBody:
    size = 1

    def close(self) -> None: ...


SERVED = Served(NoBody(), "debian", "20240601T000000Z", "20240601", Proof.GPG, "HIT", Role.PACKAGE)  # type: ignore[arg-type]


def counted(stats: Stats | SharedCounts) -> dict[str, int]:
    counters = stats.shared.counters if isinstance(stats, Stats) else stats.counters
    return {name.removeprefix("snapproxy_"): value for name, value in counters.totals().items() if value}


def test_files_and_bytes_are_counted_by_archive_and_outcome() -> None:
    stats = Stats()
    for served in (SERVED, SERVED, replace(SERVED, cache="MISS", proof=Proof.NONE), replace(SERVED, archive="")):
        stats.served(served)
        stats.sent(served, 10)
    assert counted(stats) == {
        "requests_total debian hit": 2,
        "requests_total debian miss": 1,
        "requests_total none hit": 1,
        "sent_bytes_total debian hit": 20,
        "sent_bytes_total debian miss": 10,
        "sent_bytes_total none hit": 10,
        "unverified_files_total debian": 1,
    }


def test_statistics_of_a_process_do_not_have_the_counts_of_another_one() -> None:
    shared = MemoryCounters()
    first, second = Stats(shared=SharedCounts(shared)), Stats(shared=SharedCounts(shared))
    first.served(SERVED)
    second.served(SERVED)
    assert (first.as_json()["hits"], second.as_json()["hits"]) == (1, 1)
    assert shared.totals()["snapproxy_requests_total debian hit"] == 2


def test_refusals_are_counted_by_archive_and_status() -> None:
    stats = Stats()
    stats.refused(407)
    stats.refused(404, archive="debian")
    assert counted(stats) == {"refusals_total none 407": 1, "refusals_total debian 404": 1}


@pytest.mark.parametrize(
    ("answer", "seconds", "expected"),
    [
        (BodyFollows(Offer(0, 1, 1)), 0.05, {"requests_total h body": 1, "response_seconds h 0.05": 1}),
        (Absent(404), 0.2, {"requests_total h absent": 1, "response_seconds h 0.25": 1}),
        (Broken(Fault.RESET), 31.0, {"requests_total h failed": 1, "response_seconds h +Inf": 1}),
        (
            Throttled(429, None),
            0.3,
            {"requests_total h throttled": 1, "throttled_total h 429": 1, "response_seconds h 0.5": 1},
        ),
    ],
)
def test_answers_of_upstreams_are_counted_with_their_latency(
    answer: object, seconds: float, expected: dict[str, int]
) -> None:
    counts = SharedCounts()
    counts.answered("h", answer, seconds)  # type: ignore[arg-type]
    total = {"response_seconds h sum": int(seconds * 1_000_000)}
    assert counted(counts) == {f"upstream_{name}": value for name, value in (expected | total).items()}


def test_waits_and_refused_permits_are_counted() -> None:
    counts = SharedCounts()
    counts.waited("h", 0.001)
    counts.waited("h", 2.0)
    counts.not_sent("h", CoolingDown("h", 9.0, "429"))
    counts.not_sent("h", QueueFull("h", 256, 9.0))
    assert counted(counts) == {
        "upstream_waits_total h": 1,
        "upstream_wait_seconds_total h": 2_000_000,
        "upstream_not_sent_total h cool_down": 1,
        "upstream_not_sent_total h queue_full": 1,
    }


def test_further_hosts_and_archives_share_a_label() -> None:
    counts = SharedCounts()
    for number in range(MAX_LABEL_VALUES + 5):
        counts.received(f"h{number}", 1)
        counts.failed_verification(f"archive{number}")
    counts.received("a label", 1)
    found = counted(counts)
    assert len(found) == 2 * (MAX_LABEL_VALUES + 1)
    assert found["upstream_received_bytes_total others"] == 6
    assert found["verification_failures_total others"] == 5


def test_names_of_metrics_follow_the_conventions() -> None:
    for metric in metrics.STORED:
        assert metric.name.startswith("snapproxy_")
        assert (metric.kind is metrics.Kind.COUNTER) == metric.name.endswith("_total")
        assert metrics.values_of(metric.key(*metric.labels)) == (metric.name, metric.labels)
        assert not {"package", "capture", "client", "address"} & set(metric.labels)
    assert len({metric.name for metric in metrics.STORED}) == len(metrics.STORED)


def test_the_upstreams_are_those_that_were_to_be_requested() -> None:
    keys = [
        metrics.UPSTREAM_REQUESTS.key("a", "body"),
        metrics.UPSTREAM_NOT_SENT.key("b", "cool_down"),
        metrics.UPSTREAM_REQUESTS.key("a", "absent"),
        metrics.UPSTREAM_REQUESTS.key(metrics.OTHERS, "body"),
        metrics.UPSTREAM_BYTES.key("c"),
        "other",
    ]
    assert metrics.upstream_hosts(keys) == ["a", "b"]


def test_a_failure_is_a_refusal_that_no_client_causes() -> None:
    found = [status for status in (400, 401, 403, 404, 407, 424, 429, 500, 502, 503, 504) if metrics.is_failure(status)]
    assert found == [424, 429, 500, 502, 503, 504]
