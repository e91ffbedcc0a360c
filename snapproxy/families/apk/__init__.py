"""apk: Alpine and related distributions (postmarketOS, Wolfi, OpenWrt's newer releases).

A root, `<repository>/<arch>/APKINDEX.tar.gz` or an `.adb` of version 3, contains its own signatures and lists each
package with the digest of a part of it. `indexes` reads indexes, `package` checks packages.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from snapproxy.core.model import Checker, ExpectedFile, Instant, Place, Role
from snapproxy.core.package_name import PackageName
from snapproxy.core.signature_schemes import RawSignatures
from snapproxy.errors import Drop, refuse_entry
from snapproxy.families.apk.indexes import ADB, INDEX, INDEX_3, raw_signatures, read_index
from snapproxy.families.apk.package import PackageChecker
from snapproxy.families.apk.package_names import package_name

PARSER = "apk-3"
"""The version of the entries that `indexes` yields. An index table built by another version is rebuilt."""

_OTHER = Place(Role.OTHER)


class Apk:
    """apk's formats and its client's behaviour; implements `core.model.Family`."""

    name = "apk"
    # apk 3 waits 60 s for progress (apk(8), --timeout) and prints nothing while it waits; a user at a prompt gives up
    # earlier.
    patience = 8.0
    parser = PARSER
    # apk does not compare the dates of roots: it accepts every 200.
    keeps_newer_root = False
    how_to_clear_lists = ""
    mirror_list_hint = ""
    drops_older_dates = False
    roots_list_packages = True
    purl_type = "apk"
    # apk's If-Modified-Since is the time of its own download, not a Last-Modified that it received. If that time
    # happened to equal the date of the requested index, the answer would be a 304 for an index that the client does not
    # have, and the client would keep its copy when the time behind the URL is moved back. Without a date it always
    # receives the bytes.
    tells_root_dates = False
    waits_for_challenge = False

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

    def read_index(
        self, path: str, data: Iterable[bytes], drop: Drop = refuse_entry
    ) -> Iterator[tuple[str, ExpectedFile]]:
        if self.classify(path).role is not Role.ROOT:
            return iter(())
        return ((expected.path, expected) for expected in read_index(path, data, drop))

    def checker(self, expected: ExpectedFile) -> Checker:
        return PackageChecker(expected)

    def lasting_path(self, expected: ExpectedFile) -> str:
        return expected.path

    def root_date(self, data: bytes) -> Instant | None:
        """Return None: an index has no date that clients read."""
        return None

    def contradiction(self, path: str, data: bytes) -> str:
        """Return '': a root does not name its place."""
        return ""

    def signature(self, path: str) -> str | None:
        """Return None: every root contains its own signatures."""
        return None

    def root_forms(self, path: str) -> tuple[str, ...]:
        """Return the index of version 2 and that of version 3, unless the index has another name."""
        folder, slash, name = path.rpartition("/")
        forms = tuple(f"{folder}{slash}{form}" for form in (INDEX, INDEX_3))
        return forms if name in (INDEX, INDEX_3) else (path,)

    def signed_file(self, path: str) -> str | None:
        return None

    def beside_root(self, path: str) -> tuple[str, ...]:
        return ()

    def package_name(self, path: str) -> PackageName | None:
        return package_name(path)


APK = Apk()
