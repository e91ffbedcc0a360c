"""Resolve lists against a simulated archive, with the parts that the application supplies."""

from __future__ import annotations

from snapproxy.cli.prefetch_lists import resolver_parts
from snapproxy.core.exchange import Conditions, FileTarget
from snapproxy.core.progress import SILENT
from snapproxy.core.time_spec import parse_time
from snapproxy.families import FAMILIES
from snapproxy.formats.package_lists.model import DigestOf, ListedDigest, ListEntry, PackageList
from snapproxy.prefetch.entry_plan import ResolveOptions
from snapproxy.prefetch.fetch_files import FileFetcher, PrefetchedFile
from snapproxy.prefetch.model import Resolution
from snapproxy.prefetch.resolve_list import resolve
from tests.fakes.house import House, read


def named(name: str, version: str, architecture: str = "amd64", family: str = "apt") -> ListEntry:
    """Return an entry that has a name only."""
    return ListEntry(f"{name} {version}", family=family, name=name, version=version, architecture=architecture)


def digest(algorithm: str, value: str, of: DigestOf = DigestOf.FILE) -> tuple[ListedDigest, ...]:
    return (ListedDigest(algorithm, value, of),)


async def resolved(
    house: House, *entries: ListEntry, at: tuple[str, ...] = (), made: int | None = None, **options: tuple[str, ...]
) -> Resolution:
    """Resolve entries at times written as users write them."""
    times = tuple(parse_time(each) for each in at)
    choices = ResolveOptions(at=times, machine="x86_64", **options)  # type: ignore[arg-type]
    return await resolve(PackageList("test", entries, made=made), resolver_parts(house.app, SILENT), choices)


def times_of(resolution: Resolution) -> list[str]:
    """Return the chosen times."""
    return [each.when.text for each in resolution.wanted]


async def fetched(house: House, resolution: Resolution) -> list[bytes]:
    """Fetch every wanted file, which verifies its digest, and return the bytes."""
    found = []
    fetcher = FileFetcher(house.app.answerer, families=FAMILIES, clock=house.clock)
    for wanted, outcome in (await fetcher.fetch(resolution.files)).items():
        assert isinstance(outcome, PrefetchedFile), outcome
        target = FileTarget(wanted.archive, wanted.when, wanted.path)
        found.append((await read(await house.app.answerer.answer(target, Conditions()))).data)
    return found
