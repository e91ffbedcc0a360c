"""Report the state of the server: a ready file for scripts, datagrams for systemd (sd_notify(3))."""

from __future__ import annotations

import json
import logging
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from snapproxy.base.atomic_files import write_file
from snapproxy.base.clock import Clock
from snapproxy.errors import ConfigurationError

STATUS_SECONDS = 30.0
"""Interval between two status lines without a watchdog."""

STOP_SECONDS = 15.0
"""Seconds that systemd allows for the end of the process, in addition to those of the setting `drain`."""

_log = logging.getLogger(__name__)


class Reporting(Protocol):
    """A server that reports its state."""

    def status(self) -> str: ...

    async def health(self) -> str: ...


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
    """Send lines of VARIABLE=VALUE, such as READY=1, to systemd. Does nothing without $NOTIFY_SOCKET.

    A failure is logged: systemd may be restarting, and the server can be used without it.
    """
    address = environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            # A leading @ represents the NUL byte of an abstract socket's name.
            sender.connect("\0" + address[1:] if address.startswith("@") else address)
            sender.sendall(state.encode())
    except OSError as error:
        _log.warning("systemd cannot be notified: %s", error.strerror)


def notify_stopping(drain: float, environ: Mapping[str, str]) -> None:
    """Announce the stop, and the time that it may take: running answers have `drain` seconds to end.

    systemd then waits longer than TimeoutStopSec, if that is shorter.
    """
    microseconds = round((drain + STOP_SECONDS) * 1e6)
    notify(f"STOPPING=1\nEXTEND_TIMEOUT_USEC={microseconds}\nSTATUS=stopping: up to {drain:g} s for transfers", environ)


def watchdog_seconds(environ: Mapping[str, str]) -> float | None:
    """Return how often WATCHDOG=1 must be sent, None if systemd does not expect it from this process.

    That is half the limit, as sd_watchdog_enabled(3) recommends.
    """
    microseconds = environ.get("WATCHDOG_USEC", "")
    if not microseconds.isdecimal() or environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    return int(microseconds) / 2e6 or None


async def report(server: Reporting, environ: Mapping[str, str], clock: Clock) -> None:
    """Send status lines to systemd, and WATCHDOG=1 while the event loop and the store answer, until cancelled.

    A store that reports an error, such as a full disk, has answered: a restart does not repair it, and would interrupt
    clients that can be served. /healthz reports it.
    """
    if not environ.get("NOTIFY_SOCKET"):
        return
    watchdog = watchdog_seconds(environ)
    period = watchdog or STATUS_SECONDS
    while True:
        lines = [f"STATUS={server.status()}"]
        try:
            async with clock.timeout(period):
                await server.health()
        except TimeoutError:
            _log.error("The store has not answered for %g s", period)
        else:
            lines += ["WATCHDOG=1"] if watchdog else []
        notify("\n".join(lines), environ)
        await clock.sleep(period)
