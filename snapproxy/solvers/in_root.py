"""Run package managers as root in a private folder: with the programs of this machine, or inside a root of a release.

Every package manager but apt requires root. An ordinary user gets a user namespace in which the own number is mapped to
root's. Inside a root the programs run by chroot; their private folder is a folder in the root's /tmp, which is removed;
nothing else in the root changes.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from snapproxy.base.clock import Clock
from snapproxy.solvers import bounded_process
from snapproxy.solvers.bounded_process import Finished, ProcessLimits
from snapproxy.solvers.model import SolverError
from snapproxy.solvers.repositories import explanation

ROOT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""The PATH inside a root."""

_NOT_FOUND = 127
"""The exit status of chroot and unshare if the program does not exist (coreutils, util-linux)."""


def prefix_of(root: str, *, is_superuser: bool) -> tuple[str, ...]:
    """Return the words before a command line that run it as root in `root`, '' for this machine's own programs."""
    unshare = () if is_superuser else ("unshare", "--map-root-user")
    return (*unshare, *(("chroot", root) if root else ()))


@dataclass(frozen=True, slots=True)
class ProgramPlace:
    """A private folder, the path by which the programs see it, the root they run in, and the words before them."""

    folder: Path
    inside: str
    root: str = ""
    prefix: tuple[str, ...] = ()


@contextmanager
def place(root: str, folder: Path, *, needs_superuser: bool = True) -> Iterator[ProgramPlace]:
    """Yield a place for programs inside `root`, or for this machine's own in `folder` if `root` is ''.

    `needs_superuser`: the programs of this machine refuse an ordinary user. Raises SolverError if the root has no /tmp
    for its private folder.
    """
    is_superuser = os.geteuid() == 0
    if not root:
        prefix = prefix_of("", is_superuser=is_superuser or not needs_superuser)
        yield ProgramPlace(folder, str(folder.absolute()), prefix=prefix)
        return
    top = Path(root).absolute()
    private = _private_folder(top)
    try:
        prefix = prefix_of(str(top), is_superuser=is_superuser)
        yield ProgramPlace(private, f"/tmp/{private.name}", str(top), prefix)  # noqa: S108 -- in the root, just made
    finally:
        shutil.rmtree(private)


def _private_folder(top: Path) -> Path:
    try:
        if stat.S_ISDIR((top / "tmp").lstat().st_mode):  # a link would lead out of the root
            return Path(tempfile.mkdtemp(prefix="snapproxy-", dir=top / "tmp"))
        why = f"{top / 'tmp'} is no folder"
    except OSError as error:
        why = f"{error.filename}: {error.strerror}"
    raise SolverError(
        "The root of the release cannot be used",
        why=f"{why}.",
        hint="--root DIR must be a folder with the package manager and with /tmp.",
    )


class PlacedPrograms:
    """Runs programs at a place, each to its end. They get no setting of the caller's environment but its PATH.

    `environment` are further variables, or other values of these.
    """

    def __init__(
        self, where: ProgramPlace, limits: ProcessLimits, clock: Clock, environment: Mapping[str, str] | None = None
    ) -> None:
        self.place = where
        self.limits = limits
        self._clock = clock
        self._environment = {
            "PATH": ROOT_PATH if where.root else os.environ.get("PATH", os.defpath),
            "LC_ALL": "C.UTF-8",
            "HOME": where.inside,
            "TMPDIR": where.inside,
            **(environment or {}),
        }

    def run(self, program: str, *arguments: str, hint: str = "") -> Finished:
        """Run a program. Raises SolverError with `hint` if it is missing, and as `bounded_process.run`."""
        if not self.place.root and shutil.which(program, path=self._environment["PATH"]) is None:
            raise _missing(program, "This machine", hint)
        done = bounded_process.run(
            (*self.place.prefix, program, *arguments),
            environment=self._environment,
            folder=self.place.folder,
            limits=self.limits,
            clock=self._clock,
        )
        if done.status == _NOT_FOUND and self.place.prefix:
            raise _missing(program, self.place.root or "This machine", hint)
        return done

    def version(self, program: str, hint: str) -> str:
        """Return what `PROGRAM --version` prints. Raises SolverError with the reason if the program cannot be run."""
        done = self.run(program, "--version", hint=hint)
        if done.status != 0:
            namespaces = "" if os.geteuid() == 0 else " Or run as root, or permit user namespaces to this user."
            raise SolverError(f"{program} cannot be run", why=explanation(done.err, done.out), hint=hint + namespaces)
        return done.out

    def path(self, *names: str) -> str:
        """Return the path of a file in the private folder as the programs see it."""
        return "/".join((self.place.inside, *names))


def _missing(program: str, where: str, hint: str) -> SolverError:
    return SolverError("The package manager is not installed", why=f"{where} has no program {program}.", hint=hint)
