"""The limits that the programs of every solver share."""

from __future__ import annotations

import threading
from typing import ClassVar

from snapproxy.base.clock import Clock, SystemClock
from snapproxy.solvers.bounded_process import ProcessLimits

SECONDS = 900.0
"""Time limit of each run of a package manager in seconds. The update takes longest: it waits for the upstream."""


class LimitedSolver:
    """A solver whose programs have limits. Another thread may set `cancelled`, which kills them (SolverError)."""

    max_output: ClassVar[int]
    """Maximum bytes that one run prints."""

    def __init__(
        self, *, clock: Clock | None = None, seconds: float = SECONDS, cancelled: threading.Event | None = None
    ) -> None:
        self._clock = clock or SystemClock()
        self._limits = ProcessLimits(seconds, self.max_output, cancelled or threading.Event())
