"""Classify paths of pacman repositories by their last segment.

Official mirrors use `<repo>/os/<arch>/` below any prefix, ports use `<arch>/<repo>/`, and a private repository may have
no folder at all. pacman joins the `Server` setting and a file name, so the names decide.
"""

from __future__ import annotations

import re

from snapproxy.core.model import Place, Role

PACKING = r"(?:\.(?:gz|bz2|xz|zst|lrz|lzo|Z|lz4|lz))?"
# pacman requests the short names. repo-add makes them links to the long names, which other tools download too.
_DATABASE = re.compile(rf"(?P<root>[^/]+\.db(?:\.tar{PACKING})?)(?P<signature>\.sig)?")
_FILES = re.compile(rf"[^/]+\.files(?:\.tar{PACKING})?(?P<signature>\.sig)?")
_PACKAGE = re.compile(rf"[^/]+\.pkg\.tar{PACKING}(?:\.sig)?")
SIGNATURE = ".sig"
_OTHER = Place(Role.OTHER)


def classify(path: str) -> Place:
    """Return the place of `path`. Never raises: unknown shapes, folders and paths that are not normalised are OTHER.

    A package's signature is PACKAGE too: the database may list it, and it is added and removed with its package.
    `.files` is an index that no root lists. It is not a root itself: it lists the same packages as the `.db` in its
    folder, and is too large to be verified in memory.
    """
    folder, _, name = path.rpartition("/")
    if name in {"", ".", ".."} or (folder and not {"", ".", ".."}.isdisjoint(folder.split("/"))):
        return _OTHER
    if _PACKAGE.fullmatch(name):
        return Place(Role.PACKAGE)
    if found := _DATABASE.fullmatch(name):
        if found["signature"]:
            return Place(Role.SIGNATURE, roots=(path.removesuffix(".sig"),))
        return Place(Role.ROOT, lists_files=True)
    if found := _FILES.fullmatch(name):
        return Place(Role.SIGNATURE) if found["signature"] else Place(Role.INDEX, lists_files=True)
    return _OTHER


def files_of(path: str) -> str | None:
    """Return the path of the database of files beside the database at `path`, None if that has no usual name."""
    before, found, packing = path.rpartition(".db")
    return f"{before}.files{packing}" if found else None


def is_database(path: str) -> bool:
    """Return whether the file at `path` is a database, which lists packages."""
    return classify(path).lists_files
