"""The search for the first bad state: few tests, no wrong result, whatever is skipped."""

from __future__ import annotations

from math import ceil, log2

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapproxy.core.bisection import (
    Decision,
    FoundFirstBad,
    OnlySkipped,
    TrialVerdict,
    TryNext,
    WrongEnd,
    decide,
    verdict_of,
)

GOOD, BAD, SKIP = TrialVerdict.GOOD, TrialVerdict.BAD, TrialVerdict.SKIP


def search(count: int, first_bad: int, skipped: frozenset[int] = frozenset()) -> tuple[Decision, int]:
    """Search a history that is bad from `first_bad` on. Return the result and the number of tests."""
    verdicts: dict[int, TrialVerdict] = {}
    while isinstance(step := decide(count, verdicts), TryNext):
        assert step.position not in verdicts, "a state is tested once"
        assert 0 < step.position < count - 1, "the ends are known"
        bad = BAD if step.position >= first_bad else GOOD
        verdicts[step.position] = SKIP if step.position in skipped else bad
    return step, len(verdicts)


@st.composite
def histories(draw: st.DrawFn) -> tuple[int, int]:
    count = draw(st.integers(2, 3000))
    return count, draw(st.integers(1, count - 1))


@given(histories())
def test_every_history_is_solved_in_the_logarithm_of_its_length(history: tuple[int, int]) -> None:
    count, first_bad = history
    found, tests = search(count, first_bad)
    assert found == FoundFirstBad(first_bad - 1, first_bad)
    assert tests <= ceil(log2(count - 1))


@given(histories(), st.data())
def test_skips_never_make_the_result_wrong(history: tuple[int, int], data: st.DataObject) -> None:
    count, first_bad = history
    skipped = data.draw(st.frozensets(st.integers(1, count - 1), max_size=60))
    found, _ = search(count, first_bad, skipped)
    assert isinstance(found, FoundFirstBad | OnlySkipped)
    assert found.last_good < first_bad <= found.first_bad
    between = set(range(found.last_good + 1, found.first_bad))
    assert between <= skipped, "nothing that could be tested is left"
    assert isinstance(found, FoundFirstBad) is not bool(between)


def test_64_states_take_6_tests() -> None:
    assert max(search(65, first_bad)[1] for first_bad in range(1, 65)) == 6


def test_a_long_run_of_broken_states_is_left_quickly() -> None:
    """Tested one after the other, 1000 states in the middle would take up to 1000 tests."""
    broken = frozenset(range(1500, 2500))
    assert max(search(4000, first_bad, broken)[1] for first_bad in range(1, 1500, 50)) < 40


def test_a_neighbour_replaces_the_first_skipped_state() -> None:
    assert decide(65, {32: SKIP}) == TryNext(31, 64)


def test_the_first_test_is_in_the_middle() -> None:
    assert decide(65, {}) == TryNext(32, 64)


@pytest.mark.parametrize(("verdicts", "position"), [({0: BAD}, 0), ({9: GOOD}, 9), ({0: BAD, 9: GOOD}, 0)])
def test_an_end_with_the_wrong_verdict_is_reported(verdicts: dict[int, TrialVerdict], position: int) -> None:
    assert decide(10, verdicts) == WrongEnd(position)


def test_a_skipped_end_counts_as_known() -> None:
    assert decide(2, {0: SKIP, 1: SKIP}) == FoundFirstBad(0, 1)


def test_a_fix_that_broke_again_ends_at_a_real_change() -> None:
    """A history that is not monotone: the result is still a good state followed by a bad one."""
    assert decide(10, {3: BAD, 5: GOOD, 2: GOOD}) == FoundFirstBad(2, 3)


@pytest.mark.parametrize(
    ("code", "verdict"),
    [(0, GOOD), (1, BAD), (124, BAD), (125, SKIP), (126, BAD), (127, BAD), (128, None), (130, None), (255, None)],
)
def test_exit_codes_mean_the_same_as_in_git(code: int, verdict: TrialVerdict | None) -> None:
    assert verdict_of(code) is verdict
