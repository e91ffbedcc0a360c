"""The files of an image's root that are evidence, taken from its layers without unpacking them.

A layer is read as a stream (OCI image-spec, "Image Layer Filesystem Changeset"): a later layer replaces files, and
removes them by whiteouts. Names that lead out of the root are skipped, and so are files that are not evidence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from snapproxy.errors import ArchiveDataError
from snapproxy.formats.tar_stream import TarStream
from snapproxy.formats.unpack import unpack

MOST_MEMBERS = 2_000_000
"""Maximum number of members of one layer."""

LARGEST = 16 << 30
"""Maximum size of one unpacked layer in bytes."""

MOST_KEPT = 512 << 20
"""Maximum bytes of all files that are kept of an image."""

_RATIO = 1200
_LONGEST_NAME = 4096
_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"


@dataclass(frozen=True, slots=True)
class _KeptFile:
    data: bytes
    size: int
    modified: int


@dataclass(frozen=True, slots=True)
class LayerChanges:
    """The changes by one layer: files by path, and the paths and folders (with a slash) that it removes first."""

    files: dict[str, _KeptFile]
    removed: tuple[str, ...]


def read_layer(pieces: Iterable[bytes], limit_of: Callable[[str], int | None]) -> LayerChanges:
    """Read the wanted files of a layer; `limit_of` returns the maximum bytes to keep of a path, None to skip it.

    Blocks. Raises ArchiveDataError if the layer is damaged or exceeds a limit.
    """
    unpacked = unpack(pieces, max_size=LARGEST, max_ratio=_RATIO)
    tar = TarStream(unpacked, _damaged, max_members=MOST_MEMBERS, max_name=_LONGEST_NAME, needs_end=False)
    files: dict[str, _KeptFile] = {}
    removed: list[str] = []
    kept = 0
    for member in tar.members():
        parts = [part for part in member.name.split("/") if part not in {"", "."}]
        if not parts or ".." in parts:
            continue
        folder, name = "/".join(parts[:-1]), parts[-1]
        if name == _OPAQUE:
            removed.append(f"{folder}/" if folder else "")
            continue
        if name.startswith(_WHITEOUT):
            path = "/".join((*parts[:-1], name.removeprefix(_WHITEOUT)))
            removed += [path, f"{path}/"]
            continue
        path = "/".join(parts)
        limit = limit_of(path)
        if limit is None:
            continue
        if not member.is_regular:  # a link or a device replaces a file of an earlier layer
            removed.append(path)
            files.pop(path, None)
            continue
        data = tar.content() if member.size <= limit else b""
        kept += len(data)
        if kept > MOST_KEPT:
            raise _damaged(f"Its files that are evidence have more than {MOST_KEPT} bytes.")
        files[path] = _KeptFile(data, member.size, member.modified)
    return LayerChanges(files, tuple(removed))


class LayerFiles:
    """The files after all layers, oldest first; implements `jobs.root_files.RootFiles`."""

    def __init__(self, layers: Iterable[LayerChanges]) -> None:
        self.notes: list[str] = []
        self._files: dict[str, _KeptFile] = {}
        for layer in layers:
            for path in layer.removed:
                self._remove(path)
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
        return found.modified if found else None

    def _remove(self, path: str) -> None:
        if path == "" or path.endswith("/"):
            self._files = {name: each for name, each in self._files.items() if not name.startswith(path)}
        else:
            self._files.pop(path, None)


def _damaged(why: str) -> ArchiveDataError:
    return ArchiveDataError("A layer of the image is damaged", why=why)
