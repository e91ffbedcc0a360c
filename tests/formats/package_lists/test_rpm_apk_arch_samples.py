"""Lists of rpm, apk and pacman, genuine ones and ones of the same form: every entry, as a whole value."""

from __future__ import annotations

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
    "apk/alpine-3.11-installed": APK_INSTALLED,
    "apk/info-v.txt": APK_INFO,
    "apk/info-vv.txt": APK_INFO,
    "apk/installed": APK_INSTALLED,
    "apk/list.txt": APK_INFO,
    "apk/query.json": APK_QUERY,
    "apko/apko.lock.json": APKO_LOCK,
    "apko/apko.pre-0.13.lock.json": APKO_LOCK,
    "dnf/installed.manifest.yaml": DNF_MANIFEST,
    "dnf/packages.manifest.yaml": DNF_MANIFEST,
    "dnf/version-0.0.1.yaml": DNF_MANIFEST,
    "dnf/version-0.1.0.yaml": DNF_MANIFEST,
    "konflux/rpms.lock.yaml": KONFLUX_LOCK,
    "pacman/BUILDINFO": ARCH_BUILDINFO,
    "pacman/local-desc": PACMAN_LOCAL,
    "pacman/pacman-6.0.1-5.desc": PACMAN_LOCAL,
    "pacman/query.txt": PACMAN_QUERY,
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
    assert read_list(CONTENTS["pacman/pacman-6.0.1-5.desc"]) == PackageList(
        "pacman-local", (ListEntry("line 1", "pacman", "pacman", "6.0.1-5", "x86_64"),)
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
    assert read_list(CONTENTS["apk/alpine-3.11-installed"]) == PackageList(
        "apk-installed",
        (
            apk("line 1", "libc-utils", "0.7.2-r0", "x86_64", "p78yvTLG094tHE1+dToJGbmYzQE=", 1175),
            apk("line 16", "musl-utils", "1.1.24-r2", "x86_64", "bTtF5526tETKfL+lnigzIDvm+2o=", 37944),
        ),
    )
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


def locked(at: int, name: str, architecture: str, control: str, data: str, size: int) -> ListEntry:
    digests = (
        ListedDigest("sha1", b64decode(control).hex(), DigestOf.CONTROL),
        ListedDigest("sha256", b64decode(data).hex(), DigestOf.DATA),
    )
    return ListEntry(f"contents.packages[{at}]", "apk", name, "1.0.0-r0", architecture, digests=digests, size=size)


def test_apko_lock() -> None:
    first = (
        "pretend-baselayout",
        "x86_64",
        "m6wB0UFePGN8Drz82pC8y2uAiu8=",
        "ckBapsaMu5EOb/e4Ei1s2l/+dZMEamHhUmaoJ8yeZwg=",
    )
    second = ("replayout", "x86_64", "1/HhSewwwOXgl0r0ffb0O0BRtYc=", "zmiHBvaqKHsF8CxQeHa0M4mZKwj7T4T5kRe9VpTkXUw=")
    third = (
        "pretend-baselayout",
        "aarch64",
        "JQ8nfsxa27d0f6oa056sdT5IcJY=",
        "cY5bE593kEpYKyqepLmkPc/RnAiPsIsm92XAHwi+U9I=",
    )
    fourth = ("replayout", "aarch64", "u62watWiRSQgVtAIuVuYoDOaVO4=", "IMtgng48z5PaYwqYWLrGUKoaZUHFmigOnKRJ7KcmTQo=")
    assert read_list(CONTENTS["apko/apko.lock.json"]) == PackageList(
        "apko-lock",
        (locked(0, *first, 2930), locked(1, *second, 2961), locked(2, *third, 2930), locked(3, *fourth, 2955)),
        ("Packages with an address that is not http or https: 4. Use their names and digests.",),
    )


def test_apko_lock_without_checksums_of_packages() -> None:
    found = read_list(CONTENTS["apko/apko.pre-0.13.lock.json"])
    assert found.entries[0] == locked(
        0,
        "pretend-baselayout",
        "x86_64",
        "cs+Hlyu5sY+1mmwKPedcRWj8E24=",
        "6Gbikm5tHIqetbTVz/wPcmtCcrO17ed1vPM6xuR0IrU=",
        2900,
    )
    assert [entry.size for entry in found.entries] == [2900, 2849, 2901, 2850]


def test_apko_lock_with_addresses() -> None:
    data = CONTENTS["apko/apko.lock.json"].replace(b"./testdata/packages", b"https://packages.example.org/os")
    found = read_list(data)
    assert found.notes == ()
    assert found.entries[3].url == "https://packages.example.org/os/aarch64/replayout-1.0.0-r0.apk"


def test_rpm_ostree_lockfile() -> None:
    assert read_list(CONTENTS["rpm-ostree/manifest-lock.x86_64.json"]) == PackageList(
        "rpm-ostree-lock",
        (
            rpm("packages.NetworkManager", "NetworkManager", "1:1.46.2-1.fc40", "x86_64"),
            rpm("packages.WALinuxAgent-udev", "WALinuxAgent-udev", "2.10.0.8-2.fc40", "noarch"),
            rpm("packages.zincati", "zincati", "0.0.27-2.fc40", "x86_64"),
            rpm("packages.zstd", "zstd", "1.5.6-1.fc40", "x86_64"),
        ),
        made=1729710640,  # 2024-10-23T19:10:40Z
    )
    assert read_list(CONTENTS["rpm-ostree/manifest-lock.overrides.yaml"]) == PackageList(
        "rpm-ostree-lock",
        (
            rpm("packages.ignition", "ignition", "2.20.0-1.fc40"),
            rpm("packages.kdump-utils", "kdump-utils", "1.0.48-1.fc40"),
            rpm("packages.podman", "podman", "5:5.2.5-1.fc40"),
        ),
    )


@pytest.mark.parametrize(
    ("metadata", "made"),
    [
        ("generated: 2024-10-23T00:00:00Z", 1729641600),
        ("generated: 2024-10-23T02:00:00.123456789+02:00", 1729641600),
        ("{generated: 2025-01-01T00:00:00Z, rpmmd_repos: {a: {generated: 2024-10-23T00:00:00Z}}}", 1729641600),
        ("{rpmmd_repos: {a: {generated: 2024-10-23T00:00:00Z}, b: {generated: 2024-10-22T00:00:00Z}}}", 1729641600),
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
