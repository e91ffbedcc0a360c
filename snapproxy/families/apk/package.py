"""Judges a package of version 2 while it passes, as its index promises it: by its control part, and by what that says of the data.

A package is gzip members in a row: signatures, control, data. The index promises the digest of the control part alone (packed); its
`.PKGINFO` gives the sha256 of everything after it (`datahash`). So the two together pin the whole file but for the signatures, which apk
does not look at once the index vouches for the package. Very old packages give no datahash: there the digest is that of control and data.
The digest is a SHA-1 as a rule: it tells damage and mix-ups, and lets no other source stand in.
"""

from __future__ import annotations

import hashlib

from snapproxy.core.model import Promise
from snapproxy.errors import ArchiveDataError
from snapproxy.formats.digests import DigestChecker
from snapproxy.formats.members import GzipMember
from snapproxy.formats.ustar import entries

CONTROL = "apk-control-"
"""What stands before the algorithm in a promise of a control part's digest."""

MAX_CONTROL = 16 << 20
"""Bytes that a signature or control part may unpack to: `.PKGINFO` and install scripts."""

_MAX_SIGNATURES = 16


class PackageChecker:
    """Judges a file by its size, its own digests if there are any, and that of its control part; fulfils `core.model.Checker`."""

    def __init__(self, promise: Promise) -> None:
        self._whole = DigestChecker(promise.size, promise.digests)
        self._parts = [
            _Parts(name.removeprefix(CONTROL), value)
            for name, value in promise.digests.items()
            if name.startswith(CONTROL)
        ]

    def update(self, data: bytes | memoryview) -> None:
        self._whole.update(data)
        for parts in self._parts:
            parts.update(data)

    def finish(self) -> str | None:
        return self._whole.finish() or next(filter(None, (parts.finish() for parts in self._parts)), None)


class _Parts:
    """Follows the members of one package. What breaks its format is remembered, and told at the end."""

    def __init__(self, algorithm: str, expected: str) -> None:
        self._algorithm = algorithm
        self._expected = expected
        self._signatures = 0
        self._damage = ""
        self._data = hashlib.sha256()
        self._data_expected: str | None = None
        self._is_data = False
        self._begin_member()

    def _begin_member(self) -> None:
        self._member = GzipMember(MAX_CONTROL)
        self._control = hashlib.new(self._algorithm, usedforsecurity=False)

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
                self._damage = error.reason  # short enough to stand in a reason phrase
        if self._is_data:
            (self._control if self._data_expected is None else self._data).update(view)

    def _end_member(self) -> None:
        files = dict(entries(self._member.unpacked))
        if files and all(name.startswith(".SIGN.") for name in files):
            self._signatures += 1
            if self._signatures > _MAX_SIGNATURES:
                raise ArchiveDataError("The package has too many signatures")
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
            return "the package is cut short"
        if self._control.hexdigest() != self._expected:
            return f"{CONTROL}{self._algorithm} differs"
        if self._data_expected is not None and self._data.hexdigest() != self._data_expected:
            return "datahash differs"
        return None


def _datahash(pkginfo: bytes) -> str | None:
    """Return what `.PKGINFO` says the data's sha256 is, None when it says nothing. Lines are `key = value`; the last one counts."""
    found = None
    for line in pkginfo.split(b"\n"):
        key, equals, value = line.partition(b"=")
        if equals and key.strip() == b"datahash":
            found = value.strip().decode("ascii", "replace")
    return found
