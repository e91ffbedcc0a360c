"""Measure whether each client is pinned: by spelling of the credentials, back in time, and beside an https source.

`make clients` measures all cells with the real programs and writes docs/explain/client-matrix.md; a long test measures
them too and compares. Every archive has two states, and its mirror shows the second one, so a client that is not pinned
to the first time gets another version.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.fakes import proxy
from tests.fakes.alpine_world import AlpineWorld
from tests.fakes.arch import ArchWorld
from tests.fakes.client_matrix_clients import (
    ELSEWHERE,
    ONE_TRY,
    Apk,
    Apt,
    BasicDnf,
    Client,
    Dnf,
    Pacman,
    Zypper,
    variables,
)
from tests.fakes.client_matrix_page import (
    BESIDE_HTTPS,
    CREDENTIALS,
    HTTPS,
    PINNED,
    REFUSED,
    REPORTED,
    SILENT,
    SPELLINGS,
    TIMES,
    TITLES,
    Cell,
    read,
    render,
)
from tests.fakes.proxy import Snapproxy
from tests.fakes.rpm_world import RpmWorld
from tests.fakes.world import World

_LIMIT = 120.0
_OLD = 946_684_800
"""2000-01-01. apt sends no If-Modified-Since for a file dated 1970-01-01."""


@dataclass(frozen=True)
class Step:
    """The result of one command: exit code, the version that the client would install, and the output."""

    code: int
    version: str
    text: str


@dataclass(frozen=True)
class Kind:
    """A client: its name in the tables, how to make one in an empty folder, and the settings for its archive."""

    name: str
    make: Callable[[Path], Client]
    configuration: Path


@contextlib.contextmanager
def kinds(folder: Path, *wanted: str) -> Iterator[list[Kind]]:
    """Start the archives of the wanted clients (default: all whose program is installed), and yield the clients."""
    with ExitStack() as stack:
        found: list[Kind] = []
        for name in wanted or names():
            program = name.partition(",")[0]
            part = folder / name.replace(", ", "-")
            part.mkdir(parents=True)
            world, make = _world(program, part / "world")
            stack.callback(world.close)
            client = BasicDnf if name == "dnf, basic" else make
            configuration = (
                proxy.configuration(part / "snapproxy", world)
                if isinstance(world, World)
                else world.configuration(part / "snapproxy")
            )
            found.append(Kind(name, functools.partial(_made, client, world), configuration))
        yield found


def names() -> list[str]:
    """Return the clients whose program is installed. Debian has no package of apk."""
    return [name for name in ("apt", "pacman", "apk", "dnf", "dnf, basic", "zypper") if _has(name.partition(",")[0])]


def _has(program: str) -> bool:
    return shutil.which(program) is not None and (program != "apk" or os.geteuid() == 0)


def _made(client: Callable[[Path, object], Client], world: object, folder: Path) -> Client:
    return client(folder, world)


def _world(program: str, folder: Path) -> tuple[World | ArchWorld | AlpineWorld | RpmWorld, Callable[..., Client]]:
    folder.mkdir()
    match program:
        case "apt":
            return World(folder, "xz-utils"), Apt
        case "pacman":
            return ArchWorld(folder), Pacman
        case "apk":
            return AlpineWorld(folder), Apk
        case _:
            return RpmWorld(folder), Zypper if program == "zypper" else Dnf


def measure(kind: Kind, *wanted: str) -> dict[Cell, str]:
    """Measure the cells of one client, in the wanted columns or in all."""
    measured: dict[Cell, str] = {}
    with tempfile.TemporaryDirectory() as name, Snapproxy(kind.configuration) as server:
        for table, (_, columns) in TITLES.items():
            for number, column in enumerate(columns):
                if not wanted or column in wanted:
                    client = kind.make(Path(name) / f"{table} {number}".replace(" ", "-"))
                    measured[table, kind.name, column] = _MEASURES[table](client, server, column)
    return measured


def _credentials(client: Client, server: Snapproxy, column: str) -> str:
    url = server.url.replace("://", "://" + CREDENTIALS[column].format(time=client.times[0]), 1)
    return word_for(_run(client, client.ask(is_printed=True), variables(url)), client.versions[0])


def _back_in_time(client: Client, server: Snapproxy, form: str) -> str:
    """Go to the first time, to the second and back, in one root. Return the different results, in this order."""
    words = []
    for index in (0, 1, 0):
        step = _at(client, server, form, client.times[index])
        words.append(word_for(step, client.versions[index]))
        if form == "proxy, old dates":
            for path in client.metadata().rglob("*"):
                os.utime(path, (_OLD, _OLD), follow_symlinks=False)
    return " then ".join(dict.fromkeys(words))


def _at(client: Client, server: Snapproxy, form: str, time: str) -> Step:
    match form:
        case "mirror":
            client.use_mirror_form(server.url, time)
            return _run(client, client.ask(), {})
        case "run":
            return _run_verb(client, server, time, client.ask())
        case _:
            return _run(client, client.ask(is_printed=True), client.use_proxy_form(server.url, time))


def _beside_https(client: Client, server: Snapproxy, column: str) -> str:
    time = client.times[0]
    if column == HTTPS[0]:
        given = client.use_proxy_form(server.url, time)
        client.add_https()
        step = _run(client, client.ask(is_printed=True), given)
    else:
        client.add_https()
        command = client.ask()
        if column == HTTPS[2]:
            if not isinstance(client, Apt):
                return "-"
            command = [
                "env",
                f"APT_CONFIG={client.root.configuration}",
                *client.root.command("apt-get", *ONE_TRY, "update"),
            ]
        step = _run_verb(client, server, time, command)
    if step.code:
        return REFUSED
    return REPORTED if ELSEWHERE in _last_line(step) else SILENT


def _run_verb(client: Client, server: Snapproxy, time: str, command: Sequence[str]) -> Step:
    run = proxy.command("run", "--config", str(server.configuration), "--at", time, "--", *command)
    return _run(client, run, proxy.environment())


def _run(client: Client, command: Sequence[str], more: Mapping[str, str]) -> Step:
    done = subprocess.run(
        command, env={**more, **client.environment()}, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        check=False, timeout=_LIMIT,
    )  # fmt: skip
    return Step(done.returncode, client.version(done.stdout), done.stdout + done.stderr)


def word_for(step: Step, expected: str) -> str:
    """Return the word for a command that had to give the `expected` version."""
    if step.code:
        return REFUSED
    if step.version == expected:
        return PINNED
    return REPORTED if "root" in _last_line(step) else SILENT


def _last_line(step: Step) -> str:
    """Return the last line of `run`, '' if the client ran alone."""
    lines = [line for line in step.text.splitlines() if line.startswith("snapproxy: ")]
    return lines[-1] if lines else ""


_MEASURES: Mapping[str, Callable[[Client, Snapproxy, str], str]] = {
    SPELLINGS: _credentials,
    TIMES: _back_in_time,
    BESIDE_HTTPS: _beside_https,
}


def main(target: Path, *apks: str) -> None:
    """Measure every client and write the page. `apks` are folders with a program `apk`, one for each version.

    Rows of clients that are not installed keep their cells.
    """
    measured: dict[Cell, str] = {}
    with (
        tempfile.TemporaryDirectory() as name,
        kinds(Path(name), *(each for each in names() if each != "apk")) as found,
    ):
        for kind in found:
            measured |= measure(kind)
    for folder in apks:
        os.environ["PATH"] = f"{folder}:{os.environ['PATH']}"
        with tempfile.TemporaryDirectory() as name, kinds(Path(name), "apk") as found:
            label = named("apk")
            measured |= {(table, label, column): word for (table, _, column), word in measure(found[0]).items()}
    kept = read(target.read_text()) if target.exists() else {}
    programs = ", ".join(dict.fromkeys(named(each.partition(",")[0]) for each in names() if each != "apk"))
    target.write_text(
        render({**measured, **{cell: word for cell, word in kept.items() if cell not in measured}}, programs)
    )


def named(program: str) -> str:
    """Return the name and the version of a program."""
    command = ["apt-get" if program == "apt" else program, "--version"]
    output = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout
    found = re.search(r"\d+\.\d+[.\d]*", output)
    return f"{program} {found[0]}" if found else program


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
