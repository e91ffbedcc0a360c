"""The traffic of the last minutes."""

from __future__ import annotations

from snapproxy.monitoring.recent import RecentTraffic, TrafficReading


def test_the_window_moves_with_the_readings() -> None:
    recent = RecentTraffic(TrafficReading(0, 0, 0, 0))
    for minute in range(1, 9):
        found = recent.since(TrafficReading(minute * 60, minute * 10, minute, 0))
    assert (found.requests, found.failures) == (50, 5)


def test_a_long_time_without_a_reading_is_not_lost() -> None:
    recent = RecentTraffic(TrafficReading(0, 0, 0, 0))
    assert recent.since(TrafficReading(10_000, 70, 7, 1)) == TrafficReading(10_000, 70, 7, 1)
    assert recent.since(TrafficReading(10_001, 71, 7, 1)).requests == 71
    assert recent.since(TrafficReading(10_301, 75, 7, 1)).requests == 5


def test_frequent_readings_take_no_memory() -> None:
    recent = RecentTraffic(TrafficReading(0, 0, 0, 0))
    for second in range(3000):
        recent.since(TrafficReading(second, second, 0, 0))
    assert len(recent._readings) <= 32


def test_counters_that_begin_again_count_nothing() -> None:
    recent = RecentTraffic(TrafficReading(0, 100, 5, 0))
    assert recent.since(TrafficReading(60, 3, 0, 0)) == TrafficReading(60, 0, 0, 0)
