"""A kill or a full disk at every call that changes the store: all names stay complete, and the next run succeeds.

strace counts the calls and then injects the fault into one call after the other (strace(1), tampering), each in a new
store.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from snapproxy_storage import open_store
from tests.stores.conftest import PYTHON_PATH
from tests.stores.downloader import DATA

SCRIPT = Path(__file__).with_name("downloader.py")
ENVIRONMENT = os.environ | {"PYTHONPATH": PYTHON_PATH, "PYTHONHASHSEED": "0"}
CHANGES = [
    "write",
    "pwrite64",
    "writev",
    "pwritev",
    "pwritev2",
    "fsync",
    "fdatasync",
    "sync_file_range",
    "rename",
    "renameat",
    "renameat2",
    "link",
    "linkat",
    "unlink",
    "unlinkat",
    "mkdir",
    "mkdirat",
    "ftruncate",
    "fallocate",
    "fchmod",
    "fchmodat",
    "chmod",
    "utimensat",
    "openat",
]


@dataclass(frozen=True)
class Call:
    """The call number `number` of its kind, counted from one."""

    kind: str
    number: int
    line: str


@pytest.fixture(scope="module")
def strace() -> str:
    found = shutil.which("strace")
    if found is None:
        pytest.skip("strace is missing: apt-get install strace")
    probe = subprocess.run([found, "-e", "trace=none", "true"], capture_output=True, text=True, check=False)
    if probe.returncode:
        pytest.skip(f"ptrace is not allowed here: {probe.stderr.strip()}")
    return found


@pytest.fixture(scope="module")
def calls(strace: str, tmp_path_factory: pytest.TempPathFactory) -> list[Call]:
    """Return every call of an undisturbed run that changes the store."""
    folder = tmp_path_factory.mktemp("counted")
    log = folder / "log"
    done = run(folder, [strace, "-f", "-o", str(log), "-e", f"trace={','.join(CHANGES)}"])
    assert done.stdout == "done\n"
    lines = [line.split(maxsplit=1) for line in log.read_text().splitlines()]
    assert len({process for process, _ in lines}) == 1, "all on one thread, or the numbers would mean nothing"
    counted: Counter[str] = Counter()
    found = []
    for _, line in lines:
        kind = re.match(r"\w*", line)[0]  # type: ignore[index]
        counted[kind] += 1
        opens_only = kind == "openat" and "O_CREAT" not in line
        if kind and not opens_only and not line.startswith("write(1,"):
            found.append(Call(kind, counted[kind], line))
    assert {"pwritev2", "fsync", "renameat", "fchmod", "pwrite64", "fdatasync", "unlinkat", "openat"} <= counted.keys()
    return found


def run(folder: Path, before: list[str]) -> subprocess.CompletedProcess[str]:
    command = [*before, sys.executable, "-B", str(SCRIPT), str(folder / "state"), str(folder / "cache")]
    return subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, check=False, timeout=60)


def strike(strace: str, folder: Path, call: Call, blow: str) -> subprocess.CompletedProcess[str]:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return run(
        folder,
        [
            strace,
            "-f",
            "-o",
            str(folder / "log"),
            "-e",
            f"trace={call.kind}",
            "-e",
            f"inject={call.kind}:{blow}:when={call.number}",
        ],
    )


def size_of(folder: Path) -> int:
    """Return the bytes of the files in a folder, in whole blocks."""
    return sum(-(-path.stat().st_size // 4096) * 4096 for path in folder.iterdir()) if folder.exists() else 0


def check_nothing_half_named(folder: Path, *, is_full_disk: bool = False) -> set[str]:
    """Check that every blob has the digest in its name, and every name refers to a blob. Return the names.

    Check the figures of disk space as well: never too low, and right after a count.
    """

    async def names() -> set[str]:
        async with open_store(folder / "state", folder / "cache") as store:
            space, blobs, drafts = (
                store.space,
                *(size_of(folder / "state" / each) for each in ("blobs/sha256", "drafts")),
            )
            assert is_full_disk or space.stored + space.kept + space.reserved >= blobs + drafts
            assert await space.recount() == blobs
            assert (space.kept, space.reserved, space.is_counted) == (drafts, 0, True)
            held = list(store.blobs.digests())
            assert held == sorted(path.name for path in (folder / "state/blobs/sha256").iterdir())
            for digest in held:
                assert hashlib.sha256((folder / "state/blobs/sha256" / digest).read_bytes()).hexdigest() == digest
            found = store.catalog.names("debian")
            for name, value in found:
                if name != "short-lived":  # being removed: its name is deleted before its blob, so both may still exist
                    assert value.digest in held
            return {name for name, _ in found}

    return asyncio.run(names())


def check_the_next_run_finishes(folder: Path) -> None:
    done = run(folder, [])
    assert (done.stdout, done.stderr) == ("done\n", "")
    assert check_nothing_half_named(folder) == {"pool/k"}
    assert [path.name for path in (folder / "state/blobs/sha256").iterdir()] == [hashlib.sha256(DATA).hexdigest()]
    assert list((folder / "state/drafts").iterdir()) == [], "and leaves nothing behind"


def kill_at_each(strace: str, calls: list[Call], folder: Path) -> None:
    for call in calls:
        try:
            done = strike(strace, folder, call, "signal=SIGKILL")
            assert done.returncode == -signal.SIGKILL
            check_nothing_half_named(folder)
            check_the_next_run_finishes(folder)
        except AssertionError as error:
            error.add_note(f"killed at {call}")
            raise


def fill_the_disk_at_each(strace: str, calls: list[Call], folder: Path) -> None:
    for call in calls:
        try:
            done = strike(strace, folder, call, "error=ENOSPC")
            assert "Traceback" not in done.stderr
            assert done.returncode in (0, 3), done.stderr
            check_nothing_half_named(folder, is_full_disk=True)
            check_the_next_run_finishes(folder)
        except AssertionError as error:
            error.add_note(f"disk full at {call}")
            raise


def test_killed_at_every_rename_and_permission_change(strace: str, calls: list[Call], tmp_path: Path) -> None:
    kill_at_each(strace, [call for call in calls if call.kind in ("renameat", "fchmod")], tmp_path / "run")


def test_the_disk_full_at_every_fsync_and_draft_write(strace: str, calls: list[Call], tmp_path: Path) -> None:
    fill_the_disk_at_each(strace, [call for call in calls if call.kind in ("fsync", "pwritev2")], tmp_path / "run")


@pytest.mark.long
@pytest.mark.timeout(900)
def test_killed_at_every_single_call(strace: str, calls: list[Call], tmp_path: Path) -> None:
    kill_at_each(strace, calls, tmp_path / "run")


@pytest.mark.long
@pytest.mark.timeout(900)
def test_the_disk_full_at_every_single_call(strace: str, calls: list[Call], tmp_path: Path) -> None:
    fill_the_disk_at_each(strace, calls, tmp_path / "run")


def test_with_all_its_threads_the_run_ends_the_same(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(tmp_path / "state"), str(tmp_path / "cache"), "threads"],
        capture_output=True, text=True, env=ENVIRONMENT, check=False,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("done\n", "")
    check_the_next_run_finishes(tmp_path)
