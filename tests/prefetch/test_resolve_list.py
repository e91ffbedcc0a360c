"""Lists of packages against the tiny archive: versions that live in different snapshots, and entries that fail."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from snapproxy.cli.prefetch_lists import resolver_parts
from snapproxy.core.listing import PackageVersion
from snapproxy.core.model import Archive
from snapproxy.core.progress import SILENT
from snapproxy.core.time_spec import parse_time
from snapproxy.errors import ArchiveDataError, ClientError, ConfigurationError
from snapproxy.formats.package_lists.model import PackageList
from snapproxy.indexes.listings import Listings
from snapproxy.prefetch import names
from snapproxy.prefetch.entry_plan import ResolveOptions
from snapproxy.prefetch.model import Finding
from snapproxy.prefetch.resolve_list import resolve
from tests.fakes.content import Timeline, epoch
from tests.fakes.faults import Status
from tests.fakes.hamlet import FIRST, INRELEASE, SECOND, SUITE, Hamlet, content_of, later
from tests.fakes.house import House, until
from tests.fakes.resolving import fetched, named, resolved, times_of

MakeHouse = Callable[..., Awaitable[House]]
KEPT, OLD, NEW = named("kept", "1"), named("moved", "1"), named("moved", "2")


class UnreadableListings(Listings):
    """Listings of indexes that cannot be parsed."""

    async def packages(self, family: str, digest: str, path: str) -> list[PackageVersion]:
        raise ArchiveDataError("The index is broken")


class TestInstants:
    async def test_versions_of_one_snapshot_need_one(self, house: House, hamlet: Hamlet) -> None:
        found = await resolved(house, KEPT, OLD, suites=(SUITE,))
        assert [each.finding for each in found.entries] == [Finding.RESOLVED] * 2
        assert times_of(found) == [FIRST]
        assert [(each.path, each.digest, each.size) for each in found.files] == [
            (package.path, f"sha256:{content_of(package).sha256}", content_of(package).size)
            for package in (hamlet.edition.kept, hamlet.edition.old)
        ]

    async def test_versions_of_two_snapshots_need_two(self, house: House, hamlet: Hamlet) -> None:
        found = await resolved(house, KEPT, OLD, NEW, suites=(SUITE,))
        assert times_of(found) == [FIRST, SECOND]
        edition = hamlet.edition
        expected = {content_of(each).data for each in (edition.kept, edition.old, edition.new)}
        assert set(await fetched(house, found)) == expected
        assert len(found.files) == 3

    async def test_only_those_are_read_whose_indexes_the_list_needs(self, house: House, hamlet: Hamlet) -> None:
        await resolved(house, KEPT, NEW, suites=(SUITE,))
        roots = [each.path for each in hamlet.asked(INRELEASE) if each.status == 302]
        assert roots == [f"/archive/debian/{SECOND}/{INRELEASE}"]

    async def test_a_requested_one_that_has_all_is_enough(self, house: House, hamlet: Hamlet) -> None:
        at = later(FIRST, 3600)
        found = await resolved(house, KEPT, OLD, suites=(SUITE,), at=(at,))
        assert times_of(found) == [at]
        assert hamlet.asked("/mr/binary") == []

    async def test_others_are_found_beside_a_requested_one(self, house: House, hamlet: Hamlet) -> None:
        at = later(FIRST, 3600)
        found = await resolved(house, KEPT, NEW, suites=(SUITE,), at=(at,))
        assert times_of(found) == [SECOND]
        assert len(hamlet.asked("/mr/binary")) == 1

    async def test_the_one_at_which_the_list_was_made_is_tried(self, house: House, hamlet: Hamlet) -> None:
        found = await resolved(house, KEPT, OLD, suites=(SUITE,), made=epoch(FIRST) + 60)
        assert times_of(found) == [later(FIRST, 60)]
        assert hamlet.asked("/mr/binary") == []

    async def test_one_that_the_list_states_replaces_a_question(self, house: House, hamlet: Hamlet) -> None:
        hamlet.past.fault("/mr/binary/*", Status(404))
        stated = (replace(NEW, first=epoch(SECOND)), replace(OLD, last=epoch(FIRST) + 60))
        found = await resolved(house, *stated, suites=(SUITE,))
        assert times_of(found) == [FIRST, SECOND]

    async def test_a_moving_one_is_refused(self, house: House) -> None:
        with pytest.raises(ClientError):
            await resolved(house, KEPT, suites=(SUITE,), at=("latest",))

    async def test_a_version_that_reaches_the_suite_after_the_pool_is_found(self, house: House, hamlet: Hamlet) -> None:
        pool = hamlet.edition.new
        for at in hamlet.timeline.ids:
            if at < SECOND:
                tree = hamlet.edition.trees[FIRST]
                early = replace(tree, files={**tree.files, pool.path: content_of(pool)})
                hamlet.timeline.publish(at, early)
        found = await resolved(house, NEW, suites=(SUITE,))
        assert [each.finding for each in found.entries] == [Finding.RESOLVED]
        assert times_of(found) >= [SECOND]


class TestTwoArchives:
    """One snapshot service with two archives, of which the second one alone has some versions."""

    @pytest.fixture
    def rows(self, hamlet: Hamlet) -> tuple[Archive, ...]:
        """Move the newer state to an archive of its own."""
        security = Timeline()
        for at in hamlet.timeline.ids:
            if at >= SECOND:
                security.publish(at, hamlet.edition.trees[SECOND])
                hamlet.timeline.publish(at, hamlet.edition.trees[FIRST])
        for server in (hamlet.past, hamlet.now):
            server.service.archives["debian-security"] = security
        base = f"{hamlet.past.url}/archive/debian-security"
        mirror = f"{hamlet.now.url}/debian-security"
        return hamlet.row, replace(hamlet.row, name="debian-security", snapshot=(base,), mirrors=(mirror,))

    async def test_each_version_is_found_in_its_archive(
        self, rows: tuple[Archive, ...], hamlet: Hamlet, make_house: MakeHouse
    ) -> None:
        house = await make_house(rows=rows)
        found = await resolved(house, KEPT, OLD, NEW, suites=(SUITE,))
        assert [(each.archive.name, len(each.files)) for each in found.wanted] == [
            ("debian", 2),
            ("debian-security", 1),
        ]
        asked = [each.path for each in hamlet.asked("/mr/binary")]
        assert len(asked) == len(set(asked)) == 3

    async def test_the_first_choice_has_what_both_have(
        self, rows: tuple[Archive, ...], hamlet: Hamlet, make_house: MakeHouse
    ) -> None:
        house = await make_house(rows=rows)
        found = await resolved(house, KEPT, suites=(SUITE,), archives=("debian-security", "debian"))
        assert [each.archive.name for each in found.wanted] == ["debian-security"]


class TestTheStore:
    async def test_answers_without_upstream(self, house: House, make_house: MakeHouse, hamlet: Hamlet) -> None:
        first = await resolved(house, KEPT, OLD, NEW, suites=(SUITE,))
        await house.close()
        offline = await make_house(offline=True)
        again = await resolved(offline, KEPT, OLD, NEW, suites=(SUITE,))
        assert [each.finding for each in again.entries] == [Finding.RESOLVED] * 3
        assert [each.path for each in again.files] == [each.path for each in first.files]
        assert times_of(again) == times_of(first)

    async def test_ignores_a_snapshot_that_is_marked_bad(
        self, house: House, make_house: MakeHouse, hamlet: Hamlet
    ) -> None:
        await resolved(house, OLD, suites=(SUITE,))
        await house.close()
        marked = await make_house(offline=True, rows=(replace(hamlet.row, bad=(epoch(FIRST),)),))
        again = await resolved(marked, OLD, suites=(SUITE,))
        assert again.wanted == ()


class TestMissing:
    async def test_packages_are_named_together_with_similar_names(self, house: House) -> None:
        found = await resolved(house, KEPT, named("kepd", "1"), named("moveed", "1"), suites=(SUITE,), at=(FIRST,))
        whys = [each.why for each in found.unresolved]
        assert [each.finding for each in found.unresolved] == [Finding.NOT_FOUND] * 2
        assert "Did you mean kept?" in whys[0]
        assert "Did you mean moved?" in whys[1]
        assert len(found.files) == 1

    async def test_a_version_is_reported_with_the_nearest_ones(self, house: House) -> None:
        found = await resolved(house, named("moved", "1.5"), suites=(SUITE,), at=(FIRST,))
        assert found.entries[0].finding is Finding.NOT_FOUND
        assert f"The nearest versions: 1 (listed at {FIRST}), 2." in found.entries[0].why

    async def test_another_architecture_is_no_match(self, house: House) -> None:
        found = await resolved(house, named("kept", "1", "arm64"), suites=(SUITE,), at=(FIRST,))
        assert found.entries[0].finding is Finding.NOT_FOUND

    async def test_the_machines_architecture_serves_an_entry_without_one(self, house: House) -> None:
        found = await resolved(house, named("kept", "1", ""), suites=(SUITE,), at=(FIRST,))
        assert found.entries[0].finding is Finding.RESOLVED

    async def test_a_file_that_no_index_lists_has_the_sha1_of_the_service(self, house: House, hamlet: Hamlet) -> None:
        found = await resolved(house, KEPT, suites=("other",))
        entry, content = found.entries[0], content_of(hamlet.edition.kept)
        assert entry.finding is Finding.DIGEST_MISSING
        assert [each.path for each in found.files] == [hamlet.edition.kept.path]
        assert [each.digest for each in found.files] == [f"sha1:{content.sha1}"]
        assert await fetched(house, found) == [content.data]

    async def test_an_unknown_archive_is_an_error(self, house: House) -> None:
        with pytest.raises(ConfigurationError) as raised:
            await resolved(house, KEPT, archives=("debain",))
        assert "Did you mean debian?" in raised.value.hint

    async def test_a_distribution_without_an_archive_is_out_of_reach(self, house: House) -> None:
        found = await resolved(house, replace(KEPT, distribution="nixos"))
        assert found.entries[0].finding is Finding.OUT_OF_REACH
        assert "nixos" in found.entries[0].why

    async def test_names_that_no_package_has_are_not_asked(self, house: House, hamlet: Hamlet) -> None:
        found = await resolved(house, named("../../file", "1"), suites=(SUITE,))
        assert found.entries[0].finding is Finding.NOT_FOUND
        assert hamlet.asked("file") == []


class TestRefusals:
    async def test_a_509_in_the_middle_is_waited_for(self, house: House, hamlet: Hamlet) -> None:
        hamlet.past.fault("/mr/binary/moved/*", Status(509))
        task = asyncio.create_task(resolved(house, KEPT, OLD, NEW, suites=(SUITE,)))
        await until(lambda: any(each.status == 509 for each in hamlet.asked("/mr/binary/moved")))
        hamlet.past.heal()
        while not task.done():
            house.clock.leap(11)
            await asyncio.sleep(0.02)
        found = task.result()
        assert [each.finding for each in found.entries] == [Finding.RESOLVED] * 3
        assert times_of(found) == [FIRST, SECOND]

    async def test_a_lasting_one_is_reported_and_a_second_run_continues(self, house: House, hamlet: Hamlet) -> None:
        hamlet.past.fault("/mr/binary/moved/2/*", Status(403))
        first = await resolved(house, KEPT, OLD, NEW, suites=(SUITE,))
        assert [each.finding for each in first.entries] == [Finding.RESOLVED] * 2 + [Finding.UNANSWERED]
        assert "403" in first.entries[2].why
        assert times_of(first) == [FIRST]
        hamlet.past.heal()
        hamlet.past.reset_counts()
        house.clock.leap(20)  # the refusal is cached for a short time
        second = await resolved(house, KEPT, OLD, NEW, suites=(SUITE,))
        assert [each.finding for each in second.entries] == [Finding.RESOLVED] * 3
        assert [each.path for each in hamlet.past.requests("/mr/binary")] == ["/mr/binary/moved/2/binfiles?fileinfo=1"]

    async def test_a_refused_root_is_not_an_absence(self, house: House, hamlet: Hamlet) -> None:
        hamlet.past.fault("*InRelease", Status(403))
        found = await resolved(house, KEPT, suites=(SUITE,))
        assert found.entries[0].finding is Finding.UNANSWERED
        assert FIRST in found.entries[0].why
        assert found.files == ()

    async def test_an_unreadable_index_is_not_an_absence(self, house: House) -> None:
        parts = replace(resolver_parts(house.app, SILENT), listings=UnreadableListings(house.store, None))  # type: ignore[arg-type]
        found = await resolve(PackageList("test", (KEPT,)), parts, ResolveOptions(suites=(SUITE,), machine="x86_64"))
        assert found.entries[0].finding is Finding.UNANSWERED
        assert "The index is broken." in found.entries[0].why

    async def test_too_many_instants_are_not_read(self, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(names, "MOST_INSTANTS", 1)
        found = await resolved(house, KEPT, OLD, NEW, suites=(SUITE,))
        assert [each.finding for each in found.entries] == [Finding.RESOLVED, Finding.UNANSWERED, Finding.RESOLVED]
        assert "Name a time (--at) or a suite (--suite)." in found.entries[1].why
        assert times_of(found) == [SECOND]

    async def test_a_time_before_the_first_snapshot_is_a_note(self, house: House) -> None:
        found = await resolved(house, KEPT, suites=(SUITE,), at=("20200101T000000Z",))
        assert times_of(found) == [FIRST]
        assert any("20200101T000000Z" in note for note in found.notes)


async def test_an_exact_time_is_requested_as_it_is_written(house: House) -> None:
    at = f"{FIRST}.exact"
    found = await resolved(house, KEPT, suites=(SUITE,), at=(at,))
    assert [each.when for each in found.wanted] == [parse_time(at)]
