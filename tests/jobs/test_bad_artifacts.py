"""Refused imports name nothing in the store; interrupted exports leave no files."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from snapproxy.errors import ArchiveDataError, RecordError, SnapproxyError, StorageError
from snapproxy.jobs.export import ExportOptions, RegistryAccess
from snapproxy.oci.places import read_place
from snapproxy_storage import Writing
from tests.fakes.hamlet import FIRST, INRELEASE, Hamlet, later
from tests.fakes.house import House

AT = later(FIRST, 3600)
Manifest = dict[str, Any]


class Layout:
    """An exported layout that the test alters."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        index = json.loads((folder / "index.json").read_bytes())
        self.manifest: Manifest = json.loads(self.blob(index["manifests"][0]["digest"]).read_bytes())

    def blob(self, digest: str) -> Path:
        return self.folder / "blobs" / digest.replace(":", "/")

    def put(self, data: bytes) -> tuple[str, int]:
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        self.blob(digest).write_bytes(data)
        return digest, len(data)

    def write(self) -> None:
        """Write the altered manifest under the only name in the layout."""
        digest, size = self.put(json.dumps(self.manifest).encode())
        entry = {"mediaType": self.manifest["mediaType"], "digest": digest, "size": size}
        index = {"schemaVersion": 2, "manifests": [entry]}
        (self.folder / "index.json").write_text(json.dumps(index))

    def relock(self, change: Callable[[dict[str, Any]], None]) -> None:
        """Change the lock, and the manifest accordingly."""
        layer = self.manifest["layers"][0]
        lock = json.loads(self.blob(layer["digest"]).read_bytes())
        change(lock)
        layer["digest"], layer["size"] = self.put(json.dumps(lock).encode())
        self.write()


@pytest.fixture
async def layout(recorded: House, tmp_path: Path) -> Layout:
    record = await recorded.app.captures.record("build")
    await recorded.app.exporter.export(record, read_place(f"oci:{tmp_path}/art"), ExportOptions())
    return Layout(tmp_path / "art")


async def refused(house: House, layout: Layout, kind: type[SnapproxyError], words: str) -> None:
    with pytest.raises(kind, match=words):
        await house.app.importer.import_capture(read_place(f"oci:{layout.folder}"), "copy", RegistryAccess())
    assert house.app.captures.names() == []
    assert house.store.catalog.names(f"debian/{FIRST}") == []
    assert (await house.get(AT, INRELEASE)).status == 424


async def test_a_blob_that_is_missing(layout: Layout, elsewhere: House) -> None:
    layout.blob(layout.manifest["layers"][-1]["digest"]).unlink()
    await refused(elsewhere, layout, ArchiveDataError, "is missing")


async def test_a_blob_with_another_byte_is_not_kept_and_a_whole_one_is_taken_then(
    layout: Layout, elsewhere: House
) -> None:
    blob = layout.blob(layout.manifest["layers"][-1]["digest"])
    good = blob.read_bytes()
    blob.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    await refused(elsewhere, layout, ArchiveDataError, "damaged")
    assert blob.name not in list(elsewhere.store.blobs.digests())
    blob.write_bytes(good)
    imported = await elsewhere.app.importer.import_capture(read_place(f"oci:{layout.folder}"), "copy", RegistryAccess())
    assert imported.files == 5


async def test_a_blob_of_another_length(layout: Layout, elsewhere: House) -> None:
    blob = layout.blob(layout.manifest["layers"][-1]["digest"])
    blob.write_bytes(blob.read_bytes()[:-1])
    await refused(elsewhere, layout, ArchiveDataError, "damaged")


@pytest.mark.parametrize(
    ("title", "words"),
    [("../../etc/passwd", "do not fit"), ("/etc/passwd", "do not fit"), ("snapproxy.lock.json", "is repeated")],
)
async def test_a_title_that_escapes_or_repeats(layout: Layout, elsewhere: House, title: str, words: str) -> None:
    layout.manifest["layers"][1]["annotations"]["org.opencontainers.image.title"] = title
    layout.write()
    await refused(elsewhere, layout, RecordError, words)


async def test_a_digest_of_an_algorithm_we_do_not_trust(layout: Layout, elsewhere: House) -> None:
    layout.manifest["layers"][1]["digest"] = "md5:" + "0" * 32
    layout.write()
    await refused(elsewhere, layout, ArchiveDataError, "by an unsupported digest")


async def test_a_manifest_over_four_mebibytes(layout: Layout, elsewhere: House) -> None:
    layout.manifest["annotations"] = {"filler": "x" * (4 << 20)}
    layout.write()
    await refused(elsewhere, layout, ArchiveDataError, "exceeds the limit|longer than")


async def test_a_lock_of_a_future_schema(layout: Layout, elsewhere: House) -> None:
    layout.relock(lambda lock: lock.update(schema=2))
    await refused(elsewhere, layout, RecordError, "newer snapproxy")


async def test_a_lock_that_names_what_no_layer_holds(layout: Layout, elsewhere: House) -> None:
    layout.relock(lambda lock: lock["files"][0].update(sha256="0" * 64))
    await refused(elsewhere, layout, RecordError, "No layer has")


async def test_two_locks_or_none(layout: Layout, elsewhere: House) -> None:
    lock = layout.manifest["layers"].pop(0)
    layout.write()
    await refused(elsewhere, layout, RecordError, "does not contain exactly one lock")
    digest, size = layout.put(b"{}")
    second = lock | {"digest": digest, "size": size, "annotations": {}}
    layout.manifest["layers"] += [lock, second]
    layout.write()
    await refused(elsewhere, layout, RecordError, "does not contain exactly one lock")


async def test_something_else_than_a_capture(layout: Layout, elsewhere: House) -> None:
    layout.manifest["artifactType"] = "application/vnd.example.other"
    layout.write()
    await refused(elsewhere, layout, RecordError, "Not an artifact of a capture")


async def test_what_is_not_known_is_ignored(layout: Layout, elsewhere: House) -> None:
    digest, size = layout.put(b"news")
    layout.manifest["layers"].append({"mediaType": "application/x-news", "digest": digest, "size": size, "news": 1})
    layout.manifest["news"] = {"a": 1}
    layout.write()
    imported = await elsewhere.app.importer.import_capture(read_place(f"oci:{layout.folder}"), "copy", RegistryAccess())
    assert imported.files == 5
    assert digest.removeprefix("sha256:") not in list(elsewhere.store.blobs.digests())


async def test_proofs_are_not_taken_from_the_lock(layout: Layout, elsewhere: House, hamlet: Hamlet) -> None:
    """Files that the signed index does not list have no proof, whatever the lock states."""
    forged = hashlib.sha256(b"forged").hexdigest()

    def forge(lock: dict[str, Any]) -> None:
        for each in lock["files"]:
            if each["path"] == hamlet.edition.kept.path:
                each.update(sha256=forged, size=6, proof="gpg")

    digest, size = layout.put(b"forged")
    layout.manifest["layers"].append({"mediaType": "application/octet-stream", "digest": digest, "size": size})
    layout.relock(forge)
    await elsewhere.app.importer.import_capture(read_place(f"oci:{layout.folder}"), "copy", RegistryAccess())
    proofs = {entry.path: entry.proof.word for entry in (await elsewhere.app.captures.record("copy")).entries}
    assert proofs[hamlet.edition.kept.path] == "none"
    assert proofs[hamlet.edition.old.path] == "gpg"
    assert (await elsewhere.get(AT, hamlet.edition.kept.path)).data != b"forged", "the plain view follows the index"


async def test_a_full_disk_leaves_nothing_named_and_what_fits_is_kept_for_the_next_try(
    layout: Layout, recorded: House, tiny_disk: Callable[[str], Path]
) -> None:
    place = read_place(f"oci:{layout.folder}")
    disk = tiny_disk("700k")
    async with House(disk, recorded.rows, offline=True) as full:
        with pytest.raises(StorageError, match="The disk is full"):
            await full.app.importer.import_capture(place, "copy", RegistryAccess())
        assert full.app.captures.names() == []
        assert full.store.catalog.names(f"debian/{FIRST}") == []


async def test_an_import_that_is_cut_off_goes_on_where_it_was(
    layout: Layout, elsewhere: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = read_place(f"oci:{layout.folder}")
    biggest = max(layout.manifest["layers"], key=lambda each: each["size"])
    blob = layout.blob(biggest["digest"])
    good = blob.read_bytes()
    blob.unlink()
    with pytest.raises(ArchiveDataError, match="missing"):
        await elsewhere.app.importer.import_capture(place, "copy", RegistryAccess())
    blob.write_bytes(good)
    begun = elsewhere.store.drafts.begin(biggest["digest"])
    assert isinstance(begun, Writing)
    await begun.draft.rehash()
    await begun.draft.write(good[:100_000])
    await begun.draft.abandon("cut off", keep=True)
    imported = await elsewhere.app.importer.import_capture(place, "copy", RegistryAccess())
    assert imported.files == 5
    assert elsewhere.drafts == []


async def test_what_an_earlier_attempt_left_may_be_wrong(layout: Layout, elsewhere: House) -> None:
    biggest = max(layout.manifest["layers"], key=lambda each: each["size"])
    begun = elsewhere.store.drafts.begin(biggest["digest"])
    assert isinstance(begun, Writing)
    await begun.draft.rehash()
    await begun.draft.write(b"x" * 100_000)
    await begun.draft.abandon("cut off", keep=True)
    await elsewhere.app.importer.import_capture(read_place(f"oci:{layout.folder}"), "copy", RegistryAccess())
    assert elsewhere.drafts == []


@pytest.mark.parametrize("place", ["oci:{}/out", "oci-archive:{}/out.tar", "dir:{}/out"])
async def test_an_export_that_is_interrupted_leaves_nothing(recorded: House, tmp_path: Path, place: str) -> None:
    record = await recorded.app.captures.record("build")
    out = tmp_path / "out"
    out.mkdir()
    reported = asyncio.Event()

    class Watching:
        def advance(self, path: str, done: int, total: int | None) -> None:
            reported.set()

        def finish(self, path: str) -> None:
            pass

    target = read_place(place.format(out))
    task = asyncio.create_task(recorded.app.exporter.export(record, target, ExportOptions(), Watching()))
    await reported.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert list(out.iterdir()) == []
