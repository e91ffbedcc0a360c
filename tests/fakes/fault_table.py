"""Measure apt's output and exit code for each upstream fault on a root, an index and a package.

`make faults` measures all cases and writes docs/explain/apt-faults.md; a long test measures them too and compares the
outcomes. Each case has its own servers, a snapproxy with an empty store, and a private apt root.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from tests.fakes.apt_root import AptRoot
from tests.fakes.archive_server import ArchiveServer
from tests.fakes.content import Content
from tests.fakes.faults import Fault, Hold, Html, Redirect, Replace, Reset, Status, TooLong, Truncate, WrongBytes
from tests.fakes.forms import sources, trouble
from tests.fakes.proxy import Snapproxy, configuration
from tests.fakes.world import FIRST, World

Door = Callable[[World, Path], AbstractContextManager[str]]
"""Opens a route from apt to the world; yields the base address for the sources."""

_CHANGING = (
    (r"http://127[^ ]*/dists/", "URL/dists/"),
    (r"http://127[^ ]*/pool/", "URL/pool/"),
    (r"by-hash/SHA256/[0-9a-f]{64}", "by-hash/SHA256/HASH"),
    (r" *\[IP: [^]]*\]", ""),
    (r"/tmp/[^/ ]*", "ROOT"),
    (r"(127\.0\.0\.\d+:)\d+", r"\1PORT"),
    (r"next request in \d+ s", "next request in N s"),
)
_SIDE_BY_SIDE = 4
_LIMIT = 100.0

FAULTS: dict[str, Callable[[], Fault]] = {
    "403": lambda: Status(403),
    "404": lambda: Status(404),
    "404 once, by mistake": lambda: Status(404),
    "429, Retry-After": lambda: Status(429, {"Retry-After": "60"}),
    "500": lambda: Status(500),
    "503": lambda: Status(503),
    "509": lambda: Status(509, {"Retry-After": "0"}),
    "a web page with 200": Html,
    "redirect loop": Redirect,
    "redirect to a foreign host": lambda: Redirect("http://127.0.0.9:9/"),
    "connection reset": Reset,
    "reset in the body": lambda: Reset(500),
    "cut short": lambda: Truncate(500),
    "too long": TooLong,
    "one byte changed": lambda: WrongBytes(at=300),
    "other content": lambda: Replace(Content(b"nothing of the kind\n" * 40)),
    "silence": lambda: Hold(after=None, patience=_LIMIT),
}
"""Every fault by its name in the table."""

ONCE = frozenset({"404 once, by mistake"})
ROLES = ("root", "index", "package")


@dataclass(frozen=True)
class Case:
    """One line of the table. With two suites on one host the second one has the fault."""

    role: str
    fault: str
    suites: int


@dataclass(frozen=True)
class Row:
    """The outcome of a case. `code` is apt's exit code, None if it hung; `is_complete`: all requested files arrived."""

    case: Case
    code: int | None
    is_complete: bool
    said: str


def cases() -> list[Case]:
    """Return every line of the table, in its order."""
    wholly = [Case(role, fault, suites) for role in ROLES for fault in FAULTS for suites in (1, 2)]
    return [*wholly, *(Case(role, "connection refused", suites) for role in ROLES for suites in (1, 2))]


@contextlib.contextmanager
def directly(world: World, folder: Path) -> Iterator[str]:
    """Let apt ask the snapshot service directly: the situation without snapproxy."""
    yield f"{world.snapshot.url}/archive/debian/{FIRST}"


@contextlib.contextmanager
def through_snapproxy(world: World, folder: Path) -> Iterator[str]:
    """Let apt ask a snapproxy with a client timeout of three seconds, to keep the measurement short."""
    with Snapproxy(configuration(folder, world, top='patience = { apt = "3s" }')) as process:
        yield f"{process.url}/debian/{FIRST}"


def measure(world: World, door: Door, wanted: Sequence[Case]) -> list[Row]:
    """Measure the cases side by side."""
    with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
        return list(pool.map(lambda case: _measure(world, door, case), wanted))


def _measure(original: World, door: Door, case: Case) -> Row:
    with tempfile.TemporaryDirectory() as name, original.twin() as world:
        folder = Path(name)
        suites = [world.codename, f"{world.codename}-updates"][: case.suites]
        with door(world, folder / "snapproxy") as base:
            root = sources(AptRoot(folder / "root"), world, base, suites)
            if case.role == "package":
                root.update()
            with _fault(world.snapshot, case, suites[-1]):
                return _row(case, root, suites)


@contextlib.contextmanager
def _fault(server: ArchiveServer, case: Case, suite: str) -> Iterator[None]:
    # The package is one whose version at FIRST the mirror no longer has, so only the snapshot service can be asked.
    pattern = {
        "root": f"*/dists/{suite}/*Release*",
        "index": f"*/dists/{suite}/main/binary-amd64/*",
        "package": "*/pool/*/xz-utils_*",
    }[case.role]
    if case.fault == "connection refused":
        with server.refusing():
            yield
        return
    fault = FAULTS[case.fault]()
    server.fault(pattern, fault, times=1 if case.fault in ONCE else None)
    try:
        yield
    finally:
        if isinstance(fault, Hold):
            fault.release()


def _row(case: Case, root: AptRoot, suites: Sequence[str]) -> Row:
    arguments = ("install", "--download-only", "-y", "xz-utils") if case.role == "package" else ("update",)
    try:
        outcome = root.run("apt-get", *arguments, timeout=_LIMIT)
    except subprocess.TimeoutExpired:
        return Row(case, None, is_complete=False, said="")
    if case.role == "package":
        is_complete = any(name.startswith("xz-utils_") for name in root.fetched())
    else:
        is_complete = all(list(root.lists.glob(f"*_{suite}_main_binary-amd64_Packages*")) for suite in suites)
    return Row(case, outcome.code, is_complete, _gist(outcome.text))


def _gist(text: str) -> str:
    """Return the line in which apt reports the failure, without the parts that differ from run to run."""
    lines = trouble(text)
    final = [line for line in lines if line.startswith("E: Failed to fetch")]
    said = next(iter([*final, *(line for line in lines if line.startswith(("E:", "W:"))), ""]))
    for pattern, plain in _CHANGING:
        said = re.sub(pattern, plain, said)
    return said.replace("|", "\\|")


def render(rows: Sequence[Row]) -> str:
    """Return the page."""
    version = subprocess.run(
        ["apt-get", "--version"], capture_output=True, text=True, check=True, timeout=30
    ).stdout.split()[1]
    head = f"""\
# What apt prints for each upstream fault

Generated by `make faults` with apt {version} in its default configuration (no `Error-Mode`), an empty
store, and a client timeout of 3 seconds. The snapshot service has the fault permanently, for the
named kind of file (the "404 once" excepted). With two suites on one host, the second one has the
fault. `tests/journeys/test_fault_table.py` checks that apt never exits 0 with a file missing.

| file | fault | suites | exit | complete | printed by apt |
|---|---|---|---|---|---|
"""
    return head + "".join(_line(row) for row in rows)


def _line(row: Row) -> str:
    code = "hangs" if row.code is None else str(row.code)
    said = f"`{row.said}`" if row.said else ""
    complete = "yes" if row.is_complete else "no"
    return f"| {row.case.role} | {row.case.fault} | {row.case.suites} | {code} | {complete} | {said} |\n"


def outcomes(page: str) -> dict[Case, tuple[str, str]]:
    """Read (exit, complete) by case from a rendered page: the outcomes that must not change unnoticed."""
    table = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line.startswith("|")
    ]
    return {Case(role, fault, int(suites)): (code, there) for role, fault, suites, code, there, *_ in table[2:]}


def main(target: Path) -> None:
    """Measure every case and write the page."""
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder) / "world", "xz-utils")
        try:
            target.write_text(render(measure(world, through_snapproxy, cases())))
        finally:
            world.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
