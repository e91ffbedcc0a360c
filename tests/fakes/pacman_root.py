"""A private root for the real pacman: its own databases, cache, keyring and configuration.

`PacmanRoot(chroot=...)` runs the pacman of another system (pacman 7 from `trixie_system`) in the same way.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.fakes.chroot import chrooted, seen_from
from tests.fakes.signing import SigningKey


@dataclass(frozen=True)
class Outcome:
    """The exit code and the whole output of pacman."""

    code: int
    text: str


class PacmanRoot:
    """One client. Set its server with `server`, then run it."""

    def __init__(self, folder: Path, key: SigningKey, *, chroot: Path | None = None) -> None:
        self.folder = folder
        self._chroot = chroot
        self._keyring = folder / "gnupg"
        for name in ("root", "db/sync", "cache", "hooks"):
            (folder / name).mkdir(parents=True)
        self._keyring.mkdir(mode=0o700)
        # libalpm requires a keyring in the old format; this one is trusted as after pacman-key's --lsign-key.
        (self._keyring / "pubring.gpg").touch()
        self._gpg("--import", str(key.keyring))
        listed = self._gpg("--with-colons", "--list-keys")
        fingerprint = next(line.split(":")[9] for line in listed.splitlines() if line.startswith("fpr"))
        self._gpg("--import-ownertrust", said=f"{fingerprint}:6:\n")
        self.server("http://127.0.0.1:9/nowhere")

    def server(self, *servers: str, level: str = "Required DatabaseOptional", options: str = "") -> None:
        """Write the configuration.

        It has one repository, `core`, at `servers` (with $repo and $arch) or as complete lines; `options` are
        additional lines.
        """
        lines = "".join(f"{each}\n" if " = " in each else f"Server = {each}\n" for each in servers)
        folder = seen_from(self._chroot, self.folder)
        (self.folder / "pacman.conf").write_text(
            f"[options]\nRootDir = {folder}/root\nDBPath = {folder}/db\nCacheDir = {folder}/cache\n"
            f"GPGDir = {folder}/gnupg\n"
            f"LogFile = {folder}/log\nHookDir = {folder}/hooks\nArchitecture = x86_64\n"
            "ParallelDownloads = 5\nNoProgressBar\n"
            f"SigLevel = {level}\n{options}\n[core]\n{lines}"
        )

    def run(self, *arguments: str, environment: Mapping[str, str] | None = None) -> Outcome:
        """Run pacman to its end."""
        kept = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
        done = subprocess.run(
            self.command(*arguments),
            env={**kept, "LC_ALL": "C", **(environment or {})}, check=False, timeout=60,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        return Outcome(done.returncode, done.stdout)

    def command(self, *arguments: str) -> list[str]:
        """Return the command line; an ordinary user gets fakeroot, since pacman requires root."""
        whole = ["pacman", "--config", seen_from(self._chroot, self.folder / "pacman.conf"), "--noconfirm", *arguments]
        if self._chroot is not None:
            return chrooted(self._chroot, whole)
        return whole if os.geteuid() == 0 else ["fakeroot", *whole]

    def versions(self) -> dict[str, str]:
        """Return the version of every package in the synchronised database."""
        lines = self.run("-Sl", "core").text.splitlines()
        return {line.split()[1]: line.split()[2] for line in lines}

    def fetched(self) -> set[str]:
        """Return the names in the package cache."""
        return {path.name for path in (self.folder / "cache").iterdir()}

    def close(self) -> None:
        """Stop the agents that GnuPG started for the keyring."""
        command = ["gpgconf", "--homedir", str(self._keyring), "--kill", "all"]
        subprocess.run(command, check=False, capture_output=True, timeout=30)

    def _gpg(self, *arguments: str, said: str = "") -> str:
        command = ["gpg", "--homedir", str(self._keyring), "--batch", "--no-tty", "--quiet", *arguments]
        return subprocess.run(command, input=said, capture_output=True, check=True, timeout=60, text=True).stdout
