"""The documents that snapproxy and its scripts for dnf exchange, and the output of dnf's programs. Pure.

The request: `folder` (the private folder), `addresses` (of the repositories), `packages`, `architecture`, `releasever`
('' for none), `recommends` (null for dnf's default).

The result: `solver`, `failure` (dnf's explanation, '' for success), `is_solved` (false if the failure is that dnf finds
no solution, true for any other failure), `unknown` (the names that dnf does not find),
`addresses` (with their variables replaced), and `packages`, objects with `repository` (the number of its address),
`name`, `version`, `architecture`, `location`, `base` (its xml:base, usually ''), `size` in bytes, and `digest`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from snapproxy.core.model import STRONG
from snapproxy.formats.digests import is_digest
from snapproxy.formats.strict_json import JsonDocument, JsonValue, load
from snapproxy.solvers.model import ClosureFile, ClosureRequest, SolverError, UnknownPackagesError, UnsatisfiableError
from snapproxy.solvers.repositories import SolverRepository, check_words, explanation, located

MAX_SIZE = 1 << 53
"""Maximum size of a package in bytes that is believed."""

# Options begin with a hyphen, packages on the disk contain a slash and end with .rpm; files (`/usr/bin/sh`), groups
# (`@core`), capabilities (`perl(JSON) >= 4`) and NEVRA patterns are names too.
_PACKAGE = re.compile(r"(?!.*\.rpm$)[@/A-Za-z0-9_.*(][ -~]*")
_RELEASE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_LIBDNF5 = re.compile(r"^libdnf5 version (\S+)$", re.MULTILINE)
_TEXT = re.compile(r"[^\x00-\x1f\x7f-\x9f]{0,4096}")
_EXPLANATION = re.compile(r"(?s).*")
_DOCUMENT = JsonDocument("result of dnf's solver", "This is an error in snapproxy or dnf; please report it.")


@dataclass(frozen=True, slots=True)
class DnfResult:
    """The result of a script: its solver, the repositories with their variables replaced, and the files."""

    solver: str
    repositories: tuple[SolverRepository, ...]
    files: tuple[ClosureFile, ...]


def request_document(request: ClosureRequest, repositories: Sequence[SolverRepository], folder: str) -> str:
    """Return the request for a script. Raises SolverError for a name that dnf would read as something else."""
    check_words("name, group, file or capability for dnf", _PACKAGE, request.packages)
    check_words("release", _RELEASE, request.suites)
    document = {
        "folder": folder,
        "addresses": [repository.address for repository in repositories],
        "packages": list(request.packages),
        "architecture": request.architectures[0],
        "releasever": request.suites[0] if request.suites else "",
        "recommends": request.recommends,
    }
    return json.dumps(document)


def read_result(data: bytes, repositories: Sequence[SolverRepository]) -> DnfResult:
    """Return the result of a script, whose paths are checked.

    Raises UnsatisfiableError with dnf's explanation if it finds no solution; SolverError if it could not load a
    repository, or for a file outside the archives; RecordError for a document of another form.
    """
    solver, failure, is_solved, unknown, addresses, packages = load(data, _DOCUMENT).members(
        "solver", "failure", "is_solved", "unknown", "addresses", "packages"
    )
    names = tuple(dict.fromkeys(_text(each) for each in unknown.items()))
    if names:
        raise UnknownPackagesError(names)
    if text := failure.text(_EXPLANATION, "text"):
        if is_solved.raw is not True:
            raise UnsatisfiableError("dnf finds no solution for these packages", why=explanation(text))
        raise SolverError("dnf could not load its repositories", why=explanation(text))
    found = [_text(each) for each in addresses.items()]
    if len(found) != len(repositories):
        raise addresses.wrong(f"expected {len(repositories)} addresses")
    replaced = tuple(map(_replaced, repositories, found))
    return DnfResult(_text(solver), replaced, tuple(_files(packages, replaced)))


def libdnf5_version(printed: str) -> str:
    """Return the name of the solver from the output of `dnf5 --version`."""
    found = _LIBDNF5.search(printed)
    return f"dnf5 (libdnf5 {found[1]})" if found else "dnf5"


def _replaced(repository: SolverRepository, address: str) -> SolverRepository:
    """Return the repository with the folder that the variables of its address result in."""
    if not f"{address}/".startswith(f"{repository.base}/"):
        raise SolverError("dnf printed a repository outside the archive", why=f"The address is {address[:300]!r}.")
    return replace(repository, folder=address.removeprefix(repository.base).strip("/"))


def _files(packages: JsonValue, repositories: Sequence[SolverRepository]) -> Iterator[ClosureFile]:
    for package in packages.items():
        number, *texts, size, digest = package.members(
            "repository", "name", "version", "architecture", "location", "base", "size", "digest"
        )
        repository = repositories[number.integer(0, len(repositories) - 1)]
        name, version, architecture, location, base = (_text(each) for each in texts)
        archive, path = located(f"{base or repository.address}/{location}", repositories, "dnf")
        yield ClosureFile(
            name, version, architecture, path, size.integer(0, MAX_SIZE) or None, _strong(_text(digest)), archive
        )


def _strong(digest: str) -> str:
    algorithm, _, value = digest.lower().partition(":")
    return f"{algorithm}:{value}" if algorithm in STRONG and is_digest(algorithm, value) else ""


def _text(value: JsonValue) -> str:
    return value.text(_TEXT, "a short text without control characters")
