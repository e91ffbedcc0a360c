"""apk: Alpine and its relatives (postmarketOS, Wolfi, OpenWrt's newer releases).

A root, `<repository>/<arch>/APKINDEX.tar.gz`, carries its own RSA signatures and promises the packages beside it by the digest of their
control part. An index of version 3 (`Packages.adb`, or whatever `.adb` an `ndx` line names) is a root too, kept and served byte for byte,
but not read: it promises nothing here and is believed by nobody but apk, which checks its signature itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from snapproxy.core.model import Checker, Instant, Place, Promise, Role
from snapproxy.core.promised import distinct
from snapproxy.core.schemes import RawRsa, Seal
from snapproxy.errors import ArchiveDataError
from snapproxy.families.apk.package import CONTROL, PackageChecker
from snapproxy.formats import apkindex

PARSER = "apk-1"
"""The version of what `promises` yields."""

INDEX = "APKINDEX.tar.gz"

# apk knows DSA as well, which nobody signs with; a signature of another kind counts for nothing, there as here.
_HASHES = {"RSA": "sha1", "RSA256": "sha256", "RSA512": "sha512"}
# The first bytes of an adb: plain, deflated, or packed as a header says (adb_comp.c).
_ADB = (b"ADB.", b"ADBd", b"ADBc")
# `<name>-<version>`, of which a path is made: nothing that could lead out of the folder.
_NAME = re.compile(r"[^\x00-\x1f\x7f-\x9f/\\]{1,200}")
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
    roots_promise_packages = True
    # Its If-Modified-Since is the moment of its own download. Equal to a date of ours by chance, it would be told "not modified" of an
    # index it never had; and going back in time behind one URL would end there. Without a date it is always sent the bytes.
    tells_root_dates = False

    @property
    def scheme(self) -> RawRsa:
        return RawRsa(_seals)

    def classify(self, path: str) -> Place:
        *folders, name = path.split("/")
        if name in {"", ".", ".."} or not {"", ".", ".."}.isdisjoint(folders):
            return _OTHER
        if name == INDEX:
            return Place(Role.ROOT, has_promises=True)
        if name.endswith(".adb"):
            return Place(Role.ROOT)
        if name.endswith(".apk"):
            return Place(Role.PACKAGE, parents=("/".join((*folders, INDEX)),))
        return _OTHER

    def promises(self, path: str, data: Iterable[bytes]) -> Iterator[tuple[str, Promise]]:
        place = self.classify(path)
        if place.role is not Role.ROOT:
            return iter(())
        whole = apkindex.gather(data)
        if place.has_promises:
            return ((promise.path, promise) for promise in distinct(_packages(path, whole)))
        if not whole.startswith(_ADB):
            raise ArchiveDataError("The index is no adb file", why=f"It begins with {whole[:4]!r}.")
        return iter(())

    def checker(self, promise: Promise) -> Checker:
        return PackageChecker(promise)

    def lasting_path(self, promise: Promise) -> str:
        return promise.path

    def root_date(self, data: bytes) -> Instant | None:
        """Return None: an index bears no date that anybody reads."""
        return None

    def signature(self, path: str) -> str | None:
        """Return None: every root carries its own."""
        return None


def _packages(path: str, data: bytes) -> Iterator[Promise]:
    """Yield a promise a package, in the folder of the index: `abuild` rewrites every arch to that of the index, noarch too."""
    folder = path[: path.rfind("/") + 1]
    for entry in apkindex.records(apkindex.take_apart(data).text):
        file = f"{entry.name}-{entry.version}.apk"
        if not _NAME.fullmatch(file):
            raise ArchiveDataError("The index names a file outside its archive", why=f"The name is {file[:140]!r}.")
        yield Promise(folder + file, entry.size, {f"{CONTROL}{entry.algorithm}": entry.digest})


def _seals(path: str, data: bytes) -> tuple[Seal, ...] | None:
    """Read the signatures of a root; None for an adb, whose format we do not read. Raises ArchiveDataError as `take_apart`."""
    if not path.endswith(INDEX):
        return None
    index = apkindex.take_apart(data)
    return tuple(
        Seal(each.key, _HASHES[each.algorithm], each.value, index.start)
        for each in index.signatures
        if each.algorithm in _HASHES
    )


APK = Apk()
