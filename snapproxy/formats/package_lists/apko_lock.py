"""Read a lock of apko (`apko lock`, version v1): the packages of an image for all its architectures.

A package has the digests of its parts and the range of each, and none of the whole file. The last range ends at the end
of the file.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode

from snapproxy.formats.package_lists.apk_installed import control_digest
from snapproxy.formats.package_lists.model import (
    MOST_ENTRIES,
    DigestOf,
    ListedDigest,
    ListEntry,
    ListFormat,
    ListFormatError,
    PackageList,
)
from snapproxy.formats.package_lists.name_forms import APK_NAME, APK_VERSION
from snapproxy.formats.package_lists.tree import TreeValue, read_json

NAME = "apko-lock"

_ARCHITECTURE = re.compile(r"[a-z0-9_]+")
_RANGE = re.compile(r"bytes=([0-9]{1,18})-([0-9]{1,18})")
_CHECKSUM = re.compile(r"(sha1|sha256)-([0-9A-Za-z+/]+=*)")
_BYTES = {"sha1": 20, "sha256": 32}


def read(data: bytes) -> PackageList:
    """Read the lock. Packages with an address on the builder's disk are in a note."""
    raw = read_json(data)
    contents = raw.get("contents") if isinstance(raw, dict) else None
    if not isinstance(contents, dict) or "packages" not in contents or "keyring" not in contents:
        raise ListFormatError("", "It has no contents.packages beside a contents.keyring.")
    document = TreeValue(raw)
    document.member("version").matching(re.compile("v1"), "the version v1, the only known one")
    packages = document.member("contents").member("packages")
    if isinstance(packages.raw, list) and len(packages.raw) > MOST_ENTRIES:
        raise packages.wrong(f"It has more than {MOST_ENTRIES} packages.")
    entries = tuple(_entry(each) for each in packages.items())
    relative = sum(not each.url for each in entries)
    note = f"Packages with an address that is not http or https: {relative}. Use their names and digests."
    return PackageList(NAME, entries, (note,) if relative else ())


def _entry(package: TreeValue) -> ListEntry:
    control, data = package.member("control"), package.member("data")
    control_end, (data_start, data_end) = _range(control)[1], _range(data)
    if data_start != control_end + 1:
        raise data.wrong("Its range does not follow that of the control part.")
    return ListEntry(
        package.place,
        family="apk",
        name=package.member("name").matching(APK_NAME, "a name of apk")[0],
        version=package.member("version").matching(APK_VERSION, "a version of apk")[0],
        architecture=package.member("architecture").matching(_ARCHITECTURE, "an architecture")[0],
        url=package.member("url").address(),
        digests=(_control(package), _checksum(data, DigestOf.DATA)),
        size=data_end + 1,
    )


def _range(part: TreeValue) -> tuple[int, int]:
    """Return the first and the last byte of a part."""
    value = part.member("range")
    found = value.matching(_RANGE, "a range bytes=FIRST-LAST")
    first, last = int(found[1]), int(found[2])
    if first > last:
        raise value.wrong("The range ends before it begins.")
    return first, last


def _control(package: TreeValue) -> ListedDigest:
    """Return the digest of the control part. Since apko 0.13 a lock has it twice."""
    found = _checksum(package.member("control"), DigestOf.CONTROL)
    again = package.optional("checksum")
    if again is not None and again.raw != "" and control_digest(again.place, again.word()) != found:
        raise again.wrong("It differs from the checksum of the control part.")
    return found


def _checksum(part: TreeValue, of: DigestOf) -> ListedDigest:
    value = part.member("checksum")
    found = value.matching(_CHECKSUM, "sha1- or sha256- and base64")
    try:
        decoded = b64decode(found[2], validate=True)
    except (binascii.Error, ValueError):
        decoded = b""
    if len(decoded) != _BYTES[found[1]]:
        raise value.wrong(f"Expected the {found[1]} of a part in base64.")
    return ListedDigest(found[1], decoded.hex(), of)


APKO_LOCK = ListFormat(NAME, "a lock of apko, version v1", read)
