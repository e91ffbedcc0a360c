"""Run a program to its end, with limits on its time and its output. Its process group is killed at a limit."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from snapproxy.base.clock import Clock
from snapproxy.solvers.model import SolverError

_POLL_SECONDS = 0.2
"""Interval of the checks for a cancellation and for the time limit, in seconds."""

_KILL_SECONDS = 5.0
"""Maximum wait for the end of killed processes, in seconds."""

_PIECE = 1 << 16
"""Bytes of one read from a pipe."""


@dataclass(frozen=True, slots=True)
class ProcessLimits:
    """The time limit of one program in seconds, and the limit of stdout and stderr together in bytes.

    The program is also killed when `cancelled` is set, by another thread.
    """

    seconds: float
    output: int
    cancelled: threading.Event


@dataclass(frozen=True, slots=True)
class Finished:
    """A program that has ended: its exit status (negative: a signal), and its output, invalid UTF-8 replaced."""

    status: int
    out: str
    err: str


def run(
    command: Sequence[str], *, environment: Mapping[str, str], folder: Path, limits: ProcessLimits, clock: Clock
) -> Finished:
    """Run `command` in `folder`, with this environment and no other, and without input.

    Raise SolverError if it cannot be started, reaches a limit or is cancelled.
    """
    try:
        process = subprocess.Popen(  # noqa: S603 -- no shell, and the callers check every argument
            list(command),
            env=dict(environment),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        raise SolverError(
            "The solver could not be started",
            why=f"{command[0]}: {error.strerror}.",
            hint="Install the program, or add --root DIR with a root of the release that has it.",
        ) from error
    with process:
        try:
            out, err = _collect(process, limits, clock.monotonic() + limits.seconds, clock)
        except BaseException:
            _kill_group(process)
            raise
    return Finished(process.returncode, out.decode("utf-8", "replace"), err.decode("utf-8", "replace"))


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill the process with its children, and wait for them: they close the pipes when they end."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.communicate(timeout=_KILL_SECONDS)


def _collect(
    process: subprocess.Popen[bytes], limits: ProcessLimits, deadline: float, clock: Clock
) -> tuple[bytes, bytes]:
    """Return stdout and stderr when the process has ended."""
    out, err = bytearray(), bytearray()
    with selectors.DefaultSelector() as selector:
        for stream, output in ((process.stdout, out), (process.stderr, err)):
            if stream is not None:
                selector.register(stream, selectors.EVENT_READ, output)
        while selector.get_map():
            _check(process, limits, deadline, clock)
            for key, _ in selector.select(_POLL_SECONDS):
                piece = os.read(key.fd, _PIECE)
                if not piece:
                    selector.unregister(key.fileobj)
                key.data.extend(piece)
                if len(out) + len(err) > limits.output:
                    raise SolverError(
                        "The solver printed too much", why=f"The limit is {limits.output >> 20} MiB of output."
                    )
    while process.poll() is None:  # it closed its outputs first
        _check(process, limits, deadline, clock)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_POLL_SECONDS)
    return bytes(out), bytes(err)


def _check(process: subprocess.Popen[bytes], limits: ProcessLimits, deadline: float, clock: Clock) -> None:
    if limits.cancelled.is_set():
        raise SolverError("The solver was cancelled")
    if clock.monotonic() > deadline:
        raise SolverError(
            "The solver took too long",
            why=f"{process.args!r} did not end within {limits.seconds:g} s."[:300],
            hint="Check whether the upstream of the archive answers, then try again: fetched indexes are kept.",
        )
