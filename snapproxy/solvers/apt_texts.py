"""The texts that apt reads and prints: its configuration, its sources, its list of files, its errors. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from snapproxy.core.paths import listed_path
from snapproxy.errors import ArchiveDataError
from snapproxy.solvers import repositories
from snapproxy.solvers.model import ClosureFile, ClosureRequest, SolverError
from snapproxy.solvers.repositories import BASE, check_words

_FOLDER = re.compile(r"/[A-Za-z0-9_./+@-]*")
_SUITE = re.compile(r"[A-Za-z0-9.][A-Za-z0-9._/+~-]*")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/+~-]*")
_ARCHITECTURE = re.compile(r"[a-z0-9][a-z0-9-]*")
# apt reads a name or pattern that ends with '-' as a removal, './x.deb' as a file, and '-x' as an option.
_PACKAGE = re.compile(
    r"[A-Za-z0-9*]([A-Za-z0-9+.~_*-]*[A-Za-z0-9+.~*])?(:[a-z0-9][a-z0-9-]*[a-z0-9])?"
    r"([=/][A-Za-z0-9.+:~_-]*[A-Za-z0-9.+~])?"
    r"|[a-z0-9][a-z0-9.+-]*\^"
    r"|[?~!(]([ -~]*[ -,.-~])?"
)
_SOURCE_PACKAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9+.-]*([=/][A-Za-z0-9.+:~_-]+)?")

_FILE = re.compile(r"'([!-&(-~]+)' ([^ _]+)_([^ _]+)_([^ _]+)\.[a-z]+ (\d{1,15}) ?([A-Za-z0-9]+:[0-9a-fA-F]+)?")
_UNKNOWN = re.compile(
    r"E: (?:Unable to locate package|Unable to find a source package for|Couldn't find task|"
    r"Couldn't find any package by (?:glob|regex)) '?([^\s']+)'?"
)
_FAILED_UPDATE = re.compile(r"^(?:E:|W: Failed to fetch|W: Some index files)", re.MULTILINE)
_PROGRESS = re.compile(r"(?:Reading package lists|Building dependency tree|Reading state information|Solving depend)")
_WARNING_OF_FOLDERS = re.compile(r"W: Unable to read .* DirectoryExists")


@dataclass(frozen=True, slots=True)
class AptArchive:
    """An archive as apt's sources describe it. `name` is '' for the first archive; `keyrings` as apt sees them."""

    name: str
    base: str
    suites: tuple[str, ...]
    components: tuple[str, ...]
    keyrings: tuple[str, ...] = ()


def sources_of(request: ClosureRequest, base: str) -> tuple[AptArchive, ...]:
    """Return the archives of a request. Raise SolverError if a word of it is malformed, before it reaches a file."""
    first = AptArchive("", base, request.suites, request.components or ("main",), request.keyrings)
    further = (
        AptArchive(each.name, each.base, each.suites, each.components or first.components, each.keyrings)
        for each in request.further
    )
    sources = (first, *further)
    for source in sources:
        check_words("address for apt", BASE, [source.base])
        check_words("suite for apt", _SUITE, source.suites)
        check_words("component for apt", _WORD, source.components)
        if not source.suites:
            raise SolverError("No suite is given", why=f"apt needs one for {source.base}.", hint="Name the release.")
    check_words("architecture for apt", _ARCHITECTURE, request.architectures)
    check_words("name or pattern of a package for apt", _PACKAGE, request.packages)
    check_words("name of a source package for apt", _SOURCE_PACKAGE, request.build_dependencies_of)
    if not request.architectures:
        raise SolverError("No architecture is given", hint="Name the native architecture first, such as amd64.")
    return sources


def configuration(folder: str, architectures: Sequence[str]) -> str:
    """Return the whole configuration of apt for a private root at `folder`, an absolute path as apt sees it.

    apt reads it before any other file, and every other file inside `folder`: nothing of the machine applies.
    """
    if not _FOLDER.fullmatch(folder):
        raise SolverError(
            "apt cannot use the working folder",
            why=f"Its path has characters that apt's configuration does not accept: {folder!r}.",
            hint="Set cache_dir to a folder with a plain name.",
        )
    quoted = " ".join(f'"{name}";' for name in architectures)
    lines = [
        f'Dir "{folder}/";',
        f'Dir::State::status "{folder}/status";',
        f'APT::Architecture "{architectures[0]}";',
        f"APT::Architectures {{ {quoted} }};",
        'APT::Sandbox::User "root";',  # apt's own user cannot read a private folder
        'APT::Cmd::Pattern-Only "true";',  # an unknown name is an error, not a regular expression
        'APT::Update::Error-Mode "any";',  # a missing index would be a warning
        'Acquire::Languages "none";',
        'Acquire::Check-Valid-Until "false";',  # the past is expired
        'Acquire::http::Proxy "DIRECT";',
        'Acquire::https::Proxy "DIRECT";',
        'Acquire::ForceHash "SHA256";',  # --print-uris prints MD5 otherwise
        'Acquire::PDiffs "false";',
    ]
    return "".join(f"{line}\n" for line in lines)


def source_lines(source: AptArchive, *, with_sources: bool) -> str:
    """Return the lines of sources.list, with one for each suite, and one more for source packages if needed."""
    option = f"signed-by={','.join(source.keyrings)}" if source.keyrings else "trusted=yes"
    lines = []
    for kind in ("deb", "deb-src")[: 1 + with_sources]:
        for suite in source.suites:
            words = [] if suite.endswith("/") else source.components  # a flat repository has no components
            lines.append(" ".join([kind, f"[{option}]", source.base, suite, *words]) + "\n")
    return "".join(lines)


def parse_files(printed: str, sources: Sequence[AptArchive]) -> Iterator[ClosureFile]:
    """Yield the files that `apt-get --print-uris` lists. Raise SolverError for a line that cannot be used.

    The name of the local file is `NAME_VERSION_ARCHITECTURE.deb`, in which apt escapes `_` and `:`.
    """
    bases = sorted(((unquote(each.base).rstrip("/") + "/", each.name) for each in sources), key=lambda b: -len(b[0]))
    for line in printed.splitlines():
        if not line.startswith("'"):
            continue
        found = _FILE.fullmatch(line.rstrip(" "))
        address = unquote(found[1]) if found else ""
        base, archive = next(((base, name) for base, name in bases if address.startswith(base)), ("", ""))
        if found is None or not base:
            raise SolverError("apt printed a file that cannot be used", why=f"The line is {line[:300]!r}.")
        algorithm, _, digest = (found[6] or "").lower().partition(":")
        try:
            path = listed_path("", address.removeprefix(base))
        except ArchiveDataError as error:
            raise SolverError("apt printed a path outside the archive", why=f"The line is {line[:300]!r}.") from error
        yield ClosureFile(
            unquote(found[2]),
            unquote(found[3]),
            unquote(found[4]),
            path,
            int(found[5]),
            f"{algorithm}:{digest}" if algorithm == "sha256" else "",
            archive,
        )


def unknown_names(printed: str) -> tuple[str, ...]:
    """Return the names that apt-get does not find, if that is its only complaint; else ()."""
    errors = [line for line in printed.splitlines() if line.startswith("E: ")]
    found = [_UNKNOWN.match(line) for line in errors]
    if not all(found):
        return ()
    return tuple(dict.fromkeys(match[1].removesuffix("^") for match in found if match))


def is_solved_by_three(printed: str) -> bool:
    """Return whether apt-get ran the solver 3.0, also as a fallback: only that solver prints this progress."""
    return re.search(r"^Solving dependencies", printed, re.MULTILINE) is not None


def update_failed(status: int, printed: str) -> bool:
    """Return whether `apt-get update` lacks a root or an index: old versions of apt exit with 0 then."""
    return status != 0 or _FAILED_UPDATE.search(printed) is not None


def explanation(printed: str) -> str:
    """Return apt's own explanation from its output, bounded and without control characters."""
    kept = [
        line
        for line in printed.splitlines()
        if line.strip() and not line.startswith("'") and not _PROGRESS.match(line)
        if not _WARNING_OF_FOLDERS.match(line)
    ]
    return repositories.explanation("\n".join(kept))


def candidate(policy: str) -> str:
    """Return the version that `apt-cache policy NAME` would install, '' if there is none."""
    found = re.search(r"^  Candidate: ([^\s(]+)$", policy, re.MULTILINE)
    return found[1] if found else ""


def program_version(printed: str) -> str:
    """Return the version in the first line of `apt-get --version`: `apt 2.6.1 (amd64)`. Raise SolverError."""
    found = re.match(r"apt (\S+) ", printed)
    if not found:
        raise SolverError("The version of apt cannot be read", why=f"apt-get prints {printed[:80]!r}.")
    return found[1]
