"""Settles a *when* by what was seen of the roots that could vouch for a file. A part of `core.plan`; the rules are each history's own."""

from __future__ import annotations

from snapproxy.core.history import History
from snapproxy.core.model import Family, Instant, Match, ObservedRoot, Place, Refusal, Resolved, Role
from snapproxy.core.plan_model import AskListedAnywhere, AskObserved, Known, PlanRequest, UnknownError
from snapproxy.core.vouching import space_of


def resolve_by_observed_roots(
    request: PlanRequest, known: Known, now: Instant, family: Family, history: History
) -> Resolved | Refusal | None:
    """Settle the *when*; None when what was seen proves nothing. Raises UnknownError for what must be asked first."""
    archive, when = request.archive, request.when
    instant = now if when.instant is None else min(when.instant, now)
    if not history.is_observed and (when.match is not Match.HELD or when.instant != instant):
        return None
    place = family.classify(request.path)
    sightings: tuple[ObservedRoot, ...] = known.fact(
        AskObserved(archive.name, _roots_of(request.path, place, family), instant)
    )
    answers = [history.resolve_seen(archive, when, sighting, now) for sighting in sightings]
    if resolved := _resolved(answers):
        return resolved[0] if place.role is not Role.PACKAGE else _most_useful(resolved, request, known)
    if history.is_observed and place.role is Role.PACKAGE and not any(each.before or each.after for each in sightings):
        # No index was ever seen beside it: perhaps one that was seen elsewhere lists it.
        others = known.fact(AskObserved(archive.name, (), instant))
        found = _resolved([history.resolve_seen(archive, when, sighting, now) for sighting in others])
        if promising := _promising(found, request, known):
            return promising[0]
    return next((answer for answer in answers if answer is not None), None)


def _roots_of(path: str, place: Place, family: Family) -> tuple[str, ...]:
    """Return the roots that speak for a path: itself, those that could vouch for it, or those that promise it by position; () for any."""
    if place.role is Role.ROOT:
        return (path,)
    return place.roots or tuple(parent for parent in place.parents if family.classify(parent).role is Role.ROOT)


def _resolved(answers: list[Resolved | Refusal | None]) -> tuple[Resolved, ...]:
    return tuple(dict.fromkeys(answer for answer in answers if isinstance(answer, Resolved)))


def _most_useful(found: tuple[Resolved, ...], request: PlanRequest, known: Known) -> Resolved:
    """Of several roots' answers (a package may belong to any of them), prefer the one whose indexes promise the file."""
    return found[0] if len(found) == 1 else (_promising(found, request, known) or found)[0]


def _promising(found: tuple[Resolved, ...], request: PlanRequest, known: Known) -> tuple[Resolved, ...]:
    asks = [AskListedAnywhere(space_of(request.archive, each), request.path) for each in found]
    if unknown := [ask for ask in asks if ask not in known.facts]:
        raise UnknownError(*unknown)
    return tuple(each for each, ask in zip(found, asks, strict=True) if known.facts[ask] is not None)
