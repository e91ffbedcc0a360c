"""The rate limit: exact figures for the rules, properties that hold for every sequence of results."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapproxy.core.rate_limit import (
    LONGEST_PAUSE,
    MIRROR,
    MOST_SLOW_DOWN,
    PROBE_LEASE,
    PROBE_POLL,
    SLOW_DOWN,
    SPARING,
    SPREAD,
    RatePolicy,
    RateState,
    broken,
    grant,
    returned,
    succeeded,
    throttled,
)

NOW = 1_717_200_000.0
SLOW = replace(SPARING, cool_down=30.0)
"""With round figures: 30, 60, 120, ... seconds."""
FRESH = RateState()


def refused(state: RateState, now: float, *, retry_after: float | None = None, jitter: float = 0.0) -> RateState:
    """The upstream refuses a request that was granted in the present cool-down epoch."""
    return throttled(state, SLOW, now, cool_down_epoch=state.cool_down_epoch, retry_after=retry_after, jitter=jitter)


def test_an_upstream_never_asked_grants_its_whole_burst_and_then_its_rate() -> None:
    state, waits = FRESH, []
    for _ in range(32):
        state, wait = grant(state, SLOW, NOW)
        waits.append(wait)
    assert waits[:30] == [0.0] * 30
    assert waits[30] == pytest.approx(1 / 0.7)
    assert waits[31] == waits[30], "a request that must wait costs nothing"


def test_a_token_is_there_after_exactly_the_wait_that_was_named() -> None:
    state = FRESH
    for _ in range(30):
        state, _ = grant(state, SLOW, NOW)
    _, wait = grant(state, SLOW, NOW)
    assert grant(state, SLOW, NOW + wait - 0.01)[1] > 0
    assert grant(state, SLOW, NOW + wait)[1] == 0.0


def test_a_mirror_has_no_rate_and_its_grants_change_nothing() -> None:
    assert grant(FRESH, MIRROR, NOW) == (FRESH, 0.0)


def test_cool_downs_double_up_to_fifteen_minutes() -> None:
    state, now, pauses = FRESH, NOW, []
    for _ in range(8):
        state = refused(state, now)
        pauses.append(state.until - now)
        now = state.until
    assert pauses == [30, 60, 120, 240, 480, 900, 900, 900]


def test_breaks_rest_shorter_and_do_not_lengthen_a_later_cool_down() -> None:
    state, now, pauses = FRESH, NOW, []
    for _ in range(8):
        state = broken(state, SLOW, now, cool_down_epoch=state.cool_down_epoch, jitter=0.0)
        pauses.append(state.until - now)
        now = state.until
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]
    assert refused(state, now).until - now == 30


def test_jitter_lengthens_by_a_quarter_at_most() -> None:
    assert refused(FRESH, NOW, jitter=1.0).until - NOW == 30 * (1 + SPREAD)


def test_retry_after_is_believed_the_first_time_and_bounded_by_our_own_back_off_after() -> None:
    first = refused(FRESH, NOW, retry_after=7)
    assert first.until == NOW + 7
    second = refused(first, first.until, retry_after=7)
    assert second.until - first.until == 30
    assert refused(FRESH, NOW, retry_after=200).until == NOW + 200


@pytest.mark.parametrize("retry_after", [0, 1.5e-81, 0.9])
def test_a_retry_after_of_less_than_a_second_is_no_information(retry_after: float) -> None:
    """The rest of a date can be so small that the pause it asks for has no length at all."""
    assert refused(FRESH, NOW, retry_after=retry_after).until == NOW + 30


def test_an_absurd_retry_after_is_bounded() -> None:
    assert refused(FRESH, NOW, retry_after=1e12).until == NOW + LONGEST_PAUSE


def test_requests_refused_together_are_one_strike() -> None:
    once = refused(FRESH, NOW)
    assert throttled(once, SLOW, NOW + 1, cool_down_epoch=0, retry_after=None, jitter=0.0) == once
    assert broken(once, SLOW, NOW + 1, cool_down_epoch=0, jitter=0.0) == once
    later = throttled(once, SLOW, NOW + 1, cool_down_epoch=0, retry_after=100, jitter=0.0)
    assert later == replace(once, until=NOW + 101, noted=NOW + 1), "but the longer wait is kept"


def test_an_answer_to_a_request_from_before_the_cool_down_does_not_end_it() -> None:
    cooling = refused(FRESH, NOW)
    assert succeeded(cooling, cool_down_epoch=0) == cooling
    assert returned(cooling, cool_down_epoch=0) == cooling


def test_one_probe_goes_after_a_cool_down_and_everybody_else_waits_for_its_verdict() -> None:
    state = refused(FRESH, NOW)
    assert grant(state, SLOW, NOW + 29.9)[1] == pytest.approx(0.1)
    state, wait = grant(state, SLOW, NOW + 30)
    assert wait == 0.0
    assert grant(state, SLOW, NOW + 30) == (state, PROBE_POLL)
    calm = succeeded(state, cool_down_epoch=state.cool_down_epoch)
    assert not calm.is_suspect


def test_after_a_cool_down_the_bucket_is_empty() -> None:
    state, _ = grant(refused(FRESH, NOW), SLOW, NOW + 30)
    assert grant(succeeded(state, cool_down_epoch=1), SLOW, NOW + 30)[1] == pytest.approx(SLOW_DOWN / 0.7, rel=1e-3)


def test_a_probe_that_was_given_up_or_died_is_sent_again() -> None:
    state, _ = grant(refused(FRESH, NOW), SLOW, NOW + 30)
    again = returned(state, cool_down_epoch=1)
    assert grant(again, SLOW, NOW + 30)[1] == pytest.approx(SLOW_DOWN / 0.7, rel=1e-3), "upstream may have received it"
    assert grant(again, SLOW, NOW + 33)[1] == 0.0
    assert grant(state, SLOW, NOW + 30 + PROBE_LEASE)[1] == 0.0


@pytest.mark.parametrize("ahead", [5, 600, 86_400])
def test_a_cool_down_from_a_clock_that_was_set_back_does_not_last(ahead: float) -> None:
    for state in (
        refused(FRESH, NOW + ahead),
        broken(FRESH, SLOW, NOW + ahead, cool_down_epoch=0, jitter=0.0),
    ):
        probing, wait = grant(state, SLOW, NOW)
        assert wait == 0.0
        assert probing.is_suspect, "it is still probed first"


@pytest.mark.parametrize("ahead", [5, 600, 86_400])
def test_a_bucket_from_a_clock_that_was_set_back_fills_again(ahead: float) -> None:
    state = FRESH
    for _ in range(30):
        state, _ = grant(state, SLOW, NOW + ahead)
    assert grant(state, SLOW, NOW)[1] == 0.0


def test_a_probe_from_a_clock_that_was_set_back_blocks_no_other() -> None:
    probing, _ = grant(refused(FRESH, NOW), SLOW, NOW + 3000)
    assert grant(probing, SLOW, NOW + 60)[1] == 0.0


@pytest.mark.parametrize("row", [None, {}, {"spent": "x"}, {"until": float("nan")}, {"until": -1}, {"storm": None}])
def test_a_row_that_cannot_be_read_starts_afresh(row: dict[str, object] | None) -> None:
    assert RateState.from_json(row) == FRESH


TIMES = st.floats(0, 1e10, allow_nan=False)
STATES = st.builds(
    RateState,
    spent=st.floats(0, 100),
    updated=TIMES,
    until=TIMES,
    cool_down_epoch=st.integers(0, 1000),
    throttles=st.integers(0, 2000),
    breaks=st.integers(0, 2000),
    probe=TIMES,
    noted=TIMES,
    slow_down=st.floats(0, 100),
    slowed=TIMES,
)
POLICIES = st.builds(
    RatePolicy,
    requests_per_second=st.none() | st.floats(0.01, 100),
    burst=st.integers(0, 50),
)


@given(STATES)
def test_a_state_survives_its_json_row(state: RateState) -> None:
    assert RateState.from_json(json.loads(json.dumps(state.to_json()))) == state


def test_the_keys_of_a_row_on_disk_stay_the_same() -> None:
    keys = {
        "spent",
        "updated",
        "until",
        "storm",
        "throttles",
        "breaks",
        "probe",
        "noted",
        "cause",
        "slow_down",
        "slowed",
    }
    assert set(FRESH.to_json()) == keys
    assert RateState.from_json({"storm": 3}) == replace(FRESH, cool_down_epoch=3)


@given(STATES, POLICIES, TIMES)
def test_a_wait_is_positive_and_bounded_so_a_waiter_always_gets_on(
    state: RateState, policy: RatePolicy, now: float
) -> None:
    _, wait = grant(state, policy, now)
    assert 0 <= wait <= LONGEST_PAUSE * (1 + SPREAD) + MOST_SLOW_DOWN / 0.01


@given(STATES, POLICIES, TIMES, st.none() | st.floats(0, 1e9), st.floats(0, 1, exclude_max=True))
def test_nothing_is_granted_during_the_pause_a_refusal_begins(
    state: RateState, policy: RatePolicy, now: float, retry_after: float | None, jitter: float
) -> None:
    cooling = throttled(
        replace(state, until=0.0),
        policy,
        now,
        cool_down_epoch=state.cool_down_epoch,
        retry_after=retry_after,
        jitter=jitter,
    )
    pause = cooling.until - now
    assert 0 < pause <= LONGEST_PAUSE * (1 + SPREAD) + 1e-5
    assert grant(replace(cooling, probe=0.0), policy, now + pause / 2)[1] > 0


@given(POLICIES, st.lists(st.floats(0, 5), max_size=80))
def test_no_stretch_of_time_sees_more_than_its_burst_and_its_rate(policy: RatePolicy, steps: list[float]) -> None:
    state, now, granted = FRESH, NOW, []
    for step in steps:
        now += step
        state, wait = grant(state, policy, now)
        if not wait:
            granted.append(now)
    rate = policy.requests_per_second
    if rate is None:
        assert len(granted) == len(steps)
        return
    for first in range(len(granted)):
        for last in range(first, len(granted)):
            most = max(1, policy.burst) + rate * (granted[last] - granted[first]) + 1e-3
            assert last - first + 1 <= most
