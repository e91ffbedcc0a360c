"""Writing files of an artifact."""

from __future__ import annotations

from pathlib import Path

from snapproxy.oci.files import put_bytes


async def test_the_longest_name_can_be_written(tmp_path: Path) -> None:
    """The hidden name of the temporary file must not be longer than the file system allows."""
    path = tmp_path / ("n" * 255)
    await put_bytes(b"data", path)
    assert path.read_bytes() == b"data"
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
