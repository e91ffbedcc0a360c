"""The texts that pacman reads and prints: its configuration, its list of packages, its errors. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from snapproxy.core.listing import Selection
from snapproxy.families.pacman.listing import PACMAN_LISTER
from snapproxy.solvers.model import ClosureRequest, SolverError
from snapproxy.solvers.repositories import SolverRepository, check_words

PRINT_FORMAT = "%r\t%n\t%v\t%l"
"""The repository, name, version and address of each package: attributes that pacman 6 and 7 have."""

# Options begin with a hyphen; `core/linux` and `gcc>=13` are names of pacman(8) too.
_PACKAGE = re.compile(r"([A-Za-z0-9._+-]+/)?[A-Za-z0-9@_+][A-Za-z0-9@._+-]*((<|>|<=|>=|=)[A-Za-z0-9:._+~-]+)?")
_SECTION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+@-]*")
_UNKNOWN = re.compile(r"error: target not found: (?P<name>\S+)")
_PROVIDERS = re.compile(r":: There are [0-9]+ providers available for (?P<name>[^\s:]+):")
_VERSION = re.compile(r"Pacman v(?P<pacman>[0-9.]+\S*) - libalpm v(?P<libalpm>[0-9.]+\S*)")

_LEVELS = "PackageNever DatabaseOptional DatabaseTrustAll"
_NO_LEVELS = "Never"


@dataclass(frozen=True, slots=True)
class Section:
    """A repository of pacman.conf: its name, the archive, and the path of its database there."""

    name: str
    repository: SolverRepository
    database: str

    @property
    def server(self) -> str:
        """The value of `Server`."""
        return f"{self.repository.base}/{self.database.rpartition('/')[0]}"


@dataclass(frozen=True, slots=True)
class PrintedPackage:
    """A package that pacman would download."""

    section: str
    name: str
    version: str
    address: str


def sections_of(request: ClosureRequest, repositories: Sequence[SolverRepository]) -> tuple[Section, ...]:
    """Return the sections of pacman.conf, one for each repository, with its folder as `families.pacman` finds it.

    Raises SolverError for names that pacman cannot use, or if two repositories have the same name.
    """
    check_words("name or group of pacman", _PACKAGE, request.packages)
    found = []
    for repository in repositories:
        selection = Selection(components=(repository.folder,), architectures=request.architectures[:1])
        (root,) = PACMAN_LISTER.roots(selection)
        database = root.names[0]
        name = database.rpartition("/")[2].removesuffix(".db")
        check_words("name of a repository", _SECTION, [name])
        found.append(Section(name, repository, database))
    names = [section.name for section in found]
    for name in names:
        if names.count(name) > 1 or name == "options":
            raise SolverError(
                "pacman cannot use these repositories together",
                why=f"{name} is the name of two repositories, or of pacman's own settings.",
                hint="Request them one after the other.",
            )
    return tuple(found)


def configuration(
    folder: str,
    sections: Sequence[Section],
    architectures: Sequence[str],
    *,
    checks_databases: bool = True,
    downloads: bool = True,
) -> str:
    """Return a whole pacman.conf for a private root at `folder`, an absolute path as pacman sees it.

    `checks_databases`: request the signature of each database, which official ones do not have. Without `downloads`
    each download fails immediately.
    """
    if not re.fullmatch(r"/[!-~]*", folder):
        raise SolverError(
            "pacman cannot use the working folder",
            why=f"Its path has characters that pacman.conf does not accept: {folder!r}.",
            hint="Set cache_dir to a folder with a plain name.",
        )
    lines = [
        "[options]",
        f"RootDir = {folder}/root",
        f"DBPath = {folder}/db",
        f"CacheDir = {folder}/cache",
        f"GPGDir = {folder}/gnupg",
        f"HookDir = {folder}/hooks",
        f"LogFile = {folder}/pacman.log",
        f"Architecture = {' '.join(architectures)}",
        f"SigLevel = {_LEVELS if checks_databases else _NO_LEVELS}",
        "DisableDownloadTimeout",
        "NoProgressBar",
    ]
    if not downloads:
        lines.append("XferCommand = /bin/false %u %o")
    for section in sections:
        lines += [f"[{section.name}]", f"Server = {section.server}"]
    return "".join(f"{line}\n" for line in lines)


def version(printed: str) -> str:
    """Return the name of the solver from the output of `pacman --version`."""
    found = _VERSION.search(printed)
    if found is None:
        raise SolverError("The version of pacman cannot be read", why=f"pacman prints {printed[:80]!r}.")
    return f"pacman {found['pacman']} (libalpm {found['libalpm']})"


def unknown_names(errors: str) -> tuple[str, ...]:
    """Return the names that no database has."""
    return tuple(dict.fromkeys(found["name"] for found in _UNKNOWN.finditer(errors)))


def is_prepared(errors: str) -> bool:
    """Return whether pacman found a set of packages that can be installed together, and failed after that."""
    return "failed to commit transaction" in errors


def provider_notes(printed: str) -> tuple[str, ...]:
    """Return a note for each dependency that several packages provide: pacman asks, unless `--noconfirm`."""
    names = dict.fromkeys(found["name"] for found in _PROVIDERS.finditer(printed))
    return tuple(
        f"Several packages provide {name}; pacman --noconfirm chooses the first one, or one that is requested."
        for name in names
    )


def printed_packages(printed: str, sections: Collection[str]) -> tuple[PrintedPackage, ...]:
    """Return the packages that `pacman -Sp` lists in `PRINT_FORMAT`. Raises SolverError for any other line."""
    return tuple(_printed_package(line, sections) for line in printed.split("\n") if line)


def _printed_package(line: str, sections: Collection[str]) -> PrintedPackage:
    fields = line.split("\t")
    if len(fields) != len(PRINT_FORMAT.split("\t")) or not all(fields) or fields[0] not in sections:
        raise SolverError("pacman printed a package that cannot be used", why=f"The line is {line[:300]!r}.")
    return PrintedPackage(*fields)
