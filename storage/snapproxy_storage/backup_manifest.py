"""The manifest of a backup: which of its files belong together. It is written last, so a backup with it is whole.

DIR/manifest.json           this file
DIR/blobs/sha256/<hex>      blobs of all backups into DIR; immutable, so that a later backup copies new ones only
DIR/state-<hex>/            one consistent state: catalog.sqlite3 and journals/<32 hex>
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from snapproxy_storage.layout import is_digest, is_journal
from snapproxy_storage.open_folder import OpenFolder
from snapproxy_storage.protocols import StorageFailure

MANIFEST = "manifest.json"
FORMAT = 1
_KIND = "snapproxy backup"
_MOST_BYTES = 64 << 20
_GENERATION = re.compile(r"state-[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class CopiedFile:
    """The size and the SHA-256 of a file of the backup."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class BackupManifest:
    """A whole backup. `made`: seconds since the epoch. `schema`: the catalog's version. `state`: its folder.

    `has_blobs` is False if only catalog and journals were copied.
    """

    made: int
    schema: int
    state: str
    catalog: CopiedFile
    journals: Mapping[str, CopiedFile]
    has_blobs: bool


def is_generation(name: str) -> bool:
    """Return whether this is the name of the folder of one state."""
    return _GENERATION.fullmatch(name) is not None


def write_manifest(folder: OpenFolder, manifest: BackupManifest) -> None:
    """Publish a manifest in place of the previous one. Raises OSError."""
    data = json.dumps({"kind": _KIND, "format": FORMAT, **asdict(manifest)}, indent=1, sort_keys=True).encode()
    hidden = f".{MANIFEST}.part"
    folder.remove(hidden)
    fd = folder.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        folder.rename(hidden, folder, MANIFEST)
    finally:
        folder.remove(hidden)
    folder.sync()


def read_manifest(folder: OpenFolder) -> BackupManifest:
    """Read a manifest. Raises StorageFailure for a folder without a whole backup, and for a newer format."""
    path = folder.path / MANIFEST
    try:
        with os.fdopen(folder.open(MANIFEST, os.O_RDONLY), "rb") as file:
            value = json.loads(file.read(_MOST_BYTES))
        return _manifest(value)
    except FileNotFoundError:
        raise StorageFailure(f"{folder.path} has no whole backup: there is no {MANIFEST}") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StorageFailure(f"{path} is not the manifest of a backup; use another one") from error


def _manifest(value: Mapping[str, Any]) -> BackupManifest:
    if value["kind"] != _KIND or type(value["format"]) is not int:
        raise ValueError(_KIND)
    if value["format"] > FORMAT:
        raise StorageFailure("a newer program wrote this backup: upgrade snapproxy")
    journals = {name: _file(each) for name, each in value["journals"].items()}
    if not all(map(is_journal, journals)) or not is_generation(value["state"]):
        raise ValueError(value["state"])
    made, schema, has_blobs = value["made"], value["schema"], value["has_blobs"]
    if type(made) is not int or type(schema) is not int or type(has_blobs) is not bool:
        raise TypeError(made)
    return BackupManifest(made, schema, value["state"], _file(value["catalog"]), journals, has_blobs)


def _file(value: Mapping[str, Any]) -> CopiedFile:
    if type(value["size"]) is not int or not is_digest(value["sha256"]):
        raise ValueError(value["sha256"])
    return CopiedFile(value["size"], value["sha256"])
