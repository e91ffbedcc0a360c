"""What to do about a request for a file: the one decision everything else serves.

`plan` is a plain function. It returns the work (`Serve`, `Fetch`), a `Refusal`, a `Moved`, or `Need`: the questions whose answers it
lacks. The executor in `shell` asks them, adds the facts to the frozen `Known`, and calls again. Nothing here waits, reads or fetches.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from snapproxy.core.exchange import Moved
from snapproxy.core.history import History
from snapproxy.core.model import (
    LIVE,
    TIMELESS,
    Archive,
    Family,
    Instant,
    Match,
    NeedWindow,
    Place,
    Promise,
    Proof,
    Refusal,
    Resolved,
    Role,
    Window,
)
from snapproxy.core.paths import escape_path
from snapproxy.core.promised import identity
from snapproxy.core.resolve import refuse_future, refuse_moving
from snapproxy.core.sources import fetch_now, flight_key, past, sources_of
from snapproxy.core.steps import (
    NOW,
    Arriving,
    Ask,
    AskAlias,
    AskFile,
    AskHeld,
    AskName,
    AskPromised,
    AskRow,
    AskSightings,
    AskWindow,
    Fetch,
    Held,
    Known,
    Need,
    Request,
    Serve,
    Step,
    Vouched,
)

MAX_ROUNDS = 13
"""How often a plan is made before the executor gives up. Every round learns something; the longest honest way is thirteen: brackets,
eight windows of a sparse timeline (`resolve_listed` needs no more), the name, the root, the root's row (the executor volunteers
whether its bytes are held), and the plan."""


_UNTELLING = Refusal(
    424,
    "The timeline of the archive does not answer the question",
    "Its history was asked which snapshots lie around this time, and what it said leaves that open.",
    "Ask again later, or name the exact id of a snapshot.",
)


_LEADS_ELSEWHERE = Refusal(
    403,
    "Lists of mirrors are not served here",
    "They name other servers and what those hold today, so a client that follows one leaves its pin.",
    "Give the client a base address (dnf: baseurl) in place of a metalink or mirrorlist.",
)


class _UnknownError(Exception):
    """Unwinds a decision to the question it lacks; never leaves this module."""

    def __init__(self, *asks: Ask) -> None:
        self.asks = asks


def plan(request: Request, known: Known, now: Instant, *, family: Family, history: History) -> Step:
    """Decide what to do about `request`, from what is known. Pure and total."""
    try:
        resolved = _resolve(request, known, now, family, history)
        if isinstance(resolved, Refusal):
            return resolved
        if moving := refuse_moving(request.when, resolved):
            return moving
        if request.path == "" or request.path.endswith("/"):
            return _folder(request, resolved, history)
        return _at(request, resolved, known, family, history)
    except _UnknownError as unknown:
        return Need(unknown.asks)


def resolve(
    request: Request, known: Known, now: Instant, *, family: Family, history: History
) -> Resolved | Refusal | Need:
    """Settle the *when* of `request` and decide nothing more."""
    try:
        return _resolve(request, known, now, family, history)
    except _UnknownError as unknown:
        return Need(unknown.asks)


def plan_at(request: Request, resolved: Resolved, known: Known, *, family: Family, history: History) -> Step:
    """Decide about another file of a snapshot that is already settled: a root that vouches, a signature beside it."""
    try:
        return _at(request, resolved, known, family, history)
    except _UnknownError as unknown:
        return Need(unknown.asks)


def _fact(known: Known, ask: Ask) -> Any:
    if ask not in known.facts:
        raise _UnknownError(ask)
    return known.facts[ask]


def _resolve(request: Request, known: Known, now: Instant, family: Family, history: History) -> Resolved | Refusal:
    """Settle the *when*: from the timeline as far as it is known, else by equal roots on both sides, else by asking for more of it."""
    row, when = request.row, request.when
    if when.match is Match.LIVE:
        return NOW
    windows = {(fact.start, fact.end): fact for fact in known.facts.values() if isinstance(fact, Window)}
    answer = history.resolve(row, when, windows, now)
    if isinstance(answer, Resolved):
        return answer
    seen = _seen(request, known, now, family, history)
    if seen is not None:
        return seen
    if isinstance(answer, NeedWindow):
        told = _fact(known, AskWindow(row.name, answer.start, answer.end, answer.around))
        if when.instant is not None and when.instant > now:
            return refuse_future(now)  # true whatever the timeline would have said
        return told if isinstance(told, Refusal) else _UNTELLING
    return answer


def _seen(request: Request, known: Known, now: Instant, family: Family, history: History) -> Resolved | Refusal | None:
    """Settle the *when* by what was seen of the roots that could vouch for the file; None when that proves nothing."""
    row, when = request.row, request.when
    instant = now if when.instant is None else min(when.instant, now)
    if not history.is_observed and (when.match is not Match.HELD or when.instant != instant):
        return None
    place = family.classify(request.path)
    roots = _roots_of(request.path, place, family)
    sightings = _fact(known, AskSightings(row.name, roots, instant))
    answers = [history.resolve_seen(row, when, sighting, now) for sighting in sightings]
    resolved = tuple(dict.fromkeys(answer for answer in answers if isinstance(answer, Resolved)))
    if resolved:
        return _most_useful(resolved, request, known, place)
    return next((answer for answer in answers if answer is not None), None)


def _roots_of(path: str, place: Place, family: Family) -> tuple[str, ...]:
    """Return the roots that speak for a path: itself, those that could vouch for it, or those that promise it by position; () for any."""
    if place.role is Role.ROOT:
        return (path,)
    return place.roots or tuple(parent for parent in place.parents if family.classify(parent).role is Role.ROOT)


def _most_useful(found: tuple[Resolved, ...], request: Request, known: Known, place: Place) -> Resolved:
    """Of several roots' answers (a package may belong to any of them), prefer the one whose indexes promise the file."""
    if len(found) == 1 or place.role is not Role.PACKAGE:
        return found[0]
    asks = [AskPromised(space_of(request.row, each), request.path) for each in found]
    if unknown := [ask for ask in asks if ask not in known.facts]:
        raise _UnknownError(*unknown)
    promising = [each for each, ask in zip(found, asks, strict=True) if known.facts[ask] is not None]
    return (promising or found)[0]


def space_of(row: Archive, resolved: Resolved) -> str:
    """Return the catalog's name space of an archive at a snapshot."""
    return f"{row.name}/{resolved.snapshot}"


def _folder(request: Request, resolved: Resolved, history: History) -> Moved | Refusal:
    """Send a folder between two snapshots to the snapshot's own (debbisect reads the id out of Location); list nothing.

    Where each root has snapshots of its own, there is none that would do for everything below the folder.
    """
    asked = request.when.text.removesuffix(".nearest")
    if not history.is_observed and resolved.snapshot not in (LIVE, asked):
        return Moved(f"{request.base}{resolved.snapshot}/{escape_path(request.path)}", resolved.snapshot)
    return Refusal(
        404,
        "Folders are not listed here",
        f"This is the folder of snapshot {resolved.snapshot}.",
        "Ask for a file in it, such as dists/stable/InRelease.",
    )


def _at(request: Request, resolved: Resolved, known: Known, family: Family, history: History) -> Step:
    """Decide about a file, the snapshot being settled. A name without proof gives way to a promise that came later."""
    is_live = resolved.snapshot == LIVE
    if resolved.snapshot == TIMELESS:
        request = replace(request, path=history.timeless(request.path) or request.path)
    row, path, space = request.row, request.path, space_of(request.row, resolved)
    place = family.classify(path)
    if place.leads_elsewhere:
        return _LEADS_ELSEWHERE
    name = None if is_live else _fact(known, AskName(space, path))
    if name is not None and (name.proof > Proof.NONE or place.role not in (Role.INDEX, Role.PACKAGE)):
        return Serve(space, path, name.digest, name.size, name.proof, place.role, resolved)
    if place.role in (Role.INDEX, Role.PACKAGE):
        vouched = _vouched(space, path, place, resolved, known)
        if isinstance(vouched, Refusal):
            return vouched
        if vouched is not None:
            return _promised(request, resolved, place, vouched, known, family, history)
    if name is not None:  # nothing has come to vouch for it since
        return Serve(space, path, name.digest, name.size, name.proof, place.role, resolved)
    if is_live:
        obtained = _fact(known, AskFile(space, (path,), resolved))
        if isinstance(obtained, Arriving):
            return fetch_now(row, path, family)
        return _serve_obtained(obtained, space, path, place, resolved)
    return _unvouched(request, place, resolved, known, history)


def _unvouched(request: Request, place: Place, resolved: Resolved, known: Known, history: History) -> Step:
    """Bring a file that nothing of its snapshot vouches for: where there is one, that which bears its name at every time."""
    row, path, space = request.row, request.path, space_of(request.row, resolved)
    sources = past(row, resolved, path, history)
    if history.is_observed and not sources:
        return _not_kept(space, path, place)
    lasting = history.timeless(path)
    if lasting is not None and resolved.snapshot != TIMELESS:
        space, path = f"{row.name}/{TIMELESS}", lasting
        name = _fact(known, AskName(space, path))
        if name is not None:
            return Serve(space, path, name.digest, name.size, name.proof, place.role, resolved)
    return Fetch(f"name:{space}/{path}", space, path, sources, place.role, Proof.NONE, resolved)


def _serve_obtained(held: Held | Refusal | None, space: str, path: str, place: Place, resolved: Resolved) -> Step:
    if held is None:
        return Refusal(404, "Not in the archive now", "Every mirror of this archive says that it has no such file.")
    if isinstance(held, Refusal):
        return held
    return Serve(space, path, held.digest, held.size, held.proof, place.role, resolved, notes=held.notes)


def _vouched(space: str, path: str, place: Place, resolved: Resolved, known: Known) -> Vouched | Refusal | None:
    """Find the promise for an index or a package: in its root, in the index beside it, or in any index served at this snapshot."""
    if place.role is Role.PACKAGE and not place.parents:
        found: Vouched | None = _fact(known, AskPromised(space, path))
        return found
    candidates = place.parents if place.role is Role.PACKAGE else place.roots
    voucher = _fact(known, AskFile(space, candidates, resolved, to_vouch=True)) if candidates else None
    if isinstance(voucher, Arriving):
        return None
    if voucher is None or isinstance(voucher, Refusal):
        return voucher
    promise = _fact(known, AskRow(space, voucher.digest, voucher.path, path))
    if isinstance(promise, Refusal):
        return promise
    if promise is not None:
        return Vouched(promise, Proof.GPG if voucher.proof is Proof.GPG else Proof.INDEX, voucher.notes)
    if place.by_hash is not None or (voucher.proof is Proof.GPG and not place.may_be_unlisted):
        return Refusal(
            404,
            "Not in this snapshot: its index does not list it",
            f"{voucher.path} of {space} names every file of this kind, and not this one.",
            headers={"X-Snapproxy-Snapshot": space},
        )
    return None


def _promised(
    request: Request, resolved: Resolved, place: Place, vouched: Vouched, known: Known, family: Family, history: History
) -> Step:
    """Bring a promised file: from the blobs, else from whoever has it, the regular mirror first (rule 5)."""
    promise, space, notes = vouched.promise, space_of(request.row, resolved), vouched.notes
    digest = _sha256(promise, request.row, known)
    also = (None if resolved.snapshot == LIVE else history.timeless(request.path)) or ""
    # What no strong digest finds again is found by its name alone.
    name_it = request.row.keeps_packages or place.role is not Role.PACKAGE or not promise.is_strong
    if digest:
        size = _fact(known, AskHeld(digest))
        if size is not None and promise.size in (None, size):
            return Serve(
                space,
                request.path,
                digest,
                size,
                vouched.proof,
                place.role,
                resolved,
                name_it=name_it,
                notes=notes,
                also=also,
            )
    sources = sources_of(request.row, resolved, promise, family, history)
    if history.is_observed and not sources:
        return _not_kept(space, request.path, place)
    key = flight_key(promise, space)
    return Fetch(
        key, space, request.path, sources, place.role, vouched.proof, resolved, promise, notes, also, name_it=name_it
    )


def _not_kept(space: str, path: str, place: Place) -> Refusal:
    """Refuse what was not kept when its archive was seen. Of an index that is no absence: its client would go on without it."""
    is_index = place.role in (Role.INDEX, Role.SIGNATURE)
    return Refusal(
        424 if is_index else 404,
        "Not kept: the archive was observed then, without this file",
        f"{path} of {space} is not in the store, and no source is sure to have the same bytes.",
        "Have it taken along from now on: `snapproxy observe`, or [[watch]] in the configuration.",
        {"X-Snapproxy-Snapshot": space},
    )


def _sha256(promise: Promise, row: Archive, known: Known) -> str:
    """Return the sha256 of the promised bytes: as promised, or as learnt when bytes of its other digest came; '' when unknown."""
    match identity(promise):
        case None:
            return ""
        case ("sha256", digest):
            return digest
        case (algorithm, digest):
            return _fact(known, AskAlias(row.name, algorithm, digest)) or ""
