"""Private roots for the system's real dnf and zypper.

They have their own repository files, caches and rpm database; nothing of /etc is read.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.fakes.apt_root import Outcome

RELEASE = "40"


class DnfRoot:
    """One private root of dnf 4."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("root", "repos", "cache", "log", "persist", "got"):
            (folder / name).mkdir(parents=True)
        self.root = folder / "root"
        (folder / "dnf.conf").write_text("[main]\n")

    def repository(self, text: str) -> None:
        """Write the only repository file, as `client_config.rpm` prints it or in a user's notation."""
        (self.folder / "repos" / "test.repo").write_text(text)

    def main(self, text: str) -> None:
        """Write lines of dnf.conf's `[main]`."""
        (self.folder / "dnf.conf").write_text(f"[main]\n{text}")

    def command(self, *arguments: str) -> list[str]:
        """Return the command line of dnf for this root."""
        places = {"reposdir": "repos", "cachedir": "cache", "logdir": "log", "persistdir": "persist"}
        options = [f"--setopt={key}={self.folder / name}" for key, name in places.items()]
        fixed = ["dnf", "--config", str(self.folder / "dnf.conf"), f"--installroot={self.root}"]
        fixed += [f"--releasever={RELEASE}", "--forcearch=x86_64", "--setopt=pluginpath=/nowhere", "--assumeyes"]
        return [*fixed, *options, *arguments]

    def dnf(self, *arguments: str, http_proxy: str = "") -> Outcome:
        """Run dnf to its end."""
        return _run(self.command(*arguments), self.folder, http_proxy)

    def download(self, name: str, *, http_proxy: str = "") -> Outcome:
        """Refresh expired metadata, and download the newest version of `name`.

        Earlier downloads are removed.
        """
        for path in self.folder.rglob("*.rpm"):
            path.unlink()
        return self.dnf("install", "--downloadonly", name, http_proxy=http_proxy)

    def fetched(self) -> dict[str, bytes]:
        """Return every package in dnf's cache, by file name."""
        return {path.name: path.read_bytes() for path in self.folder.rglob("*.rpm")}


class ZypperRoot:
    """One private root of zypper."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "root"
        self.repositories = self.folder / "etc" / "zypp" / "repos.d"
        self.repositories.mkdir(parents=True)

    def repository(self, text: str) -> None:
        """Write the one repository file."""
        (self.repositories / "test.repo").write_text(text)

    def command(self, *arguments: str) -> list[str]:
        """Return the command line of zypper for this root; it trusts the key of the repository."""
        return ["zypper", "--root", str(self.folder), "--non-interactive", "--gpg-auto-import-keys", *arguments]

    def zypper(self, *arguments: str, http_proxy: str = "") -> Outcome:
        """Run zypper to its end."""
        return _run(self.command(*arguments), self.folder.parent, http_proxy)

    def available(self) -> dict[str, str]:
        """Return the version of every package according to zypper's present metadata."""
        said = self.zypper("--no-refresh", "search", "--details").out
        rows = [[cell.strip() for cell in line.split("|")] for line in said.splitlines() if line.count("|") >= 5]
        return {row[1]: row[3] for row in rows[1:]}

    def fetched(self) -> dict[str, bytes]:
        """Return every package in zypper's cache, by file name."""
        return {path.name: path.read_bytes() for path in self.folder.rglob("*.rpm")}


def installed(root: Path) -> dict[str, str]:
    """Return the version of every package in a root's rpm database, by name, without the trusted keys."""
    command = ["rpm", "--root", str(root), "-qa", "--qf", "%{NAME} %{VERSION}-%{RELEASE}\\n"]
    lines = _run(command, root.parent, "").out.splitlines()
    return {name: version for name, version in map(str.split, lines) if name != "gpg-pubkey"}


def _run(command: list[str], home: Path, http_proxy: str) -> Outcome:
    clean = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    environment = {**clean, "LC_ALL": "C", "HOME": str(home)} | ({"http_proxy": http_proxy} if http_proxy else {})
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60
    )
    return Outcome(done.returncode, done.stdout, done.stderr)
