"""What apk's indexes promise, and how they are signed: `APKINDEX.tar.gz` of version 2, and `Packages.adb`, or any other `.adb`, of version 3.

Both give a package an identity: a digest of its control part (version 2 of packages) or of its metadata (version 3), whose length alone
says by which algorithm. Which of the two the package is, only its bytes tell, to an index of version 3: so the promise names the bits, and
`package` does the rest.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from snapproxy.core.expected_files import distinct
from snapproxy.core.model import ExpectedFile
from snapproxy.core.signature_schemes import RawSignature
from snapproxy.errors import ArchiveDataError
from snapproxy.families.apk.architectures import ARCHITECTURES
from snapproxy.families.apk.identity import BITS, IDENTITY
from snapproxy.formats import adb_index, apkindex

INDEX = "APKINDEX.tar.gz"
"""The index of version 2."""
INDEX_3 = "Packages.adb"
"""The index of version 3, where a `v3` line looks for it."""
ADB = ".adb"

# apk knows DSA as well, which nobody signs with; a signature of another kind counts for nothing, there as here.
_HASHES = {"RSA": "sha1", "RSA256": "sha256", "RSA512": "sha512"}
# `<name>-<version>`, of which a path is made: nothing that could lead out of the folder.
_NAME = re.compile(r"[^\x00-\x1f\x7f-\x9f/\\]{1,200}")
_UNCLEAN = re.compile(r"[\x00-\x1f\x7f-\x9f\\]")
_VARIABLE = re.compile(r"\$\{(?P<name>[a-z]+)(?::(?P<most>[0-9]{1,4}))?\}")
_BESIDE = "${name}-${version}.apk"


def read_index(path: str, data: Iterable[bytes]) -> Iterator[ExpectedFile]:
    """Yield what the index at `path` promises, each path once. Its frame was looked at as a whole before the first comes.

    Raises ArchiveDataError when it cannot be read, contradicts itself, or names a file outside its archive.
    """
    whole = apkindex.read_whole(data)
    return distinct(_packages_3(path, whole) if path.endswith(ADB) else _packages_2(path, whole))


def raw_signatures(path: str, data: bytes) -> tuple[RawSignature, ...]:
    """Return the signatures of the index at `path`. Raises ArchiveDataError when it cannot be read."""
    if path.endswith(ADB):
        # Which digest of the index is signed, a signature says; it is itself always made with SHA-512 (adb_trust_verify_signature).
        found = adb_index.open_index(data).signatures
        return tuple(RawSignature(each.key, "sha512", each.value, each.signed, by_id=True) for each in found)
    index = apkindex.open_index(data)
    signed = data[index.start :]
    return tuple(
        RawSignature(each.key, _HASHES[each.algorithm], each.value, signed)
        for each in index.signatures
        if each.algorithm in _HASHES
    )


def _packages_2(path: str, data: bytes) -> Iterator[ExpectedFile]:
    """Yield a promise a package, in the folder of the index: `abuild` rewrites every arch to that of the index, noarch too."""
    folder = path[: path.rfind("/") + 1]
    for entry in apkindex.records(apkindex.open_index(data).text):
        file = f"{_checked_name(entry.name, entry.version)}.apk"
        yield ExpectedFile(folder + file, entry.size, {f"{IDENTITY}{len(entry.digest) * 4}": entry.digest})


def _packages_3(path: str, data: bytes) -> Iterator[ExpectedFile]:
    """Yield a promise a package. One without a digest apk passes over, with a warning; so do we."""
    index = adb_index.open_index(data)
    folder, spec = _layout(path, index)
    if "://" in spec:  # then packages are at addresses of their own, which are no business of this archive
        return
    for entry in index.entries():
        bits = len(entry.identity) * 8
        if bits in BITS:
            file = _expanded(spec, entry)
            if _UNCLEAN.search(file) or not {"", ".", ".."}.isdisjoint(file.split("/")):
                raise _outside(file)
            yield ExpectedFile(folder + file, entry.size or None, {f"{IDENTITY}{bits}": entry.identity.hex()})


def _layout(path: str, index: adb_index.AdbIndex) -> tuple[str, str]:
    """Return the folder that packages are named from, and how they are named (apk-repositories(5), "repository layout").

    A `v3` line names the folder above those of the architectures, and its packages are in the folder of their own; an `ndx` line names
    the index, with its packages beside it. The client's line is not known here: the name and the folder of the index stand for it.
    """
    *folders, name = path.split("/")
    if name == INDEX_3 and folders and _is_architecture(folders[-1], index):
        return "".join(f"{each}/" for each in folders[:-1]), index.spec or f"${{arch}}/{_BESIDE}"
    return "".join(f"{each}/" for each in folders), index.spec or _BESIDE


def _is_architecture(folder: str, index: adb_index.AdbIndex) -> bool:
    return folder in ARCHITECTURES or any(entry.architecture == folder for entry in index.entries())


def _expanded(spec: str, entry: adb_index.AdbEntry) -> str:
    """Put a package's values in place of the variables, each cut to as many bytes as its variable says (apk_blob_subst)."""
    _checked_name(entry.name, entry.version)
    values = {"name": entry.name, "version": entry.version, "arch": entry.architecture, "hash": entry.identity.hex()}

    def value(variable: re.Match[str]) -> str:
        if variable["name"] not in values:
            raise ArchiveDataError("The index names files in an unknown way", why=f"It says {spec[:140]!r}.")
        most = None if variable["most"] is None else int(variable["most"])
        return values[variable["name"]].encode()[:most].decode("utf-8", "replace")

    return _VARIABLE.sub(value, spec)


def _checked_name(name: str, version: str) -> str:
    file = f"{name}-{version}"
    if not _NAME.fullmatch(file):
        raise _outside(file)
    return file


def _outside(name: str) -> ArchiveDataError:
    return ArchiveDataError("The index names a file outside its archive", why=f"The name is {name[:140]!r}.")
