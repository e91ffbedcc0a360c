"""An artifact is served in place: with the same answers, without a store, and without damaged files."""

from __future__ import annotations

from pathlib import Path

import pytest

from snapproxy.errors import ArchiveDataError
from snapproxy.jobs.export import ExportOptions
from snapproxy.jobs.serve_artifact import replayed_from
from snapproxy.oci.places import LayoutPlace, TarPlace
from tests.fakes.hamlet import FIRST, INRELEASE, SECOND, Hamlet, later
from tests.fakes.house import House

AT = later(FIRST, 3600)
Local = LayoutPlace | TarPlace


async def export(house: House, place: Local, wish: ExportOptions | None = None) -> Local:
    await house.app.exporter.export(await house.app.captures.record("build"), place, wish or ExportOptions())
    return place


@pytest.fixture(params=["layout", "tar", "tagged", "bare"])
async def place(recorded: House, tmp_path: Path, request: pytest.FixtureRequest) -> Local:
    kinds: dict[str, Local] = {
        "layout": LayoutPlace(f"{tmp_path}/art"),
        "tar": TarPlace(f"{tmp_path}/art.tar"),
        "tagged": LayoutPlace(f"{tmp_path}/art", "v1"),
        "bare": TarPlace(f"{tmp_path}/art.tar"),
    }
    return await export(recorded, kinds[request.param], ExportOptions(bare=request.param == "bare"))


async def test_every_answer_is_what_it_was(
    recorded: House, hamlet: Hamlet, place: Local, asked: tuple[str, ...], tmp_path: Path
) -> None:
    hamlet.log.reset_counts()
    async with (
        replayed_from(place) as replayed,
        House(tmp_path / "none", (hamlet.row,), offline=True, replayed=replayed) as house,
    ):
        for path in asked:
            before = await recorded.get(AT, path, capture="build")
            for _ in range(2):
                got = await house.get(AT, path)
                assert (got.status, got.data) == (before.status, before.data), path
        missing = await house.get(SECOND, INRELEASE)
        assert missing.status == 424
        assert missing.refusal.why.startswith(f"The artifact {place} has no {INRELEASE}")
    assert list(hamlet.log.entries) == []


async def test_its_word_for_a_signature_is_not_taken(recorded: House, hamlet: Hamlet, tmp_path: Path) -> None:
    place = await export(recorded, LayoutPlace(f"{tmp_path}/art"))
    assert (await recorded.get(AT, INRELEASE, capture="build")).proof == "gpg"
    async with (
        replayed_from(place) as replayed,
        House(tmp_path / "none", (hamlet.row,), offline=True, replayed=replayed) as house,
    ):
        assert (await house.get(AT, INRELEASE)).proof == "digest"


@pytest.mark.parametrize("harm", ["damaged", "missing"])
async def test_what_is_not_whole_is_not_served(recorded: House, hamlet: Hamlet, tmp_path: Path, harm: str) -> None:
    place = await export(recorded, LayoutPlace(f"{tmp_path}/art"))
    content = hamlet.content(INRELEASE)
    blob = tmp_path / "art/blobs/sha256" / content.sha256
    blob.unlink()
    if harm == "damaged":
        blob.write_bytes(content.data[:-1] + b"!")
    async with (
        replayed_from(place) as replayed,
        House(tmp_path / "none", (hamlet.row,), offline=True, replayed=replayed) as house,
    ):
        got = await house.get(AT, INRELEASE)
        assert (got.status, got.data) == (424, b"")
        assert got.refusal.reason == f"A blob of the artifact is {harm}"


@pytest.mark.parametrize("by", ["writing", "replacing"])
async def test_what_was_whole_once_is_read_again_when_it_was_touched(
    recorded: House, hamlet: Hamlet, tmp_path: Path, by: str
) -> None:
    place = await export(recorded, LayoutPlace(f"{tmp_path}/art"))
    content = hamlet.content(INRELEASE)
    blob, other = tmp_path / "art/blobs/sha256" / content.sha256, content.data[:-1] + b"!"
    async with (
        replayed_from(place) as replayed,
        House(tmp_path / "none", (hamlet.row,), offline=True, replayed=replayed) as house,
    ):
        assert (await house.get(AT, INRELEASE)).status == 200
        if by == "replacing":
            blob.unlink()
        blob.write_bytes(other)
        assert (await house.get(AT, INRELEASE)).status == 424
        blob.write_bytes(content.data)
        assert (await house.get(AT, INRELEASE)).data == content.data


async def test_an_artifact_without_its_index_is_told(recorded: House, tmp_path: Path) -> None:
    place = await export(recorded, LayoutPlace(f"{tmp_path}/art"))
    (tmp_path / "art/index.json").unlink()
    with pytest.raises(ArchiveDataError):
        async with replayed_from(place):
            pass


async def test_of_an_absence_nothing_is_claimed_either(recorded: House, tmp_path: Path) -> None:
    place = await export(recorded, LayoutPlace(f"{tmp_path}/art"))
    async with replayed_from(place) as replayed:
        assert {entry.proof.word for entry in replayed.record.entries} <= {"digest", "none"}
