"""A real apt at two instants of an archive that nothing remembers but snapproxy."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fakes.apt_root import AptRoot
from tests.fakes.archive_server import ArchiveServer
from tests.fakes.content import Timeline
from tests.fakes.forms import sources, trouble
from tests.fakes.proxy import Snapproxy, configuration, run
from tests.fakes.services import MirrorService
from tests.fakes.world import World

pytestmark = pytest.mark.journey


def test_a_package_deleted_upstream_still_installs_at_the_instant_it_was_seen(
    world: World, tmp_path: Path, apt_root: Callable[[str], AptRoot]
) -> None:
    shown = Timeline()
    shown.publish("20240601T000000Z", world.first.debian)
    root = f"dists/{world.codename}/InRelease"
    with ArchiveServer(MirrorService({"vendor": shown}), name="vendor", address="127.0.0.6") as vendor:
        file = configuration(tmp_path / "snapproxy", world)
        row = f'family = "apt"\nhistory = "captured"\nmirrors = ["{vendor.url}/vendor"]\nkeyrings = ["{world.key.keyring}"]\n'
        with file.open("a") as out:
            out.write(f"[archives.vendor]\n{row}")
        observed = run("observe", "vendor", root, "--packages", "all", "--json", "--config", str(file))
        assert observed.returncode == 0, observed.stderr
        instant = json.loads(observed.stdout)["instant"]
        shown.publish("20240602T000000Z", world.second.debian)
        again = run("observe", "vendor", root, "--config", str(file))
        assert again.stdout.endswith(f"{root}  new\n"), again.stderr
        with Snapproxy(file) as at:
            new = sources(apt_root("new"), world, f"{at.url}/vendor/live")
            assert new.update().code == 0
            assert new.candidates(*world.second.versions) == world.second.versions
            old = sources(apt_root("old"), world, f"{at.url}/vendor/{instant}")
            update = old.update()
            assert (update.code, trouble(update.text)) == (0, []), update.text
            assert old.candidates(*world.first.versions) == world.first.versions
            vendor.log.reset_counts()
            download = old.download(*world.wanted)
            assert download.code == 0, download.text
            assert len(old.fetched()) == len([each for each in world.first.debian.packages if not each.is_source])
            assert vendor.log.entries == [], "nothing but the store knows that instant"
