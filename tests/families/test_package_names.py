"""Package names parsed from file names, one case for each form that archives use."""

from __future__ import annotations

import pytest

from snapproxy.core.package_name import PackageName
from snapproxy.families import FAMILIES

PACKAGE_NAMES = [
    ("apt", "pool/main/c/curl/curl_7.88.1-10+deb12u5_amd64.deb", ("curl", "7.88.1-10+deb12u5", "amd64")),
    ("apt", "pool/main/g/gcc-12/libstdc++6_12.2.0-14_arm64.deb", ("libstdc++6", "12.2.0-14", "arm64")),
    ("apt", "pool/main/t/tzdata/tzdata_2024a-0+deb12u1_all.deb", ("tzdata", "2024a-0+deb12u1", "all")),
    ("apt", "pool/main/a/a/a-udeb_1.0~rc1_kfreebsd-amd64.udeb", ("a-udeb", "1.0~rc1", "kfreebsd-amd64")),
    ("apt", "pool/main/c/curl/curl-dbgsym_8.5.0-2ubuntu10_amd64.ddeb", ("curl-dbgsym", "8.5.0-2ubuntu10", "amd64")),
    ("apt", "pool/main/c/curl/curl_7.88.1-10.dsc", ("curl", "7.88.1-10", "source")),
    ("apt", "a_1%3a2.0-1_all.deb", ("a", "1:2.0-1", "all")),
    ("apt", "a_1%3A2.0-1_all.deb", ("a", "1:2.0-1", "all")),
    ("apt", "pool/main/c/curl/curl_7.88.1.orig.tar.gz", None),
    ("apt", "pool/stable/chrome-stable_current_amd64.deb", None),
    ("apt", "dists/bookworm/InRelease", None),
    ("pacman", "core/os/x86_64/pacman-6.1.0-3-x86_64.pkg.tar.zst", ("pacman", "6.1.0-3", "x86_64")),
    ("pacman", "extra/os/x86_64/gtk-doc-1:1.33-1.1-any.pkg.tar.xz", ("gtk-doc", "1:1.33-1.1", "any")),
    (
        "pacman",
        "x/lib32-gcc-libs-13.2.1+r230+gbba-1-x86_64.pkg.tar",
        ("lib32-gcc-libs", "13.2.1+r230+gbba-1", "x86_64"),
    ),
    ("pacman", "core/os/x86_64/pacman-6.1.0-3-x86_64.pkg.tar.zst.sig", None),
    ("pacman", "core/os/x86_64/core.db", None),
    ("apk", "v3.19/main/x86_64/busybox-1.36.1-r15.apk", ("busybox", "1.36.1-r15", "x86_64")),
    ("apk", "edge/community/armv7/py3-foo-2.0_rc1-r0.apk", ("py3-foo", "2.0_rc1-r0", "armv7")),
    ("apk", "x86/gtk+3.0-dev-3.24.38-r1.apk", ("gtk+3.0-dev", "3.24.38-r1", "x86")),
    ("apk", "busybox-1.36.1-r15.apk", None),
    ("apk", "edge/main/noarch/data-2-r0.apk", ("data", "2-r0", "noarch")),
    ("apk", "packages/x86_64/base/data-2-r0.apk", ("data", "2-r0", "x86_64")),
    ("apk", "e2k_v6/data-2-r0.apk", ("data", "2-r0", "e2k_v6")),
    ("apk", "v3.19/main/x86_64/APKINDEX.tar.gz", None),
    ("rpm", "Packages/b/bash-5.2.26-3.fc40.x86_64.rpm", ("bash", "5.2.26-3.fc40", "x86_64")),
    (
        "rpm",
        "Packages/n/NetworkManager-libnm-1.46.0-1~rc1.fc40.i686.rpm",
        ("NetworkManager-libnm", "1.46.0-1~rc1.fc40", "i686"),
    ),
    ("rpm", "src/bash-5.2.26-3.fc40.src.rpm", ("bash", "5.2.26-3.fc40", "src")),
    ("rpm", "drpms/bash-5.2.25-1.fc40_5.2.26-3.fc40.x86_64.drpm", None),
    ("rpm", "repodata/repomd.xml", None),
]


@pytest.mark.parametrize(("family", "path", "expected"), PACKAGE_NAMES)
def test_package_names_are_parsed_from_file_names(
    family: str, path: str, expected: tuple[str, str, str] | None
) -> None:
    assert FAMILIES[family].package_name(path) == (None if expected is None else PackageName(*expected))
