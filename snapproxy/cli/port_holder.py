"""Find the process that listens on a port of this machine (proc(5)), for the message of a second server."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

_PROC = Path("/proc")
_LISTENING = "0A"  # TCP_LISTEN in the column `st` of /proc/net/tcp
_MAX_COMMAND = 80


def holder_of(port: int, proc: Path = _PROC) -> str:
    """Return the process that listens on `port` as "process 123 (command line)", '' if it cannot be found.

    Without root only processes of the same user can be found.
    """
    sockets = {f"socket:[{inode}]" for inode in _listening_inodes(port, proc)}
    if not sockets:
        return ""
    for folder in proc.glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if any(str(link.readlink()) in sockets for link in (folder / "fd").iterdir()):
                command = (folder / "cmdline").read_bytes().decode(errors="replace").replace("\0", " ").strip()
                shown = "".join(character if character.isprintable() else "?" for character in command)
                return f"process {folder.name} ({shown[:_MAX_COMMAND]})"
    return ""


def _listening_inodes(port: int, proc: Path) -> Iterator[str]:
    """Yield the inodes of the sockets that listen on `port`, on any address."""
    for table in ("net/tcp", "net/tcp6"):
        with contextlib.suppress(OSError):
            for line in (proc / table).read_text(encoding="ascii").splitlines()[1:]:
                fields = line.split()
                if re.fullmatch(rf"[0-9A-F]+:{port:04X}", fields[1]) and fields[3] == _LISTENING:
                    yield fields[9]
