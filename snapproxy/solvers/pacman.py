"""Compute closures with pacman itself, in a private root with its own configuration and databases.

`pacman -Sp` lists the packages that `pacman -Sw` would download, and neither checks whether they conflict. The same
request is therefore also made as `pacman -S` with a downloader that always fails: it prepares the whole transaction
before the first download, prints conflicts, and lists the providers among which a user would be asked to choose
(measured: pacman 6.0.2 and 7.0.0).

pacman requests the signature of each package, `FILE.sig`, if packages must be signed, even if the database contains it
(measured: 6.0.2 and 7.0.0). The closure has these files: with digests if the database contains them, else if the first
package of the repository has one. The private root has no keyring; snapproxy checks each file against the database.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from snapproxy.core.expected_files import DroppedEntries
from snapproxy.core.model import ExpectedFile
from snapproxy.errors import ArchiveDataError
from snapproxy.families.pacman.indexes import read_index
from snapproxy.families.pacman.package_names import package_name
from snapproxy.families.pacman.paths import SIGNATURE
from snapproxy.solvers import archive_files, in_root, pacman_texts
from snapproxy.solvers.bounded_process import Finished
from snapproxy.solvers.in_root import PlacedPrograms
from snapproxy.solvers.limited import LimitedSolver
from snapproxy.solvers.model import (
    Closure,
    ClosureFile,
    ClosureRequest,
    SolverError,
    UnknownPackagesError,
    UnsatisfiableError,
)
from snapproxy.solvers.pacman_texts import PrintedPackage, Section
from snapproxy.solvers.repositories import explanation, located, refuse_options_of_apt, repositories_of

MAX_OUTPUT = 16 << 20
"""Maximum bytes that one run prints. A line for each of Arch's 15,000 packages has 3 MiB."""

MAX_SIGNATURE = 16 << 10
"""Maximum bytes of a signature, pacman's own limit."""

_FOLDERS = ("root", "db/sync", "cache", "gnupg", "hooks")
_PIECE = 1 << 18
_HINT = "Install pacman (Debian: pacman-package-manager), or add --root DIR with a root that has it."


class PacmanSolver(LimitedSolver):
    """Implements `Solver` with pacman."""

    max_output = MAX_OUTPUT

    def solve(self, request: ClosureRequest, base: str, folder: Path) -> Closure:
        refuse_options_of_apt(request, "pacman")
        sections = pacman_texts.sections_of(request, repositories_of(request, base))
        with in_root.place(request.root, folder) as place:
            programs = PlacedPrograms(place, self._limits, self._clock)
            version = pacman_texts.version(programs.version("pacman", hint=_HINT))
            return _Pacman(programs, sections, request).closure(version)


class _Pacman:
    """pacman in a private root."""

    def __init__(self, programs: PlacedPrograms, sections: Sequence[Section], request: ClosureRequest) -> None:
        self._programs = programs
        self._folder = programs.place.folder
        self._sections = sections
        self._request = request

    def closure(self, version: str) -> Closure:
        for name in _FOLDERS:
            (self._folder / name).mkdir(parents=True, exist_ok=True)
        notes = self._update()
        printed = self._run("-Sp", "--print-format", pacman_texts.PRINT_FORMAT, "--", *self._request.packages)
        if printed.status != 0:
            raise _refused(printed)
        notes += self._prepare()
        packages = pacman_texts.printed_packages(printed.out, [section.name for section in self._sections])
        return Closure(tuple(self._files(packages)), version, notes)

    def _update(self) -> tuple[str, ...]:
        """Download the databases and the signatures that they may have."""
        self._configure()
        if self._run("-Sy").status == 0:
            return ()
        # A database with a signature cannot be checked without a keyring, however optional the check is.
        self._configure(checks_databases=False)
        again = self._run("-Sy")
        if again.status != 0:
            raise SolverError("pacman could not update its databases", why=explanation(again.err))
        return ("pacman did not check the signatures of the databases, because its private root has no keyring.",)

    def _prepare(self) -> tuple[str, ...]:
        """Let pacman prepare the whole transaction, and return notes. Raises SolverError with its conflicts."""
        self._configure(checks_databases=False, downloads=False)
        prepared = self._run("-S", "--", *self._request.packages)
        if prepared.status != 0 and not pacman_texts.is_prepared(prepared.err):
            raise _refused(prepared)
        return pacman_texts.provider_notes(prepared.out)

    def _configure(self, *, checks_databases: bool = True, downloads: bool = True) -> None:
        text = pacman_texts.configuration(
            self._programs.place.inside,
            self._sections,
            self._request.architectures,
            checks_databases=checks_databases,
            downloads=downloads,
        )
        (self._folder / "pacman.conf").write_text(text)

    def _run(self, *arguments: str) -> Finished:
        configuration = self._programs.path("pacman.conf")
        return self._programs.run("pacman", "--config", configuration, "--noconfirm", *arguments, hint=_HINT)

    def _files(self, packages: Sequence[PrintedPackage]) -> Iterator[ClosureFile]:
        for section in self._sections:
            chosen = [package for package in packages if package.section == section.name]
            if chosen:
                yield from self._files_of(section, chosen)

    def _files_of(self, section: Section, packages: Sequence[PrintedPackage]) -> Iterator[ClosureFile]:
        """Yield the packages of one repository and their signatures."""
        expected = self._expected(section)
        is_signed: bool | None = None
        for package in packages:
            archive, path = located(package.address, [section.repository], "pacman")
            yield closure_file(package, archive, path, expected)
            signature = path + SIGNATURE
            if signature not in expected and is_signed is None:
                is_signed = self._has(section, signature)
            if signature in expected or is_signed:
                yield closure_file(package, archive, signature, expected)

    def _has(self, section: Section, signature: str) -> bool:
        cancelled = self._programs.limits.cancelled
        base = section.repository.base
        return archive_files.read(base, signature, most=MAX_SIGNATURE, cancelled=cancelled) is not None

    def _expected(self, section: Section) -> Mapping[str, ExpectedFile]:
        """Return the files that the downloaded database of a repository lists."""
        database = self._folder / "db/sync" / f"{section.name}.db"
        try:
            with database.open("rb") as file:
                pieces = iter(lambda: file.read(_PIECE), b"")
                return dict(read_index(section.database, pieces, DroppedEntries().add))
        except (OSError, ArchiveDataError) as error:
            raise SolverError("pacman's database cannot be read", why=f"{section.name}: {error}") from error


def closure_file(package: PrintedPackage, archive: str, path: str, expected: Mapping[str, ExpectedFile]) -> ClosureFile:
    """Return the file at `path`, a package or its signature, as the database lists it (`expected`, by path).

    Raises SolverError for a package that the database does not list.
    """
    listed = expected.get(path)
    if listed is None and not path.endswith(SIGNATURE):
        raise SolverError(
            "pacman printed a package that its database does not list", why=f"{package.name}: {path[:300]!r}."
        )
    name = package_name(path.removesuffix(SIGNATURE))
    sha256 = listed.digests.get("sha256", "") if listed else ""
    return ClosureFile(
        package.name,
        package.version,
        name.arch if name else "",
        path,
        listed.size if listed else None,
        f"sha256:{sha256}" if sha256 else "",
        archive,
    )


def _refused(done: Finished) -> SolverError:
    if unknown := pacman_texts.unknown_names(done.err):
        return UnknownPackagesError(unknown)
    return UnsatisfiableError("pacman finds no solution for these packages", why=explanation(done.out, done.err))
