"""Command lines that run a program of another system, unpacked in a folder.

They work as root, or as an ordinary user in a namespace of its own.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path


def chrooted(system: Path, arguments: Iterable[str]) -> list[str]:
    """Return the command line that runs `arguments` in `system`."""
    chroot = ["chroot", str(system), *arguments]
    if os.geteuid() == 0:
        return chroot
    return ["unshare", "--map-root-user", "--mount", *chroot]


def seen_from(system: Path | None, path: Path) -> str:
    """Return the path by which a program in `system` (None: in this one) finds `path`."""
    return str(path) if system is None else "/" + str(path.relative_to(system))
