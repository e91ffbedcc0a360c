"""A record has the same digest whichever user exports it, from any store, in any environment.

Other Python versions with the dependencies are also tested if OTHER_PYTHONS names them (paths, joined by colons).
"""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fakes.hamlet import FIRST, Hamlet, later
from tests.fakes.house import House

AT = later(FIRST, 3600)
PYTHONS = (sys.executable, *filter(None, os.environ.get("OTHER_PYTHONS", "").split(":")))
ROOT = Path(__file__).parents[2]
DESTINATIONS = ("oci-archive:{}/art.tar:v1", "oci-archive:{}/image.tar --as-image", "oci-archive:{}/bare.tar --bare")


@dataclass(frozen=True)
class Surroundings:
    zone: str = "UTC"
    umask: int = 0o022
    seed: str = "0"
    locale: str = "C.UTF-8"
    order: int = 0
    python: str = sys.executable


async def recorded(hamlet: Hamlet, folder: Path, order: int) -> Path:
    """Record the build in a new store, with the requests in another order; return the path of the settings."""
    edition = hamlet.edition
    paths = ["dists/stable/InRelease", "dists/stable/main/binary-amd64/Packages.xz"]
    paths += [edition.kept.path, edition.old.path, edition.weak.path]
    random.Random(order).shuffle(paths)
    async with House(folder, (hamlet.row,)) as house:
        for path in paths:
            got = await house.get(AT, path)
            assert got.status == 200
        random.Random(order + 1).shuffle(paths)
        for path in paths:
            await house.get(AT, path, capture=f"build{order}")
    settings = folder / "config.toml"
    settings.write_text(f'state_dir = "{folder}/state"\ncache_dir = "{folder}/cache"\n')
    return settings


def exported(settings: Path, folder: Path, how: Surroundings) -> list[str]:
    """Export it in every format, in another process; return the digests of the artifacts and of the tars."""
    folder.mkdir()
    environ = {
        **os.environ,
        "TZ": how.zone,
        "PYTHONHASHSEED": how.seed,
        "LC_ALL": how.locale,
        "SOURCE_DATE_EPOCH": "1717200000",
    }
    found = []
    for form in DESTINATIONS:
        destination, *options = form.format(folder).split()
        verb = [
            how.python,
            "-m",
            "snapproxy",
            "export",
            f"build{how.order}",
            destination,
            *options,
            "--config",
            settings,
        ]
        done = subprocess.run(verb, cwd=ROOT, env=environ, umask=how.umask, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        tar = Path(destination.split(":")[1])
        found += [done.stdout.splitlines()[-1], hashlib.sha256(tar.read_bytes()).hexdigest()]
    return found


async def test_one_record_has_one_digest_everywhere(hamlet: Hamlet, tmp_path: Path) -> None:
    stores = [await recorded(hamlet, tmp_path / f"store{order}", order) for order in (0, 1)]
    ways = [
        Surroundings(),
        Surroundings("Asia/Kathmandu", 0o077, "1", "C", 1),
        Surroundings("America/St_Johns", 0o000, "2", "tr_TR.UTF-8", 0),
        *(Surroundings(python=python, seed="3") for python in PYTHONS[1:]),
    ]
    found = [exported(stores[how.order], tmp_path / f"out{turn}", how) for turn, how in enumerate(ways)]
    assert found == [found[0]] * len(ways)


@pytest.mark.parametrize("form", DESTINATIONS)
async def test_without_a_time_given_nothing_tells_one(hamlet: Hamlet, tmp_path: Path, form: str) -> None:
    settings = await recorded(hamlet, tmp_path / "store", 0)
    destination, *options = form.format(tmp_path).split()
    environ = {name: value for name, value in os.environ.items() if name != "SOURCE_DATE_EPOCH"}
    verb = [sys.executable, "-m", "snapproxy", "export", "build0", destination, *options, "--config", str(settings)]
    subprocess.run(verb, cwd=ROOT, env=environ, check=True, capture_output=True)
    tar = Path(destination.split(":")[1])
    assert b'"created"' not in tar.read_bytes()
    assert b"image.created" not in tar.read_bytes()
