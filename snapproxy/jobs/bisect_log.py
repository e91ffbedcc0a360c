"""The log of a bisection: JSON lines, the first one with the question, each further one with the result of a run.

The format is read strictly, because a wrong result would lead the search to a wrong snapshot. Functions of texts only;
`cli.bisect_log_file` reads and writes the file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

from snapproxy.core.bisection import LAST_CODE, TrialVerdict, verdict_of
from snapproxy.core.model import Instant
from snapproxy.core.time_spec import format_instant, parse_time
from snapproxy.errors import ClientError, RecordError
from snapproxy.formats.strict_json import JsonDocument, JsonValue, load
from snapproxy.jobs.used_packages import UsedFiles, UsedList, UsedPackage

SCHEMA = 1
MOST_RUNS = 10_000
"""Maximum number of results in a log. A search has about log2 of the number of snapshots."""

_LOG = JsonDocument("log of the bisection", "Continue with an unaltered log, or start again with a new file for --log.")
_SHOWN = 200
"""Characters of a value that an error repeats."""

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_WORD = re.compile(r"[^\x00-\x20\x7f]{0,255}")
_PATH = re.compile(r"[^\x00-\x1f\x7f]{1,4096}")
_ARGUMENT = re.compile(r"[^\x00]*", re.DOTALL)
_INSTANT = re.compile(r"[0-9]{8}T[0-9]{6}Z")
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Question:
    """The question of one bisection. `archives` are those that the user named, in order; the ends are instants."""

    command: tuple[str, ...]
    archives: tuple[str, ...]
    good: Instant
    bad: Instant


@dataclass(frozen=True, slots=True)
class FinishedTrial:
    """The result of running the command at one instant: its exit code (0 to 127), and the files that it used."""

    at: Instant
    code: int
    used: UsedFiles

    @property
    def verdict(self) -> TrialVerdict:
        """The verdict of the exit code."""
        return trial_verdict(self.code)


@dataclass(frozen=True, slots=True)
class MixtureTrial:
    """The result of running the command at the instant `good` with some packages as they were at the instant `bad`.

    `is_made`: the command downloaded the expected versions of all packages that differ.
    """

    good: Instant
    bad: Instant
    packages: frozenset[str]
    code: int
    is_made: bool

    @property
    def key(self) -> tuple[Instant, Instant, frozenset[str]]:
        """The mixture, which a log has once."""
        return self.good, self.bad, self.packages

    @property
    def verdict(self) -> TrialVerdict:
        """The verdict of the exit code; skip if the mixture was not made."""
        return trial_verdict(self.code) if self.is_made else TrialVerdict.SKIP


def trial_verdict(code: int) -> TrialVerdict:
    """Return the verdict of the exit code of a result: 0 to 127."""
    verdict = verdict_of(code)
    if verdict is None:
        raise AssertionError(f"an exit code of {code} ends the search and is not a result")
    return verdict


def question_line(question: Question) -> str:
    """Return the first line of a log."""
    return _line(
        {
            "bisect": SCHEMA,
            "command": list(question.command),
            "archives": list(question.archives),
            "good": format_instant(question.good),
            "bad": format_instant(question.bad),
        }
    )


def trial_line(trial: FinishedTrial) -> str:
    """Return the line of one result."""
    return _line(
        {
            "at": format_instant(trial.at),
            "verdict": trial.verdict.value,
            "exit_code": trial.code,
            "archives": list(trial.used.archives),
            "packages": [list(each) for each in trial.used.packages],
            "lists": [list(each) for each in trial.used.lists],
        }
    )


def mixture_line(trial: MixtureTrial) -> str:
    """Return the line of the result of a mixture."""
    return _line(
        {
            "mixture": sorted(trial.packages),
            "good": format_instant(trial.good),
            "bad": format_instant(trial.bad),
            "made": trial.is_made,
            "exit_code": trial.code,
        }
    )


def complete_lines(data: bytes) -> bytes:
    """Return the lines of a log without a last line that a crash cut off, which has no line end."""
    return data[: data.rfind(b"\n") + 1]


def read_log(data: bytes) -> tuple[Question, list[FinishedTrial], list[MixtureTrial]]:
    """Read the complete lines of a log, at least one. Raises RecordError, which names the line, for any other text."""
    first, *others = data.splitlines()
    if len(others) > MOST_RUNS:
        raise _LOG.error(f"It has more than {MOST_RUNS} results.")
    question = _question(load(first, _LOG))
    trials: dict[Instant, FinishedTrial] = {}
    mixtures: dict[tuple[Instant, Instant, frozenset[str]], MixtureTrial] = {}
    for number, line in enumerate(others, 2):
        try:
            value = load(line, _LOG)
            if isinstance(value.raw, dict) and "mixture" in value.raw:
                mixture = _mixture(value)
                is_new = mixtures.setdefault(mixture.key, mixture) is mixture
            else:
                trial = _trial(value)
                is_new = trials.setdefault(trial.at, trial) is trial
        except RecordError as error:
            raise _LOG.error(f"Line {number}: {error.why}") from None
        if not is_new:
            raise _LOG.error(f"Line {number}: an earlier line has a result for the same run.")
    return question, list(trials.values()), list(mixtures.values())


def differences(log: Question, asked: Question) -> list[str]:
    """Return a sentence for each part in which the question of a log differs from the one that is asked now."""
    parts: Iterable[tuple[str, object, object]] = (
        ("command", list(log.command), list(asked.command)),
        ("--archive", " ".join(log.archives) or "not given", " ".join(asked.archives) or "not given"),
        ("--good", format_instant(log.good), format_instant(asked.good)),
        ("--bad", format_instant(log.bad), format_instant(asked.bad)),
    )
    return [f"Its {name} is {_short(before)}, now {_short(now)}." for name, before, now in parts if before != now]


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _line(value: object) -> str:
    return json.dumps(value, separators=(",", ":")) + "\n"


def _question(value: JsonValue) -> Question:
    schema, command, archives, good, bad = value.members("bisect", "command", "archives", "good", "bad")
    schema.integer(SCHEMA, SCHEMA)
    return Question(
        tuple(each.text(_ARGUMENT, "an argument") for each in command.items()),
        _archives(archives),
        _instant(good),
        _instant(bad),
    )


def _trial(value: JsonValue) -> FinishedTrial:
    at, verdict, code, archives, packages, lists = value.members(
        "at", "verdict", "exit_code", "archives", "packages", "lists"
    )
    trial = FinishedTrial(
        _instant(at),
        code.integer(0, LAST_CODE),
        UsedFiles(
            _archives(archives),
            tuple(UsedPackage(*_words(each, _NAME, _WORD, _WORD, _WORD)) for each in packages.items()),
            tuple(UsedList(*_words(each, _NAME, _PATH, _DIGEST)) for each in lists.items()),
        ),
    )
    if verdict.raw != trial.verdict.value:
        raise verdict.wrong(f"expected {trial.verdict.value!r}, the verdict of exit code {trial.code}")
    return trial


def _mixture(value: JsonValue) -> MixtureTrial:
    packages, good, bad, made, code = value.members("mixture", "good", "bad", "made", "exit_code")
    if not isinstance(made.raw, bool):
        raise made.wrong("expected true or false")
    names = frozenset(each.text(_WORD, "the name of a package") for each in packages.items())
    return MixtureTrial(_instant(good), _instant(bad), names, code.integer(0, LAST_CODE), made.raw)


def _archives(value: JsonValue) -> tuple[str, ...]:
    return tuple(each.text(_NAME, "the name of an archive") for each in value.items())


def _words(value: JsonValue, *forms: re.Pattern[str]) -> list[str]:
    items = list(value.items())
    if len(items) != len(forms):
        raise value.wrong(f"expected {len(forms)} texts")
    return [item.text(form, f"a text of the form {form.pattern}") for item, form in zip(items, forms, strict=True)]


def _instant(value: JsonValue) -> Instant:
    try:
        instant = parse_time(value.text(_INSTANT, "a time such as 20240601T000000Z")).instant
    except ClientError as error:
        raise value.wrong(error.reason) from None
    if instant is None:
        raise AssertionError("the form above is an instant")
    return instant
