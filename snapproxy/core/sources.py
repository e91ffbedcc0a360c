"""Who may have the bytes of a file, in which order they are asked, and by which key one flight serves everybody who wants them (rule 5)."""

from __future__ import annotations

from snapproxy.core.history import History
from snapproxy.core.model import LIVE, TIMELESS, Archive, Family, Promise, Proof, Resolved, Role
from snapproxy.core.paths import escape_path
from snapproxy.core.promised import identity
from snapproxy.core.steps import NOW, Fetch, Source


def flight_key(promise: Promise, space: str) -> str:
    """Name a flight by its digest when a strong one is promised, so that every snapshot shares it.

    A weak one stands beside the name: one name may be promised with two, before and after a rebuild.
    """
    if promise.strong is not None:
        return ":".join(promise.strong)
    name, weak = f"name:{space}/{promise.path}", identity(promise)
    return name if weak is None else f"{name} {weak[0]}:{weak[1]}"


def fetch_now(row: Archive, path: str, family: Family) -> Fetch:
    """Return the fetch of a file of the present that nothing promises: a root, above all."""
    space = f"{row.name}/{LIVE}"
    return Fetch(f"name:{space}/{path}", space, path, _present(row, path), family.classify(path).role, Proof.NONE, NOW)


def fetch_promised_now(row: Archive, promise: Promise, family: Family) -> Fetch:
    """Return the fetch of an index that a root not yet adopted promises."""
    space = f"{row.name}/{LIVE}"
    sources = _present_promised(row, promise, family)
    return Fetch(flight_key(promise, space), space, promise.path, sources, Role.INDEX, Proof.NONE, NOW, promise)


def sources_of(
    row: Archive, resolved: Resolved, promise: Promise, family: Family, history: History
) -> tuple[Source, ...]:
    """List who may have promised bytes: anybody when the digest is strong, else only the archive of that time.

    Who is named beside the archive comes first: near, and made to be asked.
    Of the past a mirror is asked by the lasting name alone: under the canonical one it has another version by now, if any. The mirrors
    of an archive that was observed are where it was seen, so they are asked as in the present: for what the promise can tell.
    """
    if resolved.snapshot == LIVE:
        return _present_promised(row, promise, family)
    of_old = past(row, resolved, promise.path, history)
    is_sure = promise.is_strong or history.is_observed
    return _held(row, promise) + _present(row, family.lasting_path(promise)) + of_old if is_sure else of_old


def _present_promised(row: Archive, promise: Promise, family: Family) -> tuple[Source, ...]:
    """Ask who is named beside the archive; then mirrors by the name that lasts longest first, then by the canonical one."""
    names = dict.fromkeys((family.lasting_path(promise), promise.path))
    return _held(row, promise) + tuple(source for name in names for source in _present(row, name))


def _held(row: Archive, promise: Promise) -> tuple[Source, ...]:
    """Ask by digest, for what is promised by the one digest that is asked by."""
    sha256 = promise.digests.get("sha256")
    if sha256 is None:
        return ()
    return tuple(Source(each.url(sha256), each.origin, last_resort=False, is_holder=True) for each in row.sources)


def _present(row: Archive, path: str) -> tuple[Source, ...]:
    return tuple(Source(f"{base.rstrip('/')}/{escape_path(path)}", base, last_resort=False) for base in row.mirrors)


def past(row: Archive, resolved: Resolved, path: str, history: History) -> tuple[Source, ...]:
    """Ask each base first for the name outside every snapshot, where there is one: the file stays there longest."""
    names = [(resolved.snapshot, path)]
    if lasting := history.timeless(path):
        names.insert(0, (TIMELESS, lasting))
    urls = ((history.url(row, base, *name), base) for base in row.snapshot for name in dict.fromkeys(names))
    return tuple(Source(url, base, last_resort=True) for url, base in urls)
