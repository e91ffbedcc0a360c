"""What a path of a pacman repository is, told from its last segment alone.

Official mirrors have `<repo>/os/<arch>/` below any prefix, ports `<arch>/<repo>/`, and a repository of one's own may have no folder at all:
pacman joins whatever `Server` says and a name, so the names are what counts.
"""

from __future__ import annotations

import re

from snapproxy.core.model import Place, Role

PACKING = r"(?:\.(?:gz|bz2|xz|zst|lrz|lzo|Z|lz4|lz))?"
# pacman asks for the short names; repo-add makes them links to the long ones, which people fetch too.
_DATABASE = re.compile(rf"(?P<root>[^/]+\.db(?:\.tar{PACKING})?)(?P<signature>\.sig)?")
_FILES = re.compile(rf"[^/]+\.files(?:\.tar{PACKING})?(?P<signature>\.sig)?")
_PACKAGE = re.compile(rf"[^/]+\.pkg\.tar{PACKING}(?:\.sig)?")
_OTHER = Place(Role.OTHER)


def classify(path: str) -> Place:
    """Say what `path` is. Total; what no rule knows, folders and what is no clean path included, is OTHER.

    A package's signature is PACKAGE too: the database may promise it, and it comes and goes with its package. `.files` is an index that
    nobody names, and no root: it vouches for nothing that the `.db` beside it does not, and is too large to be judged in memory.
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


def is_database(path: str) -> bool:
    """Whether the file at `path` holds promises."""
    return classify(path).lists_files
