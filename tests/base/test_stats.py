"""The counters of a process: refusals by status and host, with a bound on names that clients choose."""

from __future__ import annotations

from snapproxy.base.metrics import OTHERS
from snapproxy.base.stats import MAX_REFUSED_HOSTS, Stats


def test_refusals_are_counted_by_status() -> None:
    stats = Stats()
    for status in (407, 400, 403, 407):
        assert not stats.refused(status)
    assert stats.as_json()["refusals"] == 4
    assert stats.as_json()["refusals_by_status"] == {"400": 1, "403": 1, "407": 2}


def test_the_first_refusal_of_a_host_is_reported() -> None:
    stats = Stats()
    assert [stats.refused(403, host) for host in ("https://a", "https://b", "https://a")] == [True, True, False]
    assert stats.as_json()["refused_hosts"] == {"https://a": 2, "https://b": 1}


def test_clients_that_invent_hosts_take_a_bounded_amount_of_memory() -> None:
    stats = Stats()
    first = [stats.refused(403, f"https://h{number}") for number in range(1000)]
    assert sum(first) == MAX_REFUSED_HOSTS
    counted = stats.as_json()["refused_hosts"]
    assert len(counted) == MAX_REFUSED_HOSTS + 1
    assert counted[OTHERS] == 1000 - MAX_REFUSED_HOSTS
    assert not stats.refused(403, "https://h0")
    assert stats.as_json()["refused_hosts"]["https://h0"] == 2
