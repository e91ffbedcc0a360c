"""Find the files of queries in an index: joins its files, which have digests, with its packages, which have versions.

An index table has the paths and digests, a listing the names and versions. The file name connects the two.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from snapproxy.core.listing import Lister, PackageVersion
from snapproxy.core.model import ExpectedFile, Family
from snapproxy.prefetch.query import FileMatch, IndexedFile, Query, compare_file, without_epoch


@dataclass(frozen=True, slots=True)
class Scan:
    """The files of an index that answer queries, by the number of the query.

    `contradicted`: the same for files that have the path or the name of a query, and another digest.

    `names` are all packages that the index lists; `versions` has those of the packages with a name of a query.
    """

    hits: tuple[tuple[int, IndexedFile], ...]
    contradicted: tuple[tuple[int, IndexedFile], ...]
    names: frozenset[str]
    versions: Mapping[str, frozenset[str]]


@dataclass(frozen=True, slots=True)
class QueryTable:
    """Queries by everything that may identify their file: name, digest, and the name of the file."""

    by_name: Mapping[str, Sequence[Query]] = field(default_factory=dict)
    by_digest: Mapping[tuple[str, str], Sequence[Query]] = field(default_factory=dict)
    by_file: Mapping[str, Sequence[Query]] = field(default_factory=dict)

    @classmethod
    def of(cls, queries: Iterable[Query]) -> QueryTable:
        """Arrange queries."""
        names: defaultdict[str, list[Query]] = defaultdict(list)
        digests: defaultdict[tuple[str, str], list[Query]] = defaultdict(list)
        files: defaultdict[str, list[Query]] = defaultdict(list)
        for query in queries:
            if query.name:
                names[query.name].append(query)
            if query.path:
                files[_file_name(query.path)].append(query)
            for each in query.digests():
                digests[each].append(query)
        return cls(names, digests, files)

    def possible(self, name: str, file: ExpectedFile) -> Iterator[Query]:
        """Yield each query that a listed file may answer, once."""
        found = {each.number: each for each in self.by_name.get(name, ())}
        found |= {each.number: each for each in self.by_file.get(_file_name(file.path), ())}
        for digest in file.digests.items():
            found |= {each.number: each for each in self.by_digest.get(digest, ())}
        yield from found.values()


def scan_index(
    packages: Iterable[PackageVersion],
    files: Iterable[ExpectedFile],
    family: Family,
    lister: Lister,
    queries: QueryTable,
) -> Scan:
    """Return the files of one index that answer queries. It takes about a second for a large index: use a thread."""
    names = set()
    versions: defaultdict[str, set[str]] = defaultdict(set)
    listed: defaultdict[tuple[str, str], list[PackageVersion]] = defaultdict(list)
    for package in packages:
        names.add(package.name)
        if package.name in queries.by_name:
            versions[package.name].add(package.version)
            listed[package.name, without_epoch(package.version)].append(package)
    found: dict[FileMatch, list[tuple[int, IndexedFile]]] = {each: [] for each in FileMatch}
    for file in files:
        for indexed in _packages_of(file, family, listed):
            for query in queries.possible(indexed.name, file):
                agreement = compare_file(query, indexed, lister.any_architecture, lister.compare)
                found[agreement].append((query.number, indexed))
    return Scan(
        tuple(found[FileMatch.SAME]),
        tuple(found[FileMatch.OTHER_BYTES]),
        frozenset(names),
        {name: frozenset(each) for name, each in versions.items()},
    )


def _packages_of(
    file: ExpectedFile, family: Family, listed: Mapping[tuple[str, str], Sequence[PackageVersion]]
) -> Iterator[IndexedFile]:
    """Yield the package of a file, once for each version that the file name may mean.

    A file name may omit the epoch, and the folder of an apk index is the architecture of all its packages.
    """
    named = family.package_name(file.path)
    if named is None:
        yield IndexedFile("", "", "", file)
        return
    packages = listed.get((named.name, without_epoch(named.version)), ())
    own = [each for each in packages if each.architecture == named.arch]
    for each in own or packages:
        yield IndexedFile(each.name, each.version, each.architecture, file)
    if not packages:
        yield IndexedFile(named.name, named.version, named.arch, file)


def _file_name(path: str) -> str:
    return path.rpartition("/")[2]
