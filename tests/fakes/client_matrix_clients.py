"""The package managers of the client matrix: each in a root of its own, asked for the version it would install."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path
from typing import Protocol

from snapproxy.client_config import apt, rpm
from snapproxy.core.time_spec import parse_time
from tests.fakes import alpine_world, arch, rpm_world
from tests.fakes.alpine_world import AlpineWorld
from tests.fakes.apk_root import RealApk
from tests.fakes.apt_root import AptRoot
from tests.fakes.arch import ArchWorld
from tests.fakes.forms import DEBIAN, sources
from tests.fakes.pacman_root import PacmanRoot
from tests.fakes.rpm_root import RELEASE, DnfRoot, ZypperRoot
from tests.fakes.rpm_world import RpmWorld
from tests.fakes.world import World

ELSEWHERE = "https://elsewhere.example"
"""An https source, which no proxy can pin."""


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


ONE_TRY = ("-o", "Acquire::Retries=0")
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
        source.write_text(f"deb [trusted=yes] {ELSEWHERE}/debian stable main\n")

    def ask(self, *, is_printed: bool = False) -> list[str]:
        return self.root.command("apt-get", *ONE_TRY, *shlex.split(apt.UPDATE)[1:])

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
        self.root.server(*self._servers, f"[elsewhere]\nServer = {ELSEWHERE}/$repo/os/$arch")

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
        self.root.repositories(self._source, f"{ELSEWHERE}/alpine/main")

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
_RPM_HTTPS = f"[elsewhere]\nname=elsewhere\nbaseurl={ELSEWHERE}/rpm\nenabled=1\nautorefresh=1\ngpgcheck=0\n"


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
