"""Run COMMAND with everything it fetches pinned to WHEN, or to what a lock holds, through a proxy that lives as long as it does."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from socket import socket

from snapproxy.capture import lock
from snapproxy.cli import run_as_owner, run_mode, sockets
from snapproxy.cli.application import App, build
from snapproxy.cli.child_env import environment, write_apt_config
from snapproxy.cli.common import a_time, add_config, add_offline, config_of, tell
from snapproxy.cli.common import run as run_loop
from snapproxy.cli.lock import write_whole
from snapproxy.cli.run_mode import RunMode
from snapproxy.cli.summary import RunSummary, summarize
from snapproxy.config import Config
from snapproxy.config.value_types import passed_hosts
from snapproxy.core.credentials import is_capture_name
from snapproxy.core.model import Match
from snapproxy.core.record import Record
from snapproxy.errors import ClientError, ConfigurationError, SnapproxyError

HELP = "run a command pinned to a time"

EPILOG = """\
The command gets the proxy variables and an APT_CONFIG; its exit code is passed on (128 + N when signal N ended it),
and so are signals. The last line on stderr tells what was fetched.

  snapproxy run --at WHEN --lock FILE -- COMMAND...        records, and writes the lock whether or not the command goes well
  snapproxy run --locked FILE [--offline] -- COMMAND...    serves the files of the lock, byte for byte, and refuses everything else
  snapproxy run --offline --capture NAME -- COMMAND...     replays a capture
"""

#: Passed on to the command; a terminal's Ctrl-C reaches it by itself.
FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

#: The shell's own codes for a command that cannot be started.
NOT_EXECUTABLE, NOT_FOUND = 126, 127


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's options."""
    parser.usage = "snapproxy run (--at WHEN | --locked FILE) [options] -- COMMAND..."
    pinned = parser.add_mutually_exclusive_group()
    pinned.add_argument("--at", type=a_time, metavar="WHEN", dest="when", help="the time")
    pinned.add_argument(
        "--locked", type=Path, metavar="FILE", help="replay this lock: what it does not hold is refused"
    )
    parser.add_argument("--lock", type=Path, metavar="FILE", help="write down everything that was served as a lock")
    parser.add_argument("--capture", type=a_capture, metavar="NAME", help="record everything into this capture")
    parser.add_argument(
        "--pass",
        type=a_passed_host,
        action="append",
        default=[],
        metavar="HOST[:PORT]",
        dest="passes",
        help="a host the command may reach unpinned; may be repeated",
    )
    parser.add_argument(
        "--listen",
        type=sockets.an_endpoint,
        default=("127.0.0.1", 0),
        metavar="ADDRESS:PORT",
        help="where the proxy listens (default: a free port on 127.0.0.1)",
    )
    add_config(parser)
    add_offline(parser)
    parser.add_argument("--summary", type=Path, metavar="FILE", help="write what was fetched as JSON")
    parser.add_argument("--json", action="store_true", help="make the last line JSON")
    parser.add_argument("command", nargs="*", metavar="COMMAND", help="the command and its arguments, after --")


def a_passed_host(text: str) -> list[tuple[str, int]]:
    """Read HOST[:PORT] (an argparse type)."""
    try:
        return passed_hosts(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not {error}") from None


def a_capture(text: str) -> str:
    """Read the name of a capture (an argparse type)."""
    if not is_capture_name(text):
        raise argparse.ArgumentTypeError(
            f"{text!r} cannot name a capture: up to 63 of a-z, 0-9, '.', '_', '-', beginning with a letter or digit, and not x"
        )
    return text


def main(arguments: argparse.Namespace) -> int:
    """Carry out the verb."""
    config = config_of(arguments)
    pin = chosen(arguments, config)
    passes = tuple(pair for pairs in arguments.passes for pair in pairs)
    try:
        ran = pinned(config, pin, arguments.command, listen=arguments.listen, passes=passes)
    except CommandError as error:
        tell(error)
        return error.code
    figures = {"when": pin.when, "exit_code": ran.code, **ran.summary.table()}
    if arguments.lock:
        figures["lock"] = write_lock(arguments.lock, ran)
    text = json.dumps(figures, sort_keys=True)
    if arguments.summary:
        arguments.summary.write_text(text + "\n", encoding="utf-8")
    print(text if arguments.json else ran.summary.line(), file=sys.stderr)
    return ran.code


def chosen(arguments: argparse.Namespace, config: Config) -> RunMode:
    """Return what the options pin the command to. Raises ConfigurationError for options that contradict one another."""
    if arguments.locked:
        if arguments.lock or arguments.capture or arguments.passes:
            raise ConfigurationError(
                "--locked does not go with --lock, --capture or --pass",
                why="A replay gives what its lock holds, and nothing passes beside it.",
                hint="Leave them out, or record the build anew with --at.",
            )
        return run_mode.to_lock(arguments.locked, run_mode.read_lock(arguments.locked), offline=arguments.offline)
    if arguments.lock:
        if arguments.offline:
            raise ConfigurationError("--lock records, and --offline records nothing", hint="Leave one of them out.")
        run_mode.check_can_be_written(arguments.lock)
    if arguments.when is None:
        if arguments.offline and arguments.capture:
            return run_mode.to_capture(config, arguments.capture)
        raise ConfigurationError(
            "run: no time is given",
            hint="Say --at WHEN, --locked FILE, or --offline --capture NAME: the time is the lock's, or the capture's.",
        )
    if arguments.when.match is Match.LATEST and not (arguments.capture or arguments.lock):
        raise ConfigurationError(
            "latest would move between update and install",
            hint="Hold it still with --capture NAME, or use the id that `snapproxy resolve ARCHIVE latest` prints.",
        )
    recorded = arguments.lock is not None
    return run_mode.at_time(arguments.when, arguments.capture or "", is_recorded=recorded, offline=arguments.offline)


def write_lock(file: Path, ran: Ran) -> str:
    """Write down what a command was served, whether or not it went well; return the lock's sha256 (hex)."""
    data = lock.encode(ran.record)
    write_whole(file, data)
    files = sum(not entry.is_absence for entry in ran.record.entries)
    doubt = f"; the command failed ({ran.code}), so it may hold less than the build needs" if ran.code else ""
    print(
        f"snapproxy: {file} locks {files} files and {len(ran.record.entries) - files} absences{doubt}", file=sys.stderr
    )
    return lock.digest(ran.record)


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended, what it fetched, and what of it was recorded (nothing, unless that was asked for)."""

    code: int
    summary: RunSummary
    record: Record


def pinned(
    config: Config,
    pin: RunMode,
    command: Sequence[str],
    *,
    listen: tuple[str, int] = ("127.0.0.1", 0),
    passes: tuple[tuple[str, int], ...] = (),
) -> Ran:
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
        app = build(
            config,
            offline=pin.offline,
            pinned=pin.when,
            passes=passes,
            capture=pin.capture,
            replayed=pin.replayed,
        )
        return run_loop(_inside(app, pin, listeners, command, surroundings))


async def _inside(
    app: App, pin: RunMode, listeners: Sequence[socket], command: Sequence[str], surroundings: Mapping[str, str]
) -> Ran:
    async with app:
        try:
            code, summary = await around(app, listeners, command, surroundings)
            return Ran(code, summary, await app.answered(pin.capture) if pin.is_recorded else Record((), {}))
        finally:
            if pin.is_passing:
                with contextlib.suppress(ClientError):  # it does not exist if nothing was asked for
                    await app.captures.remove(pin.capture)


async def around(
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
