"""The identity resolver: a digest that names a file within one archive: apk's `C:`, an md5 or a sha1.

An index lists the digest, so the index of an archive at an instant finds the file (`query.compare_file`).
"""

from __future__ import annotations

from snapproxy.core.model import STRONG
from snapproxy.formats.package_lists.model import DigestOf
from snapproxy.prefetch.query import IndexedFile, Query


def is_by_identity(query: Query, found: IndexedFile) -> bool:
    """Return whether only a weak digest, or one of the control part, connects the entry with the file.

    Such a digest identifies a file among those of one archive; the strong digest comes from the index.
    """
    equal = {algorithm for algorithm, value in query.digests() if found.file.digests.get(algorithm) == value}
    return bool(equal) and not equal & set(STRONG)


def has_header_only(query: Query) -> bool:
    """Return whether every digest of the entry is that of an rpm's header, which no index lists."""
    digests = query.entry.digests
    return bool(digests) and all(each.of is DigestOf.HEADER for each in digests)
