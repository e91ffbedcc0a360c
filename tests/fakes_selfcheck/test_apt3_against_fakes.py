"""apt 3 from a trixie root, directly against the simulated services."""

from __future__ import annotations

from tests.fakes.apt_root import AptRoot
from tests.fakes.world import FIRST, SECOND, World


def test_apt_3_runs_in_its_own_root(apt3: AptRoot) -> None:
    assert apt3.run("apt-get", "--version").out.startswith("apt 3.")


def test_apt_3_updates_and_downloads_from_the_snapshot_service(world: World, apt3: AptRoot) -> None:
    key = apt3.keyring(world.key.keyring)
    apt3.sources(f"deb [signed-by={key}] {world.snapshot.url}/archive/debian/{FIRST} {world.codename} main")
    outcome = apt3.update()
    assert outcome.code == 0, outcome.text
    assert apt3.candidates("xz-utils") == {"xz-utils": world.first.versions["xz-utils"]}
    outcome = apt3.download("xz-utils")
    assert outcome.code == 0, outcome.text
    assert len(apt3.fetched()) == len(world.first.versions)


def test_snapshot_option_needs_both_a_host_and_an_override_line(world: World, apt3: AptRoot) -> None:
    """The host line serves the first update.

    The root stored by it is then looked up by its Origin, which is preset to another host.
    """
    key = apt3.keyring(world.key.keyring)
    apt3.sources(f"deb [signed-by={key}] {world.mirror.url}/debian {world.codename} main")
    target = f'"{world.snapshot.url}/archive/debian/@SNAPSHOTID@/";'
    host = f"Acquire::Snapshots::URI::Host::127.0.0.3 {target}"
    for when, state in ((FIRST, world.first), (SECOND, world.second)):
        pinned = ("-o", f"APT::Snapshot={when}")
        apt3.forget_lists()
        apt3.configure(host)
        outcome = apt3.update("--snapshot", when)
        assert outcome.code == 0, outcome.text
        assert not apt3.candidates("xz-utils", options=pinned)
        apt3.configure(host, f"Acquire::Snapshots::URI::Override::Origin::Debian {target}")
        assert apt3.candidates("xz-utils", options=pinned) == {"xz-utils": state.versions["xz-utils"]}
        assert world.snapshot.requests(f"/archive/debian/{when}/")
