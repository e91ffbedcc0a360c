"""A capture that is pinned replays with the real apt, without network, after all other files were removed."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.apt_root import AptRoot
from tests.fakes.forms import DEBIAN, trouble
from tests.fakes.no_route import without_routes
from tests.fakes.proxy import Snapproxy, configuration, run
from tests.fakes.replaying import NAME, Digests, digests
from tests.fakes.world import FIRST, SECOND, World

pytestmark = [
    pytest.mark.journey,
    pytest.mark.skipif(os.geteuid() != 0, reason="a network name space of one's own takes root"),
]


def built(world: World, at: Snapproxy, folder: Path, when: str, capture: str = "x") -> Digests:
    """Update and download with apt through the proxy; return the files."""
    root = AptRoot(folder)
    root.configure(f'Acquire::http::Proxy "{at.proxy(when, capture)}";')
    key = root.keyring(world.key.keyring)
    root.sources(f"deb [signed-by={key}] {DEBIAN} {world.codename} main")
    for outcome in (root.update(), root.download("xz-utils")):
        assert (outcome.code, trouble(outcome.text)) == (0, []), outcome.text
    return digests(root.fetched())


def verb(settings: Path, *arguments: str) -> Any:
    done = run(*arguments, "--json", "--config", str(settings))
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def test_a_pinned_capture_replays_with_apt_after_a_clean_up(world: World, tmp_path: Path) -> None:
    settings = configuration(tmp_path / "snapproxy", world, top='quota = "100MB"\nfree_space = "0B"')
    with Snapproxy(settings, name="online") as at:
        online = built(world, at, tmp_path / "one", FIRST, NAME)
        other = built(world, at, tmp_path / "two", SECOND)
        assert verb(settings, "pin", "capture", NAME)["stored"]["files"] > len(online)
        report = verb(settings, "gc", "--free", "4096")
        assert report["removed"]["files"] >= 1
        everything = run("gc", "--to", "0B", "--json", "--config", str(settings))
        assert everything.returncode == 1, "the capture could not be removed"
        left = json.loads(everything.stdout)
        assert left["protected"]["captures"]["files"] > len(online)
        assert left["removed"]["files"] >= len(other.items() - online.items()) > 0
        assert built(world, at, tmp_path / "three", SECOND) == other, "removed files are fetched again"
    with without_routes(), Snapproxy(settings, options=["--offline"], name="offline") as at:
        assert built(world, at, tmp_path / "four", FIRST, NAME) == online
