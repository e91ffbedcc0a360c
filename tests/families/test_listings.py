"""The package lists of each family: the roots of a selection, the packages of an index, the order of versions."""

import gzip
import io
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snapproxy.core.listing import Part, Root, Selection, settled
from snapproxy.errors import ArchiveDataError, ConfigurationError
from snapproxy.families import FAMILIES, LISTERS
from tests.fakes.adb import genuine
from tests.fakes.alpine import gz, tar
from tests.fakes.rpm_texts import primary

APK, APT, PACMAN, RPM = (LISTERS[name] for name in ("apk", "apt", "pacman", "rpm"))
PACKAGES = "dists/stable/main/binary-amd64/Packages"


def test_every_family_lists_its_packages() -> None:
    assert LISTERS.keys() == FAMILIES.keys()


def lines(family: str, path: str, data: bytes) -> list[str]:
    found = LISTERS[family].packages(path, [data])
    return [f"{p.name} {p.architecture} {p.version} {p.source} {p.source_version}" for p in found]


# --- apt


def test_apt_lists_packages_with_their_sources() -> None:
    text = (
        "Package: a\nVersion: 1:1-1+b2\nArchitecture: amd64\nSource: src (1:1-1)\n\n"
        "Package: b\nSource: src\nVersion: 2\nArchitecture: all\n\n"
        "Package: b\nVersion: 3\nArchitecture: all\n"
    )
    assert lines("apt", f"{PACKAGES}.gz", gzip.compress(text.encode())) == [
        "a amd64 1:1-1+b2 src 1:1-1",
        "b all 2 src 2",
        "b all 3 b 3",
    ]
    assert lines("apt", "dists/stable/InRelease", text.encode()) == []


def test_apt_refuses_a_package_without_a_version() -> None:
    with pytest.raises(ArchiveDataError, match="an invalid name or version"):
        lines("apt", PACKAGES, b"Package: a\nArchitecture: all\n")


def test_apt_begins_at_the_suite_or_in_the_folder_of_a_flat_repository() -> None:
    def names(suite: str) -> tuple[str, ...]:
        (root,) = APT.roots(Selection(suite))
        return root.names

    assert names("bookworm") == ("dists/bookworm/InRelease", "dists/bookworm/Release")
    assert names("./")[0] == names("/")[0] == "InRelease"
    assert names("stable/deb/")[0] == "stable/deb/InRelease"
    with pytest.raises(ConfigurationError, match="No suite was named"):
        APT.roots(Selection())


def test_apt_finds_every_component_and_reads_each_index_once() -> None:
    base = "dists/buster/updates"
    paths = [
        f"{base}/main/binary-amd64/Packages",
        f"{base}/main/binary-amd64/Packages.xz",
        f"{base}/main/binary-amd64/Release",
        f"{base}/main/binary-arm64/Packages.gz",
        f"{base}/main/binary-arm64/Packages.lz4",
        f"{base}/main/debian-installer/binary-amd64/Packages.xz",
        f"{base}/main/source/Sources.xz",
        f"{base}/main/binary-amd64/by-hash/SHA256/{'ab' * 32}",
        f"{base}/main/Contents-amd64.gz",
    ]
    found = APT.parts(Root(()), f"{base}/InRelease", paths)
    assert list(found) == [
        Part(f"{base}/main/binary-amd64/Packages.xz", "main", "amd64"),
        Part(f"{base}/main/binary-arm64/Packages.gz", "main", "arm64"),
        Part(
            f"{base}/main/debian-installer/binary-amd64/Packages.xz", "main/debian-installer", "amd64", is_usual=False
        ),
    ]
    assert list(APT.parts(Root(()), "InRelease", ["Packages", "Packages.gz"])) == [Part("Packages.gz")]


def test_apt_clients_also_request_the_english_descriptions_of_their_components() -> None:
    folder = "dists/stable"
    promised = [
        f"{folder}/{name}"
        for name in (
            "main/i18n/Translation-en.bz2",
            "main/i18n/Translation-en.xz",
            "main/i18n/Translation-de.xz",
            "contrib/i18n/Translation-en.xz",
            "main/Contents-amd64.gz",
        )
    ]
    of_main = APT.other_indexes(f"{folder}/InRelease", promised, Selection("stable", ("main",)))
    assert list(of_main) == [f"{folder}/main/i18n/Translation-en.xz"]
    of_all = APT.other_indexes(f"{folder}/InRelease", promised, Selection("stable"))
    assert list(of_all) == [f"{folder}/main/i18n/Translation-en.xz", f"{folder}/contrib/i18n/Translation-en.xz"]


@pytest.mark.parametrize(
    ("family", "path", "roots"),
    [
        ("apt", "pool/main/h/hello/hello_1_amd64.deb", []),
        (
            "rpm",
            "updates/40/Everything/x86_64/Packages/h/hello-1-1.noarch.rpm",
            [
                "updates/40/Everything/x86_64/Packages/h/repodata/repomd.xml",
                "updates/40/Everything/x86_64/Packages/repodata/repomd.xml",
                "updates/40/Everything/x86_64/repodata/repomd.xml",
                "updates/40/Everything/repodata/repomd.xml",
            ],
        ),
        ("rpm", "hello-1-1.noarch.rpm", []),
        ("pacman", "core/os/x86_64/hello-1-1-any.pkg.tar.zst", ["core/os/x86_64/core.db"]),
        ("pacman", "hello-1-1-any.pkg.tar.zst", []),
        ("apk", "v3.20/main/x86_64/hello-1-r0.apk", ["v3.20/main/x86_64/APKINDEX.tar.gz"]),
        ("apk", "hello-1-r0.apk", []),
    ],
)
def test_the_path_of_a_package_shows_its_repository(family: str, path: str, roots: list[str]) -> None:
    lister = LISTERS[family]
    found = [root.names[0] for each in lister.repositories_of(path) for root in lister.roots(each)]
    assert found == roots


@pytest.mark.parametrize(
    ("suite", "root", "aliases"),
    [
        ("stable", b"Suite: stable\nCodename: bookworm\n", ["bookworm"]),
        ("bookworm", b"Suite: stable\nCodename: bookworm\n", ["stable"]),
        ("bookworm-updates", b"Suite: stable-updates\nCodename: bookworm-updates\n", ["stable-updates"]),
        ("tools", b"Suite: stable\nCodename: bookworm\n", []),
        ("stable", b"Codename: stable\n", []),
        ("stable", b"\xff\x00", []),
    ],
)
def test_apt_publishes_a_root_under_its_suite_and_its_codename(suite: str, root: bytes, aliases: list[str]) -> None:
    selection = Selection(suite, ("main",))
    assert APT.aliases(selection, root) == tuple(Selection(each, ("main",)) for each in aliases)


def test_rpm_clients_request_all_metadata_but_the_databases_and_the_changelogs() -> None:
    names = ("primary.xml.gz", "filelists.xml.zst", "comps.xml", "modules.yaml.gz", "updateinfo.xml.xz")
    unused = ("primary.sqlite.bz2", "filelists.sqlite.xz", "abc-other.sqlite.gz", "abc-other.xml.gz")
    promised = [f"r/repodata/{name}" for name in (*names, *unused)]
    assert list(RPM.other_indexes("r/repodata/repomd.xml", promised, Selection())) == promised[: len(names)]


def test_the_default_architecture_is_that_of_the_machine() -> None:
    def words(family: str, *names: str) -> tuple[str, ...]:
        return settled(Selection(architectures=names, machine="x86_64"), LISTERS[family]).architectures

    assert [words(family) for family in ("apk", "apt", "pacman", "rpm")] == [
        ("x86_64",),
        ("amd64",),
        ("x86_64",),
        (),
    ]
    assert words("apt", "arm64", "i386") == ("arm64", "i386")


# --- pacman


def test_pacman_lists_a_genuine_database() -> None:
    data = Path("tests/data/pacman/testrepo.db.tar.xz").read_bytes()
    assert lines("pacman", "testrepo/os/x86_64/testrepo.db", data) == [
        "dummy any 1.0-1 dummy 1.0-1",
        "libsig++ any 2:2.4-1 libsig++ 2:2.4-1",
    ]
    assert lines("pacman", "testrepo/os/x86_64/x.pkg.tar.zst", data) == []


def test_pacman_refuses_an_entry_with_two_names() -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        desc = b"%NAME%\na\nb\n\n%VERSION%\n1-1\n\n%ARCH%\nany\n\n"
        member = tarfile.TarInfo("a-1-1/desc")
        member.size = len(desc)
        tar.addfile(member, io.BytesIO(desc))
    with pytest.raises(ArchiveDataError, match="has an invalid entry"):
        lines("pacman", "core.db", out.getvalue())


@pytest.mark.parametrize(
    ("repository", "names"),
    [
        ("core", ["core/os/x86_64/core.db", "core/os/aarch64/core.db"]),
        ("aarch64/core", ["aarch64/core/core.db"]),
        ("/archlinux/core/os/x86_64/", ["archlinux/core/os/x86_64/core.db"]),
    ],
)
def test_pacman_repositories_are_selected_by_name_or_folder(repository: str, names: list[str]) -> None:
    roots = PACMAN.roots(Selection(components=(repository,), architectures=("x86_64", "aarch64")))
    assert [root.names[0] for root in roots] == names
    assert {root.component for root in roots} == {repository}
    for root in roots:
        assert [part.path for part in PACMAN.parts(root, root.names[0], ())] == [root.names[0]]


# --- rpm


def package(name: str, version: str, source: str = "") -> str:
    return (
        f'<package type="rpm"><name>{name}</name><arch>x86_64</arch><version {version}/>'
        f"<format><rpm:sourcerpm>{source}</rpm:sourcerpm>"
        "<rpm:provides><rpm:entry name='x'/></rpm:provides></format></package>\n"
    )


def test_rpm_lists_versions_with_their_epochs_and_sources() -> None:
    text = primary(
        package("bash", 'epoch="0" ver="5.2" rel="3.fc40"', "bash-5.2-3.fc40.src.rpm"),
        package("bind-libs", 'epoch="32" ver="9" rel="1"', "bind-9-1.nosrc.rpm"),
        package("src", 'epoch="0" ver="1" rel="1"'),
    )
    assert lines("rpm", f"x/repodata/{'ab' * 32}-primary.xml.gz", gzip.compress(text.encode())) == [
        "bash x86_64 5.2-3.fc40 bash 5.2-3.fc40",
        "bind-libs x86_64 32:9-1 bind 9-1",
        "src x86_64 1-1 src 1-1",
    ]
    assert lines("rpm", "x/repodata/repomd.xml", text.encode()) == []


def test_rpm_refuses_an_entry_without_a_version() -> None:
    text = primary('<package type="rpm"><name>a</name><arch>noarch</arch></package>')
    with pytest.raises(ArchiveDataError, match="incomplete"):
        lines("rpm", "repodata/primary.xml", text.encode())


def test_rpm_begins_at_each_repository_and_reads_primary_alone() -> None:
    roots = RPM.roots(Selection(components=("updates/40/", "")))
    assert [root.names[0] for root in roots] == ["updates/40/repodata/repomd.xml", "repodata/repomd.xml"]
    kinds = ("primary.xml.gz", "filelists.xml.gz", "primary.xml.zck")
    paths = [f"r/repodata/{'ab' * 32}-{kind}" for kind in kinds]
    root = Root((), "r")
    assert list(RPM.parts(root, "r/repodata/repomd.xml", paths)) == [Part(paths[0], "r")]
    assert list(RPM.parts(root, "r/repodata/repomd.xml", paths[1:])) == [Part(paths[2], "r")]
    assert list(RPM.parts(root, "r/repodata/repomd.xml", paths[1:2])) == []


# --- apk


def apk_index(text: str) -> bytes:
    return gz(tar({"DESCRIPTION": b"", "APKINDEX": text.encode()}))


CHECKSUM = f"C:Q1{'A' * 27}="


def test_apk_lists_packages_with_their_origins() -> None:
    text = f"{CHECKSUM}\nP:a\nV:1-r0\nA:noarch\no:src\n\n{CHECKSUM}\nP:b\nV:2_git1-r1\n\n"
    assert lines("apk", "v3.20/main/x86_64/APKINDEX.tar.gz", apk_index(text)) == [
        "a noarch 1-r0 src 1-r0",
        "b x86_64 2_git1-r1 b 2_git1-r1",
    ]


def test_apk_lists_packages_of_an_index_of_version_3() -> None:
    assert lines("apk", "main/x86_64/Packages.adb", genuine("Packages.adb")) == [
        "data noarch 2-r0 hello-src 2-r0",
        "hello x86_64 1.0-r0 hello-src 1.0-r0",
        "old x86_64 1-r0 old 1-r0",
    ]


def test_apk_begins_at_each_repository_of_each_architecture() -> None:
    roots = APK.roots(Selection(components=("v3.20/main/", ""), architectures=("x86_64", "aarch64")))
    assert [root.names[0] for root in roots] == [
        f"{folder}{architecture}/APKINDEX.tar.gz"
        for folder in ("v3.20/main/", "")
        for architecture in ("x86_64", "aarch64")
    ]


# --- all families


@pytest.mark.parametrize("lister", [APK, PACMAN, RPM])
def test_repositories_must_be_named_and_suites_must_not(lister: object) -> None:
    for selection in (Selection(), Selection("stable", ("core",))):
        with pytest.raises(ConfigurationError):
            lister.roots(selection)


SAMPLES = {
    "apk": ("x86_64/APKINDEX.tar.gz", apk_index(f"{CHECKSUM}\nP:a\nV:1\n\n" * 3)),
    "apt": (PACKAGES, b"Package: a\nVersion: 1\nArchitecture: all\nSource: b (2)\n\n" * 3),
    "pacman": ("core.db", Path("tests/data/pacman/testrepo.db.tar.xz").read_bytes()),
    "rpm": ("repodata/primary.xml", primary(package("a", 'epoch="0" ver="1" rel="1"', "a-1-1.src.rpm") * 3).encode()),
}


@pytest.mark.parametrize("family", SAMPLES)
@settings(deadline=None)
@given(data=st.data())
def test_a_damaged_index_is_an_error_of_the_archive_or_read_all_the_same(family: str, data: st.DataObject) -> None:
    path, sample = SAMPLES[family]
    start = data.draw(st.integers(0, len(sample)))
    damaged = sample[:start] + data.draw(st.binary(max_size=20)) + sample[start + data.draw(st.integers(0, 50)) :]
    try:
        found = list(LISTERS[family].packages(path, [damaged]))
    except ArchiveDataError:
        return
    assert all(" " not in each.name + each.version for each in found)
