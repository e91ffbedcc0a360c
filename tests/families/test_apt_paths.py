"""apt: the classification of every kind of path, from InRelease to a trace file."""

import pytest

from snapproxy.core.model import Place, Role
from snapproxy.families.apt import APT

IMAGES = "dists/bookworm/main/installer-amd64/20230607/images/"


def roots(*suites: str) -> tuple[str, ...]:
    return tuple(f"{suite}/{name}" for suite in suites for name in ("InRelease", "Release"))


BOOKWORM = roots("dists/bookworm")
LISTED = Place(Role.INDEX, roots=BOOKWORM)
OFTEN_LISTED = Place(Role.INDEX, roots=BOOKWORM, may_be_unlisted=True)
LISTING_INDEX = Place(Role.INDEX, roots=BOOKWORM, lists_files=True)
ROOT = Place(Role.ROOT, lists_files=True)
PACKAGE = Place(Role.PACKAGE)
OTHER = Place(Role.OTHER)
SHA256 = "ab" * 32


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("dists/bookworm/InRelease", ROOT),
        ("dists/bookworm/Release", ROOT),
        ("dists/buster/updates/InRelease", ROOT),
        ("debian/dists/lenny/Release", ROOT),
        ("deadsnakes/ppa/ubuntu/dists/jammy/InRelease", ROOT),
        ("flat/InRelease", ROOT),
        ("InRelease", ROOT),
        ("dists/bookworm/Release.gpg", Place(Role.SIGNATURE, roots=("dists/bookworm/Release",))),
        ("Release.gpg", Place(Role.SIGNATURE, roots=("Release",))),
        ("dists/bookworm/main/binary-amd64/Release", LISTED),
        ("dists/bookworm/main/source/Release", LISTED),
        ("dists/bookworm/binary-amd64/Release", LISTED),
        ("dists/source/Release", ROOT),
        ("binary-amd64/Release", ROOT),
        ("dists/bookworm/main/binary-amd64/Packages", LISTING_INDEX),
        ("dists/bookworm/main/binary-amd64/Packages.xz", LISTING_INDEX),
        ("dists/bookworm/main/debian-installer/binary-all/Packages.gz", LISTING_INDEX),
        ("dists/bookworm/main/source/Sources.zst", LISTING_INDEX),
        (
            "dists/bookworm/main/Contents-amd64.gz",
            Place(Role.INDEX, roots=roots("dists/bookworm", "dists/bookworm/main"), may_be_unlisted=True),
        ),
        ("dists/bookworm/Contents-amd64.gz", OFTEN_LISTED),
        ("dists/bookworm/main/i18n/Translation-en.bz2", OFTEN_LISTED),
        ("dists/bookworm/main/i18n/Index", OFTEN_LISTED),
        ("dists/bookworm/main/dep11/Components-amd64.yml.gz", OFTEN_LISTED),
        ("dists/bookworm/main/dep11/icons-128x128@2.tar.gz", OFTEN_LISTED),
        ("dists/bookworm/main/cnf/Commands-amd64.xz", OFTEN_LISTED),
        (
            "dists/buster/updates/main/binary-amd64/Packages.xz",
            Place(Role.INDEX, roots=roots("dists/buster/updates", "dists/buster"), lists_files=True),
        ),
        (
            "owner/ppa/ubuntu/dists/jammy/main/binary-amd64/Packages.gz",
            Place(Role.INDEX, roots=roots("owner/ppa/ubuntu/dists/jammy"), lists_files=True),
        ),
        (
            "dists/a/b/c/d/main/binary-amd64/Packages.gz",
            Place(
                Role.INDEX,
                roots=roots("dists/a", "dists/a/b", "dists/a/b/c", "dists/a/b/c/d"),
                lists_files=True,
            ),
        ),
        ("flat/Packages.gz", Place(Role.INDEX, roots=roots("flat"), lists_files=True)),
        ("Packages", Place(Role.INDEX, roots=("InRelease", "Release"), lists_files=True)),
        (
            f"dists/bookworm/main/binary-amd64/by-hash/SHA256/{SHA256}",
            Place(Role.INDEX, roots=BOOKWORM, by_hash=("sha256", SHA256)),
        ),
        (
            f"dists/bookworm/main/binary-amd64/by-hash/MD5Sum/{SHA256[:32]}",
            Place(Role.INDEX, roots=BOOKWORM, by_hash=("md5", SHA256[:32])),
        ),
        (
            f"dists/bookworm/by-hash/SHA1/{SHA256[:40]}",
            Place(Role.INDEX, roots=BOOKWORM, by_hash=("sha1", SHA256[:40])),
        ),
        (
            f"by-hash/SHA512/{SHA256 * 2}",
            Place(Role.INDEX, roots=("InRelease", "Release"), by_hash=("sha512", SHA256 * 2)),
        ),
        ("dists/by-hash/SHA256/0/0", Place(Role.OTHER, roots=roots("dists/by-hash", "dists/by-hash/SHA256/0"))),
        (f"dists/bookworm/by-hash/SHA256/{SHA256[1:]}", Place(Role.OTHER, roots=BOOKWORM)),
        (f"dists/bookworm/by-hash/SHA256/{SHA256.upper()}", Place(Role.OTHER, roots=BOOKWORM)),
        ("dists/bookworm/main/binary-amd64/Packages.diff/Index", LISTING_INDEX),
        (
            "dists/bookworm/main/binary-amd64/Packages.diff/T-2026-1-F-2026-2.gz",
            Place(
                Role.PACKAGE, parents=("dists/bookworm/main/binary-amd64/Packages.diff/Index",), may_be_unlisted=True
            ),
        ),
        (
            f"dists/bookworm/main/binary-amd64/Packages.diff/by-hash/SHA256/{SHA256}",
            Place(
                Role.INDEX,
                roots=BOOKWORM,
                parents=("dists/bookworm/main/binary-amd64/Packages.diff/Index",),
                by_hash=("sha256", SHA256),
            ),
        ),
        (f"{IMAGES}SHA256SUMS", Place(Role.INDEX, roots=BOOKWORM, lists_files=True, may_be_unlisted=True)),
        (f"{IMAGES}MD5SUMS", Place(Role.INDEX, roots=BOOKWORM, lists_files=True, may_be_unlisted=True)),
        (f"{IMAGES}SHA256SUMS.gpg", Place(Role.OTHER, roots=BOOKWORM)),
        (f"{IMAGES}netboot/mini.iso", Place(Role.PACKAGE, parents=(f"{IMAGES}SHA256SUMS", f"{IMAGES}MD5SUMS"))),
        (
            "dists/jammy/main/dist-upgrader-all/current/jammy.tar.gz",
            Place(
                Role.OTHER,
                roots=roots(
                    "dists/jammy",
                    "dists/jammy/main",
                    "dists/jammy/main/dist-upgrader-all",
                    "dists/jammy/main/dist-upgrader-all/current",
                ),
            ),
        ),
        ("dists/bookworm/ChangeLog", Place(Role.OTHER, roots=BOOKWORM)),
        ("pool/main/a/apt/apt_2.6.1_amd64.deb", PACKAGE),
        ("pool/main/a/apt/apt_2.6.1.dsc", PACKAGE),
        ("pool/main/a/apt/apt_2.6.1.tar.xz", PACKAGE),
        ("pool/main/z/zlib/zlib_1.2.13.orig.tar.gz.asc", PACKAGE),
        ("pool/main/z/zlib/zlib_1.2.13-1.diff.gz", PACKAGE),
        ("pool/main/d/dists/dists_1.0_all.deb", PACKAGE),
        ("pool/main/f/foo/by-what", PACKAGE),
        ("pool/main/d/dists/by-what", PACKAGE),
        ("debian/pool/main/n/net/net_1_amd64.udeb", PACKAGE),
        ("dists/potato/main/binary-i386/base/bash_2.03-6.deb", PACKAGE),
        ("dists/slink/main/source/base/bash_2.01.orig.tar.gz", PACKAGE),
        ("flat/code_1.0_amd64.deb", PACKAGE),
        ("pool/main/a/apt/apt_2.6.1_changelog", OTHER),
        ("changelogs/main/a/apt/apt_2.6.1_copyright", OTHER),
        ("pool/main/a/apt/apt_2.6.1_amd64.changes", OTHER),
        ("project/trace/ftp-master.debian.org", OTHER),
        ("ls-lR.gz", OTHER),
        ("indices/Maintainers.gz", OTHER),
        ("dists/bookworm/", OTHER),
        ("dists/../InRelease", OTHER),
        ("dists//InRelease", OTHER),
        ("/InRelease", OTHER),
        ("", OTHER),
        (".", OTHER),
    ],
)
def test_every_shape_of_path_is_known(path: str, place: Place) -> None:
    assert APT.classify(path) == place
