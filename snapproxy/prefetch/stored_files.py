"""Find out whether a wanted file is in the store, without a request to any upstream."""

from __future__ import annotations

from collections.abc import Iterator

from snapproxy.base.names import Names
from snapproxy.core.history import History
from snapproxy.core.model import TIMELESS
from snapproxy.prefetch.model import WantedFile
from snapproxy_storage import Blobs


class StoredFiles:
    """Looks up wanted files in the catalog and the blobs. Their bytes are not checked: serving does that."""

    def __init__(self, names: Names, blobs: Blobs) -> None:
        self._names = names
        self._blobs = blobs

    def size(self, file: WantedFile, history: History, snapshot: str = "") -> int | None:
        """Return the size in bytes of a stored file, None if it is not stored.

        `snapshot` is the id to which the file's time resolves (`core.model.Resolved.snapshot`), '' if it is not known.
        A file that is stored under its digest alone costs no request if an index of its snapshot lists it.
        """
        sizes = (self._blobs.size(digest) for digest in self._digests(file, history, snapshot))
        return next((size for size in sizes if size is not None), None)

    def _digests(self, file: WantedFile, history: History, snapshot: str) -> Iterator[str]:
        """Yield the SHA-256 under which the file may be stored: of its name, and of its listed digest."""
        archive, lasting = file.archive.name, history.timeless(file.path)
        named = [(snapshot, file.path)] if snapshot else []
        for where, path in [*named, *([(TIMELESS, lasting)] if lasting else [])]:
            stored = self._names.stored(f"{archive}/{where}", path)
            if stored is not None:
                yield stored.digest
        algorithm, _, value = file.digest.partition(":")
        found = value if algorithm == "sha256" else self._names.sha256_by_digest(archive, algorithm, value)
        if found:
            yield found
