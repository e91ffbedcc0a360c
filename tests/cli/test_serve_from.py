"""`serve --from` answers from an artifact, needs no folder of its own, and prints its contents."""

from __future__ import annotations

import urllib.request
from pathlib import Path
from urllib.error import HTTPError

import pytest

from snapproxy.cli import main, serve
from snapproxy.jobs.export import ExportOptions
from snapproxy.oci.places import TarPlace
from tests.fakes.hamlet import FIRST, INRELEASE, PACKAGES, Hamlet, later
from tests.fakes.house import House
from tests.fakes.proxy import Snapproxy, run

AT = later(FIRST, 3600)


@pytest.fixture
async def artifact(hamlet: Hamlet, tmp_path: Path) -> str:
    async with House(tmp_path / "house", (hamlet.row,)) as house:
        for path in (INRELEASE, PACKAGES):
            await house.get(AT, path, capture="build")
        place = TarPlace(f"{tmp_path}/art.tar")
        await house.app.exporter.export(await house.app.captures.record("build"), place, ExportOptions())
        return str(place)


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    """Settings whose folders do not exist."""
    file = tmp_path / "config.toml"
    file.write_text(f'state_dir = "{tmp_path}/none/state"\ncache_dir = "{tmp_path}/none/cache"\n', encoding="utf-8")
    return file


def test_an_artifact_is_served_and_nothing_is_written(
    artifact: str, settings: Path, hamlet: Hamlet, tmp_path: Path
) -> None:
    hamlet.log.reset_counts()
    with Snapproxy(settings, options=("--from", artifact)) as process:
        with urllib.request.urlopen(f"{process.url}/debian/{AT}/{INRELEASE}") as answer:
            assert answer.read() == hamlet.content(INRELEASE).data
        proxied = urllib.request.build_opener(urllib.request.ProxyHandler({"http": process.url}))
        with proxied.open(f"http://ftp.debian.org/debian/{PACKAGES}") as answer:
            assert answer.read() == hamlet.content(PACKAGES).data
            assert answer.headers["X-Snapproxy-Requested"] == AT, "there is no other time to be had"
        with pytest.raises(HTTPError) as refused:
            urllib.request.urlopen(f"{process.url}/debian/{AT}/dists/other/InRelease")
        assert refused.value.code == 424
        assert b"The artifact oci-archive:" in refused.value.read()
    assert f"{artifact} has 2 files of debian at {AT}, the default time of requests" in process.log
    assert not (tmp_path / "none").exists()
    assert list(hamlet.log.entries) == []


def test_root_is_given_up_for_the_owner_of_the_artifact(
    settings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    became: list[Path] = []
    monkeypatch.setattr(serve.run_as_owner, "become", became.append)
    monkeypatch.setattr(serve, "run_async", lambda serving: serving.close())
    place = f"oci-archive:{tmp_path}/art.tar:v1"
    assert main(["serve", "--config", str(settings), "--from", place, "--listen", "127.0.0.1:0"]) == 0
    assert became == [tmp_path / "art.tar"]


def test_an_artifact_that_is_not_there_is_told(settings: Path, tmp_path: Path) -> None:
    done = run("serve", "--config", str(settings), "--from", f"oci:{tmp_path}/absent", "--listen", "127.0.0.1:0")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("place", ["docker://registry.example/a", "dir:x", "x"])
def test_other_places_are_refused(place: str) -> None:
    done = run("serve", "--from", place)
    assert done.returncode == 2
    assert "--from" in done.stderr
