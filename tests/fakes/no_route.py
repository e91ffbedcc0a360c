"""A network name space without routes: processes in it can connect to one another and to nothing else."""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
from collections.abc import Iterator

_CLONE_NEWNET = 0x40000000  # linux/sched.h


@contextlib.contextmanager
def without_routes() -> Iterator[None]:
    """Move this thread, and every process that it starts, into a network that has a loopback interface only.

    Requires root. A name space belongs to a thread (unshare(2)): servers in other threads stay outside, and cannot be
    reached.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _checked(libc.unshare(_CLONE_NEWNET))
        try:
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True, capture_output=True, timeout=20)
            yield
        finally:
            _checked(libc.setns(before, _CLONE_NEWNET))
    finally:
        os.close(before)


def _checked(result: int) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
