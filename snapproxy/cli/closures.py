"""Compute a closure: serve on the loopback interface, where the distribution's solver updates its indexes."""

from __future__ import annotations

import asyncio
import platform
import shutil
import tempfile
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from snapproxy.cli.application import App
from snapproxy.cli.loopback import serving
from snapproxy.cli.prefetch_request import ArchiveSelection, ClosureArguments
from snapproxy.core.model import Archive, Instant, TimeSpec
from snapproxy.core.time_spec import canonical_time
from snapproxy.errors import ConfigurationError
from snapproxy.families import FAMILIES
from snapproxy.prefetch.model import WantedFile
from snapproxy.solvers.known import SOLVERS
from snapproxy.solvers.model import Closure, ClosureRequest, FurtherArchive
from snapproxy.trust.roots import available_keyrings

ABANDONED_SECONDS = 86_400
"""Age of the private folder of a solver in seconds at which its process must have been killed: no run takes a day."""

LARGEST_STATUS = 64 * 2**20
"""Maximum size of a dpkg status file in bytes."""

_PREFIX = "solver-"


async def solve(app: App, arguments: ClosureArguments, capture: str) -> Closure:
    """Return the closure. The roots and indexes of the update are recorded in the capture.

    Raises SolverError if the solver is missing or cannot compute it. The solver is killed if the task is cancelled.
    """
    cancelled = threading.Event()
    solver = SOLVERS[arguments.selections[0].archive.family](cancelled=cancelled)
    async with serving(app) as url:
        prefix = f"{url}/~{capture}" if capture else url
        bases = {
            each.archive.name: f"{prefix}/{each.archive.name}/{canonical_time(arguments.when)}"
            for each in arguments.selections
        }
        await asyncio.to_thread(remove_abandoned, app.config.cache_dir, app.clock.now())
        with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=app.config.cache_dir) as folder:
            request = request_of(arguments, bases)
            first = bases[arguments.selections[0].archive.name]
            closure = await _in_thread(lambda: solver.solve(request, first, Path(folder)), cancelled)
    if capture:
        await app.captures.add_solver(capture, closure.solver)
    return closure


def remove_abandoned(folder: Path, now: Instant) -> None:
    """Remove the private folders of solvers that a killed process left in `folder`."""
    for place in folder.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            if place.stat().st_mtime < now - ABANDONED_SECONDS:
                shutil.rmtree(place, ignore_errors=True)


async def _in_thread(work: Callable[[], Closure], cancelled: threading.Event) -> Closure:
    """Run the solver in a thread. If this task is cancelled, kill the solver and wait for its end."""
    running = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        cancelled.set()
        await asyncio.wait({running})
        running.exception()  # "The solver was cancelled"; a result has no use any more
        raise


def request_of(arguments: ClosureArguments, bases: Mapping[str, str]) -> ClosureRequest:
    """Return the request for the solver. `bases` are the addresses of the archives, by name."""
    first, *others = arguments.selections
    return ClosureRequest(
        packages=arguments.packages,
        build_dependencies_of=arguments.build_dependencies_of,
        suites=first.suites,
        components=first.components,
        architectures=first.architectures or (platform.machine(),),  # rpm's names are those of the kernel
        recommends=arguments.recommends,
        status=_status(arguments.status) if arguments.status else b"",
        root=str(arguments.root) if arguments.root else "",
        keyrings=_keyrings(first.archive),
        further=tuple(_further(each, bases) for each in others),
        is_any_solver_accepted=arguments.is_any_solver_accepted,
    )


def wanted_files(closure: Closure, arguments: ClosureArguments) -> tuple[WantedFile, ...]:
    """Return the files of a closure."""
    archives = {each.archive.name: each.archive for each in arguments.selections}
    first = arguments.selections[0].archive
    when: TimeSpec = arguments.when
    return tuple(
        WantedFile(archives.get(each.archive, first), when, each.path, each.digest, each.size) for each in closure.files
    )


def _further(selection: ArchiveSelection, bases: Mapping[str, str]) -> FurtherArchive:
    archive = selection.archive
    return FurtherArchive(archive.name, bases[archive.name], selection.suites, selection.components, _keyrings(archive))


def _keyrings(archive: Archive) -> tuple[str, ...]:
    return available_keyrings(archive, FAMILIES[archive.family])


def _status(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_STATUS + 1)
    except OSError as error:
        raise ConfigurationError("The dpkg status file cannot be read", why=f"{path}: {error.strerror}") from error
    if len(data) > LARGEST_STATUS:
        raise ConfigurationError("The dpkg status file is too large", why=f"{path} has over {LARGEST_STATUS} bytes.")
    return data
