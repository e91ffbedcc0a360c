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
from snapproxy.cli.summary import RunSummary
from snapproxy.client_config import ASK_AGAIN
from snapproxy.config import Config
from snapproxy.core.model import Match
from snapproxy.errors import ConfigurationError, SnapproxyError


def main(arguments: argparse.Namespace) -> int:
    """Run the verb and return the exit code."""
    config = config_of(arguments)
    mode = run_mode_of(arguments, config)
    passes = tuple(pair for pairs in arguments.passes for pair in pairs)
    try:
        ran = run_pinned(config, mode, arguments.command, listen=arguments.listen, passes=passes)
    except CommandError as error:
        print_error(error)
        return error.code
    code = ran.code or exit_code_of(ran.summary, is_strict(arguments))
    counts = {"when": mode.time, "exit_code": code, **ran.summary.table()}
    if arguments.lock:
        counts["lock"] = write_lock(arguments.lock, ran.record, ran.code)
    text = json.dumps(counts, sort_keys=True)
    if arguments.summary:
        arguments.summary.write_text(text + "\n", encoding="utf-8")
    print(text if arguments.json else ran.summary.line(), file=sys.stderr)
    return code


def is_strict(arguments: argparse.Namespace) -> bool:
    """Return whether the run fails if a client requested no root: by default if it records a lock or a capture."""
    records = bool(arguments.lock or (arguments.capture and not arguments.offline))
    return records if arguments.strict is None else bool(arguments.strict)


def exit_code_of(summary: RunSummary, strict: bool) -> int:  # noqa: FBT001 # the option's value
    """Return the exit code of a command that succeeded; print an error if it is not 0."""
    if not (strict and summary.unasked):
        return 0
    print_error(
        SnapproxyError(
            "The command succeeded, but it is not known to be pinned",
            why=f"{summary.unasked[:1].upper()}{summary.unasked[1:]}: package managers keep their metadata for hours "
            "and then send no request.",
            hint=f"Make the client ask: {ASK_AGAIN}. Use --no-strict if the command needs no metadata.",
        )
    )
    return 1


def run_mode_of(arguments: argparse.Namespace, config: Config) -> RunMode:
    """Return the mode that the options select. Raises ConfigurationError for options that contradict one another."""
    if arguments.locked:
        if arguments.lock or arguments.capture or arguments.passes:
            raise ConfigurationError(
                "--locked excludes --lock, --capture and --pass",
                why="A replay serves only the files of its lock.",
                hint="Remove these options, or record the build again with --at.",
            )
        record = read_nonempty_lock(arguments.locked)
        return run_mode.to_lock(arguments.locked.name, record, offline=arguments.offline)
    if arguments.lock:
        if arguments.offline:
            raise ConfigurationError("--lock excludes --offline, which records nothing", hint="Remove one of them.")
        check_can_be_written(arguments.lock)
    if arguments.time is None:
        if arguments.offline and arguments.capture:
            return run_mode.to_capture(config, arguments.capture)
        raise ConfigurationError(
            "run: no time given",
            hint="Add --at TIME, --locked FILE (the lock's time), or --offline --capture NAME (the capture's time).",
        )
    if arguments.time.match is Match.LATEST and not (arguments.capture or arguments.lock):
        raise ConfigurationError(
            "latest would change between update and install",
            hint="Freeze it with --capture NAME, or use the id that `snapproxy resolve ARCHIVE latest` prints.",
        )
    is_recorded = arguments.lock is not None
    return run_mode.at_time(arguments.time, arguments.capture or "", is_recorded=is_recorded, offline=arguments.offline)
