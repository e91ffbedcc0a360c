"""A private root for the system's real apt.

Own sources, keyrings, lists, caches and dpkg status; nothing of /etc/apt is read.

`AptRoot(chroot=...)` runs the apt of another system (apt 3 from `trixie_system`) in the same way.
"""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.fakes.chroot import chrooted, seen_from

_CONFIGURATION = """\
Dir "{root}/";
Dir::State::status "{root}/status";
Dir::Log "{root}/log";
APT::Architecture "amd64";
APT::Architectures {{ "amd64"; }};
APT::Install-Recommends "false";
APT::Sandbox::User "root";
Acquire::Languages "none";
"""


def machine_apt() -> str:
    """Return the version of the machine's apt."""
    shown = subprocess.run(["apt-get", "--version"], capture_output=True, text=True, check=True, timeout=30).stdout
    return shown.split()[1]


@dataclass(frozen=True)
class Outcome:
    """The exit code and the output of one run of apt."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        return self.out + self.err


class AptRoot:
    """One private root. Times are in seconds."""

    def __init__(self, folder: Path, *, chroot: Path | None = None) -> None:
        self.folder = folder
        self._chroot = chroot
        for name in ("etc/apt/sources.list.d", "etc/apt/apt.conf.d", "etc/apt/preferences.d", "etc/apt/trusted.gpg.d",
                     "var/lib/apt/lists/partial", "var/cache/apt/archives/partial", "log"):  # fmt: skip
            (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / "status").touch()
        self.configuration = folder / "apt.conf"
        self.configuration.write_text(_CONFIGURATION.format(root=self.inside(folder)))

    def inside(self, path: Path) -> str:
        """Return the path by which apt itself finds `path`."""
        return seen_from(self._chroot, path)

    @property
    def lists(self) -> Path:
        """The folder of the roots and indexes that apt fetched."""
        return self.folder / "var/lib/apt/lists"

    @property
    def archives(self) -> Path:
        """The folder of the packages that apt fetched."""
        return self.folder / "var/cache/apt/archives"

    def sources(self, *lines: str) -> None:
        """Write sources.list: lines in a user's notation (`deb URL suite component`)."""
        (self.folder / "etc/apt/sources.list").write_text("".join(f"{line}\n" for line in lines))

    def deb822(self, text: str) -> None:
        """Write one deb822 sources file."""
        (self.folder / "etc/apt/sources.list.d/test.sources").write_text(text)

    def configure(self, *lines: str) -> None:
        """Write apt.conf lines; they replace those of the last call."""
        (self.folder / "etc/apt/apt.conf.d/50test").write_text("".join(f"{line}\n" for line in lines))

    def keyring(self, path: Path) -> str:
        """Copy a keyring into the root and return the name to write after `signed-by=`."""
        target = self.folder / "etc/apt" / path.name
        target.write_bytes(path.read_bytes())
        return self.inside(target)

    def command(self, *arguments: str) -> list[str]:
        """Return the command line that runs one of apt's programs in this root (needs `environment`)."""
        return list(arguments) if self._chroot is None else chrooted(self._chroot, arguments)

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the whole environment of apt: it contains no proxy of the machine."""
        fixed = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/nonexistent"}
        return {**fixed, "APT_CONFIG": self.inside(self.configuration), **(extra or {})}

    def run(self, *arguments: str, extra: Mapping[str, str] | None = None, timeout: float = 90) -> Outcome:
        """Run `apt-get ...` or `apt-cache ...` to its end; raises subprocess.TimeoutExpired when it hangs."""
        done = subprocess.run(
            self.command(*arguments), env=self.environment(extra), cwd=self.folder, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, check=False, timeout=timeout,
        )  # fmt: skip
        return Outcome(done.returncode, done.stdout, done.stderr)

    def start(self, *arguments: str, extra: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """Start one of apt's programs; the caller waits for it."""
        return subprocess.Popen(
            self.command(*arguments), env=self.environment(extra), cwd=self.folder, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def update(self, *options: str, timeout: float = 90) -> Outcome:
        """Run `apt-get update`."""
        return self.run("apt-get", *options, "update", timeout=timeout)

    def download(self, *packages: str, options: Iterable[str] = (), timeout: float = 90) -> Outcome:
        """Download packages with all their dependencies; install nothing."""
        return self.run("apt-get", *options, "install", "--download-only", "-y", *packages, timeout=timeout)

    def candidates(self, *packages: str, options: Iterable[str] = ()) -> dict[str, str]:
        """Return the version that `apt-cache policy` would install, by package, of packages that have a candidate."""
        text = self.run("apt-cache", *options, "policy", *packages).out
        found = re.findall(r"^(\S+):\n  Installed: .*\n  Candidate: (.*)$", text, re.MULTILINE)
        return {name: version for name, version in found if version != "(none)"}

    def fetched(self) -> dict[str, bytes]:
        """Return the packages that `download` left, by file name."""
        return {path.name: path.read_bytes() for path in sorted(self.archives.glob("*.deb"))}

    def would_fetch(self, *packages: str) -> dict[str, str]:
        """Return the URL by file name of each package that an installation would download."""
        text = self.run("apt-get", "--print-uris", "-y", "install", *packages).out
        found = (shlex.split(line) for line in text.splitlines() if line.startswith("'"))
        return {name: url for url, name, *_ in found}

    def forget_lists(self) -> None:
        """Empty the folder of lists."""
        for path in self.lists.iterdir():
            if path.is_file():
                path.unlink()
