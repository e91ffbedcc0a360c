"""A verb run as root acts as the owner of the state folder, so that the service can read and remove what the verb stored."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def _owner(state_dir: Path) -> tuple[int, int] | None:
    """Return the (uid, gid) to act as; None when we are it already or may not change."""
    if os.geteuid() != 0:
        return None
    status = state_dir.stat()
    return (status.st_uid, status.st_gid) if status.st_uid != 0 else None


def is_another(state_dir: Path) -> bool:
    """Whether a verb acts as somebody else than its caller."""
    return _owner(state_dir) is not None


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
