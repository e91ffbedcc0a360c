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
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from snapproxy.client_config import apt, rpm
from snapproxy.core.time_spec import parse_time
from tests.fakes import alpine_world, arch, proxy, rpm_world
from tests.fakes.alpine_world import AlpineWorld
from tests.fakes.apk_root import RealApk
from tests.fakes.apt_root import AptRoot
from tests.fakes.arch import ArchWorld
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
from tests.fakes.forms import DEBIAN, sources
from tests.fakes.pacman_root import PacmanRoot
from tests.fakes.proxy import Snapproxy
from tests.fakes.rpm_root import RELEASE, DnfRoot, ZypperRoot
from tests.fakes.rpm_world import RpmWorld
from tests.fakes.world import World

_LIMIT = 120.0
_OLD = 946_684_800
"""2000-01-01. apt sends no If-Modified-Since for a file dated 1970-01-01."""
_ELSEWHERE = "https://elsewhere.example"


@dataclass(frozen=True)
class Step:
    """The result of one command: exit code, the version that the client would install, and the output."""

    code: int
    version: str
    text: str


class Client(Protocol):
    """A package manager in a root of its own, with the source that its distribution ships."""

    times: tuple[str, str]
    """Two times with different versions of one package; the archive's present state is that of the second one."""
    versions: tuple[str, str]

    def use_mirror_form(self, base: str, time: str) -> None:
        """Put the time into the address of the source."""

    def use_proxy_form(self, base: str, time: str) -> dict[str, str]:
        """Apply the printed text of the proxy form, and return the variables that it sets."""

    def add_https(self) -> None:
        """Add an https source beside the http one."""

    def ask(self, *, is_printed: bool = False) -> list[str]:
        """Return the plain command that updates and selects a version, or the one that `sources` prints."""

    def version(self, output: str) -> str:
        """Return the version that the client would install; `output` is that of the command."""

    def metadata(self) -> Path:
        """Return the folder of the roots and indexes that the client keeps."""

    def environment(self) -> dict[str, str]:
        """Return the environment, without any proxy."""


def _plain_environment(**more: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "HOME": "/nonexistent", **more}


def variables(url: str) -> dict[str, str]:
    """Return the variables of the proxy form."""
    return {name: url for word in ("http_proxy", "https_proxy") for name in (word, word.upper())}


def _proxy_url(base: str, time: str) -> str:
    return base.replace("://", f"://{time}:x@", 1)


_ONE_TRY = ("-o", "Acquire::Retries=0")
"""The retries of the printed configuration take two minutes."""


class Apt:
    """The machine's own apt."""

    def __init__(self, folder: Path, world: World) -> None:
        self._world = world
        self.times = (world.first.when, world.second.when)
        self.versions = (world.first.versions["xz-utils"], world.second.versions["xz-utils"])
        self.root = sources(AptRoot(folder), world, DEBIAN)

    def use_mirror_form(self, base: str, time: str) -> None:
        sources(self.root, self._world, f"{base}/debian/{time}")

    def use_proxy_form(self, base: str, time: str) -> dict[str, str]:
        options = apt.AptOptions(apt.DISTROS["debian"], "bookworm", parse_time(time), base)
        self.root.configure(apt.proxy(options)[0].text)
        return {}

    def add_https(self) -> None:
        source = self.root.folder / "etc/apt/sources.list.d/elsewhere.list"
        source.write_text(f"deb [trusted=yes] {_ELSEWHERE}/debian stable main\n")

    def ask(self, *, is_printed: bool = False) -> list[str]:
        return self.root.command("apt-get", *_ONE_TRY, *shlex.split(apt.UPDATE)[1:])

    def version(self, output: str) -> str:
        return self.root.candidates("xz-utils").get("xz-utils", "")

    def metadata(self) -> Path:
        return self.root.lists

    def environment(self) -> dict[str, str]:
        return self.root.environment()


class Pacman:
    """The machine's own pacman."""

    times = (arch.FIRST, arch.SECOND)

    def __init__(self, folder: Path, world: ArchWorld) -> None:
        self.versions = (world.old.version, world.new.version)
        self.root = PacmanRoot(folder, world.key)
        self._servers = ["http://mirror.example.invalid/pub/archlinux/$repo/os/$arch"]
        self.root.server(*self._servers)

    def use_mirror_form(self, base: str, time: str) -> None:
        self.root.server(f"{base}/archlinux/{time}/$repo/os/$arch")

    def use_proxy_form(self, base: str, time: str) -> dict[str, str]:
        return variables(_proxy_url(base, time))

    def add_https(self) -> None:
        self.root.server(*self._servers, f"[elsewhere]\nServer = {_ELSEWHERE}/$repo/os/$arch")

    def ask(self, *, is_printed: bool = False) -> list[str]:
        return self.root.command("-Sy")

    def version(self, output: str) -> str:
        return self.root.versions().get("dummy", "")

    def metadata(self) -> Path:
        return self.root.folder / "db" / "sync"

    def environment(self) -> dict[str, str]:
        return _plain_environment()


class Apk:
    """The apk on PATH."""

    times = (alpine_world.FIRST, alpine_world.SECOND)
    versions = ("1.0-r0", "1.1-r0")

    def __init__(self, folder: Path, world: AlpineWorld) -> None:
        self.root = RealApk(folder, world.keys)
        self._folder = folder
        self._source = f"http://{alpine_world.HOST}/alpine/{alpine_world.REPOSITORY}"
        self.root.repositories(self._source)

    def use_mirror_form(self, base: str, time: str) -> None:
        self.root.repositories(f"{base}/alpine/{time}/{alpine_world.REPOSITORY}")

    def use_proxy_form(self, base: str, time: str) -> dict[str, str]:
        return variables(_proxy_url(base, time))

    def add_https(self) -> None:
        self.root.repositories(self._source, f"{_ELSEWHERE}/alpine/main")

    def ask(self, *, is_printed: bool = False) -> list[str]:
        is_installed = (self._folder / "usr/share/hello").exists()
        change = self.root.command(*(("upgrade", "--available") if is_installed else ("add", "hello")))
        update = self.root.command("--cache-max-age", "0", "update")
        return ["sh", "-c", f"{shlex.join(update)} && {shlex.join(change)}"] if is_printed else change

    def version(self, output: str) -> str:
        file = self._folder / "usr/share/hello"
        return file.read_text().split()[-1] if file.exists() else ""

    def metadata(self) -> Path:
        return self._folder / "etc/apk/cache"

    def environment(self) -> dict[str, str]:
        return _plain_environment()


def _rpm_source(world: RpmWorld) -> str:
    address = f"http://{rpm_world.HOST}/{rpm_world.ARCHIVE}/{_RPM_FOLDER}"
    return f"[t]\nname=t\nbaseurl={address}\nenabled=1\nautorefresh=1\n{_signed(world)}"


def _signed(world: RpmWorld) -> str:
    return f"gpgcheck=0\nrepo_gpgcheck=1\ngpgkey=file://{world.public_key}\n"


_RPM_FOLDER = f"updates/{RELEASE}/Everything/x86_64"
_RPM_HTTPS = f"[elsewhere]\nname=elsewhere\nbaseurl={_ELSEWHERE}/rpm\nenabled=1\nautorefresh=1\ngpgcheck=0\n"


def _rpm_options(base: str, time: str) -> rpm.RpmOptions:
    return rpm.RpmOptions(rpm_world.ARCHIVE, _RPM_FOLDER, parse_time(time), base)


class Dnf:
    """The machine's own dnf 4. `list` selects a version without a download."""

    times = (rpm_world.FIRST, rpm_world.SECOND)
    versions = tuple(rpm_world.VERSIONS[when]["hello"] for when in times)

    def __init__(self, folder: Path, world: RpmWorld) -> None:
        self._world = world
        self.root = DnfRoot(folder)
        self.root.repository(_rpm_source(world))

    def use_mirror_form(self, base: str, time: str) -> None:
        text = rpm.mirror(_rpm_options(base, time))[0].text
        self.root.repository(text.replace("gpgcheck=1\n", _signed(self._world)))

    def use_proxy_form(self, base: str, time: str) -> dict[str, str]:
        self.root.main(rpm.proxy(_rpm_options(base, time))[0].text.replace("[main]\n", ""))
        return {}

    def add_https(self) -> None:
        self.root.repository(_rpm_source(self._world) + _RPM_HTTPS)

    def ask(self, *, is_printed: bool = False) -> list[str]:
        return self.root.command(*(["--refresh"] if is_printed else []), "list", "--available", "hello")

    def version(self, output: str) -> str:
        found = re.search(r"^hello\.noarch +(\S+)", output, re.MULTILINE)
        return found[1] if found else ""

    def metadata(self) -> Path:
        return self.root.folder / "cache"

    def environment(self) -> dict[str, str]:
        return _plain_environment(HOME=str(self.root.folder))


class Zypper:
    """The machine's own zypper. `search` selects a version without a download."""

    times, versions = Dnf.times, Dnf.versions

    def __init__(self, folder: Path, world: RpmWorld) -> None:
        self._world = world
        self.root = ZypperRoot(folder)
        self.root.repository(_rpm_source(world))

    def use_mirror_form(self, base: str, time: str) -> None:
        text = rpm.zypper(_rpm_options(base, time))[0].text
        self.root.repository(text.replace("gpgcheck=1\n", _signed(self._world)))

    def use_proxy_form(self, base: str, time: str) -> dict[str, str]:
        return variables(_proxy_url(base, time))

    def add_https(self) -> None:
        self.root.repository(_rpm_source(self._world) + _RPM_HTTPS)

    def ask(self, *, is_printed: bool = False) -> list[str]:
        search = ["search", "--details", "--match-exact", "hello"]
        return self.root.command("refresh", "--force") if is_printed else self.root.command(*search)

    def version(self, output: str) -> str:
        return self.root.available().get("hello", "")

    def metadata(self) -> Path:
        return self.root.folder / "var/cache/zypp"

    def environment(self) -> dict[str, str]:
        return _plain_environment(HOME=str(self.root.folder.parent))


class BasicDnf(Dnf):
    """dnf with the option to send the credentials of a proxy with its first request."""

    def __init__(self, folder: Path, world: RpmWorld) -> None:
        super().__init__(folder, world)
        self.root.main("proxy_auth_method=basic\n")


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
                *client.root.command("apt-get", *_ONE_TRY, "update"),
            ]
        step = _run_verb(client, server, time, command)
    if step.code:
        return REFUSED
    return REPORTED if _ELSEWHERE in _last_line(step) else SILENT


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
