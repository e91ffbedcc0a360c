"""The search for the package among several that changed together: few tests, and no innocent package is named."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, log2

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapproxy.core.bisection import TrialVerdict
from snapproxy.core.mixture import FoundCause, OnlySuspects, TryMixture, Unit, decide_mixture

GOOD, BAD, SKIP = TrialVerdict.GOOD, TrialVerdict.BAD, TrialVerdict.SKIP


def search(
    units: list[Unit], verdict: Callable[[frozenset[str]], TrialVerdict]
) -> tuple[FoundCause | OnlySuspects, list[frozenset[str]]]:
    verdicts: dict[frozenset[str], TrialVerdict] = {}
    while isinstance(step := decide_mixture(units, verdicts), TryMixture):
        assert step.packages not in verdicts, "a mixture is tested once"
        verdicts[step.packages] = verdict(step.packages)
    return step, list(verdicts)


def units_of(count: int) -> list[Unit]:
    """Return units of one to three packages."""
    return [tuple(f"p{number}-{each}" for each in range(number % 3 + 1)) for number in range(count)]


@given(st.integers(1, 300), st.data())
def test_one_cause_is_found_in_the_logarithm_of_the_number(count: int, data: st.DataObject) -> None:
    units = units_of(count)
    cause = units[data.draw(st.integers(0, count - 1))]
    found, tests = search(units, lambda packages: BAD if packages >= set(cause) else GOOD)
    assert found == FoundCause(cause)
    assert len(tests) <= ceil(log2(count)) + 1


@given(st.integers(2, 40), st.data())
def test_mixtures_that_cannot_be_made_never_name_another(count: int, data: st.DataObject) -> None:
    units = units_of(count)
    cause = units[data.draw(st.integers(0, count - 1))]
    skips = data.draw(st.lists(st.booleans(), min_size=200, max_size=200))
    found, _ = search(units, lambda packages: SKIP if skips.pop() else BAD if packages >= set(cause) else GOOD)
    assert cause in (found.units if isinstance(found, OnlySuspects) else (found.unit,))


@given(st.integers(2, 40), st.data())
def test_packages_that_fail_together_only_are_not_named_alone(count: int, data: st.DataObject) -> None:
    units = units_of(count)
    pair = data.draw(st.lists(st.sampled_from(units), min_size=2, max_size=2, unique=True))
    found, _ = search(units, lambda packages: BAD if packages >= {*pair[0], *pair[1]} else GOOD)
    assert isinstance(found, OnlySuspects)
    assert set(pair) <= set(found.units)


@pytest.mark.parametrize(
    ("verdicts", "found"),
    [
        ({}, TryMixture(frozenset({"a"}))),
        ({"a": BAD}, FoundCause(("a",))),
        ({"a": GOOD}, TryMixture(frozenset({"b"}))),
        ({"a": GOOD, "b": BAD}, FoundCause(("b",))),
        ({"a": SKIP}, TryMixture(frozenset({"b"}))),
        ({"a": SKIP, "b": BAD}, FoundCause(("b",))),
        ({"a": SKIP, "b": GOOD}, OnlySuspects((("a",),))),
        ({"a": SKIP, "b": SKIP}, OnlySuspects((("a",), ("b",)))),
        ({"a": GOOD, "b": GOOD}, OnlySuspects((("a",), ("b",)))),
    ],
)
def test_two_packages(verdicts: dict[str, TrialVerdict], found: object) -> None:
    assert decide_mixture([("a",), ("b",)], {frozenset({name}): each for name, each in verdicts.items()}) == found
