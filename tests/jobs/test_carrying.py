"""A capture is exported from one store, imported into another, and replayed there without network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from snapproxy.core.model import Proof
from snapproxy.core.time_spec import format_instant
from snapproxy.errors import ArchiveDataError, ClientError, StorageError
from snapproxy.jobs.export import ExportOptions, RegistryAccess
from snapproxy.oci.places import Place, read_place
from tests.fakes.content import epoch
from tests.fakes.hamlet import FIRST, INRELEASE, Hamlet, later
from tests.fakes.house import House

AT = later(FIRST, 3600)


async def export(house: House, place: str | Place, wish: ExportOptions | None = None) -> str:
    record = await house.app.captures.record("build")
    place = read_place(place) if isinstance(place, str) else place
    return (await house.app.exporter.export(record, place, wish or ExportOptions())).digest


@pytest.mark.parametrize("kind", ["oci:{}/art", "oci-archive:{}/art.tar", "oci:{}/art:v1"])
async def test_what_was_recorded_is_answered_elsewhere_with_no_network(
    recorded: House, elsewhere: House, asked: tuple[str, ...], tmp_path: Path, kind: str
) -> None:
    place = read_place(kind.format(tmp_path))
    digest = await export(recorded, place)
    imported = await elsewhere.app.importer.import_capture(place, "copy", RegistryAccess())
    assert (imported.digest, imported.files, imported.new) == (digest, 5, 5)
    assert (imported.roots, imported.checked, imported.doubts) == (1, 1, ())
    for path in asked:
        before = await recorded.get(AT, path, capture="build")
        got = await elsewhere.get(AT, path, capture="copy")
        plain = await elsewhere.get(AT, path)
        assert (got.status, got.data) == (plain.status, plain.data) == (before.status, before.data), path
        if got.status == 200:
            assert got.proof == plain.proof == before.proof, path


async def test_the_restored_capture_is_the_same_record_and_closed(
    recorded: House, elsewhere: House, tmp_path: Path
) -> None:
    place = f"oci:{tmp_path}/art"
    await recorded.app.captures.add_solver("build", "apt 2.6.1 (internal)")
    digest = await export(recorded, place)
    await elsewhere.app.importer.import_capture(read_place(place), "build", RegistryAccess())
    assert await elsewhere.app.captures.record("build") == await recorded.app.captures.record("build")
    assert (await elsewhere.app.captures.record("build")).solvers == {"apt 2.6.1 (internal)"}
    assert (await elsewhere.app.captures.summary("build")).is_closed
    assert await export(elsewhere, f"oci:{tmp_path}/again") == digest


@pytest.mark.parametrize("is_old", [False, True])
async def test_the_recorded_times_hold_elsewhere_and_nothing_beyond_them(
    recorded: House, elsewhere: House, tmp_path: Path, *, is_old: bool
) -> None:
    """They are the snapshot and the requested time; a record of an earlier version has a wider span."""
    record = await recorded.app.captures.record("build")
    assert record.valid == {}
    first, last = epoch(FIRST) - 60 * is_old, epoch(AT) + 60 * is_old
    old = replace(record, valid={("debian", AT): (first, last)} if is_old else {})
    first = max(first, epoch(FIRST))
    await recorded.app.exporter.export(old, read_place(f"oci:{tmp_path}/art"), ExportOptions())
    await elsewhere.app.importer.import_capture(read_place(f"oci:{tmp_path}/art"), "copy", RegistryAccess())
    for instant, status in ((first, 200), (last, 200), (first - 1, 424), (last + 1, 424)):
        assert (await elsewhere.get(format_instant(instant), INRELEASE)).status == status, format_instant(instant)


async def test_without_our_own_good_check_of_the_signature_no_proof_is_believed(
    recorded: House, hamlet: Hamlet, other_key: Path, tmp_path: Path
) -> None:
    place = read_place(f"oci:{tmp_path}/art")
    await export(recorded, place)
    row = replace(hamlet.row, keyrings=(str(other_key),))
    async with House(tmp_path / "strict", (row,), offline=True) as strict:
        imported = await strict.app.importer.import_capture(place, "copy", RegistryAccess())
        assert (imported.roots, imported.checked, len(imported.doubts)) == (1, 0, 1)
        record = await strict.app.captures.record("copy")
        assert {entry.proof for entry in record.entries} == {Proof.NONE}
        assert (await strict.get(AT, INRELEASE, capture="copy")).status == 200
        assert (await strict.get(AT, INRELEASE)).status == 424, "a root of nobody's must not answer for the archive"


async def test_where_nobody_checks_signatures_the_proof_is_that_of_an_index(
    recorded: House, hamlet: Hamlet, tmp_path: Path
) -> None:
    place = read_place(f"oci:{tmp_path}/art")
    await export(recorded, place)
    row = replace(hamlet.row, keyrings=())
    async with House(tmp_path / "lax", (row,), offline=True) as lax:
        await lax.app.importer.import_capture(place, "copy", RegistryAccess())
        proofs = {e.path: e.proof for e in (await lax.app.captures.record("copy")).entries if not e.is_absence}
        assert proofs.pop(INRELEASE) is Proof.NONE
        assert set(proofs.values()) == {Proof.INDEX}
        assert (await lax.get(AT, INRELEASE)).status == 200


async def test_what_was_seen_here_is_not_contradicted_by_an_artifact(
    recorded: House, hamlet: Hamlet, tmp_path: Path
) -> None:
    place = read_place(f"oci:{tmp_path}/art")
    await export(recorded, place)
    async with House(tmp_path / "knowing", (hamlet.row,), offline=True) as knowing:
        other = "ab" * 32
        await knowing.store.catalog.observe(f"root/debian/{INRELEASE}", epoch(AT), other)
        imported = await knowing.app.importer.import_capture(place, "copy", RegistryAccess())
        assert "recorded times were not accepted: another state was observed here between" in imported.doubts[0]
        assert imported.times == 0
        before, _ = knowing.store.catalog.around(f"root/debian/{INRELEASE}", epoch(AT) + 60)
        assert before is not None
        assert before.value == other


async def test_an_artifact_cannot_speak_of_a_time_before_its_root_was_made(
    recorded: House, elsewhere: House, tmp_path: Path
) -> None:
    record = await recorded.app.captures.record("build")
    entries = tuple(
        replace(entry, snapshot="20200101T000000Z", requested="20200101T000000Z") for entry in record.entries
    )
    span = {("debian", "20200101T000000Z"): (epoch("20200101T000000Z"), epoch(AT))}
    lie = replace(record, entries=entries, valid=span)
    place = read_place(f"oci:{tmp_path}/art")
    await recorded.app.exporter.export(lie, place, ExportOptions())
    imported = await elsewhere.app.importer.import_capture(place, "copy", RegistryAccess())
    assert "is dated 20240601T000000Z, after the time it is for" in imported.doubts[0]
    assert (await elsewhere.get("20210101T000000Z", INRELEASE)).status == 424


@pytest.mark.parametrize(
    ("time", "reason"),
    [
        ("20200101T000000Z", "Upstream's root is dated 20240601T000000Z, after the time it is for"),
        ("20990101T000000Z", "the first, 20990101T000000Z, is later than the clock of this machine"),
        ("2024/06/01", "the record names no instant for it"),
    ],
)
async def test_an_import_without_a_time_says_why(
    recorded: House, elsewhere: House, tmp_path: Path, time: str, reason: str
) -> None:
    record = await recorded.app.captures.record("build")
    entries = tuple(replace(entry, snapshot=time, requested=time) for entry in record.entries)
    place = read_place(f"oci:{tmp_path}/art")
    await recorded.app.exporter.export(replace(record, entries=entries), place, ExportOptions())
    imported = await elsewhere.app.importer.import_capture(place, "copy", RegistryAccess())
    assert imported.times == 0
    assert reason in imported.doubts[0]


async def test_an_import_without_a_root_says_so(recorded: House, elsewhere: House, tmp_path: Path) -> None:
    record = await recorded.app.captures.record("build")
    packages = tuple(entry for entry in record.entries if entry.path.endswith(".deb"))
    place = read_place(f"oci:{tmp_path}/art")
    await recorded.app.exporter.export(replace(record, entries=packages), place, ExportOptions())
    imported = await elsewhere.app.importer.import_capture(place, "copy", RegistryAccess())
    assert (imported.times, len(imported.doubts)) == (0, 1)
    assert "no root" in imported.doubts[0]


async def test_a_name_that_is_taken_or_none_is_refused_before_anything_is_read(
    elsewhere: House, recorded: House
) -> None:
    nowhere = read_place("oci:/nonexistent")
    with pytest.raises(ClientError, match="A capture of that name exists already"):
        await recorded.app.importer.import_capture(nowhere, "build", RegistryAccess())
    with pytest.raises(ClientError, match="Invalid capture name"):
        await elsewhere.app.importer.import_capture(nowhere, "Not/A/Name", RegistryAccess())


async def test_an_archive_that_is_not_known_here_is_named(recorded: House, hamlet: Hamlet, tmp_path: Path) -> None:
    place = read_place(f"oci:{tmp_path}/art")
    await export(recorded, place)
    async with House(tmp_path / "other", (replace(hamlet.row, name="other"),), offline=True) as other:
        with pytest.raises(ClientError, match="files of unknown archives"):
            await other.app.importer.import_capture(place, "copy", RegistryAccess())
        assert list(other.store.blobs.digests()) == []


async def test_what_the_other_side_has_is_left_out_and_the_artifact_is_the_same(
    recorded: House, elsewhere: House, tmp_path: Path
) -> None:
    digest = await export(recorded, f"oci:{tmp_path}/whole")
    await elsewhere.app.importer.import_capture(read_place(f"oci:{tmp_path}/whole"), "first", RegistryAccess())
    record = await recorded.app.captures.record("build")
    thin = read_place(f"oci-archive:{tmp_path}/thin.tar")
    assert await export(recorded, thin, ExportOptions(known=record)) == digest
    assert (tmp_path / "thin.tar").stat().st_size < 40_000
    imported = await elsewhere.app.importer.import_capture(thin, "second", RegistryAccess())
    assert (imported.files, imported.new) == (5, 0)
    async with House(tmp_path / "poor", recorded.rows, offline=True) as poor:
        with pytest.raises(ArchiveDataError, match="missing"):
            await poor.app.importer.import_capture(thin, "third", RegistryAccess())
        assert poor.app.captures.names() == []


async def test_bytes_that_left_the_store_are_named_before_anything_is_written(
    recorded: House, hamlet: Hamlet, tmp_path: Path
) -> None:
    recorded.evict(hamlet.content(INRELEASE).sha256)
    for place in ("oci:{}/art", "oci-archive:{}/art.tar", "dir:{}/tree"):
        with pytest.raises(StorageError, match=hamlet.content(INRELEASE).sha256):
            await export(recorded, place.format(tmp_path))
    assert [each.name for each in tmp_path.iterdir()] == ["recorded"]
