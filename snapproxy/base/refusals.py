"""The refusals that come from acting rather than deciding: the words and the status for what the executor met.

Roots and indexes are never refused with a 429 or any 5xx: apt would exit 0 with a warning, or hang (measured with 2.6 and 3.0), whereas
a 424 gives exit 100 and prints the reason at once.
"""

from __future__ import annotations

from snapproxy.core.model import LIVE, Archive, Proof, Refusal
from snapproxy.core.plan_model import Fetch
from snapproxy.core.upstream_answer import Broken, Fault
from snapproxy.errors import ArchiveDataError, SnapproxyError

RETRY_SOON = 5


def unavailable(
    *, whole: bool, status: int, reason: str, why: str = "", hint: str = "", retry_after: float | None = None
) -> Refusal:
    """Refuse with `status` for a package, with 424 for a root or an index."""
    headers = {} if retry_after is None else {"Retry-After": str(max(1, round(retry_after)))}
    return Refusal(424 if whole else status, reason, why, hint, headers)


def vanished() -> Refusal:
    """Say that blobs disappear faster than they can be served."""
    return Refusal(
        424,
        "The file keeps vanishing from the store",
        "Something removes blobs while they are being served.",
        "Look for another program that cleans the state folder.",
    )


def missing_offline(step: Fetch, *, was_absent: bool = False) -> Refusal:
    """Say what an offline store lacks. What captures found missing is missing, unless something of the snapshot promises it."""
    if was_absent and step.expected is None:
        return Refusal(
            404,
            "Not in the archive at that time",
            f"So a capture recorded it: {step.space} had no {step.path}.",
            headers={"X-Snapproxy-Snapshot": step.space},
        )
    return Refusal(
        424,
        "Offline: the store does not hold this file",
        f"It would need {step.path} of {step.space}.",
        "Run the build once online at the same instant, or start snapproxy without --offline.",
    )


def nothing_passes(host: str) -> Refusal:
    """Say that no packet leaves."""
    return Refusal(
        424,
        "Offline: nothing is passed on to other hosts",
        f"{host} may be reached unpinned, but not from here now.",
        "Start snapproxy without --offline, or do without that host.",
    )


def no_upstream(step: Fetch) -> Refusal:
    """Say that a row names nobody to ask."""
    return unavailable(
        whole=step.whole,
        status=502,
        reason="This archive has no upstream for that time",
        why=f"The row of {step.space.partition('/')[0]} names no address to fetch it from.",
        hint="Add `snapshot` or `mirrors` to the row in the configuration.",
    )


def absent(step: Fetch) -> Refusal:
    """Say that nobody has the file: of one that an index promises, no true absence, but a fault of the archive's.

    Where only the present can be asked for what was there at that time, it is neither: it was not kept.
    """
    is_past = step.resolved.snapshot != LIVE
    if is_past and step.expected is not None and not any(source.last_resort for source in step.sources):
        return unavailable(
            whole=step.whole,
            status=404,
            reason="Root observed, this index not kept" if step.whole else "Index observed, package not kept",
            why=f"{step.path} of {step.space} is listed, is not in the store, and no mirror has it any more.",
            hint="Have it taken along from now on: `snapproxy observe`, or [[watch]] in the configuration."
            if step.name_it
            else 'This archive is watched with packages = "none"; "used" keeps what clients ask for, "all" every package.',
        )
    if step.expected is not None and step.proof is not Proof.DIGEST:
        return unavailable(
            whole=step.whole,
            status=502,
            reason="The index lists this file, but no source has it",
            why=f"Every source of {step.space} says that it has no {step.path}.",
            hint="Ask again in ten minutes; another mirror can be named in the row of the archive.",
        )
    return Refusal(
        404,
        "Not in the archive at that time",
        f"No source of {step.space} has {step.path}.",
        headers={"X-Snapproxy-Snapshot": step.space},
    )


def throttled(step: Fetch, status: int, wait: float) -> Refusal:
    """Say that upstream wants to be asked less, and when to come back."""
    said = f"It answered {status}; " if status else ""
    return unavailable(
        whole=step.whole,
        status=503,
        reason="Upstream is cooling down, ask again later",
        why=f"{said}snapproxy asks nothing of it for about {round(wait)} s.",
        hint="Ask again then. A row may name further sources in the configuration.",
        retry_after=wait,
    )


def forbidden(step: Fetch, status: int) -> Refusal:
    """Say that upstream will not give the file (the snapshot service: removed for legal reasons)."""
    return unavailable(
        whole=step.whole,
        status=502,
        reason=f"Upstream forbids this file ({status})",
        why=f"{step.path} of {step.space} exists and is not given out.",
    )


_SILENT = frozenset({Fault.NAME, Fault.REFUSED, Fault.UNREACHABLE, Fault.STALLED, Fault.RESET, Fault.TLS})


def broken(step: Fetch, failure: Broken) -> Refusal:
    """Say how upstream failed: 504 when it is silent, 502 when what it says is wrong."""
    return unavailable(
        whole=step.whole,
        status=504 if failure.fault in _SILENT else 502,
        reason=failure.reason[:1].upper() + failure.reason[1:],
        why=f"{step.path} of {step.space} could not be fetched; nothing was stored under its name.",
        hint="Ask again later; `snapproxy stats` tells how each upstream fares.",
        retry_after=RETRY_SOON,
    )


def wrong_bytes(step: Fetch, words: str) -> Refusal:
    """Say that what upstream sent is not what the index promises."""
    return unavailable(
        whole=step.whole,
        status=502,
        reason=f"Upstream's bytes are not the promised ones: {words}",
        why=f"{step.path} of {step.space} was fetched and did not match the index that names it.",
        hint="Ask again in 15 s: another source is tried then.",
    )


def unreadable(step: Fetch, error: ArchiveDataError) -> Refusal:
    """Say that a root breaks its format's rules."""
    return unavailable(
        whole=True,
        status=502,
        reason="The archive's root cannot be read",
        why=f"{step.path} of {step.space}: {error.reason}. {error.why}".strip(),
        hint="Ask again later; an archive that was caught in the middle of a change mends itself.",
    )


def stopped(step: Fetch) -> Refusal:
    """Say that snapproxy is stopping."""
    return unavailable(whole=step.whole, status=503, reason="snapproxy is stopping", retry_after=RETRY_SOON)


def broken_store(*, whole: bool, why: str) -> Refusal:
    """Say that our own disk failed."""
    return unavailable(
        whole=whole,
        status=500,
        reason="The store of snapproxy failed",
        why=why,
        hint="Look at its log, its disk and the rights of its state folder, and run `snapproxy config check`.",
    )


def disk_full() -> Refusal:
    """Say that a file which others are checked against cannot be kept."""
    return Refusal(
        424,
        "The disk of snapproxy is full",
        "The file that vouches for this one has been fetched and could not be stored.",
        "Make room on the file system of its state folder, and ask again.",
    )


def failed(step: Fetch, error: SnapproxyError) -> Refusal:
    """Say in an error's own words why a file could not be had."""
    return unavailable(whole=step.whole, status=error.status, reason=error.reason, why=error.why, hint=error.hint)


def internal_error(step: Fetch) -> Refusal:
    """Say that the mistake is snapproxy's."""
    return unavailable(
        whole=step.whole,
        status=500,
        reason="snapproxy met a fault of its own",
        why=f"{step.path} of {step.space} could not be fetched.",
        hint="Its log says where; please report it.",
    )


def still_fetching() -> Refusal:
    """Say that an answer is on its way and the client's patience is not long enough for it."""
    return Refusal(
        424,
        "Upstream is slow, ask again soon",
        "The answer is still being fetched, and will be kept.",
        "Ask again.",
        {"Retry-After": str(RETRY_SOON)},
    )


def client_timeout(step: Fetch, wait: float) -> Refusal:
    """Say that the client's patience ends before the file came, and when to ask again (`wait` in seconds, if it is known)."""
    wait = max(wait, float(RETRY_SOON))
    return unavailable(
        whole=step.whole,
        status=503,
        reason="Upstream is cooling down, ask again later" if wait > RETRY_SOON else "Upstream is slow, ask again soon",
        why=f"{step.path} of {step.space} is still being fetched; the download goes on.",
        hint="Ask again: what has arrived by then is not fetched twice.",
        retry_after=wait,
    )


def failed_elsewhere(step: Fetch, why: str) -> Refusal:
    """Say that the process which wrote the draft could not fetch the file."""
    return unavailable(whole=step.whole, status=502, reason="Another process could not fetch it", why=why)


def no_timeline(archive: Archive, cause: str) -> Refusal:
    """Say that the archive's history could not be asked."""
    return Refusal(
        424,
        "The timeline of the archive cannot be had",
        f"Which snapshots {archive.name} has could not be learned: {cause}.",
        "Ask again later, or name the exact id of a snapshot that was used before.",
    )
