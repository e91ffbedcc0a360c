"""The solver of each family."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Protocol

from snapproxy.solvers.apk import ApkSolver
from snapproxy.solvers.apt import AptSolver
from snapproxy.solvers.dnf import DnfSolver
from snapproxy.solvers.model import Solver
from snapproxy.solvers.pacman import PacmanSolver


class MakeSolver(Protocol):
    """Makes a solver, whose package manager is killed when another thread sets `cancelled`."""

    def __call__(self, *, cancelled: threading.Event) -> Solver:
        """Return a new solver."""


SOLVERS: Mapping[str, MakeSolver] = {
    "apk": ApkSolver,
    "apt": AptSolver,
    "pacman": PacmanSolver,
    "rpm": DnfSolver,
}
"""How to make the solver of a family, by the name of the family (`core.model.Family.name`)."""
