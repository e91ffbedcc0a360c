"""The versions of a package in the stored snapshots of an archive, from the listings and index tables of the store.

Nothing is downloaded and no index is parsed for this page: an index that was not read before is reported as such.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from snapproxy.base.names import roots_of
from snapproxy.core.listing import Lister, Part, Root
from snapproxy.core.model import Archive
from snapproxy.errors import SnapproxyError
from snapproxy.families import FAMILIES, LISTERS
from snapproxy.indexes.index_tables import IndexTables
from snapproxy.indexes.table_format import DROPPED, decode_package, table_name
from snapproxy.pages.snapshots import stored_snapshots
from snapproxy.pages.view import NoSuchPageError, View, code, link, number, table
from snapproxy_storage import StorageFailure, Store

PAGE_SNAPSHOTS = 20
"""Number of snapshots on a page."""

MOST_ROOTS = 8
"""Number of roots of one snapshot that are looked at."""

MOST_TABLES = 60
"""Number of tables that one page opens; a large one takes a tenth of a second, in a thread."""

MOST_KEPT = 4096
"""Number of results in memory: the versions of a package in one index, which never change."""

MOST_VERSIONS = 20
"""Number of versions of one index that are shown."""


@dataclass(frozen=True, slots=True)
class FoundVersion:
    """A version of the package in an index: its component or repository, and its architecture."""

    version: str
    architecture: str
    component: str


@dataclass(frozen=True, slots=True)
class _Index:
    """An index of packages that a root lists; `files` are its forms, as (path, sha256)."""

    part: Part
    files: tuple[tuple[str, str], ...]


class PackagePages:
    """The view. `archives`: by name."""

    def __init__(self, archives: Mapping[str, Archive], store: Store, tables: IndexTables) -> None:
        self._archives = archives
        self._store = store
        self._tables = tables
        self._kept: OrderedDict[tuple[str, str, str], tuple[FoundVersion, ...]] = OrderedDict()

    async def view(self, query: Mapping[str, str]) -> View:
        """Return the versions of a package of an archive in one snapshot (`at`), or in a page of them (`below`)."""
        name, archive_name = query.get("name", "").strip()[:255], query.get("archive", "")
        archive = self._archives.get(archive_name)
        if archive is None and archive_name:
            raise NoSuchPageError("There is no archive of that name", hint="The page of archives lists them.")
        data: dict[str, Any] = {"archive": archive_name, "name": name, "snapshots": []}
        shown: dict[str, Any] = {"archives": list(self._archives), "table_snapshots": None, "unread": [], "next": ""}
        if archive is not None and name:
            found, further = await self._search(archive, name, query.get("below", ""), query.get("at", ""))
            data |= {"snapshots": found, "next_below": further or None}
            more = urlencode({"archive": archive.name, "name": name, "below": further}, quote_via=quote)
            shown |= {
                "table_snapshots": _table(archive, name, found),
                "unread": _unread(found),
                "next": f"/packages?{more}" if further else "",
            }
        return View("packages.html", "packages", name or "Packages", data, shown)

    async def _search(self, archive: Archive, name: str, below: str, at: str) -> tuple[list[dict[str, Any]], str]:
        most = PAGE_SNAPSHOTS
        stored = [at] if at else await stored_snapshots(self._store.overview, archive, most=most + 1, below=below)
        ids = stored[:most]
        budget = [MOST_TABLES]
        found = [await self._snapshot(archive, name, each, budget) for each in ids]
        return found, ids[-1] if len(stored) > most else ""

    async def _snapshot(self, archive: Archive, name: str, snapshot: str, budget: list[int]) -> dict[str, Any]:
        """Return the versions in one snapshot, and the indexes that were not read. `budget`: tables left to open."""
        versions: list[FoundVersion] = []
        unread: list[str] = []
        looked = 0
        roots = await self._store.overview.names(roots_of(f"{archive.name}/{snapshot}"), most=MOST_ROOTS)
        for path, root in roots:
            if not root.digest:
                continue
            try:
                indexes = await self._indexes(archive, path, root.digest)
            except (SnapproxyError, StorageFailure):
                unread.append(path)
                continue
            for index in indexes:
                matching = await self._versions(archive, name, index, budget)
                if matching is None:
                    unread.append(index.part.path)
                else:
                    looked += 1
                    versions += matching
        unique = sorted(set(versions), key=lambda each: (each.component, each.architecture, each.version))
        return {
            "snapshot": snapshot,
            "versions": [
                {"version": each.version, "architecture": each.architecture, "component": each.component}
                for each in unique[:MOST_VERSIONS]
            ],
            "indexes_read": looked,
            "indexes_not_read": sorted(set(unread)),
        }

    async def _indexes(self, archive: Archive, path: str, digest: str) -> list[_Index]:
        """Return the indexes of packages that a stored root lists."""
        family, lister = FAMILIES[archive.family], LISTERS[archive.family]
        if family.roots_list_packages:
            promised = {path: digest}
        else:
            entries = await self._tables.entries(family, digest, path)
            promised = {
                expected.path: expected.digests["sha256"]
                for name, expected in entries
                if name == expected.path and "sha256" in expected.digests
            }
        return await asyncio.to_thread(_grouped, lister, path, promised)

    async def _versions(
        self, archive: Archive, name: str, index: _Index, budget: list[int]
    ) -> tuple[FoundVersion, ...] | None:
        """Return the versions in an index, None if no table of it is stored, or too many were opened."""
        for path, digest in index.files:
            key = (path, digest, name)
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        for path, digest in index.files:
            if budget[0] <= 0:
                return None
            try:
                found = await asyncio.to_thread(self._read, archive.family, name, index.part, path, digest)
            except StorageFailure:  # a damaged table, which has been removed
                continue
            if found is not None:
                budget[0] -= 1
                self._kept[path, digest, name] = found
                if len(self._kept) > MOST_KEPT:
                    self._kept.popitem(last=False)
                return found
        return None

    def _read(self, family: str, name: str, part: Part, path: str, digest: str) -> tuple[FoundVersion, ...] | None:
        """Read the listing of an index, otherwise its index table, whose file names have no epochs. In a thread."""
        stored, readers = table_name(digest, path), (LISTERS[family].parser, FAMILIES[family].parser)
        for version, is_listing in zip(readers, (True, False), strict=True):
            table = self._store.tables.open(stored, version)
            if table is None:
                continue
            try:
                rows = (row for row, _ in table.items() if not row.startswith(DROPPED))
                matching = _listed(rows, name) if is_listing else _filed(rows, family, name)
                return tuple(FoundVersion(each, architecture, part.component) for each, architecture in matching)
            finally:
                table.close()
        return None


def _grouped(lister: Lister, path: str, promised: Mapping[str, str]) -> list[_Index]:
    """Return the indexes of a root, each with all the forms in which the root lists it."""
    root = Root((path,))
    found: dict[tuple[str, str], list[tuple[Part, str]]] = {}
    for name, digest in promised.items():
        for part in lister.parts(root, path, (name,)):
            if part.is_usual:
                found.setdefault((part.component, part.architecture), []).append((part, digest))
    return [
        _Index(forms[0][0], tuple((part.path, digest) for part, digest in forms)) for _, forms in sorted(found.items())
    ]


def _listed(rows: Iterator[str], name: str) -> Iterator[tuple[str, str]]:
    for row in rows:
        if row.startswith(f"{name} "):
            package = decode_package(row)
            yield package.version, package.architecture


def _filed(rows: Iterator[str], family: str, name: str) -> Iterator[tuple[str, str]]:
    for row in rows:
        if name in row:
            package = FAMILIES[family].package_name(row)
            if package is not None and package.name == name:
                yield package.version, package.arch


def _table(archive: Archive, name: str, found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    rows = []
    for each in found:
        at = quote(each["snapshot"], safe="/")
        listed = ", ".join(map(_words, each["versions"]))
        unknown = "not listed" if each["indexes_read"] else "unknown: no index was read"
        rows.append(
            (
                code(each["snapshot"]),
                listed or unknown,
                number(each["indexes_read"]),
                number(len(each["indexes_not_read"])),
                link("client set-up", f"/setup?distro={quote(archive.name, safe='')}&at={at}"),
            )
        )
    columns = ("Snapshot", "Versions", "#Indexes read", "#Not read", "Use")
    empty = "No snapshot of this archive is stored."
    return table("snapshots", f"{name} in {archive.name}", columns, rows, empty=empty)


def _words(version: Mapping[str, str]) -> str:
    return f"{version['version']} ({', '.join(filter(None, (version['architecture'], version['component'])))})"


def _unread(found: Sequence[Mapping[str, Any]]) -> list[str]:
    return sorted({path for each in found for path in each["indexes_not_read"]})[:PAGE_SNAPSHOTS]
