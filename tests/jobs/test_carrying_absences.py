"""Absences of an imported capture are valid offline for all requests.

The exceptions are files that an index lists, and archives whose roots were not accepted.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from snapproxy.jobs.export import ExportOptions, RegistryAccess
from snapproxy.oci.places import read_place
from tests.fakes.hamlet import FIRST, INRELEASE, PACKAGES, Hamlet, later
from tests.fakes.house import House

AT = later(FIRST, 3600)
ABSENT = "dists/stable/main/notes.txt"
NEVER_ASKED = "dists/stable/main/more-notes.txt"


@pytest.fixture
def asked() -> tuple[str, ...]:
    return (INRELEASE, PACKAGES, ABSENT)


async def test_it_is_a_404_without_the_name_of_the_capture_and_what_is_merely_missing_a_424(
    recorded: House, hamlet: Hamlet, tmp_path: Path
) -> None:
    await recorded.app.captures.close("build")
    async with House(tmp_path / "recorded", (hamlet.row,), offline=True) as offline:
        got = await offline.get(AT, ABSENT)
        assert (got.status, got.refusal.headers["X-Snapproxy-Snapshot"]) == (404, f"debian/{FIRST}")
        assert got.refusal.why == f"A capture recorded that debian/{FIRST} has no {ABSENT}."
        missing = await offline.get(AT, NEVER_ASKED)
        assert (missing.status, missing.refusal.why) == (424, f"The missing file is {NEVER_ASKED} of debian/{FIRST}.")


async def test_it_is_so_at_every_time_that_the_snapshot_answers_for(
    recorded: House, hamlet: Hamlet, tmp_path: Path
) -> None:
    await recorded.app.captures.close("build")
    async with House(tmp_path / "recorded", (hamlet.row,), offline=True) as offline:
        assert (await offline.get(later(FIRST, 7200), ABSENT)).status == 404


async def test_a_capture_that_is_still_recorded_into_speaks_for_itself_alone(
    recorded: House, hamlet: Hamlet, tmp_path: Path
) -> None:
    async with House(tmp_path / "recorded", (hamlet.row,), offline=True) as offline:
        assert (await offline.get(AT, ABSENT, capture="build")).status == 404
        assert (await offline.get(AT, ABSENT)).status == 424


async def test_who_can_ask_the_archive_asks_it(recorded: House, hamlet: Hamlet, tmp_path: Path) -> None:
    await recorded.app.captures.close("build")
    hamlet.place(ABSENT, hamlet.content(INRELEASE))
    recorded.clock.leap(3600.0)  # type: ignore[attr-defined] # the ten minutes for which an absence is believed
    assert (await recorded.get(AT, ABSENT)).status == 200


async def test_what_the_index_promises_is_not_missing_because_an_artifact_says_so(
    recorded: House, elsewhere: House, hamlet: Hamlet, tmp_path: Path
) -> None:
    record = await recorded.app.captures.record("build")
    absence = next(entry for entry in record.entries if entry.is_absence)
    package = replace(absence, path=hamlet.edition.kept.path)
    lie = replace(record, entries=tuple(sorted((*record.entries, package), key=lambda entry: entry.key)))
    place = read_place(f"oci:{tmp_path}/art")
    await recorded.app.exporter.export(lie, place, ExportOptions())
    await elsewhere.app.importer.import_capture(place, "copy", RegistryAccess())
    assert (await elsewhere.get(AT, package.path, capture="copy")).status == 404
    assert (await elsewhere.get(AT, package.path)).status == 424


async def test_an_artifact_whose_root_nobody_vouches_for_says_nothing_of_the_archive(
    recorded: House, hamlet: Hamlet, other_key: Path, tmp_path: Path
) -> None:
    place = read_place(f"oci:{tmp_path}/art")
    await recorded.app.exporter.export(await recorded.app.captures.record("build"), place, ExportOptions())
    row = replace(hamlet.row, keyrings=(str(other_key),))
    async with House(tmp_path / "strict", (row,), offline=True) as strict:
        await strict.app.importer.import_capture(place, "copy", RegistryAccess())
        assert (await strict.get(AT, ABSENT, capture="copy")).status == 404
        assert (await strict.get(AT, ABSENT)).status == 424
        space = f"absent:debian/{FIRST}"
        assert strict.store.catalog.name(space, ABSENT) is None
