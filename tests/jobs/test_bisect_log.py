"""The log of a bisection: what is written is read back, and nothing else is accepted."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapproxy.core.bisection import TrialVerdict
from snapproxy.errors import RecordError
from snapproxy.jobs.bisect_log import (
    FinishedTrial,
    MixtureTrial,
    Question,
    complete_lines,
    differences,
    mixture_line,
    question_line,
    read_log,
    trial_line,
)
from snapproxy.jobs.used_packages import UsedFiles, UsedList, UsedPackage

QUESTION = Question(("sh", "-c", "make\ntest \udcff"), ("debian", "debian-security"), 1717200000, 1719792000)
USED = UsedFiles(
    ("debian",),
    (UsedPackage("debian", "g++-12", "amd64", "12.2.0-14+deb12u1"), UsedPackage("alpine", "musl", "", "1.2.5-r0")),
    (UsedList("debian", "dists/bookworm/main/binary-amd64/Packages.xz", "a" * 64),),
)
BAD = FinishedTrial(1718000000, 1, USED)


MIXTURE = MixtureTrial(1718000000, 1718006400, frozenset({"g++-12", "libc6"}), 1, is_made=True)


def log_of(*trials: FinishedTrial) -> bytes:
    return "".join((question_line(QUESTION), *map(trial_line, trials))).encode()


@given(
    st.lists(
        st.builds(
            FinishedTrial, st.integers(10**9, 4 * 10**9), st.integers(0, 127), st.sampled_from((USED, UsedFiles()))
        ),
        max_size=8,
        unique_by=lambda trial: trial.at,
    )
)
def test_a_log_is_read_back(trials: list[FinishedTrial]) -> None:
    assert read_log(log_of(*trials)) == (QUESTION, trials, [])


@given(st.integers(0, len(log_of(BAD, replace(BAD, at=1718000001))) - 1))
def test_a_log_that_a_crash_cut_off_loses_its_last_line_only(cut: int) -> None:
    whole = log_of(BAD, replace(BAD, at=1718000001))
    lines = complete_lines(whole[:cut])
    assert whole.startswith(lines)
    assert lines.count(b"\n") == whole[:cut].count(b"\n")
    if lines:
        read_log(lines)


def test_the_verdict_follows_from_the_exit_code() -> None:
    assert [replace(BAD, code=code).verdict for code in (0, 1, 125)] == [*TrialVerdict.__members__.values()]


def test_the_results_of_mixtures_are_read_back() -> None:
    mixtures = [MIXTURE, replace(MIXTURE, packages=frozenset({"a"})), replace(MIXTURE, bad=1718016400, is_made=False)]
    data = log_of(BAD) + "".join(map(mixture_line, mixtures)).encode()
    assert read_log(data) == (QUESTION, [BAD], mixtures)


def test_a_mixture_that_was_not_made_counts_as_skipped() -> None:
    found = [replace(MIXTURE, code=code, is_made=is_made).verdict for code in (0, 1) for is_made in (True, False)]
    assert found == [TrialVerdict.GOOD, TrialVerdict.SKIP, TrialVerdict.BAD, TrialVerdict.SKIP]


def changed(member: str, value: Any, line: str = "") -> bytes:
    trial = json.loads(line or trial_line(BAD))
    trial[member] = value
    return question_line(QUESTION).encode() + json.dumps(trial).encode() + b"\n"


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (changed("at", "2024-06-01"), "Line 2: at: expected a time such as 20240601T000000Z"),
        (changed("at", "20240231T000000Z"), "Line 2: at: "),
        (changed("verdict", "good"), "Line 2: verdict: expected 'bad', the verdict of exit code 1"),
        (changed("exit_code", 128), "Line 2: exit_code: expected an integer from 0 to 127"),
        (changed("exit_code", -1), "Line 2: exit_code: "),
        (changed("exit_code", True), "Line 2: exit_code: "),
        (changed("archives", ["../debian"]), "Line 2: archives[0]: expected the name of an archive"),
        (changed("packages", [["debian", "x", "amd64"]]), "Line 2: packages[0]: expected 4 texts"),
        (changed("packages", [["debian", "x y", "amd64", "1"]]), "Line 2: packages[0][1]: "),
        (changed("lists", [["debian", "x", "A" * 64]]), "Line 2: lists[0][2]: "),
        (changed("more", 1), "Line 2: more: is not a known member."),
        (changed("made", 1, mixture_line(MIXTURE)), "Line 2: made: expected true or false"),
        (changed("mixture", ["a b"], mixture_line(MIXTURE)), "Line 2: mixture[0]: expected the name of a package"),
        (changed("exit_code", 200, mixture_line(MIXTURE)), "Line 2: exit_code: expected an integer from 0 to 127"),
        (log_of() + 2 * mixture_line(MIXTURE).encode(), "Line 3: an earlier line has a result for the same run."),
        (log_of(BAD, BAD), "Line 3: an earlier line has a result for the same run."),
        (log_of(BAD)[:-2] + b"\n", "Line 2: It is not valid JSON"),
        (trial_line(BAD).encode(), "bisect: is missing."),
        (question_line(QUESTION).replace('"bisect":1', '"bisect":2').encode(), "bisect: expected an integer"),
        (b"[]\n", "the document: expected an object."),
        (b"git bisect start\n", "It is not valid JSON"),
        (b"\xff\n", "It is not UTF-8"),
        (question_line(QUESTION).encode() + b"{}\n" * 10_001, "It has more than 10000 results."),
    ],
)  # fmt: skip
def test_an_odd_log_is_refused_with_the_place(data: bytes, why: str) -> None:
    with pytest.raises(RecordError, match="The log of the bisection cannot be read") as caught:
        read_log(data)
    assert re.match(re.escape(why), caught.value.why), caught.value.why


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        (replace(QUESTION, command=("make",)), "Its command is "),
        (replace(QUESTION, archives=()), "Its --archive is debian debian-security, now not given."),
        (replace(QUESTION, good=1717200001), "Its --good is 20240601T000000Z, now 20240601T000001Z."),
        (replace(QUESTION, bad=1719792001), "Its --bad is 20240701T000000Z, now 20240701T000001Z."),
    ],
)
def test_the_log_of_another_question_is_described(other: Question, sentence: str) -> None:
    (found,) = differences(QUESTION, other)
    assert found.startswith(sentence)
    assert differences(QUESTION, QUESTION) == []
