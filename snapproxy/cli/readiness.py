"""Announce that the server is ready: a ready file for scripts, a datagram for systemd."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from snapproxy.base.atomic_files import write_file
from snapproxy.errors import ConfigurationError


@contextmanager
def ready_file(path: Path | None, listen: Sequence[str]) -> Iterator[None]:
    """Keep the file `path` while the block runs: JSON `{"listen": [URL...], "pid": N}`, written atomically.

    Raises ConfigurationError if it cannot be written.
    """
    if path is None:
        yield
        return
    content = json.dumps({"listen": list(listen), "pid": os.getpid()}) + "\n"
    try:
        write_file(path, content.encode())
    except OSError as error:
        raise ConfigurationError(
            "The ready file cannot be written",
            why=f"{path}: {error.strerror}",
            hint="Set --ready-file to a path in a writable folder.",
        ) from error
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def notify(state: str, environ: Mapping[str, str]) -> None:
    """Send a state, READY=1 or STOPPING=1, to systemd (sd_notify(3)). Does nothing without $NOTIFY_SOCKET."""
    address = environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        # A leading @ represents the NUL byte of an abstract socket's name.
        sender.connect("\0" + address[1:] if address.startswith("@") else address)
        sender.sendall(state.encode())
