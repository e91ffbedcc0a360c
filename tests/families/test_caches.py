"""The names of packages in the caches of clients."""

from __future__ import annotations

from base64 import b64decode

import pytest

from snapproxy.core.client_cache import ClientRepository, ClientSettings
from snapproxy.errors import ConfigurationError
from snapproxy.families import CLIENT_CACHES, FAMILIES, REPOSITORY_CACHES
from tests.fakes.alpine import RsaKey, index, package


def test_every_cache_is_a_familys() -> None:
    assert CLIENT_CACHES.keys() | REPOSITORY_CACHES.keys() == FAMILIES.keys()
    assert not CLIENT_CACHES.keys() & REPOSITORY_CACHES.keys(), "one way each"
    assert all(not each.folder.startswith("/") and not each.folder.endswith("/") for each in CLIENT_CACHES.values())


def test_an_epoch_is_in_apts_cache_names_but_not_in_pool_names() -> None:
    listed = (
        b"Package: vim\nVersion: 2:9.0-1\nArchitecture: amd64\n\nPackage: sed\nVersion: 4.9-1\nArchitecture: amd64\n\n"
    )
    names = list(CLIENT_CACHES["apt"].names("dists/bookworm/main/binary-amd64/Packages", [listed]))
    assert names == [("vim_9.0-1_amd64.deb", "vim_2%3a9.0-1_amd64.deb")]


def test_apk_puts_the_beginning_of_the_identity_into_the_name() -> None:
    key = RsaKey("test@example.org-1.rsa.pub", bits=1024)
    hello = package("hello", "1.0_rc1-r0", key)
    digits = b64decode(hello.identity.removeprefix("Q1")).hex()[:8]
    names = list(CLIENT_CACHES["apk"].names("v3.22/main/x86_64/APKINDEX.tar.gz", [index([hello], key)]))
    assert names == [("v3.22/main/x86_64/hello-1.0_rc1-r0.apk", f"hello-1.0_rc1-r0.{digits}.apk")]


DNF = REPOSITORY_CACHES["rpm"]
KEY = b"\x98\x33 a public key"
HERE = {"releasever": "40", "basearch": "x86_64"}


def dnf(*texts: str, keys: bytes = b"") -> tuple[ClientRepository, ...]:
    files = {f"{number}.repo": text for number, text in enumerate(texts)}
    return DNF.repositories(ClientSettings(files, HERE, keys))


@pytest.mark.parametrize(
    ("lines", "folder", "base"),
    [
        ("baseurl=http://127.0.0.1:18431/40/x86_64", "t-0921ad8877094712", "40/x86_64"),
        ("baseurl=http://127.0.0.1:18431/$releasever/${basearch}", "t-0921ad8877094712", "40/x86_64"),
        ("baseurl=http://127.0.0.1:18431/40/x86_64/", "t-391df701660bf04c", "40/x86_64"),
        ("baseurl=http://127.0.0.1:18431/./40/x86_64/", "t-14b4cc4081f9e392", "40/x86_64"),
        ("baseurl = http://h/a b/c", "t-c43fa283946b8145", "a"),
        ("baseurl=http://h/a\n  http://h/b", "t-c43fa283946b8145", "a"),
        ("baseurl=http://h/a\nmirrorlist=http://127.0.0.1:18431/40/mirrors", "t-5fa8306a6c2161c4", "a"),
        (
            "baseurl=http://h/a\nmetalink=https://m.example/metalink?repo=fedora-$releasever&arch=$basearch",
            "t-d80519931f8d34ec",
            "a",
        ),
    ],
)
def test_dnf_names_a_folder_after_the_first_address_with_variables_replaced(lines: str, folder: str, base: str) -> None:
    """The expected names were created by dnf 4.14 (libdnf 0.69)."""
    assert dnf(f"[t]\n{lines}\n") == (ClientRepository("t", f"var/cache/dnf/{folder}", base),)


def test_only_what_is_enabled_counts() -> None:
    found = dnf(
        "[main]\ngpgcheck=1\n[a]\nbaseurl=http://h/a\n[b]\nenabled=0\nbaseurl=http://h/b\n", "[c]\nbaseurl=http://h/c"
    )
    assert [each.id for each in found] == ["a", "c"]


def test_a_signed_root_needs_its_key_in_dnfs_cache() -> None:
    text = "[t]\nbaseurl=http://h/a\nrepo_gpgcheck=1\n"
    assert dnf(text, keys=KEY)[0].made == {"pubring/pubring.gpg": KEY}
    with pytest.raises(ConfigurationError, match="--repo-key FILE"):
        dnf(text)
    for wrong in (
        b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nAAAA",
        b"-----BEGIN PGP PRIVATE KEY BLOCK-----",
        b"\x94secret",
    ):
        with pytest.raises(ConfigurationError, match="not OpenPGP public keys"):
            dnf(text, keys=wrong)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (("[a]\nbaseurl=http://h/a\n", "[a]\nbaseurl=http://h/b\n"), "The repository a is defined twice"),
        (("[a]\nbaseurl=http://h/a\n[a]\nbaseurl=http://h/b\n",), "cannot be read"),
        (("baseurl=http://h/a\n",), "cannot be read"),
        (("[a]\nno assignment\n",), "cannot be read"),
        (("[a/b]\nbaseurl=http://h/a\n",), "Invalid repository id"),
        (("[..]\nbaseurl=http://h/a\n",), "Invalid repository id"),
        (("[a\x00]\nbaseurl=http://h/a\n",), "Invalid repository id"),
        (("[a]\nenabled=0\nbaseurl=http://h/a\n",), "No repository is enabled"),
        (("[a]\nname=a\n",), "has no baseurl"),
        (("[a]\nbaseurl=\n  http://h/a\n",), "has no baseurl"),
        (("[a]\nmetalink=https://h/a\n",), "Add the recorded address"),
        (("[a]\nbaseurl=http://h/$stream/a\n",), "--var stream=VALUE"),
        (("[a]\nbaseurl=http://h/../a\n",), "invalid baseurl"),
        (("[a]\nbaseurl=http://[h/a\n",), "invalid baseurl"),
    ],
)
def test_settings_without_a_folder_or_invalid_for_dnf_are_refused(texts: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        dnf(*texts)


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("Packages/h/hello-1-1.noarch.rpm", "packages/hello-1-1.noarch.rpm"),
        ("repodata/repomd.xml", "repodata/repomd.xml"),
        ("repodata/repomd.xml.asc", "repodata/repomd.xml.asc"),
        (f"repodata/{'0' * 64}-primary.xml.gz", f"repodata/{'0' * 64}-primary.xml.gz"),
        ("media.1/media", None),
        ("repodata/repomd.xml.key", None),
    ],
)
def test_where_files_of_a_repository_lie_in_dnfs_cache(path: str, place: str | None) -> None:
    assert DNF.place(path) == place
