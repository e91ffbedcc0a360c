"""An OpenPGP key made for one test session, and its signatures."""

from __future__ import annotations

import subprocess
from pathlib import Path


class SigningKey:
    """A throw-away key in its own GnuPG folder, created in 2020 so that it can sign at instants of the past.

    `keyring` is the public half, in the binary form that apt and gpgv read. `expires` is an expiry date in GnuPG's
    notation ("never", "2025-01-01").
    """

    def __init__(self, folder: Path, *, name: str = "Simulated archive", expires: str = "never") -> None:
        self._home = folder
        self._home.mkdir(mode=0o700, parents=True)
        address = f"{name} <archive@example.invalid>"
        self._gpg("--quick-generate-key", address, "rsa2048", "sign", expires, at="20200101T000000Z")
        self.keyring = folder / "archive.gpg"
        self.keyring.write_bytes(self._gpg("--export"))
        self.keyring.chmod(0o644)

    def clear(self, text: bytes, *, at: str) -> bytes:
        """Return InRelease for a Release, signed at the instant `at` (a snapshot id)."""
        return self._gpg("--clear-sign", "--digest-algo", "SHA256", at=at, data=text)

    def detached(self, text: bytes, *, at: str) -> bytes:
        """Return Release.gpg for a Release, signed at the instant `at`."""
        return self._gpg("--armor", "--detach-sign", "--digest-algo", "SHA256", at=at, data=text)

    def beside(self, data: bytes, *, at: str) -> bytes:
        """Return a package's `.sig`, which repo-add requires in binary form, made at the instant `at`."""
        return self._gpg("--no-armor", "--detach-sign", "--digest-algo", "SHA256", at=at, data=data)

    def armored(self) -> bytes:
        """Return the public half in the form that rpm, dnf and zypper import."""
        return self._gpg("--armor", "--export")

    def close(self) -> None:
        """Stop the agent that GnuPG started for this key."""
        command = ["gpgconf", "--homedir", str(self._home), "--kill", "all"]
        subprocess.run(command, check=False, capture_output=True, timeout=30)

    def _gpg(self, *arguments: str, at: str = "", data: bytes = b"") -> bytes:
        clock = ["--faked-system-time", at.removesuffix("Z") + "!"] if at else []
        fixed = [
            "gpg",
            "--homedir",
            str(self._home),
            "--batch",
            "--no-tty",
            "--pinentry-mode",
            "loopback",
            "--passphrase",
            "",
        ]
        return subprocess.run(
            [*fixed, *clock, *arguments], input=data, capture_output=True, check=True, timeout=120
        ).stdout
