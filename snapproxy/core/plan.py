"""Decide what to do about a request for a file.

Two plain functions, called one after the other: `resolve` finds the snapshot that answers for the requested time,
`plan` decides about the file at that snapshot. Each returns its decision, or `Need`: the questions whose answers it
lacks. The caller answers them, adds the facts to `Known`, and calls again. This module does not wait, read files or
download.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, TypeVar, cast

from snapproxy.core.exchange import Moved
from snapproxy.core.expected_files import DroppedEntry, identity, signature_name
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
    AnyAsk,
    Ask,
    AskAlias,
    AskFile,
    AskLacking,
    AskListed,
    AskListedAnywhere,
    AskName,
    AskObserved,
    AskSize,
    AskWindow,
    Fetch,
    ListedFile,
    Need,
    NotStored,
    PlanRequest,
    Serve,
    Step,
    StoredFile,
)
from snapproxy.core.plan_refusals import (
    absent_when_observed,
    mirror_list,
    not_kept,
    snapshot_header,
    with_dropped_entry,
)
from snapproxy.core.resolve import refuse_future
from snapproxy.core.sources import fetch_now, flight_key, past, sources_of

T = TypeVar("T")

MAX_ROUNDS = 10
"""Maximum number of rounds of one decision, besides one for each window of the archive's timeline
(`History.max_windows`). Each round adds a fact. The longest sequence: what was observed, the name, the root, the entry
in the root, what other indexes list (the facts include whether those bytes are stored), and the plan.
"""


UNDECIDED = Refusal(
    424,
    "The archive's timeline is inconclusive for this time",
    "The archive was asked for the snapshots around this time, and its answer does not determine them.",
    "Try again later, or use the exact id of a snapshot.",
)


def space_of(archive: Archive, resolved: Resolved) -> str:
    """Return the catalog's name space of an archive at a snapshot."""
    return f"{archive.name}/{resolved.snapshot}"


@lru_cache(maxsize=1024)
def _place(family: Family, path: str) -> Place:
    """Return the place of a path; cached, because builds request the same paths repeatedly."""
    return family.classify(path)


class UnknownError(Exception):
    """Interrupt a decision that lacks the answers to `asks`. Raised and caught in this module only."""

    def __init__(self, *asks: AnyAsk) -> None:
        self.asks = asks


@dataclass(frozen=True)
class Known:
    """The facts learned so far, by question."""

    facts: Mapping[AnyAsk, Any] = field(default_factory=dict)

    def fact(self, ask: Ask[T]) -> T:
        """Return the answer to a question. Raises UnknownError while it is open."""
        known = cast("AnyAsk", ask)
        if known not in self.facts:
            raise UnknownError(known)
        return cast("T", self.facts[known])

    def plus(self, learned: Mapping[AnyAsk, Any]) -> Known:
        """Return these facts together with `learned`."""
        return Known({**self.facts, **learned})


# --- which snapshot


def resolve(
    request: PlanRequest, known: Known, now: Instant, *, family: Family, history: History
) -> Resolved | Refusal | Need:
    """Find the snapshot that answers for the time of `request`.

    The archive's timeline decides first, because the snapshot must not depend on what this store has seen. A time that
    the timeline refuses may still be answered by a root that was equal before and after it.
    """
    try:
        return _resolve(request, known, now, family, history)
    except UnknownError as unknown:
        return Need(unknown.asks)


def _resolve(request: PlanRequest, known: Known, now: Instant, family: Family, history: History) -> Resolved | Refusal:
    archive, when = request.archive, request.when
    if when.match is Match.LIVE:
        return NOW
    windows = {(fact.start, fact.end): fact for fact in known.facts.values() if isinstance(fact, Window)}
    answer = history.resolve(archive, when, windows, now)
    if isinstance(answer, Resolved):
        return answer
    if is_unknown := isinstance(answer, NeedWindow):
        window = known.fact(AskWindow(archive.name, answer.start, answer.end, answer.around))
        if when.instant is not None and when.instant > now:
            return refuse_future(now)  # true for any timeline
        answer = window if isinstance(window, Refusal) else UNDECIDED
    if history.is_observed:
        return _resolve_by_roots(request, known, now, family, history) or answer
    return _resolve_by_unchanged_root(request, known, now, family, history, is_unknown=is_unknown) or answer


def _resolve_by_unchanged_root(
    request: PlanRequest, known: Known, now: Instant, family: Family, history: History, *, is_unknown: bool
) -> Resolved | None:
    """Find the snapshot by a root that was equal before and after the requested time; None if no root proves one.

    It is the archive's newest snapshot at or before that time: which one must not depend on what else this store has
    seen. `is_unknown`: the timeline cannot be obtained, so the snapshot at which the root was seen first is used.
    """
    archive, when = request.archive, request.when
    if when.match is not Match.AT or when.instant is None or when.instant > now:
        return None
    roots = _roots_of(request.path, _place(family, request.path), family)
    observed = known.fact(AskObserved(archive.name, roots, when.instant))
    brackets = _resolved([history.resolve_observed_root(archive, when, root, now) for root in observed])
    if brackets and not is_unknown:
        windows = {(fact.start, fact.end): fact for fact in known.facts.values() if isinstance(fact, Window)}
        newest = history.newest(archive, when.instant, windows, now)
        if newest is None or isinstance(newest, Refusal):
            return None
        if not isinstance(newest, NeedWindow):
            usable = next((each for each in brackets if each.instant <= newest), None)
            return None if usable is None else replace(usable, snapshot=history.id_of(newest), instant=newest)
        known.fact(AskWindow(archive.name, newest.start, newest.end, newest.around))
    if not brackets or _place(family, request.path).role is not Role.PACKAGE:
        return brackets[0] if brackets else None
    return _most_useful(brackets, request, known)


def _resolve_by_roots(
    request: PlanRequest, known: Known, now: Instant, family: Family, history: History
) -> Resolved | Refusal | None:
    """Find the snapshot of an observed archive by the roots that could list the file; None if that proves nothing."""
    archive, when = request.archive, request.when
    instant = now if when.instant is None else min(when.instant, now)
    place = _place(family, request.path)
    if history.is_observed and place.is_unlisted:
        own = known.fact(AskObserved(archive.name, (request.path,), instant))[0]
        if own.before is not None or own.after is not None:
            return history.resolve_observed_root(archive, when, own, now)
    observed = known.fact(AskObserved(archive.name, _roots_of(request.path, place, family), instant))
    answers = [history.resolve_observed_root(archive, when, root, now) for root in observed]
    if found := _resolved(answers):
        return found[0] if place.role is not Role.PACKAGE else _most_useful(found, request, known)
    if place.role is Role.PACKAGE and not any(root.before or root.after for root in observed):
        # No index in the package's folder was ever observed; an index that was observed elsewhere may list it.
        others = known.fact(AskObserved(archive.name, (), instant))
        elsewhere = _resolved([history.resolve_observed_root(archive, when, root, now) for root in others])
        if listing := _listing(elsewhere, request, known):
            return listing[0]
    refusals = [answer for answer in answers if isinstance(answer, Refusal)]
    # An index has several possible roots: one that is absent says nothing about the others.
    return next((refusal for refusal in refusals if not refusal.is_absence), next(iter(refusals), None))


def _roots_of(path: str, place: Place, family: Family) -> tuple[str, ...]:
    """Return the roots that could list a path: itself, its own roots, or the roots in its folder; () for any root."""
    if place.role is Role.ROOT:
        return (path,)
    return place.roots or tuple(parent for parent in place.parents if family.classify(parent).role is Role.ROOT)


def _resolved(answers: list[Resolved | Refusal | None]) -> tuple[Resolved, ...]:
    return tuple(dict.fromkeys(answer for answer in answers if isinstance(answer, Resolved)))


def _most_useful(found: tuple[Resolved, ...], request: PlanRequest, known: Known) -> Resolved:
    """Return the first snapshot whose indexes list the file, otherwise the first one."""
    return found[0] if len(found) == 1 else (_listing(found, request, known) or found)[0]


def _listing(found: tuple[Resolved, ...], request: PlanRequest, known: Known) -> tuple[Resolved, ...]:
    asks = [AskListedAnywhere(space_of(request.archive, each), request.path) for each in found]
    if unknown := [ask for ask in asks if ask not in known.facts]:
        raise UnknownError(*unknown)
    return tuple(each for each, ask in zip(found, asks, strict=True) if isinstance(known.facts[ask], ListedFile))


# --- which file


def plan(request: PlanRequest, resolved: Resolved, known: Known, *, family: Family, history: History) -> Step | Need:
    """Decide what to do about the file of `request` at the snapshot `resolved`."""
    try:
        if request.path == "" or request.path.endswith("/"):
            return _folder(request, resolved, history)
        return _file(request, resolved, known, family, history)
    except UnknownError as unknown:
        return Need(unknown.asks)


def _folder(request: PlanRequest, resolved: Resolved, history: History) -> Moved | Refusal:
    """Redirect a folder at a time between two snapshots to the folder of its snapshot; folders are not listed.

    debbisect reads the snapshot's id from the Location header. If each root has snapshots of its own, no single
    snapshot answers for everything below the folder.
    """
    asked = request.when.text.removesuffix(".nearest")
    if not history.is_observed and resolved.snapshot not in (LIVE, asked):
        return Moved(f"{request.base}{resolved.snapshot}/{escape_path(request.path)}", resolved.snapshot)
    return Refusal(
        404,
        "Folders are not listed here",
        f"This is the folder of snapshot {resolved.snapshot}.",
        "Request a file by its full path.",
    )


def _file(request: PlanRequest, resolved: Resolved, known: Known, family: Family, history: History) -> Step:
    """Decide about a file. If a stored name has no proof and an index now lists the file, the index entry is used."""
    is_live = resolved.snapshot == LIVE
    if resolved.snapshot == TIMELESS:
        request = replace(request, path=history.timeless(request.path) or request.path)
    archive, path, space = request.archive, request.path, space_of(request.archive, resolved)
    place = _place(family, path)
    if place.leads_elsewhere:
        return mirror_list(family)
    name = None if is_live else known.fact(AskName(space, path))
    if name is not None and (name.proof > Proof.NONE or place.role not in (Role.INDEX, Role.PACKAGE)):
        return Serve(space, path, name.digest, name.size, name.proof, place.role, resolved)
    if name is None and (same := _same_at_both_ends(archive, path, place, resolved, known, history)):
        return Serve(space, path, same.digest, same.size, same.proof, place.role, resolved, name_it=True)
    if place.role in (Role.INDEX, Role.PACKAGE):
        listed = _find_listed(space, path, place, resolved, known)
        if isinstance(listed, Refusal):
            return listed
        if isinstance(listed, ListedFile):
            return _expected(request, resolved, place, listed, known, family, history)
        if listed is not None:
            return with_dropped_entry(_not_listed(request, resolved, place, name, known, family, history), listed)
    return _not_listed(request, resolved, place, name, known, family, history)


def _not_listed(
    request: PlanRequest,
    resolved: Resolved,
    place: Place,
    name: StoredFile | None,
    known: Known,
    family: Family,
    history: History,
) -> Step:
    """Decide about a file that no index lists; `name` is the stored file of this name."""
    path, space = request.path, space_of(request.archive, resolved)
    if name is not None:  # still not listed by any index
        return Serve(space, path, name.digest, name.size, name.proof, place.role, resolved)
    if resolved.snapshot == LIVE:
        return _unlisted_now(request, place, resolved, known, family)
    return _unlisted(request, place, resolved, known, family, history)


def _same_at_both_ends(
    archive: Archive, path: str, place: Place, resolved: Resolved, known: Known, history: History
) -> StoredFile | None:
    """Return the stored file that two snapshots around `resolved` have in common; None without a bracket.

    If a root did not change between two snapshots, it is the root of every snapshot between them. Its signature is the
    same if both snapshots have the same one.
    """
    roots = {Role.ROOT: (path,), Role.SIGNATURE: place.roots}.get(place.role, ())
    if not roots or history.is_observed or resolved.snapshot in (LIVE, TIMELESS):
        return None
    for root in known.fact(AskObserved(archive.name, roots, resolved.instant)):
        span = root.before
        if span is None or not span.first < resolved.instant < span.last:
            continue
        asks = [AskName(f"{archive.name}/{history.id_of(end)}", path) for end in (span.first, span.last)]
        if unknown := [ask for ask in asks if ask not in known.facts]:
            raise UnknownError(*unknown)
        first, last = (known.fact(ask) for ask in asks)
        if first is None or last is None or first.digest != last.digest:
            continue
        if known.fact(AskSize(first.digest)) == first.size:
            return max(first, last, key=lambda each: each.proof)
    return None


def _find_listed(
    space: str, path: str, place: Place, resolved: Resolved, known: Known
) -> ListedFile | DroppedEntry | Refusal | None:
    """Find what lists an index or a package: its root, the index in its folder, or any index served at this snapshot.

    A dropped entry is returned if no index has a usable one. Raises UnknownError if facts are missing.
    """
    if place.role is not Role.PACKAGE:
        return _listed_by(place.roots, space, path, place, resolved, known)
    beside = _listed_by(place.parents, space, path, place, resolved, known)
    if isinstance(beside, ListedFile):
        return beside
    # The index may lie elsewhere (some indexes name the folders of their packages), or a second index in the package's
    # folder may list it.
    elsewhere = known.fact(AskListedAnywhere(space, path))
    return elsewhere if isinstance(elsewhere, ListedFile) or beside is None else beside


def _listed_by(
    candidates: tuple[str, ...], space: str, path: str, place: Place, resolved: Resolved, known: Known
) -> ListedFile | DroppedEntry | Refusal | None:
    """Look a file up in the first of the candidates that exists."""
    index = known.fact(AskFile(space, candidates, resolved, for_lookup=True)) if candidates else None
    if isinstance(index, NotStored):
        return None
    if index is None or isinstance(index, Refusal):
        return index
    expected = known.fact(AskListed(space, index.digest, index.path, path))
    if isinstance(expected, Refusal | DroppedEntry):
        return expected
    if expected is not None:
        return ListedFile(expected, expected.proof_by(index.proof), index.notes)
    if place.by_hash is not None or (index.proof is Proof.GPG and not place.may_be_unlisted):
        return Refusal(
            404,
            "Not in this snapshot: its index does not list it",
            f"{index.path} of {space} lists every file of this kind, but not this one.",
            headers=snapshot_header(space, resolved),
        )
    return None


def _unlisted(
    request: PlanRequest, place: Place, resolved: Resolved, known: Known, family: Family, history: History
) -> Step:
    """Fetch a file that no index of its snapshot lists.

    Uses its name outside the snapshots if the archive has one.
    """
    archive, path, space = request.archive, request.path, space_of(request.archive, resolved)
    sources = past(archive, resolved, path, history)
    if history.is_observed and not sources:
        if signature := _package_signature(request, resolved, known, family):
            return signature
        if known.fact(AskLacking(space, path)):
            return absent_when_observed(path, space, resolved)
        return not_kept(space, path, place, resolved)
    lasting = history.timeless(path)
    if lasting is not None and resolved.snapshot != TIMELESS:
        space, path = f"{archive.name}/{TIMELESS}", lasting
        name = known.fact(AskName(space, path))
        if name is not None:
            return Serve(space, path, name.digest, name.size, name.proof, place.role, resolved)
    return Fetch(f"name:{space}/{path}", space, path, sources, place.role, Proof.NONE, resolved)


def _package_signature(request: PlanRequest, resolved: Resolved, known: Known, family: Family) -> Step | None:
    """Plan for the detached signature of a listed package of an observed archive; None for other files.

    A signature belongs to the bytes of its package, and its client verifies it: it is stored by the package's digest,
    for all snapshots, and may be fetched later than it was observed.
    """
    archive, path, space = request.archive, request.path, space_of(request.archive, resolved)
    package = family.signed_file(path)
    listed = None if package is None else _find_listed(space, package, _place(family, package), resolved, known)
    if not isinstance(listed, ListedFile) or (also := signature_name(listed.expected)) is None:
        return None
    timeless = f"{archive.name}/{TIMELESS}"
    if name := known.fact(AskName(timeless, also)):
        return Serve(space, path, name.digest, name.size, name.proof, Role.PACKAGE, resolved)
    if known.fact(AskLacking(timeless, also)):
        return absent_when_observed(path, space, resolved)
    sources, name_it = fetch_now(archive, path, family).sources, archive.keeps_packages
    key = f"name:{timeless}/{also}"
    return Fetch(key, space, path, sources, Role.PACKAGE, Proof.NONE, resolved, also=also, name_it=name_it)


def _unlisted_now(request: PlanRequest, place: Place, resolved: Resolved, known: Known, family: Family) -> Step:
    """Serve a current file that no index lists, usually a root."""
    path, space = request.path, space_of(request.archive, resolved)
    stored = known.fact(AskFile(space, (path,), resolved))
    if isinstance(stored, NotStored):
        return fetch_now(request.archive, path, family)
    if stored is None:
        return Refusal(404, "Not in the archive now", "Every mirror of this archive answered that it has no such file.")
    if isinstance(stored, Refusal):
        return stored
    return Serve(space, path, stored.digest, stored.size, stored.proof, place.role, resolved, notes=stored.notes)


def _expected(
    request: PlanRequest,
    resolved: Resolved,
    place: Place,
    listed: ListedFile,
    known: Known,
    family: Family,
    history: History,
) -> Step:
    """Serve or fetch a listed file.

    Use the store, otherwise any source that has the bytes; mirrors are tried first (rule 5).
    """
    expected, space, notes = listed.expected, space_of(request.archive, resolved), listed.notes
    digest = _sha256(expected, request.archive, known)
    also = (None if resolved.snapshot == LIVE else history.timeless(request.path)) or ""
    # A file without a strong digest is found again by its name only.
    name_it = request.archive.keeps_packages or place.role is not Role.PACKAGE or not expected.is_strong
    if digest:
        size = known.fact(AskSize(digest))
        if size is not None and expected.size in (None, size):
            return Serve(
                space,
                request.path,
                digest,
                size,
                listed.proof,
                place.role,
                resolved,
                name_it=name_it,
                notes=notes,
                also=also,
            )
    sources = sources_of(request.archive, resolved, expected, family, history)
    if history.is_observed and not sources:
        return not_kept(space, request.path, place, resolved)
    key = flight_key(expected, space)
    return Fetch(
        key, space, request.path, sources, place.role, listed.proof, resolved, expected, notes, also, name_it=name_it
    )


def _sha256(expected: ExpectedFile, archive: Archive, known: Known) -> str:
    """Return the SHA-256 of an expected file.

    It is the listed digest, or the one recorded when the file was stored. Empty if unknown.
    """
    match identity(expected):
        case None:
            return ""
        case ("sha256", digest):
            return digest
        case (algorithm, digest):
            return known.fact(AskAlias(archive.name, algorithm, digest)) or ""
