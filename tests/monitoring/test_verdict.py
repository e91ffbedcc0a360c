"""The verdict: each signal alone, the worst of several, and any values at all."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as some

from snapproxy.monitoring.verdict import ServiceSignals, VerdictLevel, verdict

FINE = ServiceSignals(
    up_seconds=3600, used=50, limit=100, free=1 << 40, floor=1 << 30, requests=1000, failures=1, upstreams=4
)
GIB = 1 << 30


@pytest.mark.parametrize(
    ("changes", "level", "reason"),
    [
        ({}, VerdictLevel.HEALTHY, "Requests are answered"),
        ({"up_seconds": 5}, VerdictLevel.WARMING_UP, "started a moment ago"),
        ({"is_counted": False}, VerdictLevel.WARMING_UP, "being counted"),
        ({"store_fault": "the disk is read-only"}, VerdictLevel.DEGRADED, "cannot be stored: the disk is read-only."),
        ({"used": 94}, VerdictLevel.HEALTHY, "Requests are answered"),
        ({"used": 97}, VerdictLevel.WATCHING, "97% of the quota"),
        ({"used": 100}, VerdictLevel.DEGRADED, "The quota is full"),
        ({"is_protected": True}, VerdictLevel.WATCHING, "new captures are refused"),
        ({"limit": 0}, VerdictLevel.DEGRADED, "The quota is full"),
        ({"limit": None, "used": GIB}, VerdictLevel.HEALTHY, "Requests are answered"),
        ({"used": 100, "is_counted": False}, VerdictLevel.WARMING_UP, "being counted"),
        ({"free": GIB}, VerdictLevel.DEGRADED, "must stay free"),
        ({"free": GIB + 1}, VerdictLevel.WATCHING, "almost full"),
        ({"free": 0, "floor": 0}, VerdictLevel.HEALTHY, "Requests are answered"),
        ({"failures": 19}, VerdictLevel.HEALTHY, "Requests are answered"),
        ({"failures": 20}, VerdictLevel.WATCHING, "2% of the last 1000 requests failed."),
        ({"failures": 100}, VerdictLevel.DEGRADED, "10% of the last 1000 requests failed."),
        ({"failures": 19, "requests": 19}, VerdictLevel.HEALTHY, "Requests are answered"),
        ({"bad_files": 1}, VerdictLevel.DEGRADED, "1 file had other bytes"),
        ({"bad_files": 2}, VerdictLevel.DEGRADED, "2 files had other bytes"),
        ({"cooling": ("a",)}, VerdictLevel.WATCHING, "a is cooling down."),
        ({"cooling": ("a", "b")}, VerdictLevel.WATCHING, "a, b are cooling down."),
        ({"cooling": ("a", "b", "c", "d")}, VerdictLevel.DEGRADED, "a, b, c and 1 more are cooling down."),
        ({"cooling": ("a",), "upstreams": 1}, VerdictLevel.WATCHING, "a is cooling down."),
    ],
)
def test_each_signal(changes: dict[str, object], level: VerdictLevel, reason: str) -> None:
    found = verdict(replace(FINE, **changes))  # type: ignore[arg-type]
    assert found.level is level
    assert reason in found.reasons[0]


def test_the_worst_reason_is_first_and_none_is_lost() -> None:
    found = verdict(replace(FINE, up_seconds=1, cooling=("a",), store_fault="the disk is full"))
    assert [each.partition(":")[0] for each in found.reasons] == [
        "Files cannot be stored",
        "a is cooling down.",
        "The service has started a moment ago.",
    ]
    assert found.level is VerdictLevel.DEGRADED


_numbers = some.integers(-(1 << 70), 1 << 70)


@given(
    some.builds(
        ServiceSignals,
        up_seconds=some.floats(),
        store_fault=some.text(max_size=5),
        is_counted=some.booleans(),
        used=_numbers,
        limit=some.none() | _numbers,
        free=_numbers,
        floor=_numbers,
        requests=_numbers,
        failures=_numbers,
        bad_files=_numbers,
        cooling=some.lists(some.text(max_size=5), max_size=5).map(tuple),
        upstreams=_numbers,
    )
)
def test_any_values_have_a_verdict(signals: ServiceSignals) -> None:
    found = verdict(signals)
    assert found.reasons
    assert found.level.word in {"HEALTHY", "WARMING UP", "WATCHING", "DEGRADED"}
    if signals.store_fault:
        assert found.level is VerdictLevel.DEGRADED


def test_an_unknown_age_is_not_healthy() -> None:
    assert verdict(replace(FINE, up_seconds=math.nan)).level is VerdictLevel.WARMING_UP
