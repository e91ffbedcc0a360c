"""Compute closures with apt-get itself, in a private root: no setting, list or package of the machine has an effect.

apt-get is run, not python-apt: build dependencies, patterns (`?essential`) and the fallback from the solver internal to
3.0 are in the private part of apt, which has no binding, and python-apt is another package to install. `--print-uris`
lists the files that apt-get would download. Measured: an update of sid takes 4 s from a near mirror, each further call
0.3 s to 0.5 s.

apt updates its indexes through snapproxy, which verifies every root, so the client checks signatures again only if the
request gives keyrings. `apt_policy` chooses the solver.

With a root the apt of that root is run, by chroot as root, else in a user namespace. Its private root is a folder in
the root's /tmp, which is removed; nothing else in the root changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from snapproxy.base.clock import Clock
from snapproxy.core.similar import similar
from snapproxy.formats.armor import is_armored
from snapproxy.solvers import apt_policy, apt_texts, in_root
from snapproxy.solvers.apt_policy import AptAlgorithm
from snapproxy.solvers.apt_texts import AptArchive
from snapproxy.solvers.bounded_process import Finished, ProcessLimits
from snapproxy.solvers.in_root import PlacedPrograms, ProgramPlace
from snapproxy.solvers.limited import LimitedSolver
from snapproxy.solvers.model import Closure, ClosureRequest, SolverError, UnknownPackagesError, UnsatisfiableError

MAX_OUTPUT = 32 << 20
"""Maximum bytes that one run prints. The list of a desktop with 1,500 packages has 0.4 MiB, all names of sid 2 MiB."""

MAX_KEYRING = 16 << 20
"""Maximum bytes of a keyring."""

MAX_SIMILAR = 5
"""Number of unknown names for which a similar one is searched: it takes up to 0.1 s each."""

_UNCHECKED = "apt checked no signatures of some archives, because no keyring was given; snapproxy checks every root."

_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
_HINT = "Install the package apt, or give another --root DIR, a root of the release."

_FOLDERS = (
    "etc/apt/apt.conf.d",
    "etc/apt/preferences.d",
    "etc/apt/sources.list.d",
    "etc/apt/trusted.gpg.d",
    "etc/apt/auth.conf.d",
    "var/lib/apt/lists/partial",
    "var/cache/apt/archives/partial",
    "scratch",
)


class AptSolver(LimitedSolver):
    """Implements `Solver` with apt-get."""

    max_output = MAX_OUTPUT

    def solve(self, request: ClosureRequest, base: str, folder: Path) -> Closure:
        sources = apt_texts.sources_of(request, base)
        with in_root.place(request.root, folder, needs_superuser=False) as place:
            apt = _Apt(place, self._limits, self._clock)
            version = apt.version()
            apt.prepare(request, sources)
            return _solve(apt, request, sources, version)


class _Apt:
    """apt in a private root."""

    def __init__(self, place: ProgramPlace, limits: ProcessLimits, clock: Clock) -> None:
        self._place = place
        environment = {
            "PATH": _PATH,
            "HOME": "/nonexistent",
            "TMPDIR": f"{place.inside}/scratch",
            "APT_CONFIG": f"{place.inside}/apt.conf",
        }
        self._programs = PlacedPrograms(place, limits, clock, environment)

    def version(self) -> str:
        """Return the version of apt."""
        return apt_texts.program_version(self._programs.version("apt-get", _HINT))

    def prepare(self, request: ClosureRequest, sources: Sequence[AptArchive]) -> None:
        """Write the private root."""
        folder = self._place.folder
        for name in _FOLDERS:
            (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / "status").write_bytes(request.status)
        (folder / "apt.conf").write_text(apt_texts.configuration(self._place.inside, request.architectures))
        lines = (
            apt_texts.source_lines(
                self._with_keyrings(source, number), with_sources=bool(request.build_dependencies_of)
            )
            for number, source in enumerate(sources)
        )
        (folder / "etc/apt/sources.list").write_text("".join(lines))

    def _with_keyrings(self, source: AptArchive, number: int) -> AptArchive:
        """Copy keyrings to names with the suffix of their format, which apt requires."""
        copies = []
        for index, keyring in enumerate(source.keyrings):
            try:
                with Path(keyring).open("rb") as file:
                    data = file.read(MAX_KEYRING)
            except OSError as error:
                raise SolverError("A keyring cannot be read", why=f"{keyring}: {error.strerror}.") from error
            name = f"{number}-{index}.{'asc' if is_armored(data) else 'gpg'}"
            (self._place.folder / "etc/apt" / name).write_bytes(data)
            copies.append(f"{self._place.inside}/etc/apt/{name}")
        return replace(source, keyrings=tuple(copies))

    def run(self, program: str, *arguments: str) -> Finished:
        """Run one of apt's programs to its end."""
        return self._programs.run(program, *arguments, hint=_HINT)


def _solve(apt: _Apt, request: ClosureRequest, sources: Sequence[AptArchive], version: str) -> Closure:
    update = apt.run("apt-get", "-q", "update")
    if apt_texts.update_failed(update.status, update.out + update.err):
        raise SolverError(
            "apt could not update its indexes",
            why=apt_texts.explanation(update.err) or apt_texts.explanation(update.out),
        )
    origins = set(apt.run("apt-get", "indextargets", "--format", "$(ORIGIN)").out.splitlines())
    released = apt_texts.candidate(apt.run("apt-cache", "policy", "apt").out)
    choice = apt_policy.choose(version, released, origins, is_any_accepted=request.is_any_solver_accepted)
    options = ["-q", "-y", "--print-uris", "-o", f"APT::Solver={choice.algorithm.first}"]
    if request.recommends is not None:
        options += ["-o", f"APT::Install-Recommends={str(request.recommends).lower()}"]
    try:
        printed = _print_all(apt, options, request)
    except UnsatisfiableError as error:
        if choice.lacks_fallback:
            raise apt_policy.solver_missing(version, released, f"The solver internal fails. {error.why}\n") from error
        raise
    used = choice.algorithm.first
    if choice.algorithm is not AptAlgorithm.THREE and apt_texts.is_solved_by_three(printed):
        if not choice.algorithm.has_fallback and not request.is_any_solver_accepted:
            raise UnsatisfiableError(
                "apt finds no solution for these packages",
                why=f"apt {released} of the release fails; the newer solver of apt {version} finds one.",
                hint="Add --any-solver to use the newer solver, or request other packages.",
            )
        used = "3.0 after internal"
    files = sorted(set(apt_texts.parse_files(printed, sources)), key=lambda file: (file.archive, file.path))
    if not files and not request.status:
        raise UnknownPackagesError((*request.packages, *request.build_dependencies_of))  # patterns without a match
    notes = choice.notes if all(source.keyrings for source in sources) else (*choice.notes, _UNCHECKED)
    return Closure(tuple(files), _solver_name(apt, version, used), notes)


def _print_all(apt: _Apt, options: Sequence[str], request: ClosureRequest) -> str:
    """Return the files of the packages, and those of the build dependencies, each as apt-get alone prints them."""
    unknown: list[str] = []
    printed = [
        _print(apt, (*options, command), names, unknown)
        for command, names in (("install", request.packages), ("build-dep", request.build_dependencies_of))
        if names
    ]
    if unknown:
        raise UnknownPackagesError(tuple(unknown), _similar(apt, unknown[:MAX_SIMILAR]))
    return "\n".join(printed)


def _print(apt: _Apt, command: Sequence[str], names: Sequence[str], unknown: list[str]) -> str:
    """Return the output of apt-get, and add the unknown names to `unknown`.

    Raise UnsatisfiableError for another failure if all names so far are known.
    """
    left = list(names)
    while left:  # build-dep stops at the first unknown name
        done = apt.run("apt-get", *command, "--", *left)
        if done.status == 0:
            return done.out
        found = apt_texts.unknown_names(done.err)
        if not found and unknown:
            return ""
        if not found:
            text = apt_texts.explanation(f"{done.out}\n{done.err}")
            raise UnsatisfiableError("apt finds no solution for these packages", why=text)
        unknown += found
        rest = [name for name in left if name not in found]
        left = rest if len(rest) < len(left) else []
    return ""


def _similar(apt: _Apt, unknown: Sequence[str]) -> dict[str, str]:
    known = apt.run("apt-cache", "pkgnames").out.split()
    near = {
        name: similar(name, [each for each in known if each[0] == name[0] and abs(len(each) - len(name)) < len(name)])
        for name in unknown
    }
    return {name: found for name, found in near.items() if found}


def _solver_name(apt: _Apt, version: str, solver: str) -> str:
    """Return the recorded name of the solver, with the version of libapt if dpkg knows it."""
    form = "${Package} ${Version} ${db:Status-Status}\n"
    shown = apt.run("dpkg-query", "--show", f"--showformat={form}", "libapt-pkg[0-9]*").out
    libraries = [line.removesuffix(" installed") for line in shown.splitlines() if line.endswith(" installed")]
    return ", ".join([f"apt {version}", *libraries, f"solver {solver}"])
