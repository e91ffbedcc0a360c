"""The solver of each family."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from snapproxy.solvers.apk import ApkSolver
from snapproxy.solvers.apt import AptSolver
from snapproxy.solvers.dnf import DnfSolver
from snapproxy.solvers.model import Solver
from snapproxy.solvers.pacman import PacmanSolver

SOLVERS: Mapping[str, Callable[[], Solver]] = {
    "apk": ApkSolver,
    "apt": AptSolver,
    "pacman": PacmanSolver,
    "rpm": DnfSolver,
}
"""How to make the solver of a family, by the name of the family (`core.model.Family.name`)."""
