"""Local observations are exported and imported with their times.

The cases: archives without snapshots, Alpine's weak digests, live captures, detached signatures.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from snapproxy.core.model import Archive
from snapproxy.core.time_spec import format_instant
from snapproxy.jobs.export import ExportOptions, RegistryAccess
from snapproxy.jobs.import_artifact import Imported
from snapproxy.oci.places import read_place
from tests.fakes.alpine import RsaKey, package, repository
from tests.fakes.archive_server import ArchiveServer
from tests.fakes.content import Timeline, epoch
from tests.fakes.hamlet import INRELEASE, PACKAGES, RELEASE, SIGNATURE, Edition
from tests.fakes.house import PATIENT, House
from tests.fakes.present import Present
from tests.fakes.services import MirrorService

HOUR = 3600.0
FOLDER = "v3.99/main/x86_64"
ROOT = f"{FOLDER}/APKINDEX.tar.gz"
KEY = RsaKey("test@example.org-1.rsa.pub", bits=1024)
HELLO = package("hello", "1-r0", KEY)


async def carry(house: House, other: House, folder: Path) -> Imported:
    """Export the capture `build`, and import it elsewhere."""
    place = read_place(f"oci:{folder}/art")
    await house.app.exporter.export(await house.app.captures.record("build"), place, ExportOptions())
    return await other.app.importer.import_capture(place, "build", RegistryAccess())


async def test_a_vendors_archive_at_a_time_that_was_observed(vendor: House, present: Present, tmp_path: Path) -> None:
    old, paths = present.tree, (INRELEASE, PACKAGES, present.package)
    for path in paths:
        await vendor.get("live", path)
    vendor.clock.leap(HOUR)
    await vendor.get("live", INRELEASE)
    span, _ = vendor.store.catalog.around(f"root/vendor/{INRELEASE}", int(vendor.clock.now()))
    assert span is not None
    when = format_instant(span.last)
    for path in paths:
        assert (await vendor.get(when, path, capture="build")).status == 200
    async with House(tmp_path / "other", vendor.rows, clock=vendor.clock, offline=True) as other:
        imported = await carry(vendor, other, tmp_path)
        assert (imported.roots, imported.checked, imported.doubts) == (1, 1, ())
        for path in paths:
            got = await other.get(when, path)
            assert (got.status, got.data, got.proof) == (200, old.files[path].data, "gpg"), path
        assert (await other.get(format_instant(span.last + 1), INRELEASE)).status == 425


async def test_a_live_capture_replays_and_its_root_is_known_by_when_it_was_seen(
    vendor: House, present: Present, tmp_path: Path
) -> None:
    old = present.tree
    for path in (INRELEASE, PACKAGES):
        await vendor.get("live", path, capture="build")
    present.publish()
    async with House(tmp_path / "other", vendor.rows, clock=vendor.clock, offline=True) as other:
        imported = await carry(vendor, other, tmp_path)
        assert (imported.roots, imported.checked) == (1, 1)
        for path in (INRELEASE, PACKAGES):
            assert (await other.get("live", path, capture="build")).data == old.files[path].data
        (root,) = [e for e in (await other.app.captures.record("build")).entries if e.path == INRELEASE]
        assert (await other.get(root.snapshot, PACKAGES)).data == old.files[PACKAGES].data


async def test_a_root_with_a_detached_signature_is_checked_with_it(
    vendor: House, present: Present, tmp_path: Path
) -> None:
    for path in (RELEASE, SIGNATURE, PACKAGES):
        assert (await vendor.get("live", path, capture="build")).status == 200
    async with House(tmp_path / "other", vendor.rows, clock=vendor.clock, offline=True) as other:
        imported = await carry(vendor, other, tmp_path)
        assert (imported.roots, imported.checked) == (1, 1), imported
        proofs = {e.path: e.proof.word for e in (await other.app.captures.record("build")).entries}
        assert (proofs[RELEASE], proofs[PACKAGES]) == ("gpg", "gpg")


async def test_a_release_whose_signature_was_not_recorded_is_not_believed(
    vendor: House, present: Present, tmp_path: Path
) -> None:
    for path in (RELEASE, PACKAGES):
        assert (await vendor.get("live", path, capture="build")).status == 200
    async with House(tmp_path / "other", vendor.rows, clock=vendor.clock, offline=True) as other:
        imported = await carry(vendor, other, tmp_path)
        assert (imported.roots, imported.checked, len(imported.doubts)) == (1, 0, 1)
        assert {e.proof.word for e in (await other.app.captures.record("build")).entries} == {"none"}


async def test_the_absence_of_another_form_of_a_root_is_carried(edition: Edition, tmp_path: Path) -> None:
    present = Present(edition.key, has_inrelease=False)
    paths = (INRELEASE, RELEASE, SIGNATURE, PACKAGES)
    try:
        async with House(tmp_path / "one", (present.vendor,), timeouts=PATIENT) as one:
            live = [(await one.get("live", path, capture="build")).status for path in paths]
            (root,) = [e for e in (await one.app.captures.record("build")).entries if e.path == RELEASE]
            async with House(tmp_path / "other", (present.vendor,), clock=one.clock, offline=True) as other:
                await carry(one, other, tmp_path)
                assert [(await other.get("live", path, capture="build")).status for path in paths] == live
                assert [(await other.get(root.snapshot, path)).status for path in paths] == live == [404, 200, 200, 200]
    finally:
        present.close()


@pytest.fixture
def alpine(tmp_path: Path) -> Iterator[Archive]:
    """An archive like Alpine's, and its mirror."""
    keys = KEY.write(tmp_path / "keys").parent
    shown = Timeline()
    shown.publish("20240601T000000Z", repository([HELLO], KEY, folder=FOLDER, modified=epoch("20240601T000000Z")))
    with ArchiveServer(MirrorService({"alpine": shown}), name="mirror", address="127.0.0.6") as server:
        yield Archive("alpine", "apk", "captured", mirrors=(f"{server.url}/alpine",), keyrings=(str(keys),))


async def test_packages_of_a_weak_digest_are_found_again_by_it(alpine: Archive, tmp_path: Path) -> None:
    path = f"{FOLDER}/{HELLO.file}"
    async with House(tmp_path / "one", (alpine,), timeouts=PATIENT) as one:
        for each in (ROOT, path):
            assert (await one.get("live", each, capture="build")).status == 200
        (root,) = [e for e in (await one.app.captures.record("build")).entries if e.path == ROOT]
        async with House(tmp_path / "other", (alpine,), clock=one.clock, offline=True) as other:
            imported = await carry(one, other, tmp_path)
            assert (imported.roots, imported.checked) == (1, 1)
            for capture in ("", "build"):
                got = await other.get(root.snapshot if not capture else "live", path, capture=capture)
                assert (got.status, got.data, got.proof) == (200, HELLO.whole, "gpg")
