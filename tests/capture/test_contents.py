"""Each file of a record is listed once, with a name that fits into a folder; packages have a package URL."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packageurl import PackageURL

from snapproxy.archives.table import BUILTIN
from snapproxy.archives.vendors import _VENDORS, vendor_of
from snapproxy.capture.contents import check_names, recorded_files
from snapproxy.core.model import Proof, Role
from snapproxy.core.paths import names_a_file
from snapproxy.core.record import Record
from snapproxy.errors import RecordError
from snapproxy.families import FAMILIES
from tests.capture.records import CURL, DUMP, absence, entry, example, no_deadline
from tests.capture.records import content as digest_of


def test_files_are_sorted_by_title_and_absences_left_out() -> None:
    assert [content.title for content in recorded_files(example())] == [
        "archlinux/2024/05/31/core/os/x86_64/core.db",
        "archlinux/2024/05/31/core/os/x86_64/gtk-doc-1:1.33-1-any.pkg.tar.zst",
        f"debian/{DUMP}/dists/bookworm/InRelease",
        f"debian/{DUMP}/dists/bookworm/main/binary-amd64/Packages.xz",
        f"debian/{DUMP}/{CURL}",
    ]


PURLS = [
    ("apt", "debian-security", CURL, "pkg:deb/debian/curl@7.88.1-10%2Bdeb12u5?arch=amd64"),
    ("apt", "ubuntu", "pool/c/c_1~rc1.dsc", "pkg:deb/ubuntu/c@1~rc1?arch=source"),
    ("apt", "my-own", "pool/a_1%3a2-1_all.deb", "pkg:deb/my-own/a@1:2-1?arch=all"),
    (
        "pacman",
        "archlinux",
        "extra/os/x86_64/gtk-doc-1:1.33-1-any.pkg.tar.zst",
        "pkg:alpm/arch/gtk-doc@1:1.33-1?arch=any",
    ),
    (
        "rpm",
        "fedora",
        "N/NetworkManager-1.46.0-1.fc40.i686.rpm",
        "pkg:rpm/fedora/NetworkManager@1.46.0-1.fc40?arch=i686",
    ),
    ("apt", "debian", "dists/bookworm/InRelease", ""),
]


@pytest.mark.parametrize(("family", "archive", "path", "purl"), PURLS)
def test_a_package_has_a_url(family: str, archive: str, path: str, purl: str) -> None:
    (content,) = recorded_files(Record((entry(path, archive=archive),), {archive: family}))
    assert content.purl == purl


WORDS = st.text(alphabet="aZ09+~%?&=@#:.-_^ \xfc", max_size=6) | st.text(max_size=4)


@no_deadline
@given(family=st.sampled_from(sorted(FAMILIES)), words=st.lists(WORDS, min_size=4, max_size=4))
def test_whatever_a_name_says_makes_a_url(family: str, words: list[str]) -> None:
    """The URL has the same name and version."""
    name, version, release, arch = words
    shapes = {
        "apt": "{0}_1{1}-{2}_{3}.deb",
        "pacman": "{0}-{1}-1-{3}.pkg.tar",
        "rpm": "{0}-{1}-{2}.{3}.rpm",
        "apk": "{3}/{0}-1{1}-r0.apk",
    }
    path = shapes[family].format(name, version, release, arch)
    if not names_a_file(path):
        return
    (content,) = recorded_files(Record((entry(path, archive="own"),), {"own": family}))
    if content.package is not None:
        read = PackageURL.from_string(content.purl)
        assert (read.name.lower(), read.version) == (content.package.name.lower(), content.package.version)


def test_vendors_are_those_of_built_in_archives() -> None:
    assert {row.name for row in BUILTIN} >= set(_VENDORS)
    assert (vendor_of("debian"), vendor_of("anything")) == ("debian", "anything")


def test_one_snapshot_for_two_times_is_one_file_and_its_proof_the_weakest() -> None:
    entries = (entry("a", proof=Proof.GPG), entry("a", requested="live", proof=Proof.INDEX))
    (content,) = recorded_files(Record(entries, {"debian": "apt"}))
    assert content.proof is Proof.INDEX


def test_what_a_service_said_is_named_by_its_digest() -> None:
    call = entry("/mr/binary/curl/?fileinfo=1", Role.OTHER, requested="always", snapshot="ab12", text="said")
    (content,) = recorded_files(Record((call, absence("/mr/x/", snapshot="")), {"debian": "apt"}))
    assert content.title == f"debian/service/{digest_of('said')}"


def test_two_contents_under_one_name_are_refused() -> None:
    entries = (entry("a", Role.OTHER), entry("a", Role.OTHER, requested="live", text="another"))
    with pytest.raises(RecordError, match="One name has two contents"):
        recorded_files(Record(entries, {"debian": "apt"}))
    recorded_files(Record((entries[0], absence("a", requested="live")), {"debian": "apt"}))


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a", "b", "a"], "'a' is repeated."),
        (["a/b", "a"], "'a' is a file, and the folder of 'a/b'."),
        (["a", "a/b/c/d"], "'a' is a file, and the folder of 'a/b/c/d'."),
        (["../a"], "'../a' leads outside its folder"),
        (["/etc/passwd"], "'/etc/passwd' leads outside its folder"),
        (["a/"], "'a/' leads outside its folder"),
        (["a\n"], "'a\\n' leads outside its folder"),
        ([""], "'' leads outside its folder"),
    ],
)
def test_names_that_do_not_fit_into_one_folder(names: list[str], expected: str) -> None:
    with pytest.raises(RecordError) as caught:
        check_names(names)
    assert caught.value.why.startswith(expected)


def test_names_that_fit() -> None:
    check_names(["a/b", "a/c", "a.b", "ab"])
