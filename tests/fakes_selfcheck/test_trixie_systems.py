"""The trixie chroot runs pacman 7."""

from __future__ import annotations

import subprocess

from tests.fakes.chroot import chrooted
from tests.fakes.trixie_system import trixie_system


def test_pacman_7_runs_in_its_own_root() -> None:
    system = trixie_system("pacman7", "pacman-package-manager", "gnupg")
    done = subprocess.run(
        chrooted(system, ["pacman", "--version"]), capture_output=True, text=True, check=True, timeout=60
    )
    assert "Pacman v7." in done.stdout
