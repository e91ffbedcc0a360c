"""The evidence and the sources of roots, of every package manager."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import pytest

from snapproxy.archives import BUILTIN, HISTORIES
from snapproxy.core.address import AddressBook
from snapproxy.core.time_evidence import Confidence, EvidenceKind, infer
from snapproxy.core.time_spec import format_instant
from snapproxy.formats.time_evidence.installed import InstalledPackage
from snapproxy.jobs.pinned_addresses import read_address
from snapproxy.jobs.root_evidence import LIMITS, RootEvidence, collect, limit_of
from snapproxy.jobs.root_files import RootFolder
from snapproxy.jobs.root_sources import parts_of

BOOK = AddressBook(archives=BUILTIN, histories=HISTORIES)
JUNE = 1717200000
STOCK = Path("tests/data/stock")


def evidence_of(root: Path) -> RootEvidence:
    with closing(RootFolder(root)) as files:
        return collect(files, BOOK)


def written(root: Path, **files: str) -> Path:
    """Write files; `__` in a name is a slash, and the suffix follows after `_dot_`."""
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(("url", "archive", "instant"), [
    ("http://snapshot.debian.org/archive/debian/20240601T000000Z/", "debian", JUNE),
    ("https://snapshot.ubuntu.com/ubuntu/20240601T000000Z", "ubuntu", JUNE),
    ("https://archive.archlinux.org/repos/2024/05/31/$repo/os/$arch", "archlinux", JUNE - 1),
    ("http://10.0.0.1:3142/alpine/20240601/v3.20/main", "alpine", JUNE),
    ("http://10.0.0.1:3142/~build/debian-security/2024-06-01", "debian-security", JUNE),
    ("http://20240601T000000Z:x@10.0.0.1:3142", None, JUNE),
    ("http://2024-06-01T00%3A00%3A00Z:x@10.0.0.1:3142/", None, JUNE),
    ("http://ftp.debian.org/debian", "debian", None),
    ("http://ftp.debian.org/debian/", "debian", None),
])  # fmt: skip
def test_addresses(url: str, archive: str | None, instant: int | None) -> None:
    found = read_address(url, BOOK)
    assert found is not None
    assert (found.archive.name if found.archive else None) == archive
    assert (found.when.instant if found.when else None) == instant


@pytest.mark.parametrize("url", [
    "http://vendor.example/debian/dists", "http://[::1", "http://user:password@vendor.example/x", "http://",
    "http://x/archive/debian/20249999T000000Z", "http://10.0.0.1/pin.sh",
])  # fmt: skip
def test_other_addresses(url: str) -> None:
    assert read_address(url, BOOK) is None


def test_a_root_of_apt(tmp_path: Path) -> None:
    root = written(
        tmp_path,
        etc__apt__sources_dot_list="# http://snapshot.debian.org/archive/debian/20240513T000000Z\n"
        "deb http://ftp.debian.org/debian bookworm main\ndeb http://ftp.debian.org/debian bookworm contrib\n"
        "deb http://vendor.example/x stable main\n",
        var__log__dpkg_dot_log="2024-06-01 00:00:00 status installed bash:amd64 5\n",
        var__lib__apt__lists__x_InRelease="Suite: x\nDate: Thu, 30 May 2024 00:00:00 UTC\n",
        var__lib__dpkg__status="Package: bash\nStatus: install ok installed\nVersion: 5\nArchitecture: amd64\n",
        usr__share__doc__bash__changelog_dot_gz="",
        var__lib__dpkg__info__bash_dot_list="",
    )
    os.utime(root / "usr/share/doc/bash/changelog.gz", (0, JUNE - 90 * 86400))
    os.utime(root / "var/lib/dpkg/info/bash.list", (0, JUNE))
    found = evidence_of(root)
    assert (found.family, found.packages) == ("apt", [InstalledPackage("bash", "5", "amd64")])
    assert {each.where: each.kind for each in found.evidence} == {
        "etc/apt/sources.list:1": EvidenceKind.COMMENT,
        "var/log/dpkg.log:1": EvidenceKind.LOG,
        "var/lib/apt/lists/x_InRelease:2": EvidenceKind.INDEX,
        "usr/share/doc/bash/changelog.gz": EvidenceKind.FILE,
        "var/lib/dpkg/info/bash.list": EvidenceKind.FILE,
    }
    (part,) = parts_of(found, BOOK)
    assert (part.archive.name, part.selection.suite, part.selection.components) == (
        "debian",
        "bookworm",
        ("main", "contrib"),
    )
    assert part.selection.architectures == ("amd64",)
    assert any("vendor.example" in note for note in found.notes)


def test_copying_a_root_does_not_contradict_its_pin(tmp_path: Path) -> None:
    """`cp -r` sets the dates of all files; a clock may have been wrong, too."""
    root = written(
        tmp_path,
        etc__apt__sources_dot_list="deb http://snapshot.debian.org/archive/debian/20240601T000000Z bookworm main\n",
        usr__share__doc__bash__changelog_dot_gz="",
    )
    for copied in (JUNE + 400 * 86400, 4_102_444_799):
        os.utime(root / "usr/share/doc/bash/changelog.gz", (0, copied))
        verdict = infer(evidence_of(root).evidence, JUNE + 500 * 86400)
        assert (verdict.at, verdict.confidence, verdict.contradictions) == (JUNE, Confidence.EXACT, ())


@pytest.mark.parametrize("text", [
    "Types: deb\nURIs: http://snapshot.debian.org/archive/debian/20240601T000000Z\nSuites: sid\nEnabled: no\n",
    "Types: deb\nURIs: http://ftp.debian.org/debian\nSuites: sid\nSnapshot: 20240601T000000Z\nEnabled: no\n",
])  # fmt: skip
def test_a_disabled_source_is_no_pin(tmp_path: Path, text: str) -> None:
    root = written(tmp_path, etc__apt__sources_dot_list_dot_d__a_dot_sources=text)
    assert EvidenceKind.PIN not in {each.kind for each in evidence_of(root).evidence}


@pytest.mark.parametrize(("name", "family", "files", "component"), [
    ("debian", "apt", {"etc/apt/sources.list": b"deb http://cache.local/d bookworm main\n"}, "main"),
    ("archlinux", "pacman", {"etc/pacman.conf": b"[core]\nServer = http://cache.local/$repo\n"}, "core"),
    ("alpine", "apk", {"etc/apk/repositories": b"http://cache.local/a/v3.20/main/\n"}, "v3.20/main"),
])  # fmt: skip
def test_an_archive_replaces_the_ones_of_unknown_addresses(
    name: str, family: str, files: dict[str, bytes], component: str
) -> None:
    found = RootEvidence(family, packages=[InstalledPackage("a", "1", "x86_64")], sources=files)
    assert parts_of(found, BOOK) == []
    (part,) = parts_of(found, BOOK, BOOK.names[name])
    assert (part.archive.name, part.selection.components) == (name, (component,))
    assert parts_of(found, BOOK, BOOK.names["fedora"]) == [], "an archive of another family has no such lists"


def test_the_option_of_a_snapshot(tmp_path: Path) -> None:
    root = written(tmp_path, etc__apt__apt_dot_conf='APT::Snapshot "20240601T000000Z";\n')
    assert [(each.kind, each.at) for each in evidence_of(root).evidence] == [(EvidenceKind.PIN, JUNE)]


def test_a_root_of_pacman(tmp_path: Path) -> None:
    root = written(
        tmp_path,
        etc__pacman_dot_conf="[options]\n[core]\nInclude = /etc/pacman.d/mirrorlist\n[extra]\nServer = http://v.example/x\n",
        etc__pacman_dot_d__mirrorlist="Server = https://archive.archlinux.org/repos/2024/05/31/$repo/os/$arch\n",
    )
    desc = f"%NAME%\nbash\n\n%VERSION%\n5-1\n\n%ARCH%\nx86_64\n\n%BUILDDATE%\n{JUNE}\n\n%INSTALLDATE%\n{JUNE + 5}\n"
    written(
        root, **{"var__lib__pacman__local__bash-5-1__desc": desc, "var__lib__pacman__local__ALPM_DB_VERSION": "9\n"}
    )
    found = evidence_of(root)
    assert [(each.kind, each.first, each.last) for each in found.evidence] == [
        (EvidenceKind.PIN, JUNE - 86400, JUNE - 1),
        (EvidenceKind.BUILD, JUNE, None),
        (EvidenceKind.LOG, None, JUNE + 5),
    ]
    (part,) = parts_of(found, BOOK)
    assert (part.archive.name, part.selection.components) == ("archlinux", ("core/os/x86_64",))


def test_a_root_of_apk(tmp_path: Path) -> None:
    root = written(
        tmp_path,
        etc__apk__repositories="http://dl-cdn.alpinelinux.org/alpine/v3.20/main\n#http://x/alpine/edge/main\n",
        lib__apk__db__installed=f"P:musl\nV:1-r0\nA:x86_64\nt:{JUNE}\n\n",
    )
    found = evidence_of(root)
    assert [(each.kind, each.first) for each in found.evidence] == [(EvidenceKind.BUILD, JUNE)]
    (part,) = parts_of(found, BOOK)
    assert (part.archive.name, part.selection.components) == ("alpine", ("v3.20/main",))


@pytest.mark.parametrize("name", ["debian-cloud", "ubuntu", "arch", "fedora", "rocky", "alpine"])
def test_stock_files_have_no_time(name: str) -> None:
    assert evidence_of(STOCK / name).evidence == []


@pytest.mark.parametrize(("name", "at"), [("debian", "20250520T000000Z"), ("debian-one-line", "20220801T000000Z")])
def test_stock_files_of_debian_images_have_a_comment(name: str, at: str) -> None:
    found = evidence_of(STOCK / name).evidence
    assert {each.kind for each in found} == {EvidenceKind.COMMENT}
    assert {format_instant(each.at or 0) for each in found} == {at}


def test_damaged_databases_are_noted(tmp_path: Path) -> None:
    root = written(tmp_path, var__lib__dpkg__status="Package: a\nPackage: b\n", lib__apk__db__installed="\0\0")
    written(root, var__lib__pacman__local__x__desc="stray\n")
    found = evidence_of(root)
    assert found.packages == []
    assert any("var/lib/pacman/local/x/desc" in note for note in found.notes)


def test_an_empty_root_and_only_known_files_are_wanted(tmp_path: Path) -> None:
    assert evidence_of(tmp_path) == RootEvidence()
    assert limit_of("etc/shadow") is None
    assert limit_of("etc/apt/sources.list.d/a/b.list") is None
    assert limit_of("var/lib/pacman/local/bash-5-1/desc") == LIMITS["var/lib/pacman/local/*/desc"]


def test_a_database_of_rpm_without_the_program_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = written(tmp_path, var__lib__rpm__rpmdb_dot_sqlite="SQLite format 3")
    monkeypatch.setenv("PATH", str(tmp_path))
    found = evidence_of(root)
    assert found.packages == []
    assert "The program rpm is not installed here." in found.notes[0]
