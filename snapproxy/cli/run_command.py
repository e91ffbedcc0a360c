"""Run a command behind a proxy of its own, which stops when the command ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from socket import socket

from snapproxy.cli import run_as_owner, sockets
from snapproxy.cli.application import App, build
from snapproxy.cli.child_env import environment, write_apt_config
from snapproxy.cli.execution import run_async
from snapproxy.cli.run_mode import RunMode
from snapproxy.cli.summary import RunSummary, summarize
from snapproxy.config import Config
from snapproxy.core.record import Record
from snapproxy.errors import ClientError, SnapproxyError

#: Passed on to the command; a terminal's Ctrl-C reaches it by itself.
FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


#: The shell's own codes for a command that cannot be started.
NOT_EXECUTABLE, NOT_FOUND = 126, 127


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """How a command ended, what it fetched, and what of it was recorded (nothing, unless that was asked for)."""

    code: int
    summary: RunSummary
    record: Record


def run_pinned(
    config: Config,
    pin: RunMode,
    command: Sequence[str],
    *,
    listen: tuple[str, int] = ("127.0.0.1", 0),
    passes: tuple[tuple[str, int], ...] = (),
) -> FinishedRun:
    """Run a command behind a proxy of its own. Raises CommandError when it cannot be started."""
    listeners = sockets.bind([listen])
    user = f"{pin.when}:x@" if pin.when else ""
    proxy = sockets.url(listeners[0]).replace("://", f"://{user}", 1)
    with (
        sockets.closing(listeners),
        run_as_owner.acting(config.state_dir),
        tempfile.TemporaryDirectory(prefix="snapproxy-") as folder,
    ):
        surroundings = environment(os.environ, proxy, write_apt_config(Path(folder), proxy, os.environ))
        opening = build(
            config,
            offline=pin.offline,
            pinned=pin.when,
            passes=passes,
            capture=pin.capture,
            replayed=pin.replayed,
        )
        return run_async(_run_in(opening, pin, listeners, command, surroundings))


async def _run_in(
    opening: AbstractAsyncContextManager[App],
    pin: RunMode,
    listeners: Sequence[socket],
    command: Sequence[str],
    surroundings: Mapping[str, str],
) -> FinishedRun:
    async with opening as app:
        try:
            code, summary = await run_while_serving(app, listeners, command, surroundings)
            return FinishedRun(code, summary, await app.answered(pin.capture) if pin.is_recorded else Record((), {}))
        finally:
            if pin.is_passing:
                with contextlib.suppress(ClientError):  # it does not exist if nothing was asked for
                    await app.captures.remove(pin.capture)


async def run_while_serving(
    app: App, listeners: Sequence[socket], command: Sequence[str], surroundings: Mapping[str, str]
) -> tuple[int, RunSummary]:
    """Run the command with the application, entered, serving; return its exit code and what it fetched.

    Should serving end first, the command is ended too: it would go on without its pin.
    """
    child = start(command, surroundings)
    forward(child)
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


class CommandError(SnapproxyError):
    """The command cannot be started; `code` is what a shell would exit with."""

    def __init__(self, command: str, error: OSError) -> None:
        super().__init__("The command cannot be started", why=f"{command}: {error.strerror}")
        self.code = NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE


def start(command: Sequence[str], surroundings: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start the command as the caller: with the real ids, whomever we act as."""
    acting = os.geteuid() != os.getuid()
    user, group = (os.getuid(), os.getgid()) if acting else (None, None)
    try:
        return subprocess.Popen(list(command), env=dict(surroundings), user=user, group=group)  # noqa: S603  # running it is what was asked for
    except OSError as error:
        raise CommandError(command[0], error) from error


def forward(child: subprocess.Popen[bytes]) -> None:
    """Pass signals on to the command. One from the keyboard reaches its whole process group, so the command has it already."""
    loop = asyncio.get_running_loop()

    def pass_on(number: signal.Signals) -> None:
        if number is signal.SIGTERM or not in_foreground():
            child.send_signal(number)

    for number in FORWARDED:
        loop.add_signal_handler(number, pass_on, number)


def in_foreground() -> bool:
    """Whether a terminal sends its signals to our process group."""
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
