"""Check the folders of the store: existence, owner, modes, kind of file system, free space. The functions block."""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path

from rich.filesize import decimal

from snapproxy.jobs.doctor.finding import Diagnosis, ok, problem, warning

_NETWORK = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "9p", "fuse.sshfs", "fuse.glusterfs"})
"""File systems on which locks or SQLite's shared memory are unreliable between machines."""

_VOLATILE = frozenset({"tmpfs", "ramfs"})

_OTHERS = 0o077
_FEW_INODES = 10_000
_FEW_BYTES = 1 << 30
_MOUNTS = Path("/proc/self/mountinfo")


def check_folder(key: str, folder: Path, *, quota: int | None) -> Iterator[Diagnosis]:
    """Yield the findings about the folder of the setting `key`. `quota`: the bytes that it may grow to."""
    try:
        status = folder.stat()
    except FileNotFoundError:
        yield warning(key, f"{folder} does not exist", "The first start creates it; check that its parent is writable.")
        return
    except OSError as error:
        yield problem(key, f"{folder}: {error.strerror}", f"Make it readable for the user of snapproxy, or set {key}.")
        return
    if not stat.S_ISDIR(status.st_mode):
        yield problem(key, f"{folder} is not a folder", f"Move it away, or set {key} to another path.")
        return
    owner = _user(status.st_uid)
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK, effective_ids=True):
        yield problem(
            key, f"{folder} belongs to {owner} and cannot be written", f"Run snapproxy as {owner}, or change the owner."
        )
    elif status.st_mode & _OTHERS:
        mode = stat.S_IMODE(status.st_mode)
        yield warning(key, f"{folder} has mode {mode:o}: other users can enter it", f"chmod 700 {folder}")
    else:
        yield ok(key, f"{folder} of {owner}, private and writable")
    yield _file_system(key, folder)
    yield from _space(key, folder, quota)


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def _file_system(key: str, folder: Path) -> Diagnosis:
    kind = file_system_of(folder, _MOUNTS)
    if kind in _NETWORK:
        return warning(
            key,
            f"{folder} is on a network file system ({kind})",
            "SQLite and file locks are unreliable there: use a local disk.",
        )
    if kind in _VOLATILE:
        return warning(key, f"{folder} is in memory ({kind}) and is lost at a reboot", "Use a disk to keep the files.")
    return ok(key, f"{folder} is on {kind or 'an unknown file system'}")


def file_system_of(folder: Path, mounts: Path) -> str:
    """Return the kind of the file system of a folder, '' if `mounts` (proc_pid_mountinfo(5)) does not say."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
        device = folder.stat().st_dev
    except OSError:
        return ""
    wanted = f"{os.major(device)}:{os.minor(device)}"
    path, best, kind = str(folder.resolve()), "", ""
    for line in lines:
        fields, _, rest = line.partition(" - ")
        _, _, number, _, point, *_ = fields.split(" ")
        point = point.replace("\\040", " ")
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        # Subvolumes of btrfs have devices that the list does not have, so the longest mount point decides as well.
        if (number == wanted or inside) and inside and len(point) >= len(best):
            best, kind = point, rest.split(" ")[0]
    return kind


def _space(key: str, folder: Path, quota: int | None) -> Iterator[Diagnosis]:
    figures = os.statvfs(folder)
    free, total = figures.f_bavail * figures.f_frsize, figures.f_blocks * figures.f_frsize
    what = f"{decimal(free)} of {decimal(total)} free"
    if free < _FEW_BYTES:
        yield warning(key, what, "Downloads are not stored when the disk is full: free some space, or set quota.")
    elif quota is not None and quota > total:
        hint = "The disk fills up before the quota is reached: lower quota."
        yield warning(key, f"{what}, less than the quota of {decimal(quota)}", hint)
    else:
        yield ok(key, what)
    if figures.f_files and figures.f_favail < _FEW_INODES:  # btrfs and others have no fixed number
        hint = "Each stored file needs one: free some, or use another file system."
        yield warning(key, f"{figures.f_favail} inodes free", hint)
