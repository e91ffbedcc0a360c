"""Detached signatures of packages, and databases of files: no index lists them, and observations keep them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from snapproxy.core.model import Archive
from snapproxy.jobs.sweep import Observation
from tests.fakes.arch import REPO, ArchPackage, publish
from tests.fakes.archive_server import ArchiveServer
from tests.fakes.content import Content, FixedTree, Timeline
from tests.fakes.faults import Meanwhile, Status
from tests.fakes.house import PATIENT, House
from tests.fakes.services import MirrorService
from tests.fakes.signing import SigningKey

DATABASE, FILES = f"{REPO}/core.db", f"{REPO}/core.files"
WHEN = ("20240601T000000Z", "20240602T000000Z")


@dataclass
class Port:
    """A small repository that is published twice; its packages are deleted with the first state."""

    server: ArchiveServer
    shown: Timeline
    trees: tuple[FixedTree, FixedTree]
    packages: tuple[str, str]

    def show(self, state: int) -> None:
        self.shown.publish(WHEN[state], self.trees[state])

    @property
    def row(self) -> Archive:
        return Archive("port", "pacman", "captured", mirrors=(f"{self.server.url}/port",))


@pytest.fixture(scope="module")
def states(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[tuple[FixedTree, FixedTree], tuple[str, str]]]:
    folder = tmp_path_factory.mktemp("port")
    key = SigningKey(folder / "gnupg")
    packages = [ArchPackage("dummy", f"{number}.0-1", key, WHEN[0]) for number in (1, 2)]
    old, new = (publish(folder / each.version, (each,), WHEN[0], is_signed=False) for each in packages)
    yield (old, new), (f"{REPO}/{packages[0].file}", f"{REPO}/{packages[1].file}")
    key.close()


@pytest.fixture
def port(states: tuple[tuple[FixedTree, FixedTree], tuple[str, str]]) -> Iterator[Port]:
    shown = Timeline()
    with ArchiveServer(MirrorService({"port": shown}), name="mirror", address="127.0.0.6") as server:
        found = Port(server, shown, *states)
        found.show(0)
        yield found


@pytest.fixture
async def house(port: Port, tmp_path: Path) -> AsyncIterator[House]:
    async with House(tmp_path / "house", rows=(port.row,), timeouts=PATIENT) as house:
        yield house


async def observe(house: House, *, packages: bool) -> Observation:
    swept = await house.app.observe("port", [DATABASE], with_packages=packages)
    assert isinstance(swept, Observation), swept
    return swept


async def test_an_observation_with_packages_keeps_their_signatures_and_the_files_database(
    house: House, port: Port
) -> None:
    first = await observe(house, packages=True)
    assert first.beside == (FILES,)
    assert first.absent == (f"{FILES}.sig",)
    house.clock.leap(3600)
    port.show(1)
    second = await observe(house, packages=True)
    port.server.fault("*", Status(404))
    for swept, tree, package in zip((first, second), port.trees, port.packages, strict=True):
        for path in (DATABASE, package, f"{package}.sig", FILES):
            got = await house.get(str(swept.at), path)
            assert (got.status, got.data) == (200, tree.files[path].data), path
        assert (await house.get(str(swept.at), f"{DATABASE}.sig")).status == 404


async def test_a_signature_that_was_not_kept_is_fetched_beside_its_package_and_kept(house: House, port: Port) -> None:
    swept, signature = await observe(house, packages=False), f"{port.packages[0]}.sig"
    got = await house.get(str(swept.at), signature)
    assert (got.status, got.data, got.proof) == (200, port.trees[0].files[signature].data, "none")
    house.clock.leap(3600)
    again = await observe(house, packages=False)
    port.server.fault("*", Status(404))
    assert (await house.get(str(again.at), signature)).data == got.data


async def test_a_signature_that_is_gone_is_not_said_to_have_been_absent(house: House, port: Port) -> None:
    swept, signature = await observe(house, packages=False), f"{port.packages[0]}.sig"
    port.show(1)
    got = await house.get(str(swept.at), signature, capture="build")
    reason = "This signature was not stored, and no mirror has it now"
    assert (got.status, got.refusal.reason) == (424, reason)
    assert (await house.app.captures.record("build")).entries == ()


async def test_a_recorded_live_build_keeps_the_signature_and_the_files_database(house: House, port: Port) -> None:
    paths = (DATABASE, port.packages[0], f"{port.packages[0]}.sig", FILES)
    for path in paths:
        got = await house.get("live", path, capture="build")
        assert (got.status, got.data) == (200, port.trees[0].files[path].data), path
    entries = (await house.app.captures.record("build")).entries
    assert {entry.path for entry in entries if not entry.is_absence} == set(paths)


@pytest.mark.parametrize("at", range(3))
async def test_published_between_any_two_requests_a_live_files_database_and_its_signature_are_of_one_state(
    house: House, port: Port, at: int
) -> None:
    """Both are 200 and of one state, or one is refused."""
    paths = (FILES, f"{FILES}.sig")
    signed = [FixedTree({**tree.files, paths[1]: Content(f"of {n}".encode())}) for n, tree in enumerate(port.trees)]
    port.shown.publish(WHEN[0], signed[0])
    meanwhile = port.server.fault("*.files*", Meanwhile(lambda: port.shown.publish(WHEN[1], signed[1]), at))
    got = [await house.get("live", path) for path in paths]
    assert meanwhile.count == 3
    if [each.status for each in got] == [200, 200]:
        assert [each.data for each in got] in [[tree.files[path].data for path in paths] for tree in signed]
    else:
        assert [each.status for each in got] == [200, 424]
        assert [(await house.get("live", path)).data for path in paths] == [
            signed[1].files[path].data for path in paths
        ]


@pytest.mark.parametrize("at", range(3))
async def test_published_between_any_two_requests_a_cold_database_and_its_signature_are_of_one_state(
    house: House, port: Port, at: int
) -> None:
    paths = (DATABASE, f"{DATABASE}.sig")
    signed = [FixedTree({**tree.files, paths[1]: Content(f"of {n}".encode())}) for n, tree in enumerate(port.trees)]
    port.shown.publish(WHEN[0], signed[0])
    port.server.fault("*.db*", Meanwhile(lambda: port.shown.publish(WHEN[1], signed[1]), at))
    got = [await house.get("live", path) for path in paths]
    assert [each.data for each in got] in [[tree.files[path].data for path in paths] for tree in signed]


async def test_an_observed_absence_of_a_signature_is_a_404(house: House, port: Port) -> None:
    port.server.fault("*.pkg.tar.zst.sig", Status(404))
    swept = await observe(house, packages=True)
    port.server.heal()
    assert (await house.get(str(swept.at), f"{port.packages[0]}.sig")).status == 404
