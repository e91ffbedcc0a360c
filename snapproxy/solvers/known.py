"""The solver of each family."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from snapproxy.solvers.apt import AptSolver
from snapproxy.solvers.model import Solver

SOLVERS: Mapping[str, Callable[[], Solver]] = {"apt": AptSolver}
"""What makes the solver of a family, by its name."""
