"""Finds what vouches for a file of a snapshot: the root or index that lists it. A part of `core.plan`, which decides what follows."""

from __future__ import annotations

from snapproxy.core.model import Archive, Place, Proof, Refusal, Resolved, Role
from snapproxy.core.plan_model import AskFile, AskListed, AskListedAnywhere, Known, ListedFile, NotStored


def space_of(archive: Archive, resolved: Resolved) -> str:
    """Return the catalog's name space of an archive at a snapshot."""
    return f"{archive.name}/{resolved.snapshot}"


def find_expected(space: str, path: str, place: Place, resolved: Resolved, known: Known) -> ListedFile | Refusal | None:
    """Find the promise for an index or a package: in its root, in the index beside it, or in any index served at this snapshot.

    Raises UnknownError for what must be asked first.
    """
    if place.role is not Role.PACKAGE:
        return _vouched_by(place.roots, space, path, place, resolved, known)
    beside = _vouched_by(place.parents, space, path, place, resolved, known)
    if isinstance(beside, ListedFile):
        return beside
    # The index may lie elsewhere (apk's names its packages' folders), or another one beside it may list what the first does not.
    elsewhere: ListedFile | None = known.fact(AskListedAnywhere(space, path))
    return beside if elsewhere is None else elsewhere


def _vouched_by(
    candidates: tuple[str, ...], space: str, path: str, place: Place, resolved: Resolved, known: Known
) -> ListedFile | Refusal | None:
    """Find the promise in the first of the candidates that exists."""
    voucher = known.fact(AskFile(space, candidates, resolved, to_vouch=True)) if candidates else None
    if isinstance(voucher, NotStored):
        return None
    if voucher is None or isinstance(voucher, Refusal):
        return voucher
    expected = known.fact(AskListed(space, voucher.digest, voucher.path, path))
    if isinstance(expected, Refusal):
        return expected
    if expected is not None:
        return ListedFile(expected, Proof.GPG if voucher.proof is Proof.GPG else Proof.INDEX, voucher.notes)
    if place.by_hash is not None or (voucher.proof is Proof.GPG and not place.may_be_unlisted):
        return Refusal(
            404,
            "Not in this snapshot: its index does not list it",
            f"{voucher.path} of {space} names every file of this kind, and not this one.",
            headers={"X-Snapproxy-Snapshot": space},
        )
    return None
