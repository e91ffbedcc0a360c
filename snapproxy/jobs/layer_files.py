"""The files of an image's root that are evidence, taken from its layers without unpacking them.

A layer is read as a stream (OCI image-spec, "Image Layer Filesystem Changeset"): a later layer replaces files, and
removes them by whiteouts. Names that lead out of the root are skipped, and so are files that are not evidence.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from snapproxy.errors import ArchiveDataError
from snapproxy.formats.tar_stream import TarStream
from snapproxy.formats.time_evidence.dates import accepted
from snapproxy.formats.unpack import unpack

MOST_MEMBERS = 2_000_000
"""Maximum number of members of one layer."""

LARGEST = 16 << 30
"""Maximum size of one unpacked layer in bytes."""

MOST_KEPT = 512 << 20
"""Maximum bytes of memory for all that is kept of an image."""

_RATIO = 1200
_LONGEST_NAME = 4096
_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
_COST = 512
"""Memory of an entry in bytes besides its path and its content, about."""


@dataclass(frozen=True, slots=True)
class _KeptFile:
    data: bytes
    size: int
    modified: int


@dataclass(frozen=True, slots=True)
class WantedPaths:
    """The files to keep: `limit_of` returns the maximum bytes of a path, None to skip it.

    `is_above` returns whether they may be in a folder or below.
    """

    limit_of: Callable[[str], int | None]
    is_above: Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class LayerChanges:
    """The changes by one layer: files by path, and the paths and folders (with a slash) that it removes first.

    `cost` is the memory that they take in bytes, about.
    """

    files: Mapping[str, _KeptFile]
    removed: Collection[str]
    cost: int


def read_layer(pieces: Iterable[bytes], wanted: WantedPaths, *, most: int = MOST_KEPT) -> LayerChanges:
    """Read the wanted files of a layer, which may take `most` bytes of memory.

    Blocks. Raises ArchiveDataError if the layer is damaged or exceeds a limit.
    """
    unpacked = unpack(pieces, max_size=LARGEST, max_ratio=_RATIO)
    tar = TarStream(unpacked, _damaged, max_members=MOST_MEMBERS, max_name=_LONGEST_NAME, needs_end=False)
    files: dict[str, _KeptFile] = {}
    removed: set[str] = set()
    cost = 0
    for member in tar.members():
        parts = [part for part in member.name.split("/") if part not in {"", "."}]
        if not parts or ".." in parts:
            continue
        path = "/".join(parts)
        hidden = list(_removed_by(parts, wanted, is_folder=member.is_folder))
        limit = None if parts[-1].startswith(_WHITEOUT) else wanted.limit_of(path)
        data = tar.content() if limit is not None and member.is_regular and member.size <= limit else b""
        cost += len(data) + sum(_COST + len(each) for each in (*hidden, *([path] if limit is not None else [])))
        if cost > most:
            raise _damaged(f"Its files that are evidence take more than {most} bytes.")
        removed.update(hidden)
        if limit is None:
            continue
        if member.is_regular:
            files[path] = _KeptFile(data, member.size, member.modified)
        else:  # a link or a device replaces a file of an earlier layer
            removed.add(path)
            files.pop(path, None)
    return LayerChanges(files, removed, cost)


def _removed_by(parts: Sequence[str], wanted: WantedPaths, *, is_folder: bool) -> Iterator[str]:
    """Yield what a member removes of earlier layers: a whiteout a file or folder, any file the folder of its name."""
    folder, name = "/".join(parts[:-1]), parts[-1]
    if name == _OPAQUE:
        if not folder or wanted.is_above(folder):
            yield f"{folder}/" if folder else ""
        return
    is_whiteout = name.startswith(_WHITEOUT)
    path = "/".join((*parts[:-1], name.removeprefix(_WHITEOUT)))
    if is_whiteout and wanted.limit_of(path) is not None:
        yield path
    if (is_whiteout or not is_folder) and wanted.is_above(path):
        yield f"{path}/"


class LayerFiles:
    """The files after all layers, oldest first; implements `jobs.root_files.RootFiles`."""

    def __init__(self, layers: Iterable[LayerChanges]) -> None:
        self.notes: list[str] = []
        self._files: dict[str, _KeptFile] = {}
        for layer in layers:
            if layer.removed:
                kept = {path: each for path, each in self._files.items() if not _is_removed(path, layer.removed)}
                self._files = kept
            self._files |= layer.files

    def read(self, path: str, most: int) -> bytes | None:
        found = self._files.get(path)
        if found is None:
            return None
        if found.size != len(found.data) or found.size > most:
            self.notes.append(f"{path} has {found.size} bytes and was not read; the limit is {most}.")
            return None
        return found.data

    def names(self, folder: str) -> list[str]:
        start = f"{folder}/"
        return sorted({path[len(start) :].partition("/")[0] for path in self._files if path.startswith(start)})

    def modified(self, path: str) -> int | None:
        found = self._files.get(path)
        return accepted(found.modified) if found else None


def _is_removed(path: str, removed: Collection[str]) -> bool:
    """Return whether a path, a folder above it, or everything is removed."""
    ends = (index + 1 for index, letter in enumerate(path) if letter == "/")
    return path in removed or "" in removed or any(path[:end] in removed for end in ends)


def _damaged(why: str) -> ArchiveDataError:
    return ArchiveDataError("A layer of the image is damaged", why=why)
