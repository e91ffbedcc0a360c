"""A closure, the files that a package manager would download to install packages, and the protocol of its solver."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from snapproxy.errors import SnapproxyError


@dataclass(frozen=True, slots=True)
class FurtherArchive:
    """An archive that is used in addition to the first one, such as debian-security.

    `name` is its name in the table of archives, `base` its address as in `Solver.solve`. `suites`, `components` and
    `keyrings` are those of `ClosureRequest`.
    """

    name: str
    base: str
    suites: tuple[str, ...]
    components: tuple[str, ...] = ()
    keyrings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ClosureRequest:
    """The packages whose closure is computed, and the choices of the solver.

    `packages` are names, or patterns of the package manager (`?essential`). `build_dependencies_of` are source
    packages. `suites` are apt's suites, first the release; `components` are components or the names of repositories.
    `architectures`: the first one is the native one, the others are foreign. `recommends`: None for the default of the
    release. `status` is the content of a dpkg status file whose packages count as installed. `root` is a folder with a
    root of the release whose solver is used ('' for the solver of this machine). `keyrings` are files with which the
    package manager checks signatures again; without them it trusts snapproxy, which checks every root. `further` are
    more archives. `is_any_solver_accepted`: use the solver of this machine even if the release has another one.
    """

    packages: tuple[str, ...]
    build_dependencies_of: tuple[str, ...] = ()
    suites: tuple[str, ...] = ()
    components: tuple[str, ...] = ()
    architectures: tuple[str, ...] = ()
    recommends: bool | None = None
    status: bytes = b""
    root: str = ""
    keyrings: tuple[str, ...] = ()
    further: tuple[FurtherArchive, ...] = ()
    is_any_solver_accepted: bool = False


@dataclass(frozen=True, slots=True)
class ClosureFile:
    """A file of a closure. `path` is relative to the archive; `size` in bytes; `digest` is `algorithm:hex`.

    `size` is None and `digest` is '' if the package manager does not print them. `archive` is the name of a
    `FurtherArchive`, '' for the first archive.
    """

    name: str
    version: str
    architecture: str
    path: str
    size: int | None = None
    digest: str = ""
    archive: str = ""


@dataclass(frozen=True, slots=True)
class Closure:
    """The result of a solver.

    `solver` is the program, its version and its algorithm, as recorded in locks: `apt 2.6.1, solver internal`. `notes`
    are sentences for the user, such as a difference between this machine's solver and that of the release.
    """

    files: tuple[ClosureFile, ...]
    solver: str
    notes: tuple[str, ...] = ()


class SolverError(SnapproxyError):
    """The solver is missing, or cannot compute the closure; the message says which, and what to do."""

    status = 424


class UnknownPackagesError(SolverError):
    """The indexes list no package of these names.

    `names` are all of them, `similar` existing names by some of them. `existed` says when a package existed, as a
    clause, by some of the names. The message has a line for each name.
    """

    def __init__(
        self,
        names: tuple[str, ...],
        similar: Mapping[str, str] | None = None,
        existed: Mapping[str, str] | None = None,
    ) -> None:
        self.names = names
        self.similar = dict(similar or {})
        self.existed = dict(existed or {})
        time = ", or choose a time at which the packages existed" if self.existed else ""
        super().__init__(
            "Some packages do not exist in the indexes of that time",
            why="\n".join(map(self._line, names)),
            hint=f"Correct the names{time}. The suites and components, or the repositories, decide what is searched.",
        )

    def _line(self, name: str) -> str:
        near = f"similar: {self.similar[name]}" if name in self.similar else ""
        clauses = "; ".join(filter(None, (near, self.existed.get(name, ""))))
        return f"{name}: {clauses}" if clauses else name


class UnsatisfiableError(SolverError):
    """The solver finds no solution; the message has its explanation."""


class Solver(Protocol):
    """Computes closures with a package manager."""

    def solve(self, request: ClosureRequest, base: str, folder: Path) -> Closure:
        """Return the closure. Blocks until the package manager has ended.

        `base` is the address of the archive at a time, in the mirror form (`http://127.0.0.1:PORT/~CAPTURE/ARCHIVE/
        TIME`): the package manager updates its indexes from there, which records them in the capture. `folder` is an
        empty private folder. Raises SolverError.
        """
