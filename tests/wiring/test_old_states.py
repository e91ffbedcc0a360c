"""The state of every older schema version is migrated, and gives the same answers offline."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from snapproxy.core.model import Archive
from snapproxy_storage import StorageFailure, back_up, catalog_schema, inspect_catalog, open_store, restore
from tests.fakes.house import House

STATES = sorted((Path(__file__).parents[1] / "data/state").glob("schema-*.tar.xz"))
PYTHON_PATH = os.pathsep.join(map(str, (Path(__file__).parents[2], Path(__file__).parents[2] / "storage")))

ROWS = (
    Archive("debian", "apt", "snapshots", snapshot=("http://127.0.0.9:1/archive/debian",)),
    Archive("vendor", "apt", "captured", mirrors=("http://127.0.0.9:1/debian",)),
)

KILLED_AT = """
import os, signal, sqlite3, sys
from pathlib import Path
from snapproxy_storage import open_store

class Mortal(sqlite3.Connection):
    left = int(sys.argv[2])

    def execute(self, statement, *rest):
        if statement.split()[0] in ("BEGIN", "CREATE", "ALTER", "DROP", "COMMIT") or "user_version =" in statement:
            if Mortal.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            Mortal.left -= 1
        return super().execute(statement, *rest)

real = sqlite3.connect
sqlite3.connect = lambda *args, **options: real(*args, factory=Mortal, **options)
open_store(Path(sys.argv[1]) / "state", Path(sys.argv[1]) / "cache")
print("open", flush=True)
os._exit(0)
"""


@pytest.fixture(params=STATES, ids=lambda each: each.name)
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder with the state of an older program."""
    with tarfile.open(request.param) as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path


def version_of(folder: Path) -> int:
    state = inspect_catalog(folder / "state", facts="-", spaces=())
    assert state is not None
    return state.version


async def check_answers(folder: Path) -> None:
    """Compare the answers of the present program with those that the old one gave offline."""
    expected = json.loads((folder / "expected.json").read_text())
    names = [row.name for row in ROWS]
    found: list[dict[str, Any]] = []
    async with House(folder, ROWS, offline=True) as house:
        for each in expected:
            asked = {key: each[key] for key in ("archive", "time", "path", "capture")}
            row = names.index(each["archive"])
            got = await house.get(each["time"], each["path"], row=row, capture=each["capture"])
            answer: dict[str, Any] = {"status": got.status}
            if got.status == 200:
                digest = hashlib.sha256(got.data).hexdigest()
                answer |= {"sha256": digest, "proof": got.proof, "snapshot": got.served.snapshot}
            found.append(asked | answer)
        assert house.app.captures.names() == ["closed", "open"]
        assert await house.store.audit.catalog_faults() == []
    assert found == expected


def test_there_is_a_state_of_an_older_version() -> None:
    versions = [int(each.name.removeprefix("schema-").removesuffix(".tar.xz")) for each in STATES]
    assert min(versions) < catalog_schema.VERSION, "see tests/data/state/make.py"


async def test_an_old_state_is_migrated_and_answers_as_before(old: Path) -> None:
    await check_answers(old)
    assert version_of(old) == catalog_schema.VERSION
    await check_answers(old)


async def test_a_migration_that_is_killed_anywhere_is_continued(old: Path) -> None:
    kills = 0
    while True:
        command = [sys.executable, "-c", KILLED_AT, str(old), str(kills)]
        environ = os.environ | {"PYTHONPATH": PYTHON_PATH}
        ended = subprocess.run(command, check=False, timeout=60, env=environ, capture_output=True, text=True)
        if ended.stdout == "open\n":
            break
        assert ended.returncode == -signal.SIGKILL, ended.stderr
        kills += 1
        assert version_of(old) <= catalog_schema.VERSION
    assert kills > 0
    await check_answers(old)


async def test_the_backup_of_an_old_state_is_restored_and_migrated(old: Path, tmp_path: Path) -> None:
    back_up(old / "state", tmp_path / "backup", with_blobs=True, now=1, step=lambda _digest, _size: None)
    restored = tmp_path / "restored"
    restored.mkdir()
    restore(tmp_path / "backup", restored / "state", step=lambda _digest, _size: None)
    (old / "expected.json").rename(restored / "expected.json")
    await check_answers(restored)


def test_the_state_of_a_newer_program_is_refused_and_unchanged(old: Path) -> None:
    newer = catalog_schema.VERSION + 1
    with sqlite3.connect(old / "state/catalog.sqlite3") as catalog:
        catalog.execute(f"PRAGMA user_version = {newer}")
    catalog.close()
    message = rf"written by a newer program: its schema version is {newer}, .*; upgrade, or use another state directory"
    with pytest.raises(StorageFailure, match=message):
        open_store(old / "state", old / "cache")
    assert version_of(old) == newer


def test_a_state_is_small(old: Path) -> None:
    assert all(each.stat().st_size < 100 << 10 for each in STATES)
    assert (old / "expected.json").exists()
