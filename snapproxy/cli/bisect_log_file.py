"""The file of a bisection's log: read, check that it belongs to the same question, and append results crash-safely."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from snapproxy.errors import ConfigurationError, RecordError
from snapproxy.formats.strict_json import LARGEST
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


class BisectLog:
    """The results so far. A new one is appended to the file, if there is one, and flushed to the disk."""

    def __init__(
        self,
        trials: Iterable[FinishedTrial] = (),
        mixtures: Iterable[MixtureTrial] = (),
        file: IO[bytes] | None = None,
    ) -> None:
        self.trials = {trial.at: trial for trial in trials}
        self.mixtures = {trial.key: trial for trial in mixtures}
        self._file = file

    def add(self, trial: FinishedTrial) -> None:
        """Keep a result, which then survives a crash. Raises OSError if the file cannot be written."""
        self.trials[trial.at] = trial
        self._append(trial_line(trial))

    def add_mixture(self, trial: MixtureTrial) -> None:
        """Keep the result of a mixture in the same way."""
        self.mixtures[trial.key] = trial
        self._append(mixture_line(trial))

    def _append(self, line: str) -> None:
        if self._file is not None:
            _append(self._file, line)


@contextmanager
def open_log(path: Path | None, question: Question) -> Iterator[BisectLog]:
    """Open the log at `path`, or create it; None keeps the results in memory only.

    Raises ConfigurationError for the log of another question, or one that another process uses; RecordError for a file
    that is not a log; OSError.
    """
    if path is None:
        yield BisectLog()
        return
    with path.open("a+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigurationError(
                "Another process uses this log",
                why=f"{path} is locked by a bisection that is still running.",
                hint="Wait for its end, or name another file with --log.",
            ) from None
        yield BisectLog(*_continued(path, file, question), file)


def _continued(path: Path, file: IO[bytes], question: Question) -> tuple[list[FinishedTrial], list[MixtureTrial]]:
    """Return the results of an existing log; write the first line of a new one."""
    file.seek(0)
    data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise RecordError("The log is too large", why=f"{path} has more than {LARGEST} bytes.", hint="Name a new file.")
    lines = complete_lines(data)
    if not lines:
        if data and not question_line(question).encode().startswith(data):
            raise RecordError("This file is not a log", why=f"{path} has no complete line.", hint="Name a new file.")
        file.truncate(0)
        _append(file, question_line(question))
        return [], []
    try:
        logged, trials, mixtures = read_log(lines)
    except RecordError as error:
        raise RecordError(error.reason, why=f"{path}: {error.why}", hint=error.hint) from None
    if different := differences(logged, question):
        raise ConfigurationError(
            "The log belongs to another bisection",
            why=f"{path}: {' '.join(different)}",
            hint="Repeat the command line of the log to continue it, or name a new file with --log.",
        )
    file.truncate(len(lines))
    return trials, mixtures


def _append(file: IO[bytes], line: str) -> None:
    file.write(line.encode())
    file.flush()
    os.fsync(file.fileno())
