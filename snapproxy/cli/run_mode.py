"""The mode of a run: pinned to a time, which may be recorded, or a replay of a lock or a capture."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from snapproxy.capture.replay import Replayed, the_time
from snapproxy.cli.stored_captures import read_capture
from snapproxy.client_config import user_name
from snapproxy.config import Config
from snapproxy.core.model import TimeSpec
from snapproxy.core.record import Record


@dataclass(frozen=True, slots=True)
class RunMode:
    """The settings of the proxy for one command.

    `time` is the time of requests that name none, '' if each request must name one; `capture` is the capture that they
    record into. `is_temporary`: the capture is removed when the command has ended. `is_recorded`: the caller needs the
    record of the answers.
    """

    time: str = ""
    capture: str = ""
    is_temporary: bool = False
    is_recorded: bool = False
    replayed: Replayed | None = None
    offline: bool = False


def at_time(time: TimeSpec | None, capture: str = "", *, is_recorded: bool = False, offline: bool = False) -> RunMode:
    """Pin to a time. A recorded run without a capture's name records into a temporary capture."""
    is_temporary = is_recorded and not capture
    name = f"run-{secrets.token_hex(8)}" if is_temporary else capture
    return RunMode(_user_name(time), name, is_temporary, is_recorded, offline=offline)


def to_lock(name: str, record: Record, *, is_recorded: bool = False, offline: bool = False) -> RunMode:
    """Replay a lock: serve only its files, at its time. `name` is that of the lock in messages."""
    replayed = Replayed(record, f"The lock {name}")
    return RunMode(_user_name(the_time(record)), is_recorded=is_recorded, replayed=replayed, offline=offline)


def to_capture(config: Config, name: str) -> RunMode:
    """Replay a capture offline, at its time. Raises ClientError for an unknown name."""
    record = read_capture(config, name)
    return RunMode(_user_name(the_time(record)), name, offline=True)


def _user_name(time: TimeSpec | None) -> str:
    return "" if time is None else user_name(time)
