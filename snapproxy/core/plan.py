"""What to do about a request for a file: the one decision everything else serves.

`plan` is a plain function. It returns the work (`Serve`, `Fetch`), a `Refusal`, a `Moved`, or `Need`: the questions whose answers it
lacks. The executor in `shell` asks them, adds the facts to the frozen `Known`, and calls again. Nothing here waits, reads or fetches.
"""

from __future__ import annotations

from dataclasses import replace

from snapproxy.core.exchange import Moved
from snapproxy.core.expected_files import identity
from snapproxy.core.history import History
from snapproxy.core.model import (
    LIVE,
    TIMELESS,
    Archive,
    ExpectedFile,
    Family,
    Instant,
    Match,
    NeedWindow,
    Place,
    Proof,
    Refusal,
    Resolved,
    Role,
    Window,
)
from snapproxy.core.paths import escape_path
from snapproxy.core.plan_model import (
    NOW,
    AskAlias,
    AskFile,
    AskName,
    AskSize,
    AskWindow,
    Fetch,
    Known,
    ListedFile,
    Need,
    NotStored,
    PlanRequest,
    Serve,
    Step,
    StoredFile,
    UnknownError,
)
from snapproxy.core.resolve import refuse_future, refuse_moving
from snapproxy.core.sighted import resolve_by_observed_roots
from snapproxy.core.sources import fetch_now, flight_key, past, sources_of
from snapproxy.core.vouching import find_expected, space_of

MAX_ROUNDS = 14
"""How often a plan is made before the executor gives up. Every round learns something; the longest honest way is fourteen: brackets,
eight windows of a sparse timeline (`resolve_listed` needs no more), the name, the root, the root's row, what other indexes promise (the
executor volunteers whether the bytes are held), and the plan."""


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


def plan(request: PlanRequest, known: Known, now: Instant, *, family: Family, history: History) -> Step:
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
    except UnknownError as unknown:
        return Need(unknown.asks)


def resolve(
    request: PlanRequest, known: Known, now: Instant, *, family: Family, history: History
) -> Resolved | Refusal | Need:
    """Settle the *when* of `request` and decide nothing more."""
    try:
        return _resolve(request, known, now, family, history)
    except UnknownError as unknown:
        return Need(unknown.asks)


def plan_at(request: PlanRequest, resolved: Resolved, known: Known, *, family: Family, history: History) -> Step:
    """Decide about another file of a snapshot that is already settled: a root that vouches, a signature beside it."""
    try:
        return _at(request, resolved, known, family, history)
    except UnknownError as unknown:
        return Need(unknown.asks)


def _resolve(request: PlanRequest, known: Known, now: Instant, family: Family, history: History) -> Resolved | Refusal:
    """Settle the *when*: from the timeline as far as it is known, else by equal roots on both sides, else by asking for more of it."""
    archive, when = request.archive, request.when
    if when.match is Match.LIVE:
        return NOW
    windows = {(fact.start, fact.end): fact for fact in known.facts.values() if isinstance(fact, Window)}
    answer = history.resolve(archive, when, windows, now)
    if isinstance(answer, Resolved):
        return answer
    seen = resolve_by_observed_roots(request, known, now, family, history)
    if seen is not None:
        return seen
    if isinstance(answer, NeedWindow):
        told = known.fact(AskWindow(archive.name, answer.start, answer.end, answer.around))
        if when.instant is not None and when.instant > now:
            return refuse_future(now)  # true whatever the timeline would have said
        return told if isinstance(told, Refusal) else _UNTELLING
    return answer


def _folder(request: PlanRequest, resolved: Resolved, history: History) -> Moved | Refusal:
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


def _at(request: PlanRequest, resolved: Resolved, known: Known, family: Family, history: History) -> Step:
    """Decide about a file, the snapshot being settled. A name without proof gives way to a promise that came later."""
    is_live = resolved.snapshot == LIVE
    if resolved.snapshot == TIMELESS:
        request = replace(request, path=history.timeless(request.path) or request.path)
    archive, path, space = request.archive, request.path, space_of(request.archive, resolved)
    place = family.classify(path)
    if place.leads_elsewhere:
        return _LEADS_ELSEWHERE
    name = None if is_live else known.fact(AskName(space, path))
    if name is not None and (name.proof > Proof.NONE or place.role not in (Role.INDEX, Role.PACKAGE)):
        return Serve(space, path, name.digest, name.size, name.proof, place.role, resolved)
    if place.role in (Role.INDEX, Role.PACKAGE):
        vouched = find_expected(space, path, place, resolved, known)
        if isinstance(vouched, Refusal):
            return vouched
        if vouched is not None:
            return _promised(request, resolved, place, vouched, known, family, history)
    if name is not None:  # nothing has come to vouch for it since
        return Serve(space, path, name.digest, name.size, name.proof, place.role, resolved)
    if is_live:
        obtained = known.fact(AskFile(space, (path,), resolved))
        if isinstance(obtained, NotStored):
            return fetch_now(archive, path, family)
        return _serve_obtained(obtained, space, path, place, resolved)
    return _unvouched(request, place, resolved, known, history)


def _unvouched(request: PlanRequest, place: Place, resolved: Resolved, known: Known, history: History) -> Step:
    """Bring a file that nothing of its snapshot vouches for: where there is one, that which bears its name at every time."""
    archive, path, space = request.archive, request.path, space_of(request.archive, resolved)
    sources = past(archive, resolved, path, history)
    if history.is_observed and not sources:
        return _not_kept(space, path, place)
    lasting = history.timeless(path)
    if lasting is not None and resolved.snapshot != TIMELESS:
        space, path = f"{archive.name}/{TIMELESS}", lasting
        name = known.fact(AskName(space, path))
        if name is not None:
            return Serve(space, path, name.digest, name.size, name.proof, place.role, resolved)
    return Fetch(f"name:{space}/{path}", space, path, sources, place.role, Proof.NONE, resolved)


def _serve_obtained(held: StoredFile | Refusal | None, space: str, path: str, place: Place, resolved: Resolved) -> Step:
    if held is None:
        return Refusal(404, "Not in the archive now", "Every mirror of this archive says that it has no such file.")
    if isinstance(held, Refusal):
        return held
    return Serve(space, path, held.digest, held.size, held.proof, place.role, resolved, notes=held.notes)


def _promised(
    request: PlanRequest,
    resolved: Resolved,
    place: Place,
    vouched: ListedFile,
    known: Known,
    family: Family,
    history: History,
) -> Step:
    """Bring a promised file: from the blobs, else from whoever has it, the regular mirror first (rule 5)."""
    expected, space, notes = vouched.expected, space_of(request.archive, resolved), vouched.notes
    digest = _sha256(expected, request.archive, known)
    also = (None if resolved.snapshot == LIVE else history.timeless(request.path)) or ""
    # What no strong digest finds again is found by its name alone.
    name_it = request.archive.keeps_packages or place.role is not Role.PACKAGE or not expected.is_strong
    if digest:
        size = known.fact(AskSize(digest))
        if size is not None and expected.size in (None, size):
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
    sources = sources_of(request.archive, resolved, expected, family, history)
    if history.is_observed and not sources:
        return _not_kept(space, request.path, place)
    key = flight_key(expected, space)
    return Fetch(
        key, space, request.path, sources, place.role, vouched.proof, resolved, expected, notes, also, name_it=name_it
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


def _sha256(expected: ExpectedFile, archive: Archive, known: Known) -> str:
    """Return the sha256 of the promised bytes: as promised, or as learnt when bytes of its other digest came; '' when unknown."""
    match identity(expected):
        case None:
            return ""
        case ("sha256", digest):
            return digest
        case (algorithm, digest):
            return known.fact(AskAlias(archive.name, algorithm, digest)) or ""
