"""Who may have the bytes of a file, in which order they are asked, and by which key one flight serves everybody who wants them (rule 5)."""

from __future__ import annotations

from snapproxy.core.expected_files import identity
from snapproxy.core.history import History
from snapproxy.core.model import LIVE, TIMELESS, Archive, ExpectedFile, Family, Proof, Resolved, Role
from snapproxy.core.paths import escape_path
from snapproxy.core.plan_model import NOW, Fetch, Source


def flight_key(expected: ExpectedFile, space: str) -> str:
    """Name a flight by its digest when a strong one is promised, so that every snapshot shares it.

    A weak one stands beside the name: one name may be promised with two, before and after a rebuild.
    """
    if expected.strong is not None:
        return ":".join(expected.strong)
    name, weak = f"name:{space}/{expected.path}", identity(expected)
    return name if weak is None else f"{name} {weak[0]}:{weak[1]}"


def fetch_now(archive: Archive, path: str, family: Family) -> Fetch:
    """Return the fetch of a file of the present that nothing promises: a root, above all."""
    space = f"{archive.name}/{LIVE}"
    return Fetch(
        f"name:{space}/{path}", space, path, _present(archive, path), family.classify(path).role, Proof.NONE, NOW
    )


def fetch_promised_now(archive: Archive, expected: ExpectedFile, family: Family) -> Fetch:
    """Return the fetch of an index that a root not yet adopted promises."""
    space = f"{archive.name}/{LIVE}"
    sources = _present_promised(archive, expected, family)
    return Fetch(flight_key(expected, space), space, expected.path, sources, Role.INDEX, Proof.NONE, NOW, expected)


def sources_of(
    archive: Archive, resolved: Resolved, expected: ExpectedFile, family: Family, history: History
) -> tuple[Source, ...]:
    """List who may have promised bytes: anybody when the digest is strong, else only the archive of that time.

    Who is named beside the archive comes first: near, and made to be asked.
    Of the past a mirror is asked by the lasting name alone: under the canonical one it has another version by now, if any. The mirrors
    of an archive that was observed are where it was seen, so they are asked as in the present: for what the promise can tell.
    """
    if resolved.snapshot == LIVE:
        return _present_promised(archive, expected, family)
    of_old = past(archive, resolved, expected.path, history)
    is_sure = expected.is_strong or history.is_observed
    return _held(archive, expected) + _present(archive, family.lasting_path(expected)) + of_old if is_sure else of_old


def _present_promised(archive: Archive, expected: ExpectedFile, family: Family) -> tuple[Source, ...]:
    """Ask who is named beside the archive; then mirrors by the name that lasts longest first, then by the canonical one."""
    names = dict.fromkeys((family.lasting_path(expected), expected.path))
    return _held(archive, expected) + tuple(source for name in names for source in _present(archive, name))


def _held(archive: Archive, expected: ExpectedFile) -> tuple[Source, ...]:
    """Ask by digest, for what is promised by the one digest that is asked by."""
    sha256 = expected.digests.get("sha256")
    if sha256 is None:
        return ()
    return tuple(
        Source(each.url(sha256), each.origin, last_resort=False, is_blob_source=True) for each in archive.sources
    )


def _present(archive: Archive, path: str) -> tuple[Source, ...]:
    return tuple(Source(f"{base.rstrip('/')}/{escape_path(path)}", base, last_resort=False) for base in archive.mirrors)


def past(archive: Archive, resolved: Resolved, path: str, history: History) -> tuple[Source, ...]:
    """Ask each base first for the name outside every snapshot, where there is one: the file stays there longest."""
    names = [(resolved.snapshot, path)]
    if lasting := history.timeless(path):
        names.insert(0, (TIMELESS, lasting))
    urls = ((history.url(archive, base, *name), base) for base in archive.snapshot for name in dict.fromkeys(names))
    return tuple(Source(url, base, last_resort=True) for url, base in urls)
