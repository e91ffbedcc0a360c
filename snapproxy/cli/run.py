"""Run a command pinned to a time, a lock or a capture."""

from __future__ import annotations

import argparse
import json
import sys

from snapproxy.cli import run_mode
from snapproxy.cli.load_config import config_of
from snapproxy.cli.lock_files import check_can_be_written, read_nonempty_lock, write_lock
from snapproxy.cli.messages import print_error
from snapproxy.cli.run_command import CommandError, run_pinned
from snapproxy.cli.run_mode import RunMode
from snapproxy.config import Config
from snapproxy.core.model import Match
from snapproxy.errors import ConfigurationError


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
