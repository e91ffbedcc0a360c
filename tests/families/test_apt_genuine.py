"""apt with published indexes: the committed samples, and the package lists of this machine if it has any."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from snapproxy.core.model import Role
from snapproxy.families.apt import APT

SAMPLES = Path("tests/data/debian-security")
LISTS = Path("/var/lib/apt/lists")


def path_in_archive(file: Path) -> str:
    """apt names its lists after the URL, with `_` for `/`: the part from `dists` on is the path."""
    return "dists/" + file.name.partition("_dists_")[2].replace("_", "/").removesuffix(".lz4")


def genuine(pattern: str) -> list[tuple[str, Path]]:
    committed = [(str(file.relative_to(SAMPLES)), file) for file in sorted(SAMPLES.rglob(pattern))]
    return committed + [(path_in_archive(file), file) for file in sorted(LISTS.glob(f"*_dists_*_{pattern}"))]


def read_by_apt(file: Path) -> bytes:
    """Decompress with apt's own helper, which supports lz4 too."""
    return subprocess.run(["/usr/lib/apt/apt-helper", "cat-file", str(file)], check=True, capture_output=True).stdout


def plain_entries(text: bytes) -> Iterator[dict[str, str]]:
    """Parse deb822 with a slow and simple reference implementation."""
    entry: dict[str, str] = {}
    for line in text.decode().split("\n"):
        if not line:
            if entry:
                yield entry
            entry = {}
        elif not line.startswith((" ", "\t")):
            name, _, value = line.partition(":")
            entry[name] = value.strip()


@pytest.mark.parametrize(("path", "file"), genuine("InRelease"), ids=lambda value: str(value).rpartition("/dists/")[2])
def test_every_file_a_root_lists_is_an_index_that_leads_back_to_it(path: str, file: Path) -> None:
    data = file.read_bytes()
    rows = dict(APT.read_index(path, [data]))
    listed = {line.split()[2] for line in data.decode().split("\n") if line.startswith(" ") and len(line.split()) == 3}
    suite = path.removesuffix("InRelease")
    assert {expected.path for expected in rows.values()} == {suite + name for name in listed}
    for name in rows:
        place = APT.classify(name)
        assert (place.role, place.roots[0]) == (Role.INDEX, path), name
    assert APT.root_date(data) is not None


@pytest.mark.parametrize(("path", "file"), genuine("Packages*"), ids=lambda value: str(value).rpartition("/dists/")[2])
def test_packages_lists_the_same_files_as_a_reference_parser(path: str, file: Path) -> None:
    text = read_by_apt(file)
    raw = text if file.suffix == ".lz4" else file.read_bytes()
    found = {name: (expected.size, expected.digests["sha256"]) for name, expected in APT.read_index(path, [raw])}
    assert found == {entry["Filename"]: (int(entry["Size"]), entry["SHA256"]) for entry in plain_entries(text)}


def test_the_committed_indexes_match_their_root() -> None:
    root = SAMPLES / "dists/bookworm-security/InRelease"
    rows = dict(APT.read_index("dists/bookworm-security/InRelease", [root.read_bytes()]))
    for file in (*SAMPLES.rglob("Packages.xz"), *SAMPLES.rglob("Sources.xz")):
        checker = APT.checker(rows[str(file.relative_to(SAMPLES))])
        checker.update(file.read_bytes())
        assert checker.finish() is None


def test_the_committed_sources_name_their_dsc_and_tarballs() -> None:
    file = SAMPLES / "dists/bookworm-security/contrib/source/Sources.xz"
    read_index = [expected for _, expected in APT.read_index(str(file.relative_to(SAMPLES)), [file.read_bytes()])]
    assert read_index
    assert {APT.classify(expected.path).role for expected in read_index} == {Role.PACKAGE}
    assert {expected.path.rpartition(".")[2] for expected in read_index} >= {"dsc", "xz"}
    assert all("sha256" in expected.digests for expected in read_index)
