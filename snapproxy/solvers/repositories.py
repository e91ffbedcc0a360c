"""The repositories of a request for pacman, dnf and apk, and the checks that these solvers share. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from snapproxy.core.paths import referenced_path
from snapproxy.errors import ArchiveDataError
from snapproxy.solvers.model import ClosureRequest, SolverError

MAX_EXPLANATION = 4000
"""Maximum characters of a package manager's explanation in an error; its end is kept."""

BASE = re.compile(r"https?://[!-~]+")
"""The address of an archive: no blank can begin another word or line of a configuration."""

_FOLDER = re.compile(r"[A-Za-z0-9._+@~$-]+(/[A-Za-z0-9._+@~$-]+)*")
_WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")


@dataclass(frozen=True, slots=True)
class SolverRepository:
    """A repository of a request: the archive's name ('' for the first) and address, and its folder there."""

    archive: str
    base: str
    folder: str

    @property
    def address(self) -> str:
        """The URL of the repository without a slash at its end."""
        return f"{self.base}/{self.folder}" if self.folder else self.base


def repositories_of(request: ClosureRequest, base: str) -> tuple[SolverRepository, ...]:
    """Return the repositories of a request, in its order: its `components` are their folders ('' and '.' for the top).

    Raises SolverError if none is named, or if a word could write another line of a configuration.
    """
    places = [("", base, request.components)]
    places += [(each.name, each.base, each.components or request.components) for each in request.further]
    found = [
        SolverRepository(name, where.rstrip("/"), _folder(each)) for name, where, each_of in places for each in each_of
    ]
    for repository in found:
        check_words("address", BASE, [repository.base])
        if repository.folder:
            check_words("folder of a repository", _FOLDER, [repository.folder])
        if ".." in repository.folder.split("/"):
            raise SolverError("Not a valid folder of a repository", why=f"{repository.folder!r} leaves the archive.")
    if not found:
        raise SolverError("No repository was named", hint="Name the repositories, such as core, main or BaseOS.")
    check_words("architecture", _WORD, request.architectures)
    if not request.architectures:
        raise SolverError("No architecture is given", hint="Name the native architecture first, such as x86_64.")
    return tuple(found)


def _folder(component: str) -> str:
    return "/".join(part for part in component.split("/") if part not in {"", "."})


def refuse_options_of_apt(request: ClosureRequest, program: str) -> None:
    """Raise SolverError for a request that only apt can fulfil."""
    options = (("build dependencies", request.build_dependencies_of), ("a status file of dpkg", request.status))
    for name, value in options:
        if value:
            raise SolverError(
                f"{program} cannot compute the closure of this request",
                why=f"{name[0].upper()}{name[1:]} are supported for apt only.",
                hint="Request packages by their names.",
            )


def check_words(kind: str, form: re.Pattern[str], words: Iterable[str]) -> None:
    """Raise SolverError for the first word that does not have the form."""
    for word in words:
        if not form.fullmatch(word):
            raise SolverError(f"Not a valid {kind}", why=f"{word[:200]!r} has another form.")


def located(address: str, repositories: Sequence[SolverRepository], program: str) -> tuple[str, str]:
    """Return the archive's name and the path in it of a file whose address a package manager prints.

    Raises SolverError if the address is in no archive of the repositories.
    """
    for repository in sorted(repositories, key=lambda each: -len(each.base)):
        if address.startswith(f"{repository.base}/"):
            try:
                return repository.archive, referenced_path("", address.removeprefix(f"{repository.base}/"))
            except ArchiveDataError as error:
                raise _outside(program, address) from error
    raise _outside(program, address)


def _outside(program: str, address: str) -> SolverError:
    return SolverError(f"{program} printed a file outside the archive", why=f"The address is {address[:300]!r}.")


def explanation(*printed: str) -> str:
    """Return a package manager's own words: its last lines, without control characters."""
    lines = [line.rstrip() for text in printed for line in text.splitlines() if line.strip()]
    text = "\n".join("".join(each if each.isprintable() else "?" for each in line) for line in lines)
    return text if len(text) <= MAX_EXPLANATION else f"... {text[-MAX_EXPLANATION:]}"
