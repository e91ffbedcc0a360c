"""Classify paths of archives in Debian's format. The result depends on the path alone.

The rules follow the repository format (wiki.debian.org/DebianRepository/Format) and the archives that Debian, Ubuntu,
Launchpad and others publish: suites of several segments, archives below a prefix, flat repositories, and packages under
`dists/` (in the 1990s).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from snapproxy.core.model import ExpectedFile, Place, Role
from snapproxy.formats.digests import is_digest

#: Names of by-hash folders, and of hash sections in Release, by algorithm.
HASH_FIELDS = {"md5": "MD5Sum", "sha1": "SHA1", "sha256": "SHA256", "sha512": "SHA512"}
#: Checksum lists in the folder of an installer's images, by algorithm, strongest first.
CHECKSUM_LISTS = {"sha256": "SHA256SUMS", "md5": "MD5SUMS"}

_ALGORITHMS = {field: name for name, field in HASH_FIELDS.items()}
_LISTS_OF_CHECKSUMS = frozenset(CHECKSUM_LISTS.values())
_PACKING = r"(?:\.(?:gz|bz2|xz|lzma|zst|lz4))?"
_PACKAGES_OR_SOURCES = re.compile(r"(Packages|Sources)" + _PACKING)
# Names that are indexes in any folder, and folders in which every file is an index.
_OTHER_INDEX = re.compile(r"(?:Contents|Translation|Commands|Components|CID-Index|icons)-.+")
_INDEX_FOLDERS = frozenset({"i18n", "dep11", "cnf"})
_DIFF_FOLDER = re.compile(r"(?:Packages|Sources|Contents-.+|Translation-.+)\.diff")
# Binary packages, source packages, and the tarballs of the latter: `name_version.suffix`.
_PACKAGE = re.compile(r".+\.(?:deb|udeb|ddeb|dsc|diff\.gz)|[^_]+_[^_]+\.tar\.(?:gz|bz2|xz|lzma|zst)(?:\.asc)?")
# Files in a pool, or requested as if they were, that no index lists.
_UNNAMED = re.compile(r".+(?:[_.](?:changelog|copyright|NEWS\.Debian|news)|\.(?:changes|buildinfo|gpg|sign))")
_DEEPEST_SUITE = 6
_OTHER = Place(Role.OTHER)


def classify(path: str) -> Place:
    """Return the place of `path`. Never raises: unknown shapes, folders and paths that are not normalised are OTHER.

    An unknown file under a suite may still be listed in the suite's Release: it is OTHER with `roots`.
    """
    *folders, name = path.split("/")
    if name in {"", ".", ".."} or not {"", ".", ".."}.isdisjoint(folders):
        return _OTHER
    return _by_hash(folders, name) or _root(folders, name) or _diff(folders, name) or _named(folders, name)


def index_kind(path: str) -> str:
    """Return the kind of the index at `path`: Release, Packages, Sources, Index, SHA256SUMS, MD5SUMS.

    Return '' if the file at `path` lists no files.
    """
    if not classify(path).lists_files:
        return ""
    name = path.rpartition("/")[2]
    if match := _PACKAGES_OR_SOURCES.fullmatch(name):
        return match[1]
    return "Release" if name == "InRelease" else name


def folder_of(path: str) -> str:
    """Return the folder of `path` with a trailing slash, '' for the top folder."""
    return path[: path.rfind("/") + 1]


def by_hash_path(expected: ExpectedFile, algorithm: str) -> str:
    """Return the path of the expected file in the by-hash folder of its own folder."""
    return f"{folder_of(expected.path)}by-hash/{HASH_FIELDS[algorithm]}/{expected.digests[algorithm]}"


def base_of(path: str) -> str | None:
    """Return the repository's base: the part of the path before `dists/`. None if the repository is flat."""
    folders = path.split("/")[:-1]
    at = _dists(folders)
    return None if at is None else "".join(f"{folder}/" for folder in folders[:at])


def _by_hash(folders: list[str], name: str) -> Place | None:
    if not _is_by_hash(folders):
        return None
    owner, algorithm = folders[:-2], _ALGORITHMS[folders[-1]]
    if not is_digest(algorithm, name):
        return Place(Role.OTHER, roots=_roots(owner))
    parents = (_join(owner, "Index"),) if _is_diff(owner) else ()
    return Place(Role.INDEX, roots=_roots(owner), parents=parents, by_hash=(algorithm, name))


def _root(folders: list[str], name: str) -> Place | None:
    if name == "Release.gpg":
        return Place(Role.SIGNATURE, roots=(_join(folders, "Release"),))
    if name == "InRelease":
        return Place(Role.ROOT, lists_files=True)
    if name != "Release":
        return None
    at = _dists(folders)
    if at is not None and _last_of_suite(folders, at) < len(folders):
        return Place(Role.INDEX, roots=_roots(folders))  # in the folder of Packages: five lines about the component
    return Place(Role.ROOT, lists_files=True)


def _diff(folders: list[str], name: str) -> Place | None:
    """Classify pdiffs: the Release lists their Index, and the Index lists the patches."""
    if not _is_diff(folders):
        return None
    if name == "Index":
        return Place(Role.INDEX, roots=_roots(folders), lists_files=True)
    # Until 2016 the Index had digests of the uncompressed patches only, not of the files that are served.
    return Place(Role.PACKAGE, parents=(_join(folders, "Index"),), may_be_unlisted=True)


def _named(folders: list[str], name: str) -> Place:
    if _PACKAGES_OR_SOURCES.fullmatch(name):
        return Place(Role.INDEX, roots=_roots(folders), lists_files=True)
    at = _dists(folders)
    if _UNNAMED.fullmatch(name):
        return _OTHER if at is None else Place(Role.OTHER, roots=_roots(folders))
    if (at is None and "pool" in folders) or _PACKAGE.fullmatch(name):
        return Place(Role.PACKAGE)
    # Lenny's Release does not list Contents, and squeeze's does not list Translation-*; both files exist.
    if _OTHER_INDEX.fullmatch(name):
        return Place(Role.INDEX, roots=_roots(folders), may_be_unlisted=True)
    if at is None:
        return _OTHER
    if (images := _images(folders, at)) is not None:
        return _image(folders, name, images)
    if folders[-1] in _INDEX_FOLDERS:
        return Place(Role.INDEX, roots=_roots(folders), may_be_unlisted=True)
    return Place(Role.OTHER, roots=_roots(folders))


def _image(folders: list[str], name: str, images: int) -> Place:
    """Classify a file in or below an installer's folder of images. `images` is the depth of that folder."""
    if len(folders) == images and name in _LISTS_OF_CHECKSUMS:
        # Debian's Release lists them. Ubuntu's does not; there they have their own signature.
        return Place(Role.INDEX, roots=_roots(folders), lists_files=True, may_be_unlisted=True)
    return Place(Role.PACKAGE, parents=tuple(_join(folders[:images], lists) for lists in CHECKSUM_LISTS.values()))


def _images(folders: Sequence[str], dists: int) -> int | None:
    """Return the depth of an installer's folder of images, `.../installer-amd64/<version>/images`.

    None for other folders.
    """
    for at in range(dists + 2, len(folders) - 2):
        if folders[at].startswith("installer-"):
            return at + 3
    return None


def _roots(folders: Sequence[str]) -> tuple[str, ...]:
    """Return the roots that may list a file in these folders, most likely first.

    Most suites are one segment. `buster/updates` (security, before bullseye) and `potato/non-US` are two, and third
    parties have suites of four segments and more.
    """
    at = _dists(folders)
    if at is None or len(folders) == at + 1:
        suites = [folders]
    else:
        last = min(_last_of_suite(folders, at), at + 1 + _DEEPEST_SUITE)
        suites = [folders[:end] for end in range(at + 2, last + 1)]
        if len(suites) > 1 and suites[1][-1] in {"updates", "non-US"}:
            suites[0], suites[1] = suites[1], suites[0]
    return tuple(_join(suite, root) for suite in suites if not _is_by_hash(suite) for root in ("InRelease", "Release"))


def _is_by_hash(folders: Sequence[str]) -> bool:
    """Return whether the last of these folders is a by-hash folder.

    Its files are named by digest, so it contains no root.
    """
    *_, by_hash, field = ("", "", *folders)
    return by_hash == "by-hash" and field in _ALGORITHMS


def _last_of_suite(folders: Sequence[str], dists: int) -> int:
    """Return the largest possible depth of the suite's folder. A folder like `binary-amd64` shows where it ends."""
    for at in range(dists + 2, len(folders)):
        folder = folders[at]
        if folder.startswith(("binary-", "installer-")) or folder in {*_INDEX_FOLDERS, "source", "debian-installer"}:
            return max(at - 1, dists + 2)
    return len(folders)


def _dists(folders: Sequence[str]) -> int | None:
    """Return the index of `dists` in `folders`, otherwise None. Inside a pool, `dists` is the name of a package."""
    at = next((i for i, folder in enumerate(folders) if folder in {"dists", "pool"}), None)
    return at if at is not None and folders[at] == "dists" else None


def _is_diff(folders: Sequence[str]) -> bool:
    return bool(folders) and _DIFF_FOLDER.fullmatch(folders[-1]) is not None


def _join(folders: Sequence[str], name: str) -> str:
    return "/".join((*folders, name))
