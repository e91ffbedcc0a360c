"""Check a package against its index while it is downloaded: the identity, and the digests in the identified part.

A package of version 2 is a sequence of gzip members: signatures, control, data. Its identity is the digest of the
compressed control part; the `.PKGINFO` in it has the sha256 of everything after it (`datahash`). Together they cover
the whole file except the signatures, which apk ignores if the index lists the package. Very old packages have no
datahash: their identity is the digest of control and data. The digest is usually a SHA-1: it detects damage and
mix-ups, but is too weak to accept bytes from another source.

`package_v3` checks packages of version 3. The first bytes show the version of a package; apk reads them too
(`apk_extract`).
"""

from __future__ import annotations

import hashlib

from snapproxy.core.model import Checker, ExpectedFile
from snapproxy.errors import ArchiveDataError
from snapproxy.families.apk.identity import BITS, IDENTITY
from snapproxy.families.apk.package_v3 import MetadataParts
from snapproxy.formats.digests import DigestChecker
from snapproxy.formats.gzip_members import GzipMember
from snapproxy.formats.ustar import entries

MAX_CONTROL = 16 << 20
"""Maximum decompressed size of a signature or control part (`.PKGINFO` and install scripts), in bytes."""

_MAX_SIGNATURES = 16
_ADB = b"ADB"


class PackageChecker:
    """Check a file's size, its digests if the index has any, and its identity; implements `core.model.Checker`."""

    def __init__(self, expected: ExpectedFile) -> None:
        self._whole = DigestChecker(expected.size, expected.digests)
        self._identities = {
            int(name.removeprefix(IDENTITY)): value
            for name, value in expected.digests.items()
            if name.startswith(IDENTITY)
        }
        self._head = b""
        self._parts: list[Checker] = []

    def update(self, data: bytes | memoryview) -> None:
        self._whole.update(data)
        if not self._parts and self._identities:
            self._head += data
            if len(self._head) < len(_ADB):
                return
            self._start_parts()
            data = self._head
        for parts in self._parts:
            parts.update(data)

    def _start_parts(self) -> None:
        parts_checker = MetadataParts if self._head.startswith(_ADB) else _MemberParts
        self._parts = [parts_checker(bits, value) for bits, value in self._identities.items()]

    def finish(self) -> str | None:
        if self._identities and not self._parts:
            self._start_parts()
        return self._whole.finish() or next(filter(None, (parts.finish() for parts in self._parts)), None)


class _MemberParts:
    """Check the members of one package of version 2. The first violation of the format is returned by `finish`."""

    def __init__(self, bits: int, expected: str) -> None:
        self._bits = bits
        self._expected = expected
        self._signatures = 0
        self._damage = ""
        self._data = hashlib.sha256()
        self._data_expected: str | None = None
        self._is_data = False
        self._begin_member()

    def _begin_member(self) -> None:
        self._member = GzipMember(MAX_CONTROL)
        self._control = hashlib.new(BITS[self._bits], usedforsecurity=False)

    def update(self, data: bytes | memoryview) -> None:
        view = memoryview(data)
        while view and not self._damage and not self._is_data:
            try:
                taken = self._member.take(view)
                self._control.update(view[:taken])
                view = view[taken:]
                if self._member.is_whole:
                    self._end_member()
            except ArchiveDataError as error:
                self._damage = error.reason  # short enough for a reason phrase
        if self._is_data:
            (self._control if self._data_expected is None else self._data).update(view)

    def _end_member(self) -> None:
        files = dict(entries(self._member.unpacked))
        if files and all(name.startswith(".SIGN.") for name in files):
            self._signatures += 1
            if self._signatures > _MAX_SIGNATURES:
                raise ArchiveDataError("The package has too many signatures", why=f"The limit is {_MAX_SIGNATURES}.")
            self._begin_member()
        elif ".PKGINFO" in files:
            self._is_data = True
            self._data_expected = _datahash(files[".PKGINFO"])
        else:
            raise ArchiveDataError("The package has no control part")

    def finish(self) -> str | None:
        if self._damage:
            return self._damage
        if not self._is_data:
            return "the package is truncated"
        if self._control.hexdigest() != self._expected:
            return f"{IDENTITY}{self._bits} differs"
        if self._data_expected is not None and self._data.hexdigest() != self._data_expected:
            return "datahash differs"
        return None


def _datahash(pkginfo: bytes) -> str | None:
    """Return the data's sha256 from `.PKGINFO`, None if it has none. Lines are `key = value`; the last one counts."""
    found = None
    for line in pkginfo.split(b"\n"):
        key, equals, value = line.partition(b"=")
        if equals and key.strip() == b"datahash":
            found = value.strip().decode("ascii", "replace")
    return found
