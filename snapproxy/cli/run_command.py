"""Run a command with a separate proxy, which serves as long as the command runs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from socket import socket

from snapproxy.cli import run_as_owner, sockets
from snapproxy.cli.application import App, build
from snapproxy.cli.child_env import environment, refused_by_apt
from snapproxy.cli.execution import run_async
from snapproxy.cli.run_mode import RunMode
from snapproxy.cli.summary import RunSummary, summarize
from snapproxy.client_config.apt_mixture import AptMixture
from snapproxy.config import Config
from snapproxy.core.record import Record
from snapproxy.errors import ClientError, SnapproxyError

FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that are forwarded to the command."""

NOT_EXECUTABLE, NOT_FOUND = 126, 127
"""Exit codes of a shell for a command that cannot be started."""


class CommandError(SnapproxyError):
    """The command cannot be started; `code` is the exit code that a shell would return."""

    def __init__(self, command: str, error: OSError) -> None:
        super().__init__("The command cannot be started", why=f"{command}: {error.strerror}")
        self.code = NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """The exit code of a command, the summary of its downloads, and the record of a recorded run (otherwise empty).

    `record` may also be that of a capture which the run continued.
    """

    code: int
    summary: RunSummary
    record: Record


def run_pinned(
    config: Config,
    mode: RunMode,
    command: Sequence[str],
    *,
    listen: tuple[str, int] = ("127.0.0.1", 0),
    passes: tuple[tuple[str, int], ...] = (),
    output: int | None = None,
    mixture: AptMixture | None = None,
) -> FinishedRun:
    """Run a command with a separate proxy. Raises CommandError if it cannot be started.

    `output`: the descriptor for the command's stdout; None: that of this process. `mixture`: packages that apt installs
    as they were at another time.
    """
    listeners = sockets.bind([listen])
    user = f"{mode.time}:x@" if mode.time else ""
    base = sockets.url(listeners[0])
    proxy = base.replace("://", f"://{user}", 1)
    with (
        sockets.closing(listeners),
        run_as_owner.acting(config.state_dir),
        tempfile.TemporaryDirectory(prefix="snapproxy-") as folder,
    ):
        refuses_https = not passes and not config.passes and not config.connect
        additions = None if mixture is None else mixture.additions(base)
        environ = environment(os.environ, proxy, Path(folder), refuses_https=refuses_https, additions=additions)
        opening = build(
            config,
            offline=mode.offline,
            pinned=mode.time,
            passes=passes,
            capture=mode.capture,
            replayed=mode.replayed,
        )
        ran = run_async(_run_in(opening, mode, listeners, command, environ, output))
        return replace(ran, summary=ran.summary.with_refused(refused_by_apt(Path(folder))))


async def _run_in(
    opening: AbstractAsyncContextManager[App],
    mode: RunMode,
    listeners: Sequence[socket],
    command: Sequence[str],
    environ: Mapping[str, str],
    output: int | None,
) -> FinishedRun:
    async with opening as app:
        try:
            code, summary = await run_while_serving(app, listeners, command, environ, output)
            record = Record((), {})
            if mode.is_recorded or (mode.capture and not mode.offline and summary.unasked):
                record = await app.answered(mode.capture)
            return FinishedRun(code, summary.with_roots_of(record, mode.time), record)
        finally:
            if mode.is_temporary:
                with contextlib.suppress(ClientError):  # the capture does not exist if nothing was requested
                    await app.captures.remove(mode.capture)


async def run_while_serving(
    app: App,
    listeners: Sequence[socket],
    command: Sequence[str],
    environ: Mapping[str, str],
    output: int | None = None,
) -> tuple[int, RunSummary]:
    """Run the command while the entered application serves; return its exit code and the summary of its downloads.

    If serving ends first, the command is terminated, because it would continue unpinned; raises SnapproxyError.
    """
    child = start(command, environ, output)
    forward_signals(child)
    serving = asyncio.create_task(app.serve(listeners))
    waiting = asyncio.create_task(asyncio.to_thread(child.wait))
    await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
    if serving.done():
        child.terminate()
    returned = await waiting
    serving.cancel()
    await asyncio.wait({serving})
    if not serving.cancelled():
        serving.result()
        raise SnapproxyError("The proxy stopped before the command ended")
    return (returned if returned >= 0 else 128 - returned), summarize(app.stats())


def start(command: Sequence[str], environ: Mapping[str, str], output: int | None = None) -> subprocess.Popen[bytes]:
    """Start the command with the real ids of the caller, even while this process acts as another user."""
    acting = os.geteuid() != os.getuid()
    user, group = (os.getuid(), os.getgid()) if acting else (None, None)
    try:
        # the user's own command
        return subprocess.Popen(list(command), env=dict(environ), user=user, group=group, stdout=output)  # noqa: S603
    except OSError as error:
        raise CommandError(command[0], error) from error


def forward_signals(child: subprocess.Popen[bytes]) -> None:
    """Forward signals to the command. The terminal sends its own to the whole process group, the command included."""
    loop = asyncio.get_running_loop()

    def forward(number: signal.Signals) -> None:
        if number is signal.SIGTERM or not in_foreground():
            child.send_signal(number)

    for number in FORWARDED:
        loop.add_signal_handler(number, forward, number)


def in_foreground() -> bool:
    """Return whether a terminal sends its signals to the process group of this process."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)
