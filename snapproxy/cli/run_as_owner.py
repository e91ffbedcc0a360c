"""A verb run as root acts as the owner of the state folder, so that the service can read and remove what the verb stored."""

from __future__ import annotations

import errno
import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PRIVATE, _SHARED = 0o700, 0o755


def _owner(state_dir: Path) -> tuple[int, int] | None:
    """Return the (uid, gid) to act as; None when we are it already or may not change."""
    if os.geteuid() != 0:
        return None
    status = state_dir.stat()
    return (status.st_uid, status.st_gid) if status.st_uid != 0 else None


def is_another(state_dir: Path) -> bool:
    """Whether a verb acts as somebody else than its caller."""
    return _owner(state_dir) is not None


def make(folder: Path, state_dir: Path) -> None:
    """Make a private folder of the owner's, unless it is there, and what is missing above it. Raises OSError.

    The owner makes it as far as they may. Root makes what only root may, one folder where the owner cannot write, and gives it away: so
    nobody can put a link there in the meantime.
    """
    while not _is_made(folder, state_dir):
        missing = [each for each in (*reversed(folder.parents), folder) if not os.path.lexists(each)]
        owner = _owner(state_dir)
        if owner is None or not missing:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
        missing[0].mkdir(mode=_PRIVATE if missing[0] == folder else _SHARED)
        os.chown(missing[0], *owner, follow_symlinks=False)


def _is_made(folder: Path, state_dir: Path) -> bool:
    """Make a folder as the owner; False when the owner may not."""
    with acting(state_dir):
        try:
            folder.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
        except PermissionError:
            return False
    return True


def become(state_dir: Path) -> None:
    """Give up root for good (a server)."""
    owner = _owner(state_dir)
    if owner is None:
        return
    uid, gid = owner
    try:
        os.initgroups(pwd.getpwuid(uid).pw_name, gid)
    except KeyError:
        os.setgroups([gid])  # an owner without a name, as in a container
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)


@contextmanager
def acting(state_dir: Path) -> Iterator[None]:
    """Act as the owner for a while: the real ids stay, so that a child can be given them back and we can return."""
    owner = _owner(state_dir)
    if owner is None:
        yield
        return
    before = os.getegid()
    os.setegid(owner[1])
    os.seteuid(owner[0])
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(before)


@contextmanager
def aside() -> Iterator[None]:
    """Act as the caller again for a while, within `acting`: what is written for them is theirs, and lies where they may write."""
    mine = os.geteuid(), os.getegid()
    if mine[0] == os.getuid():
        yield
        return
    os.seteuid(os.getuid())
    os.setegid(os.getgid())
    try:
        yield
    finally:
        os.setegid(mine[1])
        os.seteuid(mine[0])
