"""A solver's process ends: by itself, at its limits, or when it is cancelled; and its children end with it."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import pytest

from snapproxy.base.clock import SystemClock
from snapproxy.solvers.bounded_process import Finished, ProcessLimits, run
from snapproxy.solvers.model import SolverError

HANGS = "import time; time.sleep(600)"


def python(
    script: str, folder: Path, *, seconds: float = 60.0, output: int = 1 << 20, cancelled: threading.Event | None = None
) -> Finished:
    limits = ProcessLimits(seconds, output, cancelled or threading.Event())
    command = [sys.executable, "-I", "-c", script]
    return run(command, environment={"A": "b"}, folder=folder, limits=limits, clock=SystemClock())


def test_status_and_both_outputs_are_returned(tmp_path: Path) -> None:
    done = python("import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)", tmp_path)
    assert (done.status, done.out, done.err) == (3, "out\n", "err\n")


def test_bytes_that_are_no_text_are_replaced(tmp_path: Path) -> None:
    assert python("import os; os.write(1, bytes([255]))", tmp_path).out == "\N{REPLACEMENT CHARACTER}"


def test_environment_folder_and_input_are_the_given_ones(tmp_path: Path) -> None:
    script = "import os, sys; print(os.environ.get('A'), 'HOME' in os.environ, os.getcwd(), repr(sys.stdin.read()))"
    assert python(script, tmp_path).out.split() == ["b", "False", str(tmp_path), "''"]


def test_a_missing_program_is_named(tmp_path: Path) -> None:
    limits = ProcessLimits(60.0, 100, threading.Event())
    with pytest.raises(SolverError, match="no-such-program"):
        run(["no-such-program"], environment={}, folder=tmp_path, limits=limits, clock=SystemClock())


def test_too_much_output_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SolverError, match="printed too much"):
        python("import sys\nwhile True: sys.stderr.write('x' * 10000)", tmp_path, output=100_000)


def test_the_time_limit_ends_a_process_that_hangs(tmp_path: Path) -> None:
    for script in (HANGS, f"import os; os.close(1); os.close(2); {HANGS}"):
        with pytest.raises(SolverError, match="took too long"):
            python(script, tmp_path, seconds=0.0)


def test_cancelling_kills_the_children_too(tmp_path: Path) -> None:
    """The child has the pipe open, and the kernel ends the pipe with the last process that has it open."""
    cancelled, pipe = threading.Event(), tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[bytes] = []

    def cancel_when_the_child_runs() -> None:
        with pipe.open("rb", buffering=0) as reader:
            read.append(reader.read(1))
            cancelled.set()
            read.append(reader.read(1))

    canceller = threading.Thread(target=cancel_when_the_child_runs)
    canceller.start()
    child = f"file = open({str(pipe)!r}, 'wb', buffering=0); file.write(b'x'); {HANGS}"
    with pytest.raises(SolverError, match="cancelled"):
        python(
            f"import subprocess, sys; subprocess.run([sys.executable, '-I', '-c', {child!r}])",
            tmp_path,
            cancelled=cancelled,
        )
    canceller.join()
    assert read == [b"x", b""]
