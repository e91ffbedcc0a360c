"""rpm: Fedora, CentOS Stream, openSUSE and every repository that createrepo_c wrote; dnf 4, dnf5 and zypper.

A root (repodata/repomd.xml, signed beside it in repomd.xml.asc) promises the other metadata, and primary.xml among them the packages.
What paths are is read in `paths`, what metadata promise in `indexes`. A zchunk file (`.zck`) is promised, served and read like any other
packing: a repomd that is signed cannot be rid of those that it lists, and a client may ask for nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from snapproxy.core.model import Checker, ExpectedFile, Instant, Place
from snapproxy.core.package_name import PackageName
from snapproxy.core.signature_schemes import OpenPgp
from snapproxy.errors import ArchiveDataError
from snapproxy.families.rpm.indexes import read_index
from snapproxy.families.rpm.package_names import package_name
from snapproxy.families.rpm.paths import METADATA, ROOT, classify
from snapproxy.formats.digests import DigestChecker
from snapproxy.formats.repomd import published

PARSER = "rpm-2"
"""The version of what `indexes` yields: a promise table built by another version is built again."""


class Rpm:
    """rpm-md and its clients' habits; fulfils `core.model.Family`."""

    name = "rpm"
    # dnf gives up on a silent server after 30 s (its `timeout`); zypper after 60 s.
    patience = 25.0
    parser = PARSER
    # Nothing compares dates: another checksum in repomd makes dnf and zypper load what it names, older or newer.
    keeps_newer_root = False
    how_to_clear_lists = ""
    mirror_list_hint = "Give the client a base address (dnf: baseurl) in place of a metalink or mirrorlist."
    # Nor does either drop an answer for its date.
    drops_older_dates = False
    # primary.xml stands between repomd.xml and the packages.
    roots_list_packages = False
    purl_type = "rpm"
    tells_root_dates = True
    scheme = OpenPgp()

    def classify(self, path: str) -> Place:
        return classify(path)

    def read_index(self, path: str, data: Iterable[bytes]) -> Iterator[tuple[str, ExpectedFile]]:
        return read_index(path, data)

    def checker(self, expected: ExpectedFile) -> Checker:
        return DigestChecker(expected.size, expected.digests)

    def lasting_path(self, expected: ExpectedFile) -> str:
        return expected.path  # metadata have their checksum in the name already, packages their version

    def root_date(self, data: bytes) -> Instant | None:
        """Read the revision, else the newest timestamp. Total; None for a root that cannot be read or does not tell."""
        try:
            return published(data)
        except ArchiveDataError:
            return None

    def signature(self, path: str) -> str | None:
        return f"{path}.asc" if f"/{path}".endswith(f"/{METADATA}/{ROOT}") else None

    def package_name(self, path: str) -> PackageName | None:
        return package_name(path)


RPM = Rpm()
