"""Compute closures with dnf itself, in an empty root with its own configuration, caches and variables.

Neither `dnf install --assumeno` nor `--downloadonly` prints the files with their paths and digests, and `dnf download
--resolve` resolves each name alone (rpm-software-management/dnf5#971). So a small script makes the steps of `dnf
install` with dnf's own library: `dnf4_script` with the module dnf, `dnf5_script` with libdnf5, whichever `dnf` is on
the PATH. The system's Python runs it, since both modules are packages of the distribution.

dnf downloads its metadata through snapproxy, which checks every root. The detached signature of each root and its key
are read too, so that the capture has them for clients that check them (`repo_gpgcheck=1`).
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from snapproxy.errors import RecordError
from snapproxy.families.rpm.paths import METADATA, ROOT
from snapproxy.solvers import archive_files, dnf_texts, in_root
from snapproxy.solvers.dnf_texts import DnfResult
from snapproxy.solvers.in_root import PlacedPrograms
from snapproxy.solvers.limited import LimitedSolver
from snapproxy.solvers.model import Closure, ClosureRequest, SolverError
from snapproxy.solvers.repositories import SolverRepository, explanation, refuse_options_of_apt, repositories_of

MAX_OUTPUT = 16 << 20
"""Maximum bytes that dnf prints."""

MAX_RESULT = 64 << 20
"""Maximum bytes of the result; a package has 0.3 KiB."""

MAX_SIGNATURE = 1 << 20
"""Maximum bytes of the signature of a root, or of the keys beside it."""

NO_DNF = 9
"""The exit status of a script whose Python lacks dnf's module (a constant of both scripts)."""

_PYTHONS = ("/usr/bin/python3", "/usr/libexec/platform-python")
"""Distributions' own Pythons; the second one is that of RHEL 8."""

_FOLDERS = ("root", "cache", "persist", "log", "state", "none")
_MOST_LINKS = 10
_HINT = "Install dnf (dnf 5: and python3-libdnf5), or add --root DIR with a root that has it."


class DnfSolver(LimitedSolver):
    """Implements `Solver` with dnf 4 or 5."""

    max_output = MAX_OUTPUT

    def solve(self, request: ClosureRequest, base: str, folder: Path) -> Closure:
        refuse_options_of_apt(request, "dnf")
        repositories = repositories_of(request, base)
        with in_root.place(request.root, folder) as place:
            programs = PlacedPrograms(place, self._limits, self._clock)
            result = _run_script(programs, request, repositories, is_dnf5=uses_dnf5(request.root))
        for repository in result.repositories:
            for suffix in (".asc", ".key"):
                path = "/".join((*filter(None, (repository.folder,)), METADATA, ROOT + suffix))
                archive_files.read(repository.base, path, most=MAX_SIGNATURE, cancelled=self._limits.cancelled)
        notes = ("dnf did not check signatures: snapproxy checks each root.",) if request.keyrings else ()
        return Closure(result.files, result.solver, notes)


def uses_dnf5(root: str) -> bool:
    """Return whether `dnf` in `root` is a link to dnf5, or is missing while dnf5 exists. '' is this machine."""
    found = [_linked(root, name) for name in ("dnf", "dnf5")]
    return next((name.startswith("dnf5") for name in found if name), False)


def _linked(root: str, name: str) -> str:
    """Return the name of the file to which links of a program lead, '' if it does not exist."""
    if not root:
        program = shutil.which(name)
        return Path(program).resolve().name if program else ""
    place = Path(root)
    path = place / "usr/bin" / name
    for _ in range(_MOST_LINKS):
        if not path.is_symlink():
            return path.name if path.exists() else ""
        target = path.readlink()
        path = place / target.relative_to("/") if target.is_absolute() else path.parent / target
    return ""


def _run_script(
    programs: PlacedPrograms, request: ClosureRequest, repositories: Sequence[SolverRepository], *, is_dnf5: bool
) -> DnfResult:
    place = programs.place
    for name in _FOLDERS:
        (place.folder / name).mkdir(parents=True, exist_ok=True)
    (place.folder / "request.json").write_text(dnf_texts.request_document(request, repositories, place.inside))
    script = Path(__file__).with_name("dnf5_script.py" if is_dnf5 else "dnf4_script.py")
    (place.folder / "script.py").write_bytes(script.read_bytes())
    files = [programs.path(name) for name in ("script.py", "request.json", "result.json")]
    for python in _PYTHONS:
        if not Path(f"{place.root}{python}").is_symlink() and not Path(f"{place.root}{python}").exists():
            continue
        done = programs.run(python, "-I", "-B", *files, hint=_HINT)
        if done.status == NO_DNF:
            continue
        if done.status != 0:
            raise SolverError("dnf could not compute the closure", why=explanation(done.err))
        result = _read(place.folder / "result.json", repositories)
        return _named(programs, result) if is_dnf5 else result
    module = "libdnf5" if is_dnf5 else "dnf"
    raise SolverError("dnf is not installed", why=f"No Python of the system has the module {module}.", hint=_HINT)


def _read(path: Path, repositories: Sequence[SolverRepository]) -> DnfResult:
    try:
        with path.open("rb") as file:
            return dnf_texts.read_result(file.read(MAX_RESULT), repositories)
    except (OSError, RecordError) as error:
        raise SolverError("The result of dnf cannot be read", why=str(error)) from error


def _named(programs: PlacedPrograms, result: DnfResult) -> DnfResult:
    solver = dnf_texts.libdnf5_version(programs.run("dnf5", "--version").out)
    return DnfResult(solver, result.repositories, result.files)
