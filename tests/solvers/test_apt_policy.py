"""The solver of a release follows from the version of apt in its index, in no other way."""

from __future__ import annotations

import pytest

from snapproxy.solvers.apt_policy import AptAlgorithm, algorithm_of, choose, parse_version
from snapproxy.solvers.model import SolverError

INTERNAL, FALLBACK, THREE = AptAlgorithm


@pytest.mark.parametrize(
    ("version", "debian", "ubuntu"),
    [
        ("0.9.7.9+deb7u7", INTERNAL, INTERNAL),
        ("2.6.1", INTERNAL, INTERNAL),
        ("2.7.14build2", INTERNAL, INTERNAL),
        ("2.9.31", INTERNAL, INTERNAL),
        ("2.9.32", FALLBACK, FALLBACK),
        ("3.0.3", FALLBACK, FALLBACK),
        ("3.1.0", FALLBACK, THREE),
        ("3.1.6ubuntu2", FALLBACK, THREE),
        ("3.1.9", FALLBACK, THREE),
        ("3.1.10", THREE, THREE),
        ("3.3.5", THREE, THREE),
        ("1:4.0", THREE, THREE),
    ],
)
def test_each_version_of_apt_has_its_solver(version: str, debian: AptAlgorithm, ubuntu: AptAlgorithm) -> None:
    assert algorithm_of(version, is_ubuntu=False) is debian
    assert algorithm_of(version, is_ubuntu=True) is ubuntu


@pytest.mark.parametrize("version", ["", "unknown", "3", "-1.2", "12345678.1"])
def test_a_version_that_is_none_is_an_error(version: str) -> None:
    with pytest.raises(SolverError, match="version of apt"):
        parse_version(version)


def test_the_same_apt_needs_no_note() -> None:
    choice = choose("2.6.1", "2.6.1", ["Debian"], is_any_accepted=False)
    assert (choice.algorithm, choice.notes, choice.lacks_fallback) == (INTERNAL, (), False)


def test_a_newer_apt_runs_the_older_solver_of_the_release_and_says_so() -> None:
    choice = choose("3.3.5", "2.6.1", ["Debian"], is_any_accepted=False)
    assert (choice.algorithm.first, choice.lacks_fallback) == ("internal", False)
    assert "The release has apt 2.6.1, this is apt 3.3.5" in choice.notes[0]


@pytest.mark.parametrize("ours", ["2.6.1", "2.9.20", "2.9.33"])
def test_a_solver_that_this_apt_lacks_is_refused_unless_any_is_accepted(ours: str) -> None:
    with pytest.raises(SolverError) as refused:
        choose(ours, "3.3.5", ["Debian"], is_any_accepted=False)
    assert "--root DIR" in refused.value.hint
    assert "--any-solver" in refused.value.hint
    choice = choose(ours, "3.3.5", ["Debian"], is_any_accepted=True)
    assert choice.algorithm is INTERNAL
    assert "may differ" in choice.notes[0]


@pytest.mark.parametrize(("ours", "theirs"), [("3.0.3", "3.3.5"), ("3.3.5", "3.1.12")])
def test_another_version_with_the_same_solver_gets_a_note(ours: str, theirs: str) -> None:
    choice = choose(ours, theirs, ["Debian"], is_any_accepted=False)
    assert choice.algorithm is THREE
    assert "both have the solver 3.0" in choice.notes[0]


def test_an_apt_without_the_fallback_is_noted_for_the_case_that_internal_fails() -> None:
    choice = choose("2.6.1", "3.0.3", ["Debian"], is_any_accepted=False)
    assert (choice.algorithm, choice.lacks_fallback) == (INTERNAL, True)
    accepted = choose("2.6.1", "3.0.3", ["Debian"], is_any_accepted=True)
    assert (accepted.algorithm, accepted.lacks_fallback) == (INTERNAL, False), "the failure of internal is final"
    assert choose("3.0.3", "3.0.3", ["Debian"], is_any_accepted=False).algorithm is FALLBACK


def test_an_archive_without_apt_gets_the_solver_of_this_machine() -> None:
    choice = choose("3.0.3", "", ["vendor"], is_any_accepted=False)
    assert choice.algorithm is FALLBACK
    assert "no package apt" in choice.notes[0]
