"""`verify` hashes every file, names missing and damaged ones, and removes damaged ones from the store."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from snapproxy.capture.lock import encode
from snapproxy.cli import main
from snapproxy.core.record import Record
from tests.fakes.hamlet import FIRST, INRELEASE, PACKAGES, RELEASE, Hamlet, later
from tests.fakes.house import House

AT = later(FIRST, 3600)
Verify = Callable[..., tuple[int, str, str]]


@pytest.fixture
async def record(hamlet: Hamlet, tmp_path: Path) -> Record:
    async with House(tmp_path, (hamlet.row,)) as house:
        for path in (
            INRELEASE,
            RELEASE,
            PACKAGES,
            hamlet.edition.kept.path,
            "dists/stable/main/i18n/Translation-en.xz",
        ):
            await house.get(AT, path, capture="build")
        return await house.app.captures.record("build")


@pytest.fixture
def verify(record: Record, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Verify:
    file = tmp_path / "config.toml"
    file.write_text(f'state_dir = "{tmp_path}/state"\ncache_dir = "{tmp_path}/cache"\n', encoding="utf-8")
    (tmp_path / "a.json").write_bytes(encode(record))

    def run(name: str, *options: str) -> tuple[int, str, str]:
        code = main(["verify", "--config", str(file), name, *options])
        output = capsys.readouterr()
        return code, output.out, output.err

    return run


def blob(tmp_path: Path, digest: str) -> Path:
    return tmp_path / "state/blobs/sha256" / digest


def damage(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.chmod(0o600)
    file.write_bytes(data)


@pytest.mark.parametrize("kind", ["capture", "lock"])
def test_what_is_whole_is_said_to_be(verify: Verify, tmp_path: Path, kind: str) -> None:
    code, out, err = verify("build" if kind == "capture" else f"{tmp_path}/a.json")
    assert (code, out) == (0, "")
    assert err.startswith("snapproxy: 4 files, ")
    assert err.endswith(": all present and intact\n")


def test_what_is_missing_or_damaged_is_named(verify: Verify, hamlet: Hamlet, tmp_path: Path) -> None:
    release, packages = hamlet.content(RELEASE).sha256, hamlet.content(PACKAGES).sha256
    blob(tmp_path, release).unlink()
    damage(blob(tmp_path, packages))
    code, out, err = verify("build")
    assert code == 1
    assert out.splitlines() == [
        f"missing  {release[:12]}  debian/{FIRST}/{RELEASE}",
        f"damaged  {packages[:12]}  debian/{FIRST}/{PACKAGES}",
    ]
    assert err.endswith(": 2 missing or damaged; the damaged files were removed from the store\n")
    assert not blob(tmp_path, packages).exists()
    faults = json.loads(verify(f"{tmp_path}/a.json", "--json")[1])["faults"]
    assert [fault["fault"] for fault in faults] == ["missing", "damaged"], (
        "removed by the first call, and not stored since"
    )


async def test_damage_is_not_served_again(verify: Verify, hamlet: Hamlet, tmp_path: Path) -> None:
    """Online it is downloaded again; a store with the damaged bytes would serve them."""
    damage(blob(tmp_path, hamlet.content(PACKAGES).sha256))
    assert (await asyncio.to_thread(verify, "build"))[0] == 1
    async with House(tmp_path, (hamlet.row,)) as house:
        assert (await house.get(AT, PACKAGES)).data == hamlet.content(PACKAGES).data


def test_a_lock_that_is_wrong_about_a_size_is_told(verify: Verify, record: Record, tmp_path: Path) -> None:
    entries = tuple(replace(each, size=7) if each.path == RELEASE else each for each in record.entries)
    (tmp_path / "b.json").write_bytes(encode(replace(record, entries=entries)))
    code, out, _ = verify(f"{tmp_path}/b.json")
    assert code == 1
    assert out.startswith("wrong  ")


def test_an_unknown_capture_is_told(verify: Verify) -> None:
    code, _, err = verify("other")
    assert code == 1
    assert "No capture has that name" in err
