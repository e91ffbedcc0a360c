"""Run COMMAND with everything it fetches pinned to WHEN, through a proxy that lives as long as it does."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from socket import socket

from snapproxy.cli import owner, sockets
from snapproxy.cli.common import App, a_when, add_config, add_offline, build, config_of, tell
from snapproxy.cli.common import run as run_loop
from snapproxy.cli.summary import Summary, summarize
from snapproxy.cli.surroundings import environment, write_apt_config
from snapproxy.config.kinds import passed_hosts
from snapproxy.core.credentials import is_capture_name
from snapproxy.core.model import Match
from snapproxy.errors import ConfigurationError, SnapproxyError
from snapproxy.setup import user_name

HELP = "run a command pinned to a time"

EPILOG = """\
The command gets the proxy variables and an APT_CONFIG; its exit code is passed on (128 + N when signal N ended it),
and so are signals. The last line on stderr tells what was fetched.
"""

#: Passed on to the command; a terminal's Ctrl-C reaches it by itself.
FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

#: The shell's own codes for a command that cannot be started.
NOT_EXECUTABLE, NOT_FOUND = 126, 127


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's options."""
    parser.usage = "snapproxy run --at WHEN [options] -- COMMAND..."
    parser.add_argument("--at", type=a_when, required=True, metavar="WHEN", dest="when", help="the time")
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
    if arguments.when.match is Match.LATEST and not arguments.capture:
        raise ConfigurationError(
            "latest would move between update and install",
            hint="Hold it still with --capture NAME, or use the id that `snapproxy resolve ARCHIVE latest` prints.",
        )
    config = config_of(arguments)
    listeners = sockets.bind([arguments.listen])
    pinned = user_name(arguments.when)
    proxy = sockets.url(listeners[0]).replace("://", f"://{pinned}:x@", 1)
    passes = tuple(pair for pairs in arguments.passes for pair in pairs)
    with (
        sockets.closing(listeners),
        owner.acting(config.state_dir),
        tempfile.TemporaryDirectory(prefix="snapproxy-") as folder,
    ):
        surroundings = environment(os.environ, proxy, write_apt_config(Path(folder), proxy, os.environ))
        app = build(config, offline=arguments.offline, pinned=pinned, passes=passes, capture=arguments.capture or "")
        try:
            code, summary = run_loop(around(app, listeners, arguments.command, surroundings))
        except CommandError as error:
            tell(error)
            return error.code
    figures = json.dumps({"when": pinned, "exit_code": code, **summary.table()}, sort_keys=True)
    if arguments.summary:
        arguments.summary.write_text(figures + "\n", encoding="utf-8")
    print(figures if arguments.json else summary.line(), file=sys.stderr)
    return code


async def around(
    app: App, listeners: Sequence[socket], command: Sequence[str], surroundings: Mapping[str, str]
) -> tuple[int, Summary]:
    """Run the command with the application serving; return its exit code and what it fetched.

    Should serving end first, the command is ended too: it would go on without its pin.
    """
    async with app:
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
