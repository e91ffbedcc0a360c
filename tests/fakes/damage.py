"""Damage to the files of a store, as bad disks, careless tools and restored backups cause it."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path


def _rewrite(path: Path, data: bytes) -> None:
    """Change a file in place until the kernel reports another time: its clock advances every few milliseconds."""
    before = path.stat()
    path.chmod(0o600)
    while True:
        path.write_bytes(data)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # the time of modification reveals nothing
        if path.stat().st_ctime_ns != before.st_ctime_ns:
            return
        time.sleep(0.001)


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    _rewrite(path, bytes(data))


def _instead(make: Callable[[Path], object]) -> Callable[[Path], None]:
    def replace(path: Path) -> None:
        path.unlink()
        make(path)

    return replace


def _socket(path: Path) -> None:
    folder = os.open(path.parent, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"/proc/self/fd/{folder}/{path.name}")  # the address of a socket has at most 107 bytes
    os.close(folder)


def _full_folder(path: Path) -> None:
    path.mkdir()
    (path / "file").write_text("of value")


DAMAGES: dict[str, Callable[[Path], None]] = {
    "cut": lambda path: _rewrite(path, path.read_bytes()[: path.stat().st_size // 2]),
    "emptied": lambda path: _rewrite(path, b""),
    "lengthened": lambda path: _rewrite(path, path.read_bytes() + b"\0"),
    "flipped": _flip,
    "replaced": _instead(lambda path: path.write_bytes(b"other bytes")),
    "fifo": _instead(os.mkfifo),
    "folder": _instead(Path.mkdir),
    "full folder": _instead(_full_folder),
    "link": _instead(lambda path: path.symlink_to("/etc/hostname")),
    "dangling link": _instead(lambda path: path.symlink_to("nowhere")),
    "socket": _instead(_socket),
}
"""Each changes the file at a path: its bytes, or its type."""
