"""Names of files on their way to their own: as long as the file system takes them, and nobody else's."""

from __future__ import annotations

from pathlib import Path

from snapproxy.oci.files import put_bytes


async def test_the_longest_name_can_be_written(tmp_path: Path) -> None:
    """What it is called on its way must not be longer than a file may be called."""
    path = tmp_path / ("n" * 255)
    await put_bytes(b"data", path)
    assert path.read_bytes() == b"data"
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
