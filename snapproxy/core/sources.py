"""List the sources of a file in the order in which they are tried, and compute the key of its flight (rule 5).

One flight serves all requests with the same key.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

from snapproxy.core.expected_files import identity
from snapproxy.core.history import History
from snapproxy.core.model import LIVE, TIMELESS, Archive, ExpectedFile, Family, Proof, Resolved, Role
from snapproxy.core.paths import escape_path
from snapproxy.core.plan_model import NOW, Fetch, Source


def flight_key(expected: ExpectedFile, space: str) -> str:
    """Return the key of a flight: the strong digest if the index has one, so that all snapshots share the flight.

    A weak digest is added to the name: an index may list one name with two digests, before and after a rebuild.
    """
    if expected.strong is not None:
        return ":".join(expected.strong)
    name, weak = f"name:{space}/{expected.path}", identity(expected)
    return name if weak is None else f"{name} {weak[0]}:{weak[1]}"


def sources_key(urls: Iterable[str]) -> str:
    """Return a short key of the addresses that gave an answer, so that it does not count for others."""
    return sha256("\n".join(urls).encode()).hexdigest()[:16]


def fetch_now(archive: Archive, path: str, family: Family) -> Fetch:
    """Return the fetch of a current file that no index lists, usually a root."""
    space = f"{archive.name}/{LIVE}"
    return Fetch(
        f"name:{space}/{path}", space, path, _present(archive, path), family.classify(path).role, Proof.NONE, NOW
    )


def fetch_expected_now(archive: Archive, expected: ExpectedFile, family: Family) -> Fetch:
    """Return the fetch of an index that is listed by a root not adopted yet."""
    space = f"{archive.name}/{LIVE}"
    sources = _present_expected(archive, expected, family)
    return Fetch(flight_key(expected, space), space, expected.path, sources, Role.INDEX, Proof.NONE, NOW, expected)


def sources_of(
    archive: Archive, resolved: Resolved, expected: ExpectedFile, family: Family, history: History
) -> tuple[Source, ...]:
    """List the sources of an expected file: all if the digest is strong, otherwise only the archive of that time.

    The archive's `sources` come first: they are nearby and under the user's control. For the past, only the lasting
    name is requested from a mirror: under the canonical name it has another version by now, or no file. An observed
    archive was observed at its mirrors, perhaps a moment ago, so every file that the expected digest can verify is
    requested from them as a current file: also by its canonical name, because some archives have no by-hash names.
    """
    if resolved.snapshot == LIVE:
        return _present_expected(archive, expected, family)
    of_old = past(archive, resolved, expected.path, history)
    if history.is_observed:
        return _present_expected(archive, expected, family) + of_old
    is_sure = expected.is_strong
    return (
        _by_digest(archive, expected) + _present(archive, family.lasting_path(expected)) + of_old if is_sure else of_old
    )


def _present_expected(archive: Archive, expected: ExpectedFile, family: Family) -> tuple[Source, ...]:
    """List the archive's `sources`; then mirrors with the name that lasts longest, then with the canonical one."""
    names = dict.fromkeys((family.lasting_path(expected), expected.path))
    return _by_digest(archive, expected) + tuple(source for name in names for source in _present(archive, name))


def _by_digest(archive: Archive, expected: ExpectedFile) -> tuple[Source, ...]:
    """List the archive's `sources` if the index has a sha256, the only digest that is requested from them."""
    sha256 = expected.digests.get("sha256")
    if sha256 is None:
        return ()
    return tuple(
        Source(each.url(sha256), each.origin, last_resort=False, is_blob_source=True) for each in archive.sources
    )


def _present(archive: Archive, path: str) -> tuple[Source, ...]:
    return tuple(Source(f"{base.rstrip('/')}/{escape_path(path)}", base, last_resort=False) for base in archive.mirrors)


def past(archive: Archive, resolved: Resolved, path: str, history: History) -> tuple[Source, ...]:
    """List the upstreams of the past, first with the name outside every snapshot, if any: it is kept longest."""
    names = [(resolved.snapshot, path)]
    if lasting := history.timeless(path):
        names.insert(0, (TIMELESS, lasting))
    urls = ((history.url(archive, base, *name), base) for base in archive.snapshot for name in dict.fromkeys(names))
    return tuple(Source(url, base, last_resort=True) for url, base in urls)
