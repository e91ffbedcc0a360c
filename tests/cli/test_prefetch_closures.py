"""Closures of the verb `prefetch`: unknown names are explained, and the choice of the solver is the user's."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import NoReturn

import pytest

from snapproxy.cli import closures, main
from snapproxy.solvers.model import Closure, ClosureFile, ClosureRequest, UnknownPackagesError
from tests.fakes.faults import Status
from tests.fakes.hamlet import FIRST, SECOND, SUITE, Hamlet
from tests.fakes.publisher import Publisher, SuitePlan

Capture = pytest.CaptureFixture[str]

pytestmark = pytest.mark.usefixtures("hamlet_settings")

THIRD = "20240621T000000Z"
"""An instant from which on the archive has only the package `kept`."""


class Refusing:
    """A solver that does not know some of the requested packages. apt gives one similar name itself."""

    def __init__(self, *, cancelled: threading.Event) -> None:
        assert not cancelled.is_set()

    def solve(self, request: ClosureRequest, _base: str, _folder: Path) -> NoReturn:
        raise UnknownPackagesError(request.packages, {"kept-": "kept"})


class Solving:
    """A solver that has the file of `kept`, and keeps the requests."""

    requests: list[ClosureRequest] = []  # noqa: RUF012 -- reset by each test

    def __init__(self, hamlet: Hamlet) -> None:
        self._path = hamlet.edition.kept.path

    def solve(self, request: ClosureRequest, _base: str, _folder: Path) -> Closure:
        self.requests.append(request)
        return Closure((ClosureFile("kept", "1", "amd64", self._path),), "apt 0, solver internal")


def prefetch(when: str, *argv: str) -> int:
    return main(["prefetch", "debian", "--at", when, "--suite", SUITE, "--arch", "amd64", *argv])


@pytest.fixture
def third(hamlet: Hamlet, monkeypatch: pytest.MonkeyPatch) -> Hamlet:
    edition = hamlet.edition
    hamlet.publish(THIRD, Publisher(edition.key).tree(THIRD, [SuitePlan(SUITE, (edition.kept,))]))
    monkeypatch.setattr(closures, "SOLVERS", {"apt": Refusing})
    return hamlet


def test_all_unknown_names_are_explained_by_stored_indexes_and_the_record(third: Hamlet, capsys: Capture) -> None:
    assert prefetch(FIRST, "--all") == prefetch(SECOND, "--all") == 0
    capsys.readouterr()
    assert prefetch(THIRD, "moved=1", "weak", "kpet", "kept-", "?name(x)", "no/../such") == 1
    err = capsys.readouterr().err.splitlines()
    assert err[-8:-1] == [
        "snapproxy: Some packages do not exist in the indexes of that time",
        f"  moved=1: existed at {SECOND} (version 2)",
        f"  weak: existed at {FIRST} to {SECOND} (version 1)",
        "  kpet: similar: kept",
        "  kept-: similar: kept",
        "  ?name(x)",
        "  no/../such",
    ]
    assert err[-1].startswith("  Correct the names, or choose a time at which the packages existed.")


def test_the_record_adds_a_newer_version_that_no_stored_index_has(third: Hamlet, capsys: Capture) -> None:
    assert prefetch(FIRST, "--all") == 0
    capsys.readouterr()
    assert prefetch(THIRD, "moved", "--json") == 1
    why = json.loads(capsys.readouterr().out)["error"]["why"]
    assert why == f"moved: existed at {FIRST} (version 1); existed from {SECOND} on (version 2)"


def test_a_record_that_does_not_answer_leaves_the_names(third: Hamlet, capsys: Capture) -> None:
    third.past.fault("/mr/binary/*", Status(403))
    assert prefetch(THIRD, "moved", "--json") == 1
    assert json.loads(capsys.readouterr().out)["error"]["why"] == "moved"


def test_only_some_names_are_looked_up_and_all_are_printed(third: Hamlet, capsys: Capture) -> None:
    names = [f"unknown{number:02}" for number in range(14)]
    assert prefetch(THIRD, *names) == 1
    assert [line.strip() for line in capsys.readouterr().err.splitlines()][-15:-1] == names
    assert len({each.path for each in third.log.entries if each.path.startswith("/mr/binary/")}) == 10


@pytest.mark.parametrize("options", [(), ("--any-solver",)])
def test_any_solver_is_accepted_only_on_request(
    hamlet: Hamlet, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    monkeypatch.setattr(closures, "SOLVERS", {"apt": lambda *, cancelled: Solving(hamlet)})
    Solving.requests.clear()
    assert prefetch(FIRST, "kept", *options) == 0
    assert [each.is_any_solver_accepted for each in Solving.requests] == [bool(options)]


def test_folders_of_killed_solvers_are_removed_after_a_day(tmp_path: Path) -> None:
    cache = tmp_path / "abandoned"
    for name, modified in (("solver-old", 1_000), ("solver-new", 1_001), ("other", 0)):
        (cache / name / "lists").mkdir(parents=True)
        os.utime(cache / name, (modified, modified))
    closures.remove_abandoned(cache, 1_001 + closures.ABANDONED_SECONDS)
    assert {each.name for each in cache.iterdir()} == {"solver-new", "other"}
