"""Run COMMAND with everything it fetches pinned to WHEN, or to what a lock holds, through a proxy that lives as long as it does."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from snapproxy.cli import run_mode, sockets
from snapproxy.cli.load_config import config_of
from snapproxy.cli.lock_files import check_can_be_written, read_nonempty_lock, write_lock
from snapproxy.cli.messages import print_error
from snapproxy.cli.options import a_time, add_config, add_offline
from snapproxy.cli.run_command import CommandError, run_pinned
from snapproxy.cli.run_mode import RunMode
from snapproxy.config import Config
from snapproxy.config.value_types import passed_hosts
from snapproxy.core.credentials import is_capture_name
from snapproxy.core.model import Match
from snapproxy.errors import ConfigurationError

HELP = "run a command pinned to a time"

EPILOG = """\
The command gets the proxy variables and an APT_CONFIG; its exit code is passed on (128 + N when signal N ended it),
and so are signals. The last line on stderr tells what was fetched.

  snapproxy run --at WHEN --lock FILE -- COMMAND...        records, and writes the lock whether or not the command goes well
  snapproxy run --locked FILE [--offline] -- COMMAND...    serves the files of the lock, byte for byte, and refuses everything else
  snapproxy run --offline --capture NAME -- COMMAND...     replays a capture
"""


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
        ran = run_pinned(config, pin, arguments.command, listen=arguments.listen, passes=passes)
    except CommandError as error:
        print_error(error)
        return error.code
    figures = {"when": pin.when, "exit_code": ran.code, **ran.summary.table()}
    if arguments.lock:
        figures["lock"] = write_lock(arguments.lock, ran.record, ran.code)
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
        return run_mode.to_lock(arguments.locked, read_nonempty_lock(arguments.locked), offline=arguments.offline)
    if arguments.lock:
        if arguments.offline:
            raise ConfigurationError("--lock records, and --offline records nothing", hint="Leave one of them out.")
        check_can_be_written(arguments.lock)
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
