"""Run `pin.sh` on a root, in each supported shell, and describe a root's files."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

AT_NS = 1_672_628_645_123_456_789
"""The modification time of every file in a root before it is pinned, in nanoseconds since 1970."""


@dataclass(frozen=True)
class Shell:
    """One shell with its tools. `fraction`: whether its touch keeps fractions of a second."""

    name: str
    tools: str
    fraction: bool = True

    def run(
        self, script: str, *arguments: str, environment: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a script as `curl | sh` does: from standard input."""
        command = [f"{self.tools}/sh", "-s", "--", *arguments]
        clean = {"PATH": self.tools, **(environment or {})}
        return subprocess.run(command, input=script, env=clean, capture_output=True, text=True, check=False, timeout=60)


def shells(folder: Path) -> dict[str, Shell]:
    """Return dash with GNU's tools and mawk, bash with gawk as in Fedora, and busybox with its own tools only."""
    return {
        "dash": Shell("dash", _tools(folder / "dash", sh="dash", awk="mawk")),
        "gawk": Shell("gawk", _tools(folder / "gawk", sh="bash", awk="gawk")),
        "busybox": Shell("busybox", _busybox(folder / "busybox"), fraction=False),
    }


_NEEDED = ("cat", "cp", "grep", "ln", "mkdir", "mv", "readlink", "rm", "sed", "sort", "stat", "touch", "tr")


def _tools(folder: Path, **others: str) -> str:
    folder.mkdir(parents=True)
    for name, program in {**{name: name for name in _NEEDED}, **others}.items():
        (folder / name).symlink_to(str(shutil.which(program)))
    return str(folder)


def _busybox(folder: Path) -> str:
    folder.mkdir(parents=True)
    for name in ("sh", "awk", *_NEEDED):
        (folder / name).symlink_to(str(shutil.which("busybox")))
    return str(folder)


def age(root: Path) -> None:
    """Set the same modification time, with a fraction, on every file in a root."""
    for path in (*root.rglob("*"), root):
        os.utime(path, ns=(AT_NS, AT_NS), follow_symlinks=False)


def look(root: Path, *, fraction: bool = True) -> dict[str, tuple[object, ...]]:
    """Return the properties of a root that an image layer would contain.

    These are type, mode, owner, time, content, and the inode of everything but folders.
    """
    return {str(path.relative_to(root)): _seen(path, fraction=fraction) for path in (root, *root.rglob("*"))}


def _seen(path: Path, *, fraction: bool) -> tuple[object, ...]:
    stat = path.lstat()
    if path.is_symlink():
        return (oct(stat.st_mode), path.readlink(), stat.st_mtime_ns, stat.st_ino)
    if path.is_dir():
        return (oct(stat.st_mode), stat.st_uid, stat.st_mtime_ns if fraction else int(stat.st_mtime))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return (oct(stat.st_mode), stat.st_uid, stat.st_mtime_ns, stat.st_ino, digest)
