"""How clients call packages in their own caches."""

from __future__ import annotations

from base64 import b64decode

from snapproxy.families import CACHERS, FAMILIES
from tests.fakes.alpine import RsaKey, index, package


def test_every_cache_is_a_familys() -> None:
    assert CACHERS.keys() <= FAMILIES.keys()
    assert all(not each.folder.startswith("/") and not each.folder.endswith("/") for each in CACHERS.values())


def test_an_epoch_stands_in_apts_cache_and_not_in_the_pool() -> None:
    listed = (
        b"Package: vim\nVersion: 2:9.0-1\nArchitecture: amd64\n\nPackage: sed\nVersion: 4.9-1\nArchitecture: amd64\n\n"
    )
    names = list(CACHERS["apt"].names("dists/bookworm/main/binary-amd64/Packages", [listed]))
    assert names == [("vim_9.0-1_amd64.deb", "vim_2%3a9.0-1_amd64.deb")]


def test_apk_puts_the_beginning_of_the_identity_into_the_name() -> None:
    key = RsaKey("test@example.org-1.rsa.pub", bits=1024)
    hello = package("hello", "1.0_rc1-r0", key)
    digits = b64decode(hello.identity.removeprefix("Q1")).hex()[:8]
    names = list(CACHERS["apk"].names("v3.22/main/x86_64/APKINDEX.tar.gz", [index([hello], key)]))
    assert names == [("v3.22/main/x86_64/hello-1.0_rc1-r0.apk", f"hello-1.0_rc1-r0.{digits}.apk")]
