"""Lists of rpm, apk and pacman, by the real programs or in their form: every entry, as a whole value."""

from __future__ import annotations

import hashlib
from base64 import b64decode

import pytest

from snapproxy.formats.package_lists.apk_info import APK_INFO
from snapproxy.formats.package_lists.apk_installed import APK_INSTALLED
from snapproxy.formats.package_lists.apk_query import APK_QUERY
from snapproxy.formats.package_lists.apko_lock import APKO_LOCK
from snapproxy.formats.package_lists.arch_buildinfo import ARCH_BUILDINFO
from snapproxy.formats.package_lists.dnf_manifest import DNF_MANIFEST
from snapproxy.formats.package_lists.known import FORMATS, read_list
from snapproxy.formats.package_lists.konflux_lock import KONFLUX_LOCK
from snapproxy.formats.package_lists.model import (
    DigestOf,
    ListedDigest,
    ListEntry,
    ListFormat,
    ListFormatError,
    PackageList,
)
from snapproxy.formats.package_lists.pacman_local import PACMAN_LOCAL
from snapproxy.formats.package_lists.pacman_query import PACMAN_QUERY
from snapproxy.formats.package_lists.rpm_ostree_lock import RPM_OSTREE_LOCK
from snapproxy.formats.package_lists.rpm_query import RPM_QUERY
from tests.fakes.rpm_apk_arch_lists import CONTENTS

OURS = (
    *(APK_INFO, APK_INSTALLED, APK_QUERY, APKO_LOCK, ARCH_BUILDINFO, DNF_MANIFEST),
    *(KONFLUX_LOCK, PACMAN_LOCAL, PACMAN_QUERY, RPM_OSTREE_LOCK, RPM_QUERY),
)
EACH = {
    "apk/info-v.txt": APK_INFO,
    "apk/info-vv.txt": APK_INFO,
    "apk/installed": APK_INSTALLED,
    "apk/installed-v2": APK_INSTALLED,
    "apk/list.txt": APK_INFO,
    "apk/query.json": APK_QUERY,
    "apko/image.lock.json": APKO_LOCK,
    "apko/image.pre-0.13.lock.json": APKO_LOCK,
    "dnf/installed.manifest.yaml": DNF_MANIFEST,
    "dnf/packages.manifest.yaml": DNF_MANIFEST,
    "dnf/version-0.0.1.yaml": DNF_MANIFEST,
    "dnf/version-0.1.0.yaml": DNF_MANIFEST,
    "konflux/rpms.lock.yaml": KONFLUX_LOCK,
    "pacman/BUILDINFO": ARCH_BUILDINFO,
    "pacman/local-desc": PACMAN_LOCAL,
    "pacman/query.txt": PACMAN_QUERY,
    "pacman/signed.desc": PACMAN_LOCAL,
    "rpm/qa-epoch.txt": RPM_QUERY,
    "rpm/qa-nevra.txt": RPM_QUERY,
    "rpm/qa.txt": RPM_QUERY,
    "rpm-ostree/manifest-lock.overrides.yaml": RPM_OSTREE_LOCK,
    "rpm-ostree/manifest-lock.x86_64.json": RPM_OSTREE_LOCK,
}
VIRTUAL = ("Virtual packages were left out, because they have no file: 1.",)
UNCHECKED = "Packages that were installed without a check of their bytes, perhaps from a file"
KEYS = ("Imported keys (gpg-pubkey) were left out: 1.",)


def apk(
    origin: str, name: str, version: str, architecture: str = "", control: str = "", size: int | None = None
) -> ListEntry:
    """An entry of apk; `control` is the digest of the control part as apk writes it, without `Q1`."""
    digests = (ListedDigest("sha1", b64decode(control).hex(), DigestOf.CONTROL),) if control else ()
    return ListEntry(origin, "apk", name, version, architecture, digests=digests, size=size)


def rpm(origin: str, name: str, version: str, architecture: str = "") -> ListEntry:
    return ListEntry(origin, "rpm", name, version, architecture)


@pytest.mark.parametrize(("name", "own"), EACH.items(), ids=EACH)
def test_a_list_is_recognised_as_its_own_format_alone(name: str, own: ListFormat) -> None:
    claimed = []
    for each in OURS:
        try:
            each.read(CONTENTS[name])
        except ListFormatError as error:
            claimed += [each] * error.is_recognised
        else:
            claimed.append(each)
    assert claimed == [own]
    assert read_list(CONTENTS[name]).format == own.name


def test_every_sample_and_every_format_is_tested() -> None:
    assert set(CONTENTS) == set(EACH)
    assert set(EACH.values()) == set(OURS) <= set(FORMATS)
    assert len({each.name for each in FORMATS}) == len(FORMATS)


def test_pacman_query() -> None:
    assert read_list(CONTENTS["pacman/query.txt"]) == PackageList(
        "pacman-query",
        (
            ListEntry("line 1", "pacman", "gtk-update-icon-cache", "4.14.4+r12+g1234-3"),
            ListEntry("line 2", "pacman", "libsig++", "2:2.4-1.1"),
        ),
    )


@pytest.mark.parametrize("version", ["r412.gfe1a2b3-1", "1:20240101_beta-2.1", "2.0+r3+g1a2b-1", "1~rc1-1"])
def test_versions_of_pacman(version: str) -> None:
    assert read_list(f"libc++ {version}\n".encode()).entries == (ListEntry("line 1", "pacman", "libc++", version),)


def test_pacman_local_database() -> None:
    assert read_list(CONTENTS["pacman/local-desc"]) == PackageList(
        "pacman-local",
        (
            ListEntry("line 1", "pacman", "gtk-update-icon-cache", "4.14.4+r12+g1234-3", "x86_64"),
            ListEntry("line 37", "pacman", "libsig++", "2:2.4-1.1", "any"),
        ),
        (f"{UNCHECKED}: gtk-update-icon-cache, libsig++.",),
    )
    assert read_list(CONTENTS["pacman/signed.desc"]) == PackageList(
        "pacman-local", (ListEntry("line 1", "pacman", "storehouse-tools", "1:3.2.0-4.1", "x86_64"),)
    )


def test_arch_buildinfo() -> None:
    assert read_list(CONTENTS["pacman/BUILDINFO"]) == PackageList(
        "arch-buildinfo",
        (
            ListEntry("line 27", "pacman", "gtk-update-icon-cache", "4.14.4+r12+g1234-3", "x86_64"),
            ListEntry("line 28", "pacman", "libsig++", "2:2.4-1.1", "any"),
        ),
        made=1717200000,
    )


def test_arch_buildinfo_of_format_1() -> None:
    assert read_list(b"format = 1\nbuilddate = 1500000000\ninstalled = bash-4.4.012-2-i686\n") == PackageList(
        "arch-buildinfo", (ListEntry("line 3", "pacman", "bash", "4.4.012-2", "i686"),), made=1500000000
    )


@pytest.mark.parametrize(("file", "architecture"), [("info-v.txt", ""), ("info-vv.txt", ""), ("list.txt", "x86_64")])
def test_apk_info(file: str, architecture: str) -> None:
    assert read_list(CONTENTS[f"apk/{file}"]) == PackageList(
        "apk-info",
        (
            apk("line 2", "git-10k", "3~abc123-r2", architecture),
            apk("line 3", "gtk+2.0-dev", "2.24.33-r1", architecture),
            apk("line 4", "hello", "1.0-r0", architecture),
            apk("line 5", "libfoo++", "2.12.1_rc1-r3", architecture),
            apk("line 6", "py3-4suite-5", "1.2.3a_git20230717-r0", architecture),
        ),
        VIRTUAL,
    )


def test_apk_installed_database() -> None:
    two = PackageList(
        "apk-installed",
        (
            apk("line 1", "shelf", "2.0.10-r1", "noarch", "WFXIFlYVs1dge/oJQGgUpXLGyEg=", 966),
            apk("line 19", "storehouse-tools", "3.2.0_p1-r4", "x86_64", "WL64cI+wScz2TpbJR7+IAq8UxAw=", 1096),
        ),
    )
    assert read_list(CONTENTS["apk/installed-v2"]) == two
    assert read_list(CONTENTS["apk/installed-v2"].rstrip()) == two
    assert read_list(CONTENTS["apk/installed"]) == PackageList(
        "apk-installed",
        (
            apk("line 12", "git-10k", "3~abc123-r2", "x86_64", "kRKyz6Nv2I4K5LIdzrwkyNog0Kg=", 900),
            apk("line 29", "gtk+2.0-dev", "2.24.33-r1", "x86_64", "OPaTuJ6XW839VMkQOMhmLaKVECU=", 902),
            apk("line 46", "hello", "1.0-r0", "x86_64", "gknyVY6224vpoQ2/Huazh7JTckY=", 881),
            apk("line 63", "libfoo++", "2.12.1_rc1-r3", "x86_64", "8ym7aOGKI2NHixdSLxUQNaDofUs=", 904),
            apk("line 80", "py3-4suite-5", "1.2.3a_git20230717-r0", "x86_64", "lbrO3ojRNxTwsL9ngOTGjcRewyc=", 920),
        ),
        VIRTUAL,
    )


def test_apk_query() -> None:
    assert read_list(CONTENTS["apk/query.json"]) == PackageList(
        "apk-query",
        (
            apk("packages[1]", "git-10k", "3~abc123-r2", "x86_64", size=900),
            apk("packages[2]", "gtk+2.0-dev", "2.24.33-r1", "x86_64", size=902),
            apk("packages[3]", "hello", "1.0-r0", "x86_64", size=881),
            apk("packages[4]", "libfoo++", "2.12.1_rc1-r3", "x86_64", size=904),
            apk("packages[5]", "py3-4suite-5", "1.2.3a_git20230717-r0", "x86_64", size=920),
        ),
        VIRTUAL,
    )


def test_apk_query_with_addresses() -> None:
    data = b'[{"name":"a","version":"1-r0","download-url":"https://example.org/v3.99/main/x86_64/a%2b-1-r0.apk"}]'
    (entry,) = read_list(data).entries
    assert entry == ListEntry(
        "packages[0]", "apk", "a", "1-r0", url="https://example.org/v3.99/main/x86_64/a+-1-r0.apk"
    )


def locked(at: int, name: str, version: str, architecture: str, word: str, size: int, url: str = "") -> ListEntry:
    """An entry of apko; its digests are those of `word` with the name of the part."""
    digests = (
        ListedDigest("sha1", hashlib.sha1(f"{word} control".encode()).hexdigest(), DigestOf.CONTROL),
        ListedDigest("sha256", hashlib.sha256(f"{word} data".encode()).hexdigest(), DigestOf.DATA),
    )
    place = f"contents.packages[{at}]"
    return ListEntry(place, "apk", name, version, architecture, url=url, digests=digests, size=size)


def test_apko_lock() -> None:
    assert read_list(CONTENTS["apko/image.lock.json"]) == PackageList(
        "apko-lock",
        (
            locked(0, "shelf", "2.0.10-r1", "x86_64", "shelf x86_64 new", 2408),
            locked(1, "libshelf++", "2.0.10_rc2-r0", "x86_64", "libshelf++ x86_64 new", 40961),
            locked(2, "shelf", "2.0.10-r1", "aarch64", "shelf aarch64 new", 2399),
            locked(3, "libshelf++", "2.0.10_rc2-r0", "aarch64", "libshelf++ aarch64 new", 41212),
        ),
        ("Packages with an address that is not http or https: 4. Use their names and digests.",),
    )


def test_apko_lock_without_checksums_of_packages() -> None:
    top = "https://packages.example.org/os"
    first, second = f"{top}/x86_64/shelf-1.9-r12.apk", f"{top}/aarch64/shelf-1.9-r12.apk"
    assert read_list(CONTENTS["apko/image.pre-0.13.lock.json"]) == PackageList(
        "apko-lock",
        (
            locked(0, "shelf", "1.9-r12", "x86_64", "shelf x86_64 old", 1878, first),
            locked(1, "shelf", "1.9-r12", "aarch64", "shelf aarch64 old", 1901, second),
        ),
    )


def test_apko_lock_with_addresses() -> None:
    data = CONTENTS["apko/image.lock.json"].replace(b"./built/packages", b"https://packages.example.org/os")
    found = read_list(data)
    assert found.notes == ()
    assert found.entries[3].url == "https://packages.example.org/os/aarch64/libshelf++-2.0.10_rc2-r0.apk"


def test_rpm_ostree_lockfile() -> None:
    assert read_list(CONTENTS["rpm-ostree/manifest-lock.x86_64.json"]) == PackageList(
        "rpm-ostree-lock",
        (
            rpm("packages.Storehouse", "Storehouse", "1:3.2.10-1.in7", "x86_64"),
            rpm("packages.Storehouse-rules", "Storehouse-rules", "3.2.0.8-2.in7", "noarch"),
            ListEntry(
                "packages.libshelf++",
                "rpm",
                "libshelf++",
                "2.0^20240601.g12~rc1-4.in7.1",
                "x86_64",
                digests=(ListedDigest("sha256", hashlib.sha256(b"libshelf").hexdigest()),),
            ),
        ),
        made=1719837296,  # 2024-07-01T12:34:56Z, of the repository invented-pool
    )
    assert read_list(CONTENTS["rpm-ostree/manifest-lock.overrides.yaml"]) == PackageList(
        "rpm-ostree-lock",
        (
            rpm("packages.ladder", "ladder", "2.20.0-1.in7"),
            rpm("packages.shelf-utils", "shelf-utils", "1.0.50-1.in7", "noarch"),
            rpm("packages.storehouse", "storehouse", "5:5.2.5-1.in7"),
        ),
    )


@pytest.mark.parametrize(
    ("metadata", "made"),
    [
        ("generated: 2024-07-01T00:00:00Z", 1719792000),
        ("generated: 2024-07-01T02:00:00.123456789+02:00", 1719792000),
        ("{generated: 2025-01-01T00:00:00Z, rpmmd_repos: {a: {generated: 2024-07-01T00:00:00Z}}}", 1719792000),
        ("{rpmmd_repos: {a: {generated: 2024-07-01T00:00:00Z}, b: {generated: 2024-06-30T00:00:00Z}}}", 1719792000),
        ("{rpmmd_repos: {}}", None),
    ],
)
def test_the_newest_repository_dates_a_lockfile(metadata: str, made: int | None) -> None:
    data = f"packages:\n  foo:\n    evr: 1.10-1\n    digest: sha256:{'Ab' * 32}\nmetadata:\n  {metadata}\n"
    assert read_list(data.encode()) == PackageList(
        "rpm-ostree-lock",
        (ListEntry("packages.foo", "rpm", "foo", "1.10-1", digests=(ListedDigest("sha256", "ab" * 32),)),),
        made=made,
    )


@pytest.mark.parametrize(("file", "epoch"), [("qa.txt", ""), ("qa-nevra.txt", "4:"), ("qa-epoch.txt", "4:")])
def test_rpm_query(file: str, epoch: str) -> None:
    assert read_list(CONTENTS[f"rpm/{file}"]) == PackageList(
        "rpm-query",
        (
            rpm("line 1", "gtk+2.0-compat", "2.24^20240101.g12-3.1.el9_4", "x86_64"),
            rpm("line 2", "perl-libs-5.36", f"{epoch}5.36.0~rc1-2.fc40", "x86_64"),
            rpm("line 3", "hello", "1.0-1", "noarch"),
        ),
        KEYS,
    )


def test_an_epoch_of_0_is_none() -> None:
    (entry,) = read_list(b"hello-0:1.0-1.noarch\n").entries
    assert entry == rpm("line 1", "hello", "1.0-1", "noarch")
