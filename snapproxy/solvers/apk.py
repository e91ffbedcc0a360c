"""Compute closures with apk itself, in an empty private root with its own keys, repositories and cache.

`apk add --simulate` lists the packages that `apk add` would install, from indexes that `apk update` has downloaded
through snapproxy just before. `apk fetch --recursive --url` prints addresses, but solves another problem: 2.14 ignores
conflicts there (app_fetch.c), so it may list other packages. The files are therefore found in the indexes, which are
read again.

An index of version 2 has no digest of a whole package: such files have none here; snapproxy checks their identity.
apk-tools is not in Debian; 2.14.10 and 3.0.6 were measured.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from snapproxy.families.apk.indexes import INDEX, INDEX_3
from snapproxy.formats.apkindex import MAX_PACKED
from snapproxy.solvers import apk_texts, archive_files, in_root
from snapproxy.solvers.apk_texts import IndexedPackage
from snapproxy.solvers.bounded_process import Finished
from snapproxy.solvers.in_root import PlacedPrograms
from snapproxy.solvers.limited import LimitedSolver
from snapproxy.solvers.model import Closure, ClosureRequest, SolverError, UnknownPackagesError, UnsatisfiableError
from snapproxy.solvers.repositories import SolverRepository, explanation, refuse_options_of_apt, repositories_of

MAX_OUTPUT = 16 << 20
"""Maximum bytes that one run prints; a package has a line of 50 bytes."""

MAX_KEYS = 1000
"""Maximum number of keys that are copied."""

_HINT = (
    "Debian has no package of apk: put Alpine's static binary on the PATH as apk (package apk-tools-static, file "
    "sbin/apk.static), or add --root DIR with a root of Alpine."
)
_KEYS_OF_ROOT = "/etc/apk/keys"


class ApkSolver(LimitedSolver):
    """Implements `Solver` with apk 2 or 3."""

    max_output = MAX_OUTPUT

    def solve(self, request: ClosureRequest, base: str, folder: Path) -> Closure:
        refuse_options_of_apt(request, "apk")
        apk_texts.check_request(request)
        repositories = repositories_of(request, base)
        with in_root.place(request.root, folder) as place:
            programs = PlacedPrograms(place, self._limits, self._clock)
            version = apk_texts.version(programs.version("apk", hint=_HINT))
            return _Apk(programs, request).closure(repositories, version)


class _Apk:
    """apk in a private root."""

    def __init__(self, programs: PlacedPrograms, request: ClosureRequest) -> None:
        self._programs = programs
        self._request = request
        self._folder = programs.place.folder
        self._trust: tuple[str, ...] = ()

    def closure(self, repositories: Sequence[SolverRepository], version: str) -> Closure:
        for name in ("root", "cache", "keys"):
            (self._folder / name).mkdir(parents=True, exist_ok=True)
        notes = self._prepare_keys()
        indexed: dict[tuple[str, str], list[IndexedPackage]] = {}
        lines = []
        for repository in repositories:
            path, data = self._index(repository)
            lines.append(apk_texts.repository_line(repository, path))
            for key, package in apk_texts.indexed_packages(path, data, repository.archive):
                indexed.setdefault(key, []).append(package)
        (self._folder / "repositories").write_text("".join(lines))
        for arguments in (("add", "--initdb"), ("update",)):
            if (done := self._run(*arguments)).status != 0:
                raise SolverError("apk could not update its indexes", why=explanation(done.out, done.err))
        added = self._run("add", "--simulate", *self._request.packages)
        if added.status != 0:
            raise _refused(added)
        files, more = apk_texts.closure_files(apk_texts.installed_packages(added.out), indexed)
        return Closure(tuple(files), version, (*notes, *more))

    def _prepare_keys(self) -> tuple[str, ...]:
        """Choose the trusted keys: those of the request, else those of the root, else none, with a note."""
        keys = self._programs.path("keys")
        if self._request.keyrings:
            for key in _keys_of(self._request.keyrings):
                shutil.copyfile(key, self._folder / "keys" / key.name)
        elif self._request.root and (Path(self._request.root) / _KEYS_OF_ROOT.lstrip("/")).is_dir():
            keys = _KEYS_OF_ROOT
        else:
            self._trust = ("--allow-untrusted",)
            return ("apk did not check signatures, because no keys were given: snapproxy checks each root.",)
        self._trust = ("--keys-dir", keys)
        return ()

    def _index(self, repository: SolverRepository) -> tuple[str, bytes]:
        """Return path and bytes of a repository's index, of version 2 if it has both."""
        for name in (INDEX, INDEX_3):
            path = "/".join((*filter(None, (repository.folder,)), self._request.architectures[0], name))
            data = archive_files.read(repository.base, path, most=MAX_PACKED, cancelled=self._programs.limits.cancelled)
            if data is not None:
                return path, data
        raise SolverError(
            "A repository has no index of apk at that time",
            why=f"{repository.folder or 'The top of the archive'} has no {INDEX} for this architecture.",
            hint="Name repositories by folder, for example: v3.20/main.",
        )

    def _run(self, *arguments: str) -> Finished:
        fixed = ("--root", self._programs.path("root"), "--arch", self._request.architectures[0])
        places = (
            "--repositories-file",
            self._programs.path("repositories"),
            "--cache-dir",
            self._programs.path("cache"),
        )
        return self._programs.run("apk", *fixed, *places, *self._trust, "--no-progress", *arguments, hint=_HINT)


def _keys_of(keyrings: Sequence[str]) -> Iterator[Path]:
    """Yield the files of keys: keyrings are files, or folders of them as /etc/apk/keys."""
    count = 0
    for keyring in map(Path, keyrings):
        try:
            for key in sorted(keyring.iterdir()) if keyring.is_dir() else [keyring]:
                count += 1
                if count > MAX_KEYS:
                    raise SolverError("There are too many keys", why=f"The limit is {MAX_KEYS}.")
                if key.is_file():
                    yield key
        except OSError as error:
            raise SolverError("A keyring cannot be read", why=f"{keyring}: {error.strerror}.") from error


def _refused(done: Finished) -> SolverError:
    if unknown := apk_texts.unknown_names(done.err + done.out):
        return UnknownPackagesError(unknown)
    return UnsatisfiableError("apk finds no solution for these packages", why=explanation(done.out, done.err))
