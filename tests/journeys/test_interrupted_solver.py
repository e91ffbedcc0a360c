"""A signal to `prefetch` while apt-get waits for its indexes ends apt-get and its children, and the verb says so."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.fakes.faults import Hold
from tests.fakes.hamlet import FIRST, SUITE, Hamlet
from tests.fakes.proxy import command, environment

pytestmark = pytest.mark.journey


def processes_of(folder: Path) -> set[int]:
    """Return the processes whose environment names a file in the folder: apt-get and its methods."""
    found = set()
    for process in Path("/proc").iterdir():
        try:
            if f"APT_CONFIG={folder}/".encode() in (process / "environ").read_bytes():
                found.add(int(process.name))
        except (OSError, ValueError):  # it has ended, or belongs to another user, or is no process
            continue
    return found


@pytest.mark.parametrize(
    ("number", "code", "word"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
def test_a_signal_ends_the_solver(
    hamlet: Hamlet, hamlet_settings: Path, tmp_path: Path, number: signal.Signals, code: int, word: str
) -> None:
    hold = hamlet.past.fault("*InRelease", Hold(after=0))
    asked = ("prefetch", "debian", "--at", FIRST, "--suite", SUITE, "--arch", "amd64", "kept")
    call = command(*asked, "--config", str(hamlet_settings))
    with subprocess.Popen(call, env=environment(), stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 50
        while not (hold.reached.is_set() and processes_of(tmp_path)):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        os.kill(process.pid, number)
        _, err = process.communicate(timeout=50)
    hold.release()
    assert process.returncode == code
    assert err.splitlines()[-1] == f"snapproxy: {word}"
    assert "Traceback" not in err
    assert not processes_of(tmp_path)
    assert not list((tmp_path / "cache").glob("solver-*"))
