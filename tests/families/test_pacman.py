"""pacman: the contract with databases written by repo-add, the details of the format, and the client's rules."""

import base64
import hashlib
import io
import tarfile
from pathlib import Path
from typing import ClassVar

import pytest

from snapproxy.core.model import ExpectedFile, Place, Role
from snapproxy.errors import ArchiveDataError
from snapproxy.families.pacman import PACMAN
from tests.families.contract import FamilyContract

DATA = Path("tests/data/pacman")
OS = "testrepo/os/x86_64"


def database(*entries: dict[str, str]) -> bytes:
    """Write a database by hand: one `desc` for each dictionary of fields."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for number, fields in enumerate(entries):
            desc = "".join(f"%{field}%\n{value}\n\n" for field, value in fields.items()).encode()
            member = tarfile.TarInfo(f"p{number}-1-1/desc")
            member.size = len(desc)
            tar.addfile(member, io.BytesIO(desc))
    return out.getvalue()


def entry(name: str, seed: str = "", **further: str) -> dict[str, str]:
    sha256 = hashlib.sha256((seed or name).encode()).hexdigest()
    return {"FILENAME": name, "CSIZE": "7", "SHA256SUM": sha256, **further}


def expected_files(data: bytes, path: str = f"{OS}/testrepo.db") -> dict[str, ExpectedFile]:
    return dict(PACMAN.read_index(path, [data]))


class TestPacman(FamilyContract):
    family = PACMAN
    samples: ClassVar = {
        f"{OS}/testrepo.db": (DATA / "testrepo.db.tar.xz").read_bytes(),
        "any/prefix/testrepo.files.tar.xz": (DATA / "testrepo.files.tar.xz").read_bytes(),
        "flat.db": database(entry("a-1-1-any.pkg.tar.zst"), entry("b-1-1-any.pkg.tar.xz")),
    }


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("core/os/x86_64/core.db", Place(Role.ROOT, lists_files=True)),
        ("a/b/core/os/x86_64/core.db.tar.gz", Place(Role.ROOT, lists_files=True)),
        ("core.db.tar.zst", Place(Role.ROOT, lists_files=True)),
        ("core/os/x86_64/core.db.sig", Place(Role.SIGNATURE, roots=("core/os/x86_64/core.db",))),
        ("core/os/x86_64/core.db.tar.gz.sig", Place(Role.SIGNATURE, roots=("core/os/x86_64/core.db.tar.gz",))),
        ("core/os/x86_64/core.files", Place(Role.INDEX, lists_files=True)),
        ("core/os/x86_64/core.files.sig", Place(Role.SIGNATURE)),
        ("core/os/x86_64/gtk+-1:2-1-x86_64.pkg.tar.zst", Place(Role.PACKAGE)),
        ("packages/g/gtk+/gtk+-1:2-1-x86_64.pkg.tar.xz.sig", Place(Role.PACKAGE)),
        ("packages/a/a/a-1-1-any.pkg.tar", Place(Role.PACKAGE)),
        ("iso/2024.06.01/archlinux-x86_64.iso", Place(Role.OTHER)),
        ("core/os/x86_64/core.db.tar.gz.old", Place(Role.OTHER)),
        ("core/os/x86_64/.db", Place(Role.OTHER)),
        ("lastsync", Place(Role.OTHER)),
        ("core/os/x86_64/", Place(Role.OTHER)),
        ("core/../core.db", Place(Role.OTHER)),
    ],
)
def test_paths_are_classified(path: str, place: Place) -> None:
    assert PACMAN.classify(path) == place


def test_a_database_lists_the_packages_beside_it_with_plus_and_colon_in_their_names() -> None:
    rows = expected_files((DATA / "testrepo.db.tar.xz").read_bytes())
    assert sorted(rows) == [
        f"{OS}/dummy-1.0-1-any.pkg.tar.zst",
        f"{OS}/libsig++-2:2.4-1-any.pkg.tar.zst",
        f"{OS}/libsig++-2:2.4-1-any.pkg.tar.zst.sig",
    ]
    expected = rows[f"{OS}/libsig++-2:2.4-1-any.pkg.tar.zst"]
    assert expected.is_strong
    assert expected.size is not None


def test_the_signature_in_an_entry_is_the_very_file_beside_the_package() -> None:
    [name] = [path.name for path in DATA.glob("*.sig")]
    whole = (DATA / name).read_bytes()
    expected = expected_files((DATA / "testrepo.db.tar.xz").read_bytes())[f"{OS}/{name}"]
    assert expected == ExpectedFile(f"{OS}/{name}", len(whole), {"sha256": hashlib.sha256(whole).hexdigest()})


def test_the_files_database_lists_the_same_packages() -> None:
    one, other = (DATA / f"testrepo.{kind}.tar.xz" for kind in ("db", "files"))
    assert expected_files(one.read_bytes()) == expected_files(other.read_bytes(), f"{OS}/testrepo.files")


def test_a_file_listed_twice_must_have_the_same_digests() -> None:
    twice = entry("a-1-1-any.pkg.tar.zst")
    assert len(expected_files(database(twice, twice))) == 1
    with pytest.raises(ArchiveDataError, match="contradicts itself"):
        expected_files(database(twice, entry("a-1-1-any.pkg.tar.zst", "other")))


def test_an_entry_without_a_digest_is_skipped() -> None:
    assert expected_files(database({"FILENAME": "a", "CSIZE": "1"})) == {}


def test_an_old_entry_without_a_size_still_has_its_digest() -> None:
    fields = entry("a")
    del fields["CSIZE"]
    assert expected_files(database(fields))[f"{OS}/a"].size is None


@pytest.mark.parametrize(
    "fields",
    [
        {},
        entry("../a"),
        entry("a/b"),
        entry(".."),
        entry("a\\b"),
        entry("a\x07"),
        entry("a" * 256),
        entry("a", CSIZE="-1"),
        entry("a", SHA256SUM="abc"),
        entry("a", PGPSIG="%"),
        entry("a", PGPSIG=base64.b64encode(bytes(20_000)).decode()),
        entry("a\nb"),
    ],
)
def test_an_entry_that_breaks_the_rules_is_refused(fields: dict[str, str]) -> None:
    with pytest.raises(ArchiveDataError):
        expected_files(database(fields))


def test_the_rules_of_the_client() -> None:
    assert (PACMAN.name, PACMAN.patience) == ("pacman", 8.0)
    assert not PACMAN.keeps_newer_root, "pacman takes an older database as soon as its bytes arrive"
    assert PACMAN.drops_older_dates, "libcurl drops a 200 whose Last-Modified is not newer"
    assert PACMAN.roots_list_packages
