"""Read the evidence of a tar without unpacking it: an image of `docker save` (skopeo's docker-archive), or a root."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path

from snapproxy.core.address import AddressBook
from snapproxy.errors import ArchiveDataError, StorageError
from snapproxy.formats.strict_json import parse
from snapproxy.formats.tar_stream import TarStream
from snapproxy.formats.time_evidence.image_config import LARGEST, read_image_config
from snapproxy.formats.unpack import unpack
from snapproxy.jobs.image_evidence import config_evidence
from snapproxy.jobs.layer_files import MOST_KEPT, MOST_MEMBERS, LayerChanges, LayerFiles, read_layer
from snapproxy.jobs.root_evidence import WANTED, RootEvidence, collect
from snapproxy.oci.artifact import open_regular
from snapproxy.oci.layout import MARK

_PIECE = 1 << 20
_LARGEST = 64 << 30
_RATIO = 1200
_INDEX = "manifest.json"
_LARGEST_INDEX = 1 << 20
_HEX_NAME = re.compile(r"(?:blobs/sha256/)?[0-9a-f]{64}(?:\.json|\.tar|/layer\.tar)?")


class TarKind(Enum):
    """The content of a tar."""

    LAYOUT = "image layout"
    DOCKER = "docker-archive"
    ROOT = "root"


def tar_kind(path: Path) -> TarKind | None:
    """Return the content of a tar, compressed or not; None if the file is not a tar. Blocks.

    Raises ArchiveDataError if it begins as a tar and is damaged later.
    """
    found: set[str] = set()
    is_tar = False
    try:
        with _opened(path) as tar:
            for member in tar.members():
                is_tar = True
                name = member.name.removeprefix("./")
                if member.is_regular and name in {MARK, _INDEX}:
                    found.add(name)
    except ArchiveDataError:
        if not is_tar:
            return None
        raise
    if MARK in found:
        return TarKind.LAYOUT
    return TarKind.DOCKER if _INDEX in found else TarKind.ROOT if is_tar else None


def root_tar_evidence(path: Path, book: AddressBook) -> RootEvidence:
    """Read the evidence of a root in a tar. Blocks. Raises ArchiveDataError, StorageError."""
    with _bytes(path) as pieces:
        return collect(LayerFiles((read_layer(pieces, WANTED),)), book)


def docker_archive_evidence(path: Path, book: AddressBook) -> RootEvidence:
    """Read the evidence of the first image in a tar of `docker save`. Blocks.

    Raises ArchiveDataError if it is not one, StorageError if it cannot be read.
    """
    listed = _member(path, _INDEX, _LARGEST_INDEX)
    try:
        first = parse(listed)[0]
        config_name, layer_names = first["Config"], list(first["Layers"])
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise ArchiveDataError("The tar contains no image", why=f"Its {_INDEX} lists none.") from error
    if not all(isinstance(name, str) and _HEX_NAME.fullmatch(name) for name in (config_name, *layer_names)):
        raise ArchiveDataError("The tar contains no image", why="The names of its files are no digests.")
    config = _member(path, config_name, LARGEST)
    layers: dict[str, LayerChanges] = {}
    left = MOST_KEPT
    with _opened(path) as tar:
        for member in tar.members():
            if member.is_regular and member.name in layer_names and member.name not in layers:
                layers[member.name] = read_layer(tar.pieces(), WANTED, most=left)
                left -= layers[member.name].cost
    found = collect(LayerFiles(layers[name] for name in layer_names if name in layers), book)
    missing = [name for name in layer_names if name not in layers]
    found.notes += [f"{len(missing)} layers are links or missing and were not read."] if missing else []
    found.evidence += config_evidence(read_image_config(config), book)
    return found


@contextmanager
def _bytes(path: Path) -> Iterator[Iterator[bytes]]:
    try:
        file = open_regular(path)
    except FileNotFoundError:
        raise StorageError("The tar file does not exist", why=f"{path} does not exist.") from None

    def pieces() -> Iterator[bytes]:
        at = 0
        while piece := file.read_at(at, _PIECE):
            at += len(piece)
            yield piece

    try:
        yield pieces()
    finally:
        file.close()


@contextmanager
def _opened(path: Path) -> Iterator[TarStream]:
    with _bytes(path) as pieces:
        unpacked = unpack(pieces, max_size=_LARGEST, max_ratio=_RATIO)
        yield TarStream(unpacked, _damaged, max_members=MOST_MEMBERS, max_name=4096, needs_end=False)


def _member(path: Path, name: str, most: int) -> bytes:
    with _opened(path) as tar:
        for member in tar.members():
            if member.name == name and member.is_regular and member.size <= most:
                return tar.content()
    raise ArchiveDataError("The tar contains no image", why=f"It has no file {name} of an acceptable size.")


def _damaged(why: str) -> ArchiveDataError:
    return ArchiveDataError("The tar of the image is damaged", why=why)
