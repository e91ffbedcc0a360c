"""apk: Alpine and its relatives (postmarketOS, Wolfi, OpenWrt's newer releases).

A root, `<repository>/<arch>/APKINDEX.tar.gz` or an `.adb` of version 3, carries its own signatures and promises packages by the digest
of a part of each. What indexes say is read in `indexes`, and packages are judged in `package`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from snapproxy.core.model import Checker, ExpectedFile, Instant, Place, Role
from snapproxy.core.package_name import PackageName
from snapproxy.core.signature_schemes import RawSignatures
from snapproxy.families.apk.indexes import ADB, INDEX, INDEX_3, raw_signatures, read_index
from snapproxy.families.apk.package import PackageChecker
from snapproxy.families.apk.package_names import package_name

PARSER = "apk-2"
"""The version of what `indexes` yields."""

_OTHER = Place(Role.OTHER)


class Apk:
    """apk's formats and its client's habits; fulfils `core.model.Family`."""

    name = "apk"
    # apk 3 waits 60 s for progress (apk(8), --timeout) and shows nothing meanwhile; people do not wait that long for a prompt to move.
    patience = 8.0
    parser = PARSER
    # It compares no dates of roots: what is answered with a 200 it takes.
    keeps_newer_root = False
    drops_older_dates = False
    roots_list_packages = True
    purl_type = "apk"
    # Its If-Modified-Since is the moment of its own download. Equal to a date of ours by chance, it would be told "not modified" of an
    # index it never had; and going back in time behind one URL would end there. Without a date it is always sent the bytes.
    tells_root_dates = False

    scheme = RawSignatures(raw_signatures)

    def classify(self, path: str) -> Place:
        *folders, name = path.split("/")
        if name in {"", ".", ".."} or not {"", ".", ".."}.isdisjoint(folders):
            return _OTHER
        if name == INDEX or name.endswith(ADB):
            return Place(Role.ROOT, lists_files=True)
        if name.endswith(".apk"):
            return Place(Role.PACKAGE, parents=tuple("/".join((*folders, index)) for index in (INDEX, INDEX_3)))
        return _OTHER

    def read_index(self, path: str, data: Iterable[bytes]) -> Iterator[tuple[str, ExpectedFile]]:
        if self.classify(path).role is not Role.ROOT:
            return iter(())
        return ((expected.path, expected) for expected in read_index(path, data))

    def checker(self, expected: ExpectedFile) -> Checker:
        return PackageChecker(expected)

    def lasting_path(self, expected: ExpectedFile) -> str:
        return expected.path

    def root_date(self, data: bytes) -> Instant | None:
        """Return None: an index bears no date that anybody reads."""
        return None

    def signature(self, path: str) -> str | None:
        """Return None: every root carries its own."""
        return None

    def package_name(self, path: str) -> PackageName | None:
        return package_name(path)


APK = Apk()
