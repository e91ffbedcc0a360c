"""Read the expected files and the signatures of apk's indexes.

The indexes are `APKINDEX.tar.gz` of version 2, and `Packages.adb` or any other `.adb` of version 3. Both give each
package an identity: the digest of its control part (packages of version 2) or of its metadata (version 3). The length
of the digest identifies the algorithm. An index of version 3 does not contain the version of a package, only the
package's bytes do: the expected file therefore names the identity by its length in bits, and `package` chooses the
algorithm.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from snapproxy.core.expected_files import DroppedEntries, distinct
from snapproxy.core.model import ExpectedFile
from snapproxy.core.signature_schemes import RawSignature
from snapproxy.errors import ArchiveDataError, Drop, refuse_entry
from snapproxy.families.apk.architectures import ARCHITECTURES
from snapproxy.families.apk.identity import BITS, IDENTITY
from snapproxy.formats import adb_index, apkindex

INDEX = "APKINDEX.tar.gz"
"""The index of version 2."""
INDEX_3 = "Packages.adb"
"""The index of version 3, at the path that a `v3` line defines."""
ADB = ".adb"

# apk also supports DSA, which no archive uses. Signatures of other kinds are ignored, as in apk.
_HASHES = {"RSA": "sha1", "RSA256": "sha256", "RSA512": "sha512"}
# `<name>-<version>` becomes a path: characters that could leave the folder are excluded.
_NAME = re.compile(r"[^\x00-\x1f\x7f-\x9f/\\]{1,200}")
_UNCLEAN = re.compile(r"[\x00-\x1f\x7f-\x9f\\]")
_VARIABLE = re.compile(r"\$\{(?P<name>[a-z]+)(?::(?P<most>[0-9]{1,4}))?\}")
_BESIDE = "${name}-${version}.apk"


def read_index(path: str, data: Iterable[bytes], drop: Drop = refuse_entry) -> Iterator[ExpectedFile]:
    """Yield the files that the index at `path` lists, each path once.

    The whole container is parsed before the first file. An entry that is malformed or names a file outside its archive
    is dropped. Raises ArchiveDataError if the index cannot be parsed.
    """
    whole = apkindex.read_whole(data)
    return distinct(_packages_3(path, whole, drop) if path.endswith(ADB) else _packages_2(path, whole, drop), drop)


def raw_signatures(path: str, data: bytes) -> tuple[RawSignature, ...]:
    """Return the signatures of the index at `path`. Raises ArchiveDataError when it cannot be parsed."""
    if path.endswith(ADB):
        # A signature names the digest of the index that it signs. The signature itself always uses SHA-512
        # (adb_trust_verify_signature).
        found = adb_index.open_index(data).signatures
        return tuple(RawSignature(each.key, "sha512", each.value, each.signed, by_id=True) for each in found)
    index = apkindex.open_index(data)
    signed = data[index.start :]
    return tuple(
        RawSignature(each.key, _HASHES[each.algorithm], each.value, signed)
        for each in index.signatures
        if each.algorithm in _HASHES
    )


def _packages_2(path: str, data: bytes, drop: Drop) -> Iterator[ExpectedFile]:
    """Yield the packages of an index of version 2, in the index's folder: `abuild` replaces every arch, even noarch."""
    folder = path[: path.rfind("/") + 1]

    def drop_named(error: ArchiveDataError, path: str = "") -> None:
        drop(error, f"{folder}{path}.apk" if _NAME.fullmatch(path) else "")

    for entry in apkindex.records(apkindex.open_index(data).text, drop=drop_named):
        try:
            file = f"{_checked_name(entry.name, entry.version)}.apk"
        except ArchiveDataError as error:
            drop(error)
            continue
        yield ExpectedFile(folder + file, entry.size, {f"{IDENTITY}{len(entry.digest) * 4}": entry.digest})


def _packages_3(path: str, data: bytes, drop: Drop) -> Iterator[ExpectedFile]:
    """Yield the packages of an index of version 3. Entries without a digest are skipped, as in apk (with a warning)."""
    index = adb_index.open_index(data)
    folder, spec = _layout(path, index)
    if "://" in spec:  # the packages have absolute addresses, outside this archive
        return
    for entry in index.entries(drop):
        bits = len(entry.identity) * 8
        if bits in BITS:
            try:
                file = _expanded(spec, entry)
            except ArchiveDataError as error:
                drop(error)
                continue
            yield ExpectedFile(folder + file, entry.size or None, {f"{IDENTITY}{bits}": entry.identity.hex()})


def _layout(path: str, index: adb_index.AdbIndex) -> tuple[str, str]:
    """Return the base folder of package paths and their pattern (apk-repositories(5), "repository layout").

    A `v3` line names the folder above the folders of the architectures; each package is in the folder of its own
    architecture. An `ndx` line names the index; the packages are in the same folder. The client's line is not
    available: it is inferred from the name and the folder of the index.
    """
    *folders, name = path.split("/")
    if name == INDEX_3 and folders and _is_architecture(folders[-1], index):
        return "".join(f"{each}/" for each in folders[:-1]), index.spec or f"${{arch}}/{_BESIDE}"
    return "".join(f"{each}/" for each in folders), index.spec or _BESIDE


def _is_architecture(folder: str, index: adb_index.AdbIndex) -> bool:
    return folder in ARCHITECTURES or any(entry.architecture == folder for entry in index.entries(DroppedEntries().add))


def _expanded(spec: str, entry: adb_index.AdbEntry) -> str:
    """Replace the variables of the pattern, each truncated to the number of bytes given in it (apk_blob_subst)."""
    _checked_name(entry.name, entry.version)
    values = {"name": entry.name, "version": entry.version, "arch": entry.architecture, "hash": entry.identity.hex()}

    def value(variable: re.Match[str]) -> str:
        if variable["name"] not in values:
            raise ArchiveDataError("The index has an unknown path pattern", why=f"The pattern: {spec[:140]!r}.")
        most = None if variable["most"] is None else int(variable["most"])
        return values[variable["name"]].encode()[:most].decode("utf-8", "replace")

    file = _VARIABLE.sub(value, spec)
    if _UNCLEAN.search(file) or not {"", ".", ".."}.isdisjoint(file.split("/")):
        raise _outside(file)
    return file


def _checked_name(name: str, version: str) -> str:
    file = f"{name}-{version}"
    if not _NAME.fullmatch(file):
        raise _outside(file)
    return file


def _outside(name: str) -> ArchiveDataError:
    return ArchiveDataError("The index names a file outside its archive", why=f"The name is {name[:140]!r}.")
