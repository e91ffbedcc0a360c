"""What a command is pinned to: a time, of which a record may be kept, or a record that is replayed."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path

from snapproxy.capture.replay import Replayed, the_time
from snapproxy.cli import run_as_owner
from snapproxy.cli.application import build
from snapproxy.cli.execution import run_async
from snapproxy.client_config import user_name
from snapproxy.config import Config
from snapproxy.core.model import TimeSpec
from snapproxy.core.record import Record


@dataclass(frozen=True, slots=True)
class RunMode:
    """How a proxy is set up for one command.

    `when` is the time of requests that name none, '' where there is none for all of them; `capture` is what they record into, and
    `is_passing` one of no name, forgotten when the command has ended. `is_recorded`: the caller wants to know what was answered.
    """

    when: str = ""
    capture: str = ""
    is_passing: bool = False
    is_recorded: bool = False
    replayed: Replayed | None = None
    offline: bool = False


def at_time(when: TimeSpec | None, capture: str = "", *, is_recorded: bool = False, offline: bool = False) -> RunMode:
    """Pin to a time. What is recorded goes into a capture, one of its own where none is named."""
    is_passing = is_recorded and not capture
    name = f"run-{secrets.token_hex(8)}" if is_passing else capture
    return RunMode(_spelt(when), name, is_passing, is_recorded, offline=offline)


def to_lock(file: Path, record: Record, *, is_recorded: bool = False, offline: bool = False) -> RunMode:
    """Pin to a lock: its files, at its time, and nothing else."""
    replayed = Replayed(record, f"The lock {file.name}")
    return RunMode(_spelt(the_time(record)), is_recorded=is_recorded, replayed=replayed, offline=offline)


def to_capture(config: Config, name: str) -> RunMode:
    """Pin to a capture, offline, at the time it was recorded at. Raises ClientError when there is none of that name."""

    async def work() -> Record:
        async with build(config, offline=True) as app:
            return await app.captures.record(name)

    with run_as_owner.acting(config.state_dir):
        record = run_async(work())
    return RunMode(_spelt(the_time(record)), name, offline=True)


def _spelt(when: TimeSpec | None) -> str:
    return "" if when is None else user_name(when)
