"""`fsck` prints what it found, as text and as JSON, and its exit code says whether something is lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from snapproxy.cli import main
from tests.fakes.hamlet import FIRST, INRELEASE, PACKAGES, Hamlet, later
from tests.fakes.house import House

AT = later(FIRST, 3600)
Fsck = Callable[..., tuple[int, str, str]]


@pytest.fixture
async def root_digest(hamlet: Hamlet, tmp_path: Path) -> str:
    async with House(tmp_path, (hamlet.row,)) as house:
        await house.get(AT, INRELEASE)
        await house.get(AT, PACKAGES)
        return (await house.get(AT, INRELEASE)).served.digest


@pytest.fixture
def fsck(hamlet_settings: Path, root_digest: str, capsys: pytest.CaptureFixture[str]) -> Fsck:
    def run(*options: str) -> tuple[int, str, str]:
        code = main(["fsck", *options])
        output = capsys.readouterr()
        return code, output.out, output.err

    return run


def damage(tmp_path: Path, digest: str) -> None:
    file = tmp_path / "state/blobs/sha256" / digest
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.chmod(0o600)
    file.write_bytes(data)


def test_an_intact_store(fsck: Fsck) -> None:
    code, out, err = fsck("--rate", "200MB")
    assert code == 0
    assert out.splitlines()[0] == "catalog: intact"
    assert "2 stored files" in err
    assert "all files intact" in err


def test_a_damaged_file_is_fetched_again(fsck: Fsck, root_digest: str, tmp_path: Path) -> None:
    damage(tmp_path, root_digest)
    code, out, err = fsck()
    assert code == 0
    assert out.splitlines()[0].split() == ["damaged,", "fetched", root_digest[:12], f"debian/{FIRST}/{INRELEASE}"]
    assert "1 damaged (1 fetched again)" in err
    assert fsck()[0] == 0


def test_a_damaged_file_is_not_fetched_with_no_fetch(fsck: Fsck, root_digest: str, tmp_path: Path) -> None:
    damage(tmp_path, root_digest)
    code, out, _ = fsck("--no-fetch", "--json")
    assert code == 1
    report = json.loads(out)
    (damaged,) = report["damaged"]
    assert (damaged["sha256"], damaged["outcome"]) == (root_digest, "removed")
    assert damaged["names"] == [f"debian/{FIRST}/{INRELEASE}"]
    assert report["quarantine"]["files"] == 1


@pytest.mark.parametrize("rate", ["0B", "fast", "1B", "-5MB"])
def test_a_rate_that_is_none_is_refused(fsck: Fsck, rate: str) -> None:
    code, _, err = fsck(f"--rate={rate}")
    assert code == 2
    assert "20MB" in err
