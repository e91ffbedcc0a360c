"""A tree written from a record is a repository of its own.

apt uses it through `file:`, without snapproxy and without network.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from snapproxy.capture.tree import Tree, lay_out
from snapproxy.core.model import Proof
from snapproxy.core.record import Record, RecordEntry
from snapproxy.families import FAMILIES
from tests.fakes.apt_root import AptRoot
from tests.fakes.content import Content
from tests.fakes.forms import sources, trouble
from tests.fakes.world import FIRST, World

pytestmark = pytest.mark.journey
ASKED = "20240601T000000Z"


def served(world: World) -> Iterator[tuple[str, Content]]:
    """The requests of apt: the root, one compression of each index, every package.

    It requests no other compression and no by-hash name.
    """
    for path in world.first.debian.paths():
        if path.endswith(("InRelease", "Packages.xz", ".deb")):
            content = world.first.debian.get(path)
            assert content is not None
            yield path, content


def written(tree: Tree, files: dict[str, Content], folder: Path) -> Path:
    for leaf in tree.leaves:
        target = folder / leaf.path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(files[leaf.sha256].data)
    for name, data in tree.documents.items():
        (folder / name).write_bytes(data)
    return folder


def test_apt_updates_and_downloads_from_a_tree(
    world: World, apt_root: Callable[[str], AptRoot], tmp_path: Path
) -> None:
    contents = dict(served(world))
    classify = FAMILIES["apt"].classify
    entries = tuple(
        RecordEntry("debian", ASKED, FIRST, path, classify(path).role, Proof.GPG, content.size, content.sha256)
        for path, content in contents.items()
    )
    files = {content.sha256: content for content in contents.values()}
    folder = written(lay_out(Record(entries, {"debian": "apt"})), files, tmp_path / "tree")
    subprocess.run(["sha256sum", "-c", "--strict", "--quiet", "SHA256SUMS"], cwd=folder, check=True)

    root = sources(apt_root("offline"), world, f"file:{folder}/debian/{ASKED}")
    update = root.update()
    assert update.code == 0, update.text
    assert trouble(update.text) == []
    assert root.candidates(*world.first.versions) == world.first.versions
    download = root.run("apt-get", "--quiet", "download", *world.first.versions)
    assert download.code == 0, download.text
    packages = [content.data for path, content in contents.items() if path.endswith(".deb")]
    assert sorted(file.read_bytes() for file in root.folder.glob("*.deb")) == sorted(packages)
