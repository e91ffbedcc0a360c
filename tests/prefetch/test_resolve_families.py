"""Lists for the other families and histories: dated folders, identities of apk, rpm's epochs, own observations."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from snapproxy.core.model import Archive
from snapproxy.formats.package_lists.model import DigestOf, ListEntry
from snapproxy.prefetch.model import Finding
from tests.fakes import arch, rpm_world
from tests.fakes.alpine import ApkFile
from tests.fakes.alpine_world import FIRST, FOLDER, HOST, SECOND, AlpineWorld
from tests.fakes.arch import ArchPackage, ArchWorld
from tests.fakes.hamlet import INRELEASE
from tests.fakes.house import House
from tests.fakes.present import Present
from tests.fakes.resolving import digest, fetched, named, resolved, times_of
from tests.fakes.rpm_world import REPOSITORY, RpmWorld


@pytest.fixture(scope="module")
def arch_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ArchWorld]:
    world = ArchWorld(tmp_path_factory.mktemp("arch"))
    yield world
    world.close()


class TestDatedFolders:
    @pytest.fixture
    async def house(self, arch_world: ArchWorld, tmp_path: Path) -> AsyncIterator[House]:
        row = Archive(
            "archlinux",
            "pacman",
            "dated",
            snapshot=(arch_world.archive.url,),
            mirrors=(f"{arch_world.mirror.url}/archlinux",),
        )
        async with House(tmp_path / "house", (row,)) as house:
            yield house

    @staticmethod
    def entry(package: ArchPackage, version: str = "") -> ListEntry:
        return named(package.name, version or package.version, "any", "pacman")

    async def test_the_folder_of_a_package_shows_the_days_to_read(self, house: House, arch_world: ArchWorld) -> None:
        packages = (arch_world.kept, arch_world.old, arch_world.new)
        found = await resolved(house, *map(self.entry, packages), suites=("core",), architectures=("x86_64",))
        assert [each.finding for each in found.entries] == [Finding.RESOLVED] * 3
        assert [each.digest for each in sorted(found.files, key=lambda file: file.path)] == [
            f"sha256:{hashlib.sha256(each.data).hexdigest()}"
            for each in (arch_world.old, arch_world.new, arch_world.kept)
        ]
        assert len(found.wanted) == 2
        assert set(await fetched(house, found)) == {each.data for each in packages}

    async def test_a_version_in_no_database_is_fetched_without_a_digest(
        self, house: House, arch_world: ArchWorld
    ) -> None:
        found = await resolved(house, self.entry(arch_world.old), suites=("extra",), architectures=("x86_64",))
        assert found.entries[0].finding is Finding.DIGEST_MISSING
        assert [file.path for file in found.files] == [f"packages/d/dummy/{arch_world.old.file}"]
        assert await fetched(house, found) == [arch_world.old.data]

    async def test_other_versions_are_named(self, house: House, arch_world: ArchWorld) -> None:
        found = await resolved(house, self.entry(arch_world.old, "1.5-1"), suites=("core",), architectures=("x86_64",))
        assert found.entries[0].finding is Finding.NOT_FOUND
        assert "The nearest versions: 1.0-1, 2.0-1." in found.entries[0].why

    async def test_a_path_and_a_digest_need_no_day(self, house: House, arch_world: ArchWorld) -> None:
        sha256 = hashlib.sha256(arch_world.kept.data).hexdigest()
        entry = ListEntry(
            "1", family="pacman", path=f"l/libtest++/{arch_world.kept.file}", digests=digest("sha256", sha256)
        )
        signature = ListEntry("2", family="pacman", path=f"l/libtest++/{arch_world.kept.file}.sig")
        found = await resolved(house, entry, signature)
        assert [each.finding for each in found.entries] == [Finding.RESOLVED, Finding.DIGEST_MISSING]
        assert await fetched(house, found) == [arch_world.kept.data, arch_world.kept.signature]

    async def test_the_day_of_an_address_is_kept(self, house: House, arch_world: ArchWorld) -> None:
        url = f"{arch_world.archive.url}/repos/2024/06/02/{arch.REPO}/{arch_world.old.file}"
        found = await resolved(house, ListEntry("1", family="pacman", url=url))
        assert times_of(found) == ["20240602T235959Z"]
        assert await fetched(house, found) == [arch_world.old.data]


@pytest.fixture(scope="module")
def alpine_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AlpineWorld]:
    world = AlpineWorld(tmp_path_factory.mktemp("alpine"))
    yield world
    world.close()


class TestApk:
    @pytest.fixture
    async def house(self, alpine_world: AlpineWorld, tmp_path: Path) -> AsyncIterator[House]:
        row = Archive(
            "alpine",
            "apk",
            "any-instant",
            snapshot=(f"{alpine_world.past.url}/alpine",),
            mirrors=(f"{alpine_world.mirror.url}/alpine",),
            hosts=(f"{HOST}/alpine",),
            keyrings=(str(alpine_world.keys),),
        )
        async with House(tmp_path / "house", (row,)) as house:
            yield house

    @staticmethod
    def entry(package: ApkFile, *, has_identity: bool = True) -> ListEntry:
        control = digest("sha1", hashlib.sha1(package.control).hexdigest(), DigestOf.CONTROL)
        entry = named(package.name, package.version, "x86_64", "apk")
        return replace(entry, digests=control) if has_identity else entry

    async def test_the_identity_selects_one_of_two_builds(self, house: House, alpine_world: AlpineWorld) -> None:
        builds = [
            each for state in (alpine_world.first, alpine_world.second) for each in state if each.name == "rebuilt"
        ]
        found = await resolved(
            house, *map(self.entry, builds), suites=("v3.99/main",), architectures=("x86_64",), at=(FIRST, SECOND)
        )
        assert [each.finding for each in found.entries] == [Finding.BY_IDENTITY] * 2
        assert times_of(found) == [FIRST, SECOND]
        assert await fetched(house, found) == [each.whole for each in builds]

    async def test_a_time_selects_one_of_two_builds_without_an_identity(
        self, house: House, alpine_world: AlpineWorld
    ) -> None:
        entry = self.entry(alpine_world.second[1], has_identity=False)
        options = {"suites": ("v3.99/main",), "architectures": ("x86_64",)}
        one = await resolved(house, entry, at=(SECOND,), **options)
        assert await fetched(house, one) == [alpine_world.second[1].whole]
        both = await resolved(house, entry, at=(FIRST, SECOND), **options)
        assert both.entries[0].finding is Finding.AMBIGUOUS
        assert "A time selects one of them." in both.entries[0].why
        assert both.files == ()

    async def test_an_address_with_an_identity_is_searched_by_path(
        self, house: House, alpine_world: AlpineWorld
    ) -> None:
        package = alpine_world.first[2]
        entry = replace(self.entry(package), url=f"https://{HOST}/alpine/{FOLDER}/{package.file}")
        found = await resolved(house, entry, suites=("v3.99/main",), at=(FIRST, SECOND))
        assert found.entries[0].finding is Finding.BY_IDENTITY
        assert times_of(found) == [FIRST]

    async def test_a_digest_of_the_file_is_not_compared_with_the_identity(
        self, house: House, alpine_world: AlpineWorld
    ) -> None:
        package = alpine_world.first[0]
        sha1 = hashlib.sha1(package.whole).hexdigest()
        entry = ListEntry("1", family="apk", path=f"{FOLDER}/{package.file}", digests=digest("sha1", sha1))
        found = await resolved(house, entry, suites=("v3.99/main",), at=(FIRST,))
        assert found.entries[0].finding is Finding.RESOLVED
        assert [each.digest for each in found.files] == [f"sha1:{sha1}"]


class TestRpm:
    @pytest.fixture
    async def house(self, rpm_world: RpmWorld, tmp_path: Path) -> AsyncIterator[House]:
        async with House(tmp_path / "house", (rpm_world.row,)) as house:
            yield house

    async def test_an_epoch_of_zero_is_no_epoch(self, house: House, rpm_world: RpmWorld) -> None:
        entries = (named("hello", "0:1.0-1", "noarch", "rpm"), named("steady", "7-1", "x86_64", "rpm"))
        found = await resolved(house, *entries, suites=(REPOSITORY,), at=(rpm_world_time(0), rpm_world_time(1)))
        assert [each.finding for each in found.entries] == [Finding.RESOLVED] * 2
        assert times_of(found) == [rpm_world_time(0)]
        assert await fetched(house, found) == [
            rpm_world.package(rpm_world_time(0), name).data for name in ("hello", "steady")
        ]

    async def test_a_digest_of_the_header_is_reported_and_not_compared(self, house: House, rpm_world: RpmWorld) -> None:
        entry = replace(named("hello", "1.0-1", "noarch", "rpm"), digests=digest("sha256", "0" * 64, DigestOf.HEADER))
        found = await resolved(house, entry, suites=(REPOSITORY,), at=(rpm_world_time(0),))
        assert found.entries[0].finding is Finding.HEADER_ONLY
        assert len(found.files) == 1


def rpm_world_time(number: int) -> str:
    """Return one of the two instants of the rpm repository."""
    return (rpm_world.FIRST, rpm_world.SECOND)[number]


async def test_an_observed_archive_has_the_versions_that_were_observed(vendor: House, present: Present) -> None:
    old = present.tree.packages[0]
    await vendor.app.observe("vendor", (INRELEASE,), with_packages=True)
    vendor.clock.leap(86400)
    present.publish()
    await vendor.app.observe("vendor", (INRELEASE,), with_packages=True)
    new = present.tree.packages[0]
    entries = (named("hello", old.version), named("hello", new.version), named("hello", "9"))
    found = await resolved(vendor, *entries)
    assert [each.finding for each in found.entries] == [Finding.RESOLVED, Finding.RESOLVED, Finding.NOT_FOUND]
    assert "The nearest versions: 2.0 (listed at" in found.entries[2].why
    assert await fetched(vendor, found) == [next(iter(each.files.values())).data for each in (old, new)]
