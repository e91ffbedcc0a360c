"""Act as the owner of the state folder when root runs a verb, so that the service can read and remove stored files."""

from __future__ import annotations

import errno
import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PRIVATE, _SHARED = 0o700, 0o755


def _owner(state_dir: Path) -> tuple[int, int] | None:
    """Return the (uid, gid) to act as; None if this process is not root, or root is the owner."""
    if os.geteuid() != 0:
        return None
    status = state_dir.stat()
    return (status.st_uid, status.st_gid) if status.st_uid != 0 else None


def is_another(state_dir: Path) -> bool:
    """Return whether a verb acts as another user than its caller."""
    return _owner(state_dir) is not None


def make(folder: Path, state_dir: Path) -> None:
    """Create a private folder for the owner, unless it exists, and the missing folders above it. Raises OSError.

    The folders are created as the owner if the owner may write there. Otherwise root creates one folder at a time and
    changes its owner, so that no other user can replace a folder by a link in between.
    """
    while not _is_made(folder, state_dir):
        missing = [each for each in (*reversed(folder.parents), folder) if not os.path.lexists(each)]
        owner = _owner(state_dir)
        if owner is None or not missing:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
        missing[0].mkdir(mode=_PRIVATE if missing[0] == folder else _SHARED)
        os.chown(missing[0], *owner, follow_symlinks=False)


def _is_made(folder: Path, state_dir: Path) -> bool:
    """Create a folder as the owner; return False if the owner may not."""
    with acting(state_dir):
        try:
            folder.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
        except PermissionError:
            return False
    return True


def become(state_dir: Path) -> None:
    """Become the owner permanently (for a server)."""
    owner = _owner(state_dir)
    if owner is None:
        return
    uid, gid = owner
    try:
        os.initgroups(pwd.getpwuid(uid).pw_name, gid)
    except KeyError:
        os.setgroups([gid])  # the owner has no name, as in a container
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)


@contextmanager
def acting(state_dir: Path) -> Iterator[None]:
    """Act as the owner while the block runs. The real ids stay root's, for child processes and for the return."""
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
    """Within `acting`, act as the caller while the block runs: files for the caller are owned by the caller."""
    acting_as = os.geteuid(), os.getegid()
    if acting_as[0] == os.getuid():
        yield
        return
    os.seteuid(os.getuid())
    os.setegid(os.getgid())
    try:
        yield
    finally:
        os.setegid(acting_as[1])
        os.seteuid(acting_as[0])
