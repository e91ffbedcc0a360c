"""Classify paths of rpm repositories. The result depends on the path alone.

A repository is a folder that contains `repodata/`; an archive has any number of them, at any depth
(`.../40/Everything/x86_64/`). Only `repodata/repomd.xml` and its signature change; the files that it lists are in the
same folder, usually with their checksum in the name.
"""

from __future__ import annotations

import re

from snapproxy.core.model import Place, Role

METADATA = "repodata"
ROOT = "repomd.xml"
MEDIUM = "media.1/media"

_PACKING = r"(?:\.(?:gz|bz2|xz|lzma|zst))?"
_PACKED = re.compile(_PACKING + r"\Z")
# createrepo_c's --unique-md-filenames (the default since 2010) prefixes the name with the file's checksum. This is not
# a by-hash name: the format does not define it, a repomd may have another type of checksum than the name, and no client
# requests a file by its digest.
_CHECKSUM = re.compile(r"[0-9a-f]{32,128}-")
# zchunk files are a separate series: a repository has them in addition to another packing, and a client uses one of the
# two.
_LISTING = re.compile(r"(primary|prestodelta)\.xml(?:" + _PACKING + r"|\.zck)")
_PACKAGE = re.compile(r".+\.d?rpm")
# Servers with mirrorbrain or mirrorcache (download.opensuse.org) have these for every file: the current mirrors and the
# current digest.
_LIST_OF_MIRRORS = re.compile(r".+\.(?:metalink|meta4|mirrorlist)|metalink|mirrorlist")
_OTHER = Place(Role.OTHER)


def classify(path: str) -> Place:
    """Return the place of `path`. Never raises.

    Unknown shapes (`.treeinfo`, images, keys, `EULA`), folders and paths that are not normalised are OTHER.
    """
    *folders, name = path.split("/")
    if not {"", ".", ".."}.isdisjoint((*folders, name)):
        return _OTHER
    if _LIST_OF_MIRRORS.fullmatch(name):
        return Place(Role.OTHER, leads_elsewhere=True)
    if folders and folders[-1] == METADATA:
        return _metadata(folders, name)
    if folders and folders[-1] == "media.1":  # SUSE's medium: requested at every refresh, usually a 404
        return Place(Role.OTHER, roots=("/".join((*folders[:-1], METADATA, ROOT)),))
    return Place(Role.PACKAGE) if _PACKAGE.fullmatch(name) else _OTHER


def index_kind(path: str) -> str:
    """Return the kind of the index at `path`: repomd, primary, prestodelta; '' if the file lists no files."""
    if not classify(path).lists_files:
        return ""
    name = path.rpartition("/")[2]
    found = _LISTING.fullmatch(_plain(name))
    return found[1] if found else "repomd"


def base_of(path: str) -> str:
    """Return the repository's folder for a metadata file, with a trailing slash; '' for the top folder."""
    return path[: path.rfind(f"{METADATA}/")]


def _metadata(folders: list[str], name: str) -> Place:
    folder = "/".join(folders)
    roots = (f"{folder}/{ROOT}",)
    if name == ROOT:
        return Place(Role.ROOT, lists_files=True)
    if name == f"{ROOT}.asc":
        return Place(Role.SIGNATURE, roots=roots)
    if name.startswith(f"{ROOT}."):  # the key, which SUSE publishes with the signature: no index lists it
        return Place(Role.OTHER, roots=roots)
    plain = _plain(name)
    lists_files = _LISTING.fullmatch(plain) is not None
    # The packing is not part of the series either: openSUSE changed from gzip to zstd between two days.
    series = f"{folder}/{_PACKED.sub('', plain, count=1)}"
    return Place(Role.INDEX, roots=roots, lists_files=lists_files, series=series)


def _plain(name: str) -> str:
    """Return the name without the checksum prefix."""
    return _CHECKSUM.sub("", name, count=1)
