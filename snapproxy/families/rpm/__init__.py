"""rpm: Fedora, CentOS Stream, openSUSE and every repository made by createrepo_c; dnf 4, dnf5 and zypper.

A root (repodata/repomd.xml, with its signature in repomd.xml.asc) lists the other metadata; primary.xml, one of them,
lists the packages. `paths` classifies paths, `indexes` reads metadata. A zchunk file (`.zck`) is listed, served and
read like any other packing: the entries of a signed repomd cannot be removed, and a client may request only the zchunk
file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from snapproxy.core.model import Checker, ExpectedFile, Instant, Place
from snapproxy.core.package_name import PackageName
from snapproxy.core.signature_schemes import OpenPgp
from snapproxy.errors import ArchiveDataError, Drop, refuse_entry
from snapproxy.families.rpm.indexes import read_index
from snapproxy.families.rpm.package_names import package_name
from snapproxy.families.rpm.paths import MEDIUM, METADATA, ROOT, base_of, classify
from snapproxy.formats.digests import DigestChecker
from snapproxy.formats.repomd import published

PARSER = "rpm-3"
"""The version of the entries that `indexes` yields. An index table built by another version is rebuilt."""


class Rpm:
    """rpm-md and its clients' behaviour; implements `core.model.Family`."""

    name = "rpm"
    # dnf gives up on a silent server after 30 s (its `timeout`); zypper after 60 s.
    patience = 25.0
    parser = PARSER
    # dnf and zypper compare checksums, not dates: they load metadata with another checksum in repomd, older or newer.
    keeps_newer_root = False
    how_to_clear_lists = ""
    mirror_list_hint = "Configure a base address in the client (dnf: baseurl) in place of a metalink or mirrorlist."
    # dnf and zypper do not discard an answer because of its date.
    drops_older_dates = False
    # repomd.xml lists primary.xml, which lists the packages.
    roots_list_packages = False
    purl_type = "rpm"
    tells_root_dates = True
    # dnf (without proxy_auth_method=basic) and zypper send them only after a 407, on each connection.
    waits_for_challenge = True
    scheme = OpenPgp()

    def classify(self, path: str) -> Place:
        return classify(path)

    def read_index(
        self, path: str, data: Iterable[bytes], drop: Drop = refuse_entry
    ) -> Iterator[tuple[str, ExpectedFile]]:
        return read_index(path, data, drop)

    def checker(self, expected: ExpectedFile) -> Checker:
        return DigestChecker(expected.size, expected.digests)

    def lasting_path(self, expected: ExpectedFile) -> str:
        return expected.path  # the names contain a checksum (metadata) or a version (packages)

    def root_date(self, data: bytes) -> Instant | None:
        """Return the revision, otherwise the newest timestamp. None if the root cannot be parsed or has neither."""
        try:
            return published(data)
        except ArchiveDataError:
            return None

    def contradiction(self, path: str, data: bytes) -> str:
        """Return '': a root does not name its place."""
        return ""

    def signature(self, path: str) -> str | None:
        return f"{path}.asc" if f"/{path}".endswith(f"/{METADATA}/{ROOT}") else None

    def root_forms(self, path: str) -> tuple[str, ...]:
        return (path,)

    def signed_file(self, path: str) -> str | None:
        return None

    def beside_root(self, path: str) -> tuple[str, ...]:
        """Return the key that SUSE publishes with the signature, and the description of the medium.

        zypper requests the latter at every refresh; most repositories lack it.
        """
        return (f"{path}.key", f"{base_of(path)}{MEDIUM}")

    def package_name(self, path: str) -> PackageName | None:
        return package_name(path)


RPM = Rpm()
