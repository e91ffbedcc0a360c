"""Recording and answering within captures, with the whole application in front of a tiny archive."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from snapproxy.core.exchange import PassTarget, TunnelTarget
from snapproxy.core.model import Proof, Role
from snapproxy.core.record import Record
from snapproxy.errors import ClientError
from tests.fakes.descriptors import open_descriptors
from tests.fakes.faults import WrongBytes
from tests.fakes.hamlet import FIRST, INRELEASE, PACKAGES, RELEASE, SECOND, SIGNATURE, Hamlet, content_of, later
from tests.fakes.house import House
from tests.fakes.present import Present, by_hash
from tests.fakes.signing import SigningKey

MakeHouse = Callable[..., Awaitable[House]]
AT = later(FIRST, 3600)
BUILD = "build"


async def record(house: House, name: str = BUILD) -> Record:
    return await house.app.captures.record(name)


async def answers(house: House, name: str = BUILD) -> dict[str, str]:
    return {entry.path: entry.sha256 for entry in (await record(house, name)).entries}


async def test_a_capture_holds_roots_indexes_signatures_packages_and_absences(house: House, hamlet: Hamlet) -> None:
    package = content_of(hamlet.edition.kept)
    path = hamlet.edition.kept.path
    for each in (INRELEASE, RELEASE, SIGNATURE, PACKAGES, path, "dists/stable/main/i18n/Translation-en.xz"):
        await house.get(AT, each, capture=BUILD)
    held = {entry.path: entry for entry in (await record(house)).entries}
    for each in (INRELEASE, RELEASE, SIGNATURE, PACKAGES, path):
        content = hamlet.content(each) if each != path else package
        assert (held[each].sha256, held[each].size) == (content.sha256, len(content.data)), each
        assert (held[each].archive, held[each].requested, held[each].snapshot) == ("debian", AT, FIRST)
    assert [held[each].role for each in (INRELEASE, SIGNATURE, PACKAGES, path)] == [
        Role.ROOT,
        Role.SIGNATURE,
        Role.INDEX,
        Role.PACKAGE,
    ]
    assert held[path].proof is Proof.GPG
    assert held["dists/stable/main/i18n/Translation-en.xz"].is_absence


async def test_an_index_is_recorded_by_its_own_name(house: House, hamlet: Hamlet) -> None:
    await house.get(AT, INRELEASE, capture=BUILD)
    got = await house.get(AT, by_hash(hamlet.edition.trees[FIRST], PACKAGES), capture=BUILD)
    assert got.data == hamlet.content(PACKAGES).data
    assert set(await answers(house)) == {INRELEASE, PACKAGES}


async def test_a_file_is_recorded_when_its_reader_has_its_end(house: House, hamlet: Hamlet) -> None:
    await house.get(AT, INRELEASE, capture=BUILD)
    await house.get(AT, PACKAGES, capture=BUILD)
    outcome = await house.get(AT, hamlet.edition.kept.path, capture=BUILD)
    assert outcome.served.cache == "MISS"
    assert hamlet.edition.kept.path in await answers(house)


async def test_a_client_that_leaves_early_leaves_the_whole_file_in_the_capture(house: House, hamlet: Hamlet) -> None:
    path = hamlet.edition.kept.path
    for each in (INRELEASE, PACKAGES):
        await house.get(AT, each, capture=BUILD)
    outcome = await house.ask(AT, path, capture=BUILD)
    outcome.body.close()  # type: ignore[union-attr]
    await house.app.answerer.close()
    assert (await answers(house))[path] == content_of(hamlet.edition.kept).sha256


async def test_what_failed_is_not_recorded(house: House, hamlet: Hamlet) -> None:
    for each in (INRELEASE, PACKAGES):
        await house.get(AT, each, capture=BUILD)
    for server in (hamlet.past, hamlet.now):
        server.fault("*kept_*", WrongBytes(at=300))
    got = await house.get(AT, hamlet.edition.kept.path, capture=BUILD)
    assert got.broke or got.status == 502
    await house.app.answerer.close()
    assert set(await answers(house)) == {INRELEASE, PACKAGES}


async def test_the_first_absence_stays_one(house: House, hamlet: Hamlet) -> None:
    got = await house.get(AT, "dists/stable/main/notes.txt", capture=BUILD)
    assert got.status == 404
    hamlet.place("dists/stable/main/notes.txt", hamlet.content(RELEASE))
    house.clock.leap(3600.0)  # type: ignore[attr-defined] # the ten minutes for which an absence is believed
    assert (await house.get(AT, "dists/stable/main/notes.txt")).status == 200
    again = await house.get(AT, "dists/stable/main/notes.txt", capture=BUILD)
    assert (again.status, again.refusal.reason) == (404, "Not in the archive at that time")
    assert "when this was recorded" in again.refusal.why


async def test_other_spellings_of_a_time_are_the_same_question(house: House) -> None:
    for when in (AT, "2024-06-01T01:00:00Z", "1717203600"):
        assert (await house.get(when, INRELEASE, capture=BUILD)).status == 200
    assert [entry.requested for entry in (await record(house)).entries] == [AT]


async def test_latest_is_held_still_by_a_capture(house: House, hamlet: Hamlet) -> None:
    assert (await house.get("latest", INRELEASE)).status == 425
    first = await house.get("latest", INRELEASE, capture=BUILD)
    assert first.served.requested == "latest"
    hamlet.publish(later(SECOND, 90 * 86400), hamlet.without(PACKAGES))
    house.clock.leap(100 * 86400.0)  # type: ignore[attr-defined]
    again = await house.get("latest", INRELEASE, capture=BUILD)
    assert (again.data, again.served.snapshot) == (first.data, first.served.snapshot)
    other = await house.get("latest", INRELEASE, capture="another")
    assert other.served.snapshot != first.served.snapshot


async def test_two_processes_record_into_one_capture_and_agree(make_house: MakeHouse, hamlet: Hamlet) -> None:
    one, two = await make_house(), await make_house()
    await asyncio.gather(*(each.get(AT, path, capture=BUILD) for each in (one, two) for path in (INRELEASE, RELEASE)))
    await one.get(AT, PACKAGES, capture=BUILD)
    await two.get(AT, SIGNATURE, capture=BUILD)
    assert await record(one) == await record(two)
    assert set(await answers(one)) == {INRELEASE, RELEASE, PACKAGES, SIGNATURE}


async def test_what_another_process_still_stores_is_recorded_once_it_is_stored(
    make_house: MakeHouse, hamlet: Hamlet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a slow disk, both readers may have all bytes of a file that is not named yet: this is not an absence."""
    may_store, sync = threading.Event(), os.fsync

    def sync_late(descriptor: int) -> None:
        may_store.wait(10)
        sync(descriptor)

    one, two = await make_house(), await make_house()
    package = hamlet.edition.kept.path
    for path in (INRELEASE, PACKAGES):
        await one.get(AT, path, capture=BUILD)
    monkeypatch.setattr(os, "fsync", sync_late)
    reading = asyncio.gather(*(house.get(AT, package, capture=BUILD) for house in (one, two)))
    await asyncio.sleep(0.3)
    assert package not in await answers(one)
    may_store.set()
    data = content_of(hamlet.edition.kept)
    assert [(got.broke, got.data) for got in await reading] == [("", data.data)] * 2
    assert (await answers(two))[package] == data.sha256


async def test_a_closed_capture_answers_what_it_holds_and_takes_nothing_more(make_house: MakeHouse) -> None:
    recording, other = await make_house(), await make_house()
    first = await recording.get(AT, INRELEASE, capture=BUILD)
    await other.app.captures.close(BUILD)
    for house in (recording, other):
        assert (await house.get(AT, INRELEASE, capture=BUILD)).data == first.data
        got = await house.get(AT, PACKAGES, capture=BUILD)
        assert (got.status, got.refusal.reason) == (403, "The capture is closed and does not contain this file")
    assert set(await answers(recording)) == {INRELEASE}
    assert (await recording.app.captures.summary(BUILD)).is_closed
    await recording.app.captures.close(BUILD)  # harmless


async def test_a_removed_name_begins_anew_everywhere(make_house: MakeHouse) -> None:
    recording, other = await make_house(), await make_house()
    await recording.get(AT, INRELEASE, capture=BUILD)
    await other.app.captures.remove(BUILD)
    await recording.get(AT, RELEASE, capture=BUILD)
    assert set(await answers(other)) == {RELEASE}


async def test_a_renamed_capture_goes_on_under_its_new_name(make_house: MakeHouse) -> None:
    recording, other = await make_house(), await make_house()
    await recording.get(AT, INRELEASE, capture=BUILD)
    await other.app.captures.rename(BUILD, "kept")
    await recording.get(AT, RELEASE, capture="kept")
    assert set(await answers(other, "kept")) == {INRELEASE, RELEASE}
    await recording.get(AT, SIGNATURE, capture=BUILD)
    assert other.app.captures.names() == [BUILD, "kept"]
    with pytest.raises(ClientError, match="exists"):
        await other.app.captures.rename(BUILD, "kept")


@pytest.mark.parametrize("name", ["x", "", "A", "-a", "a/b", "a.snp-b", "a" * 64])
async def test_bad_names_are_refused(house: House, name: str) -> None:
    await house.get(AT, INRELEASE, capture=BUILD)
    with pytest.raises(ClientError, match="Invalid capture name"):
        await house.app.captures.rename(BUILD, name)


async def test_nothing_is_served_that_could_not_be_recorded(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    await house.get(AT, INRELEASE, capture=BUILD)

    def full(*_: object) -> None:
        raise OSError(28, "")

    monkeypatch.setattr("snapproxy_storage.journals.os.write", full)
    got = await house.get(AT, RELEASE, capture=BUILD)
    assert (got.status, got.refusal.reason) == (424, "The answer could not be recorded in the capture")


async def test_what_a_service_says_belongs_to_its_archive(house: House) -> None:
    got = await house.call("/mr/binary/kept/", capture=BUILD)
    assert got.status == 200
    (entry,) = (await record(house)).entries
    assert (entry.key, entry.sha256) == (("debian", "always", "/mr/binary/kept/"), got.served.digest)


async def test_the_solvers_of_a_capture_are_recorded_until_it_is_closed(house: House) -> None:
    await house.app.captures.add_solver(BUILD, "apt 2.6.1 (internal)")
    await house.app.captures.add_solver(BUILD, "apt 2.6.1 (internal)")
    await house.app.captures.close(BUILD)
    assert (await record(house)).solvers == {"apt 2.6.1 (internal)"}
    with pytest.raises(ClientError, match="closed"):
        await house.app.captures.add_solver(BUILD, "apt 3.0.3")
    with pytest.raises(ValueError, match="solver"):
        await house.app.captures.add_solver(BUILD, "two\nlines")


async def test_hosts_that_are_reached_unpinned_are_noted(house: House) -> None:
    for target in (PassTarget("git.example", 80, "/x", BUILD), TunnelTarget("git.example", 443, BUILD)):
        assert await house.app.answerer.passing(target) is None
    assert (await record(house)).unpinned == {"git.example"}
    await house.app.captures.close(BUILD)
    refusal = await house.app.answerer.passing(PassTarget("git.example", 80, "/x", BUILD))
    assert refusal is not None
    assert refusal.status == 403


class TestLive:
    """A live capture keeps the roots that it was served first."""

    @pytest.fixture
    def present(self, edition: object, tmp_path_factory: pytest.TempPathFactory) -> Present:
        present = Present(SigningKey(tmp_path_factory.mktemp("key") / "gnupg"))
        yield present  # type: ignore[misc]
        present.close()

    @pytest.fixture
    async def house(self, present: Present, tmp_path: Path) -> AsyncIterator[House]:
        async with House(tmp_path / "house", (present.row,)) as house:
            yield house

    async def test_a_publication_in_mid_build_changes_nothing(self, house: House, present: Present) -> None:
        old, package = present.tree, present.package
        root = await house.get("live", INRELEASE, capture=BUILD)
        present.publish(keeping=("by-hash", "pool/"))
        house.clock.leap(3600.0)  # type: ignore[attr-defined]
        assert (await house.get("live", INRELEASE)).data == present.tree.files[INRELEASE].data
        for path in (INRELEASE, PACKAGES, package):
            got = await house.get("live", path, capture=BUILD)
            assert (got.status, got.data) == (200, old.files[path].data), path
            assert got.served.requested == "live"
        assert root.data == old.files[INRELEASE].data
        entries = (await record(house)).entries
        assert {entry.requested for entry in entries} == {"live"}
        assert len({entry.snapshot for entry in entries}) == 1

    async def test_what_the_old_root_does_not_name_is_not_there(self, house: House, present: Present) -> None:
        for path in (INRELEASE, PACKAGES):
            await house.get("live", path, capture=BUILD)
        present.publish(keeping=("by-hash", "pool/"))
        house.clock.leap(3600.0)  # type: ignore[attr-defined]
        for path in (INRELEASE, PACKAGES):
            await house.get("live", path)
        assert (await house.get("live", present.package)).status == 200
        assert (await house.get("live", present.package, capture=BUILD)).status == 424


async def test_many_captures_need_few_descriptors_and_little_memory(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each capture kept a descriptor and its notes for the life of the process: 1,300 of them stopped everything."""
    monkeypatch.setattr("snapproxy.capture.captures.WRITERS_IN_MEMORY", 100)
    await house.get(AT, INRELEASE, capture="first")
    before = len(open_descriptors())
    for number in range(300):
        assert (await house.get(AT, INRELEASE, capture=f"build-{number}")).status == 200
    assert len(open_descriptors()) - before < 100
    assert len(house.app.captures._writers) <= 100
    assert (await house.get(AT, PACKAGES, capture="first")).status == 200
    for name in ("first", "build-0", "build-299"):
        assert INRELEASE in await answers(house, name)
    assert set(await answers(house, "first")) == {INRELEASE, PACKAGES}


async def test_the_notes_in_memory_are_bounded(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snapproxy.capture.captures.NOTES_IN_MEMORY", 10)
    for number in range(20):
        for path in (INRELEASE, PACKAGES):
            await house.get(AT, path, capture=f"build-{number}")
    writers = house.app.captures._writers.values()
    assert sum(len(writer.notes.entries) for _, writer in writers) <= 10 + 2, "the newest is never forgotten"
    assert set(await answers(house, "build-0")) == {INRELEASE, PACKAGES}


async def test_captures_beyond_the_limit_are_refused_and_the_others_continue(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(house.app.captures, "_most_open", 3)
    for number in range(3):
        assert (await house.get(AT, INRELEASE, capture=f"build-{number}")).status == 200
    refused = await house.get(AT, INRELEASE, capture="build-3")
    assert refused.status == 403
    assert "open_captures" in refused.refusal.why
    assert (await house.get(AT, PACKAGES, capture="build-0")).status == 200
    assert (await house.get(AT, INRELEASE)).status == 200
    await house.app.captures.close("build-1")
    assert (await house.get(AT, INRELEASE, capture="build-3")).status == 200
    assert (await house.get(AT, INRELEASE, capture="build-1")).status == 200, "a closed capture needs no room"
    assert (await house.get(AT, INRELEASE, capture="build-4")).status == 403


async def test_a_full_capture_is_refused(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snapproxy.capture.recorder.MOST_ENTRIES", 1)
    assert (await house.get(AT, INRELEASE, capture=BUILD)).status == 200
    refused = await house.get(AT, PACKAGES, capture=BUILD)
    assert (refused.status, refused.refusal.reason) == (400, "The capture is full")
    assert (await house.get(AT, INRELEASE, capture=BUILD)).status == 200


async def test_a_capture_that_another_process_closed_is_closed_here_without_its_descriptor(
    make_house: MakeHouse,
) -> None:
    one, other = await make_house(), await make_house()
    await one.get(AT, INRELEASE, capture=BUILD)
    journals = one.store.journals
    journals.close()  # type: ignore[attr-defined]  # as if many other captures had been used since
    await other.app.captures.close(BUILD)
    assert (await one.get(AT, PACKAGES, capture=BUILD)).status == 403
    assert (await one.get(AT, INRELEASE, capture=BUILD)).status == 200
    assert set(await answers(one)) == {INRELEASE}


async def test_a_file_that_is_evicted_before_it_is_recorded_is_fetched_again(house: House, hamlet: Hamlet) -> None:
    path = hamlet.edition.kept.path
    digest = content_of(hamlet.edition.kept).sha256
    await house.get(AT, INRELEASE)
    await house.get(AT, path)
    blobs: Any = house.store.blobs
    hold, evictions = blobs.hold, []

    def evicted_first() -> Any:
        if not evictions:
            evictions.append(asyncio.create_task(blobs.evict([digest], lambda: ())))
        return hold() if evictions[0].done() else None

    blobs.hold = evicted_first
    got = await house.get(AT, path, capture=BUILD)
    assert got.data == content_of(hamlet.edition.kept).data
    assert (await answers(house))[path] == digest
    assert blobs.size(digest) is not None
    assert evictions[0].result().digests == [digest]
