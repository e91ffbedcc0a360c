"""Decide whether a stated Content-Encoding is the compression of the file itself.

Some servers derive the encoding from the first bytes or the suffix of a file (mod_mime_magic and an old default of
Apache): nothing was encoded, and the bytes are those of the file. snapproxy requests no encoding and decodes none.
"""

from __future__ import annotations

_GZIP = (b"\x1f\x8b", (".gz", ".tgz", ".apk"))
_BZIP2 = (b"BZh", (".bz2", ".tbz", ".tbz2"))
_XZ = (b"\xfd7zXZ\x00", (".xz", ".txz"))
_ZSTD = (b"\x28\xb5\x2f\xfd", (".zst", ".tzst"))
_FORMATS = {"gzip": _GZIP, "bzip2": _BZIP2, "xz": _XZ, "zstd": _ZSTD}


def is_own_compression(encoding: str, path: str, first: bytes) -> bool:
    """Return whether the file at `path`, whose first bytes are `first`, may be served as it came.

    `encoding` is in lower case. True if the bytes do not have that encoding at all, or if it is the compression that
    the suffix announces.
    """
    form = _FORMATS.get(encoding.removeprefix("x-"))
    if form is None:
        return False
    magic, suffixes = form
    is_compressed = first[: len(magic)] == magic[: len(first)]
    return not is_compressed or path.endswith(suffixes)
