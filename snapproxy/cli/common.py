"""What several verbs share: options, the configuration, times, the application, refusals and JSON."""

from __future__ import annotations

import argparse
import asyncio
import errno
import json
import os
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from snapproxy.cli import run_as_owner
from snapproxy.config import Config, load
from snapproxy.core import time_spec
from snapproxy.core.model import Instant, Match, Refusal, TimeSpec
from snapproxy.errors import ConfigurationError, SnapproxyError

T = TypeVar("T")


class RefusedError(SnapproxyError):
    """An answer that was a refusal, on its way to the terminal."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.reason, why=refusal.why, hint=refusal.hint)
        self.status = refusal.status


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end, on uvloop where it exists."""
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(main)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop  # noqa: PLC0415  # absent where there is no build of it
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop


def answered(
    arguments: argparse.Namespace, work: Callable[[Config, argparse.Namespace], Coroutine[Any, Any, T | Refusal]]
) -> T:
    """Do a verb's work as the owner of the store, and return what came of it. Raises RefusedError when that is a refusal."""
    config = config_of(arguments)
    with run_as_owner.acting(config.state_dir):
        outcome = run(work(config, arguments))
    if isinstance(outcome, Refusal):
        raise RefusedError(outcome)
    return outcome


def tell(error: SnapproxyError) -> None:
    """Say on stderr what went wrong and what to do."""
    first, *rest = str(error).splitlines()
    print(f"snapproxy: {first}", *(f"  {line}" for line in rest), sep="\n", file=sys.stderr)


def add_config(parser: argparse.ArgumentParser) -> None:
    """Add --config."""
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="settings (else $SNAPPROXY_CONFIG, else /etc/snapproxy/config.toml)"
    )


def add_offline(parser: argparse.ArgumentParser) -> None:
    """Add --offline."""
    parser.add_argument(
        "--offline", action="store_true", help="answer from the store alone; what it lacks is refused by name"
    )


def add_json(parser: argparse.ArgumentParser, what: str = "print JSON") -> None:
    """Add --json."""
    parser.add_argument("--json", action="store_true", help=what)


def config_of(arguments: argparse.Namespace) -> Config:
    """Load the settings, and make sure that both folders can be written by the owner of the first, who is acted as."""
    config = load(arguments.config)
    with _writable("state_dir", config.state_dir):
        config.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    for key in ("state_dir", "cache_dir"):
        folder: Path = getattr(config, key)
        with _writable(key, folder):
            run_as_owner.make(folder, config.state_dir)
            with run_as_owner.acting(config.state_dir):
                if not os.access(folder, os.R_OK | os.W_OK | os.X_OK, effective_ids=True):
                    raise PermissionError(errno.EACCES, "permission denied, or a read-only file system")
    return config


@contextmanager
def _writable(key: str, folder: Path) -> Iterator[None]:
    """Say of the system's refusal which setting it is about."""
    try:
        yield
    except OSError as error:
        raise ConfigurationError(
            f"The {key} cannot be made or written",
            why=f"{folder}: {error.strerror}",
            hint=f"Make it writable for its user, or set {key} (SNAPPROXY_{key.upper()}) to another folder.",
        ) from error


def a_time(text: str) -> TimeSpec:
    """Read a WHEN argument (an argparse type)."""
    if time_spec.read_day(text) is not None:
        # Which instant it would be differs by archive: its own synchronisation, somewhere in that day.
        day = text.replace("/", "-")
        raise argparse.ArgumentTypeError(
            f"{text} is a folder's name; a time is {day} (its midnight), and `snapproxy resolve ARCHIVE WHEN` prints that of a folder"
        )
    try:
        return time_spec.parse_time(text)
    except SnapproxyError as error:
        raise argparse.ArgumentTypeError(str(error).replace("\n", " ")) from None


def a_lasting_time(text: str) -> TimeSpec:
    """Read a WHEN that stays put for longer than one request: `latest` would move between an update and its install."""
    read = a_time(text)
    if read.match is Match.LATEST:
        raise argparse.ArgumentTypeError(
            "latest would move between update and install; `snapproxy resolve ARCHIVE latest` prints the id to use"
        )
    return read


def an_instant(text: str) -> Instant:
    """Read a WHEN that is one instant (an argparse type)."""
    instant = a_time(text).instant
    if instant is None:
        raise argparse.ArgumentTypeError("an instant is wanted, such as 2024-06-01 or 20240601T000000Z")
    return instant


def print_json(value: Any) -> None:
    """Print one JSON document."""
    print(json.dumps(value, indent=2, sort_keys=True))
