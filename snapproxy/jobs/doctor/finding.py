"""One line of the report about an installation."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Level(enum.Enum):
    """`OK`; `WARNING`: it works, and may fail or surprise later; `PROBLEM`: something does not work now."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The result of one check: `what` was found, and the `hint` what to do, '' if nothing has to be done."""

    check: str
    level: Level
    what: str
    hint: str = ""


def ok(check: str, what: str) -> Diagnosis:
    """Return the result of a check that found nothing wrong."""
    return Diagnosis(check, Level.OK, what)


def warning(check: str, what: str, hint: str) -> Diagnosis:
    """Return a warning."""
    return Diagnosis(check, Level.WARNING, what, hint)


def problem(check: str, what: str, hint: str) -> Diagnosis:
    """Return a problem."""
    return Diagnosis(check, Level.PROBLEM, what, hint)
