"""`dir:PATH`: a plain folder of files, complete or not written, and independent of the store."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from snapproxy.capture.lock_reader import decode
from snapproxy.errors import ClientError
from snapproxy.jobs.export import Exported, ExportOptions
from snapproxy.oci.places import read_place
from tests.fakes.content import epoch
from tests.fakes.hamlet import FIRST, INRELEASE, SECOND, SUITE, Hamlet, later
from tests.fakes.house import House
from tests.fakes.publisher import Publisher, SuitePlan

AT = later(FIRST, 3600)


async def export(house: House, place: str, wish: ExportOptions | None = None) -> Exported:
    record = await house.app.captures.record("build")
    return await house.app.exporter.export(record, read_place(place), wish or ExportOptions())


async def test_the_tree_holds_what_was_served_and_its_sums_are_right(
    recorded: House, hamlet: Hamlet, asked: tuple[str, ...], tmp_path: Path
) -> None:
    await export(recorded, f"dir:{tmp_path}/tree")
    tree = tmp_path / "tree"
    subprocess.run(["sha256sum", "-c", "--strict", "--quiet", "SHA256SUMS"], cwd=tree, check=True)
    for path in asked[:-1]:
        assert (tree / "debian" / AT / path).read_bytes() == hamlet.content(path).data
    assert not (tree / "debian" / AT / asked[-1]).exists(), "an absence is no file"
    assert decode((tree / "snapproxy.lock.json").read_bytes()) == await recorded.app.captures.record("build")


async def test_an_edit_outside_does_not_reach_the_store(recorded: House, hamlet: Hamlet, tmp_path: Path) -> None:
    for place in ("dir:{}/tree", "oci:{}/art"):
        await export(recorded, place.format(tmp_path))
    for folder in (tmp_path / "tree", tmp_path / "art"):
        for file in (each for each in folder.rglob("*") if each.is_file()):
            assert file.stat().st_nlink == 1, file
            file.write_bytes(b"edited")
    assert (await recorded.get(AT, INRELEASE, capture="build")).data == hamlet.content(INRELEASE).data


async def test_what_is_there_already_is_not_touched(recorded: House, tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/mine").write_text("mine")
    with pytest.raises(ClientError, match="The destination exists already"):
        await export(recorded, f"dir:{tmp_path}/tree")
    (tmp_path / "empty").mkdir()
    await export(recorded, f"dir:{tmp_path}/empty")
    assert [each.name for each in (tmp_path / "tree").iterdir()] == ["mine"]


async def test_what_the_other_side_has_is_left_out_and_still_listed(recorded: House, tmp_path: Path) -> None:
    record = await recorded.app.captures.record("build")
    exported = await export(recorded, f"dir:{tmp_path}/thin", ExportOptions(known=record))
    assert exported.files == 0
    assert sorted(each.name for each in (tmp_path / "thin").iterdir()) == ["SHA256SUMS", "snapproxy.lock.json"]
    assert INRELEASE in (tmp_path / "thin/SHA256SUMS").read_text()


async def test_an_image_is_no_tree(recorded: House, tmp_path: Path) -> None:
    for wish in (ExportOptions(as_image=True), ExportOptions(blobs_only=True)):
        with pytest.raises(ClientError, match="cannot be written as a folder"):
            await export(recorded, f"dir:{tmp_path}/tree", wish)


async def test_each_root_has_a_date_of_its_own(recorded: House, hamlet: Hamlet, tmp_path: Path) -> None:
    """A server of plain files answers 304 to an equal date: a client moved to another time would keep its lists."""
    twin = Publisher(hamlet.edition.key).tree(FIRST, [SuitePlan(SUITE, (hamlet.edition.new,))])
    hamlet.publish(SECOND, twin)
    assert (await recorded.get(SECOND, INRELEASE, capture="build")).data == twin.files[INRELEASE].data
    await export(recorded, f"dir:{tmp_path}/tree")
    dates = {when: (tmp_path / "tree/debian" / when / INRELEASE).stat().st_mtime for when in (AT, SECOND)}
    assert sorted(dates.values()) == [epoch(FIRST), epoch(FIRST) + 1]
