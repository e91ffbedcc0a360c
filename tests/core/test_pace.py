"""The pace after a refusal: slower than the policy, never slower than its floor, and back after hours."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapproxy.core.rate_limit import (
    MIRROR,
    MOST_SLOW_DOWN,
    RECOVERY_SECONDS,
    SLOW_DOWN,
    SPARING,
    RatePolicy,
    RateState,
    broken,
    grant,
    pace,
    returned,
    seconds_for,
    slow_down,
    succeeded,
    throttled,
)

NOW = 1_717_200_000.0
FRESH = RateState()
POLICIES = st.builds(RatePolicy, requests_per_second=st.floats(0.05, 100), burst=st.integers(0, 50))
SLOWED = st.builds(
    RateState,
    spent=st.floats(0, 50),
    updated=st.floats(NOW - 100, NOW),
    until=st.floats(NOW - 100, NOW + 1000),
    slow_down=st.floats(0, 20),
    slowed=st.floats(NOW - 4 * RECOVERY_SECONDS, NOW),
)


def refused(state: RateState, policy: RatePolicy, now: float) -> RateState:
    return throttled(state, policy, now, cool_down_epoch=state.cool_down_epoch, retry_after=None, jitter=0.0)


def answered(state: RateState) -> RateState:
    return succeeded(state, cool_down_epoch=state.cool_down_epoch)


def test_a_refusal_slows_the_pace_and_ends_bursts() -> None:
    slowed = refused(FRESH, SPARING, NOW)
    assert pace(FRESH, SPARING, NOW) == SPARING
    assert pace(slowed, SPARING, NOW) == replace(SPARING, requests_per_second=0.7 / SLOW_DOWN, burst=1)


def test_an_upstream_without_a_rate_keeps_its_connections_as_the_limit() -> None:
    assert pace(refused(FRESH, MIRROR, NOW), MIRROR, NOW) == MIRROR


def test_a_refused_probe_lengthens_the_cool_down_and_not_the_pace() -> None:
    once = refused(FRESH, SPARING, NOW)
    twice = refused(once, SPARING, NOW)
    assert slow_down(twice, NOW) == slow_down(once, NOW) == SLOW_DOWN
    assert twice.until > once.until


def test_requests_refused_together_slow_the_pace_once() -> None:
    once = refused(FRESH, SPARING, NOW)
    assert throttled(once, SPARING, NOW, cool_down_epoch=0, retry_after=None, jitter=0.0) == once


def test_each_refusal_of_the_slower_pace_slows_it_again_down_to_the_floor() -> None:
    state, factors = FRESH, []
    for _ in range(8):
        state = refused(answered(state), SPARING, NOW)
        factors.append(slow_down(state, NOW))
    assert factors[:3] == [SLOW_DOWN, SLOW_DOWN**2, SLOW_DOWN**3]
    assert factors[-2:] == [MOST_SLOW_DOWN, MOST_SLOW_DOWN]


def test_the_pace_recovers_by_one_step_in_the_recovery_time_and_no_burst_follows() -> None:
    state = refused(answered(refused(FRESH, SPARING, NOW)), SPARING, NOW)
    later = NOW + RECOVERY_SECONDS
    assert slow_down(state, later) == pytest.approx(SLOW_DOWN)
    whole = NOW + 2 * RECOVERY_SECONDS
    assert pace(state, SPARING, whole) == SPARING
    last, _ = grant(answered(state), SPARING, whole - 0.001)
    assert grant(last, SPARING, whole + 0.001)[1] > 1, "the bucket fills at the rate, from a single token"


def test_a_block_of_days_does_not_count_as_recovery() -> None:
    state, now = refused(FRESH, SPARING, NOW), NOW
    while now < NOW + 2 * RECOVERY_SECONDS:
        now = state.until
        state = refused(state, SPARING, now)
    assert slow_down(state, now) > SLOW_DOWN * 0.95


@pytest.mark.parametrize("ahead", [5, 600, 86_400, 864_000])
def test_a_refusal_from_a_clock_that_was_set_back_recovers_from_now_on(ahead: float) -> None:
    state, _ = grant(answered(refused(FRESH, SPARING, NOW + ahead)), SPARING, NOW)
    assert slow_down(state, NOW) == SLOW_DOWN
    assert slow_down(state, NOW + RECOVERY_SECONDS) == pytest.approx(1)


def test_a_row_of_an_earlier_version_has_the_pace_of_the_policy() -> None:
    row = {"spent": 3.0, "updated": NOW, "until": 0.0, "storm": 2, "throttles": 1, "breaks": 0, "probe": 0, "noted": 0}
    assert pace(RateState.from_json(row), SPARING, NOW) == SPARING


def test_a_row_that_an_earlier_version_wrote_during_a_cool_down_keeps_it() -> None:
    row = {"spent": 30.0, "updated": NOW + 20, "until": NOW + 20, "storm": 1, "throttles": 1, "noted": NOW}
    assert grant(RateState.from_json(row), SPARING, NOW + 1)[1] == 19


STEPS = st.lists(
    st.tuples(st.floats(0, 40), st.sampled_from(["answered", "answered", "refused", "broken", "cancelled"])),
    max_size=60,
)


@given(POLICIES, STEPS)
def test_after_a_refusal_no_request_is_sent_above_the_learned_pace(
    policy: RatePolicy, steps: list[tuple[float, str]]
) -> None:
    """Requests that follow one another, probes and cancelled ones included, have the distance of the pace."""
    state, now, last, learned = FRESH, NOW, None, None
    for step, result in steps:
        now += step
        state, wait = grant(state, policy, now)
        if wait:
            continue
        paced = pace(state, policy, now)
        if learned is not None and last is not None and paced.burst == 1 and slow_down(state, now) > 1:
            assert now - last >= 1 / (paced.requests_per_second or 1) - 1e-5
        last = now
        match result:
            case "answered":
                state = answered(state)
            case "refused":
                state = refused(state, policy, now)
                learned = pace(state, policy, now)
            case "broken":
                state = broken(state, policy, now, cool_down_epoch=state.cool_down_epoch, jitter=0.0)
            case _:
                state = returned(state, cool_down_epoch=state.cool_down_epoch)


@given(SLOWED, POLICIES, st.floats(NOW, NOW + 10 * RECOVERY_SECONDS))
def test_the_pace_is_between_its_floor_and_the_policy_and_never_falls_by_waiting(
    state: RateState, policy: RatePolicy, later: float
) -> None:
    rates = [pace(state, policy, now).requests_per_second or 0.0 for now in (NOW, later)]
    assert (policy.requests_per_second or 0.0) / MOST_SLOW_DOWN - 1e-9 <= rates[0] <= rates[1] + 1e-9
    assert rates[1] <= (policy.requests_per_second or 0.0)


@given(SLOWED, POLICIES, st.integers(1, 80))
def test_the_seconds_for_some_requests_are_those_in_which_they_are_granted(
    state: RateState, policy: RatePolicy, count: int
) -> None:
    now, sent, granted = NOW, state, 0
    while granted < count:
        sent, wait = grant(sent, policy, now)
        granted += not wait
        now += wait and max(wait, 1e-5)  # a smaller step is lost in the floats of the wall clock
    assert seconds_for(state, policy, NOW, count) == pytest.approx(now - NOW, rel=0.01, abs=0.01)


def test_no_request_takes_no_time_even_during_a_cool_down() -> None:
    assert seconds_for(refused(FRESH, SPARING, NOW), SPARING, NOW, 0) == 0
    assert seconds_for(refused(FRESH, SPARING, NOW), SPARING, NOW, 1) == 10
    assert seconds_for(FRESH, MIRROR, NOW, 10_000) == 0
