"""What a path of an rpm repository is, told from the path alone.

A repository is a folder with `repodata/` in it; an archive holds any number of them, at any depth (`.../40/Everything/x86_64/`). Only
`repodata/repomd.xml` and its signature change; everything that names lies beside it, most often with its checksum in the name.
"""

from __future__ import annotations

import re

from snapproxy.core.model import Place, Role

METADATA = "repodata"
ROOT = "repomd.xml"

_PACKING = r"(?:\.(?:gz|bz2|xz|lzma|zst))?"
_PACKED = re.compile(_PACKING + r"\Z")
# createrepo_c's --unique-md-filenames (the default since 2010) puts the file's checksum in front. It says so nowhere in the format, a
# repomd may give another kind of checksum than the name shows, and nothing asks for a file by its digest: so it is no by-hash name.
_CHECKSUM = re.compile(r"[0-9a-f]{32,128}-")
# zchunk is a series of its own: a repository has it beside another packing, and a client takes one of the two.
_LISTING = re.compile(r"(primary|prestodelta)\.xml(?:" + _PACKING + r"|\.zck)")
_PACKAGE = re.compile(r".+\.d?rpm")
# download.opensuse.org and others (mirrorbrain, mirrorcache) have these for every file: today's servers, and today's digest.
_LIST_OF_MIRRORS = re.compile(r".+\.(?:metalink|meta4|mirrorlist)|metalink|mirrorlist")
_OTHER = Place(Role.OTHER)


def classify(path: str) -> Place:
    """Say what `path` is. Total; what no rule knows (`.treeinfo`, images, keys, `EULA`), folders and what is no clean path are OTHER."""
    *folders, name = path.split("/")
    if not {"", ".", ".."}.isdisjoint((*folders, name)):
        return _OTHER
    if _LIST_OF_MIRRORS.fullmatch(name):
        return Place(Role.OTHER, leads_elsewhere=True)
    if folders and folders[-1] == METADATA:
        return _metadata(folders, name)
    if folders and folders[-1] == "media.1":  # SUSE's medium: asked for at every refresh, 404 most often
        return Place(Role.OTHER, roots=("/".join((*folders[:-1], METADATA, ROOT)),))
    return Place(Role.PACKAGE) if _PACKAGE.fullmatch(name) else _OTHER


def index_kind(path: str) -> str:
    """Return what kind of promises the file at `path` holds: repomd, primary, prestodelta; '' for none."""
    if not classify(path).lists_files:
        return ""
    name = path.rpartition("/")[2]
    found = _LISTING.fullmatch(_plain(name))
    return found[1] if found else "repomd"


def base_of(path: str) -> str:
    """Return the folder of the repository that the metadata file at `path` belongs to, with its slash; '' for the top."""
    return path[: path.rfind(f"{METADATA}/")]


def _metadata(folders: list[str], name: str) -> Place:
    folder = "/".join(folders)
    roots = (f"{folder}/{ROOT}",)
    if name == ROOT:
        return Place(Role.ROOT, lists_files=True)
    if name == f"{ROOT}.asc":
        return Place(Role.SIGNATURE, roots=roots)
    if name.startswith(f"{ROOT}."):  # the key, which SUSE puts beside the signature: nothing vouches for it
        return Place(Role.OTHER, roots=roots)
    plain = _plain(name)
    lists_files = _LISTING.fullmatch(plain) is not None
    # Nor does the packing make a series: openSUSE went from gzip to zstd between two days.
    series = f"{folder}/{_PACKED.sub('', plain, count=1)}"
    return Place(Role.INDEX, roots=roots, lists_files=lists_files, series=series)


def _plain(name: str) -> str:
    """Return the name without the checksum in front."""
    return _CHECKSUM.sub("", name, count=1)
