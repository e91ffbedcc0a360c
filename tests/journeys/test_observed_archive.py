"""A real apt at two instants of an archive whose history only snapproxy has."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import DEVNULL, Popen

import pytest

from snapproxy.core.time_spec import format_instant
from snapproxy.jobs import sweep
from snapproxy.jobs.sweep import Observation
from tests.fakes.apt_root import AptRoot
from tests.fakes.archive_server import ArchiveServer
from tests.fakes.content import FixedTree, Timeline
from tests.fakes.faults import Hold, Meanwhile, Status
from tests.fakes.forms import sources, trouble
from tests.fakes.hamlet import INRELEASE, PACKAGES
from tests.fakes.house import PATIENT, House
from tests.fakes.leaping_clock import LeapingClock
from tests.fakes.present import Present
from tests.fakes.proxy import Snapproxy, command, configuration, environment, run
from tests.fakes.services import MirrorService
from tests.fakes.signing import SigningKey
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
        row = f'family = "apt"\nhistory = "captured"\nmirrors = ["{vendor.url}/vendor"]\n'
        row += f'keyrings = ["{world.key.keyring}"]\n'
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


def vendors(folder: Path, present: Present) -> Path:
    """Write the configuration of a third-party archive that is signed with a key of its own."""
    folder.mkdir(parents=True)
    file = folder / "config.toml"
    pace = "connections = 8\nrequests_per_second = 500\nburst = 500\n"
    file.write_text(
        f'state_dir = "{folder / "state"}"\ncache_dir = "{folder / "cache"}"\n[archives.vendor]\nfamily = "apt"\n'
        f'history = "captured"\nmirrors = ["{present.mirror.url}/debian"]\nkeyrings = ["{present.key.keyring}"]\n'
        f'[upstreams."127.0.0.3"]\n{pace}'
    )
    return file


@pytest.fixture
def third_party(tmp_path: Path) -> Iterator[Present]:
    key = SigningKey(tmp_path / "gnupg")
    present = Present(key)
    yield present
    present.close()
    key.close()


@pytest.mark.long
async def test_an_archive_republished_between_any_two_requests_works_at_every_observed_instant(
    third_party: Present, tmp_path: Path, apt_root: Callable[[str], AptRoot], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each turn publishes one request later, and deletes the old indexes.

    The server is another process on the same store.
    """
    monkeypatch.setattr(sweep, "PAUSE_SECONDS", 0.05)
    file = vendors(tmp_path / "snapproxy", third_party)
    editions, seen = {third_party.tree.files[INRELEASE].data: third_party.tree}, []

    def publish() -> None:
        tree = third_party.publish(keeping=("pool/",))
        editions[tree.files[INRELEASE].data] = tree

    clock = LeapingClock()
    clock.leap(-86400)  # the server uses the real clock, whatever instants are observed here
    async with House(file.parent, rows=(third_party.vendor,), timeouts=PATIENT, clock=clock) as house:
        for at in itertools.count():
            publish()
            meanwhile = third_party.mirror.fault("*", Meanwhile(publish, at))
            swept = await house.app.observe("vendor", [INRELEASE], with_packages=True)
            assert isinstance(swept, Observation), swept
            seen.append(format_instant(swept.at))
            third_party.mirror.heal()
            if meanwhile.count <= at:
                break
            clock.leap(3600)
        assert len(seen) == len(set(seen)) > 8
        third_party.mirror.fault("*", Status(404))
        with Snapproxy(file) as at_work:
            for then in seen:
                root = (await house.get(then, INRELEASE)).data
                await asyncio.to_thread(
                    updates_and_downloads, apt_root(then), at_work, third_party, then, editions[root]
                )


def updates_and_downloads(root: AptRoot, at: Snapproxy, present: Present, then: str, tree: FixedTree) -> None:
    key = root.keyring(present.key.keyring)
    root.sources(
        f"deb [signed-by={key}] {at.url}/vendor/{then} stable main",
        f"deb-src [signed-by={key}] {at.url}/vendor/{then} stable main",
    )
    update = root.update()
    assert (update.code, trouble(update.text)) == (0, []), update.text
    binary = tree.packages[0]
    fetched = root.run("apt-get", "download", "hello")
    assert fetched.code == 0, fetched.text
    (file,) = root.folder.glob("hello_*.deb")
    assert file.read_bytes() == tree.files[binary.path].data


def test_a_killed_sweep_leaves_nothing_half_observed_and_the_next_goes_on(third_party: Present, tmp_path: Path) -> None:
    file = vendors(tmp_path / "snapproxy", third_party)
    observing = ("observe", "vendor", INRELEASE, "--packages", "all", "--json", "--config", str(file))
    for held, seen in (("*/by-hash/*", 0), ("*.deb", 1)):
        hold = third_party.mirror.fault(held, Hold(after=None))
        with Popen(command(*observing), env=environment(), stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL) as sweeping:
            assert hold.reached.wait(30)
            time.sleep(0.3)
            sweeping.kill()
        hold.release()
        third_party.mirror.heal()
        listed = run("timeline", "vendor", "--json", "--config", str(file))
        assert len(json.loads(listed.stdout)) == seen, "its packages come after what is observed"
    third_party.mirror.reset_counts()
    again = run(*observing)
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["packages"] >= 1
    assert not any("by-hash" in each.path for each in third_party.log.entries), "what was brought is not brought again"
    assert third_party.asked(third_party.package) == [200]
    then, old = json.loads(again.stdout)["instant"], third_party.tree
    third_party.mirror.fault("*", Status(404))
    for path in (INRELEASE, PACKAGES, third_party.package):
        out = tmp_path / "out"
        assert run("fetch", "vendor", then, path, "--output-dir", str(out), "--config", str(file)).returncode == 0
        assert (out / path.rpartition("/")[2]).read_bytes() == old.files[path].data
