"""The refusals for failures of downloads, lookups and the store: status, reason, cause and what to do.

apt and pacman print the reason, so it names the failure in at most 80 ASCII characters. Roots and indexes are never
refused with a 429 or any 5xx: apt would exit 0 with a warning, or hang (measured with 2.6 and 3.0), whereas on a 424 it
exits 100 and prints the reason immediately.
"""

from __future__ import annotations

import logging

from snapproxy.core.model import LIVE, Archive, Instant, Proof, Refusal
from snapproxy.core.plan_model import Fetch
from snapproxy.core.time_spec import format_instant
from snapproxy.core.upstream_answer import Broken, CoolingDown, Fault, Forbidden, QueueFull
from snapproxy.errors import ArchiveDataError, SnapproxyError
from snapproxy_storage import DiskFailure, StorageFailure

log = logging.getLogger(__name__)

RETRY_SOON = 5
"""Seconds in Retry-After when no longer wait is known."""

MAX_REASON = 80
"""Maximum length of a reason phrase in characters."""

WRONG_BYTES_SECONDS = 15
"""Seconds in Retry-After after wrong bytes: an index may have been replaced between the root and the index."""

_IN_PROGRESS = "Upstream is slow, download in progress: try again soon"

_CHECK_PATH = "Check the path and the requested time."

_UNREACHABLE = frozenset(
    {Fault.NAME, Fault.REFUSED, Fault.UNREACHABLE, Fault.STALLED, Fault.RESET, Fault.TLS, Fault.PROXY}
)

_PROXY_HINTS = {
    Fault.PROXY_LOGIN: "Check `upstream_proxy_credentials`.",
    Fault.PROXY_CREDENTIALS: "Correct the file of `upstream_proxy_credentials`; `snapproxy doctor` says what is wrong.",
}


def unavailable(
    *,
    whole: bool,
    status: int,
    reason: str,
    why: str = "",
    hint: str = "",
    retry_after: float | None = None,
    is_wait: bool = False,
) -> Refusal:
    """Return a refusal with `status` for a package, with 424 for a root or an index (`whole`)."""
    headers = {} if retry_after is None else {"Retry-After": str(max(1, round(retry_after)))}
    return Refusal(424 if whole else status, reason, why, hint, headers, is_wait=is_wait)


# --- upstream ---------------------------------------------------------------------------------------------------------


def no_upstream(step: Fetch) -> Refusal:
    """Return the refusal for an archive that has no upstream for that time."""
    archive = step.space.partition("/")[0]
    return unavailable(
        whole=step.whole,
        status=502,
        reason="No upstream is configured for this archive and time",
        why=f"The archive {archive} has no upstream from which {step.path} can be downloaded.",
        hint=f"Add `snapshot` or `mirrors` to [archives.{archive}] in the configuration.",
    )


def _is_observed(step: Fetch) -> bool:
    """Return whether only observations provide the past of the file's archive."""
    return step.resolved.snapshot != LIVE and not any(source.last_resort for source in step.sources)


def is_observed_index(step: Fetch) -> bool:
    """Return whether the file is an index of an observed root, which a mirror may have replaced since."""
    return step.whole and step.expected is not None and _is_observed(step)


def absent(step: Fetch) -> Refusal:
    """Return the refusal for a file that no source has.

    Three cases: a file of an archive whose past only snapproxy records (it was not stored while it was current, and may
    have existed then); any other file that an index lists (a fault of the archive); and a file that nothing lists: a
    404.
    """
    if _is_observed(step):
        return Refusal(
            424,
            "This signature was not stored, and no mirror has it now"
            if step.expected is None
            else "This index was observed but not stored, and no mirror has it now"
            if step.whole
            else "This package was listed but not stored, and no mirror has it now",
            f"{step.path} belongs to {step.reported_space}, but neither the store nor a mirror has it.",
            "Store such files from now on: run `snapproxy observe`, or add a [[watch]] to the configuration."
            if step.name_it
            else 'This archive is watched with packages = "none". "used" stores the packages that clients request, '
            '"all" stores every package.',
            is_unobserved=True,
        )
    if step.expected is not None and step.proof is not Proof.DIGEST:
        return unavailable(
            whole=step.whole,
            status=502,
            reason="The index lists this file, but no source has it",
            why=f"Every source of {step.reported_space} answers that {step.path} does not exist.",
            hint="Try again in ten minutes, or add another mirror to the archive in the configuration.",
        )
    return Refusal(
        404,
        "Not in the archive at that time",
        f"No source of {step.reported_space} has {step.path}.",
        _CHECK_PATH,
        headers={"X-Snapproxy-Snapshot": step.reported_space},
    )


def cooling_down(step: Fetch, cooling: CoolingDown, now: Instant) -> Refusal:
    """Return the refusal for an upstream that cools down: the host, what it did, and until when it is not asked."""
    seconds = max(1, round(cooling.wait))
    return unavailable(
        whole=step.whole,
        status=503,
        reason=cool_down_reason(cooling),
        why=f"{cooling.upstream} {cooling.cause_text}, so snapproxy sends it no request until "
        f"{format_instant(now + seconds)}. {step.path} of {step.reported_space} is not in the store.",
        hint=f"Try again in {seconds} seconds, or add further mirrors to the archive in the configuration.",
        retry_after=seconds,
        is_wait=cooling.is_throttled,
    )


def cool_down_reason(cooling: CoolingDown) -> str:
    """Return the reason phrase for a cool-down. It has the name of the host unless that is too long."""
    rest = f"{cooling.cause_text}: next request in {max(1, round(cooling.wait))} s"
    named = f"{cooling.upstream} {rest}"
    return named if len(named) <= MAX_REASON else f"The upstream {rest}"


def queue_full(step: Fetch, full: QueueFull) -> Refusal:
    """Return the refusal for a request that comes while too many others wait for the same upstream."""
    return unavailable(
        whole=step.whole,
        status=503,
        reason=_with_host("Too many requests are queued for", full.upstream),
        why=f"{full.queued} requests wait for {full.upstream}, the maximum; {step.path} of {step.reported_space} "
        "is not queued.",
        hint="Try again later with fewer concurrent requests, or add further mirrors to the archive.",
        retry_after=max(full.wait, RETRY_SOON),
        is_wait=True,
    )


def queued(step: Fetch, upstream: str, count: int, wait: float) -> Refusal:
    """Return the refusal for a client whose timeout ends in the queue; `wait` is expected, in seconds."""
    return unavailable(
        whole=step.whole,
        status=503,
        reason=_with_host("Waiting for a free connection to", upstream),
        why=f"{count} requests wait for {upstream}, that for {step.path} of {step.reported_space} among them.",
        hint="Try again: the request keeps its place in the queue.",
        retry_after=max(wait, RETRY_SOON),
        is_wait=True,
    )


def in_progress(step: Fetch, upstream: str) -> Refusal:
    """Return the refusal for a client whose timeout ends during the download; `upstream` is '' if it is unknown."""
    return unavailable(
        whole=step.whole,
        status=503,
        reason=_with_host("Download in progress, try again soon, from", upstream) if upstream else _IN_PROGRESS,
        why=f"{step.path} of {step.reported_space} has not arrived within the client timeout; the download continues.",
        hint="Try again: downloaded bytes are kept.",
        retry_after=RETRY_SOON,
        is_wait=True,
    )


def _with_host(text: str, upstream: str) -> str:
    """Return a reason phrase that ends with the host, unless its name is too long."""
    named = f"{text} {upstream}"
    return named if len(named) <= MAX_REASON else f"{text} the upstream"


def forbidden(step: Fetch, failure: Forbidden) -> Refusal:
    """Return the refusal for a file that upstream refuses access to (401, 403, 451), or whose login cannot be used."""
    archive, setting = step.space.partition("/")[0], f"`credentials` in [archives.{step.space.partition('/')[0]}]"
    legal = "A snapshot service answers 403 for files removed for legal reasons."
    if not failure.login:
        return unavailable(
            whole=step.whole,
            status=502,
            reason=f"Upstream refuses access to this file ({failure.status})",
            why=f"The upstream refused to deliver {step.path} of {step.reported_space}.",
            hint=f"{legal} If it requires a login, set {setting}.",
        )
    if not failure.status:
        return unavailable(
            whole=step.whole,
            status=502,
            reason=f"The credentials file cannot be used: archive {_if_short(archive)}",
            why=f"No request was sent for {step.path} of {step.reported_space}. {failure.login}",
            hint="Correct the file; it is read again when it has changed.",
        )
    return unavailable(
        whole=step.whole,
        status=502,
        reason=f"Upstream refuses the login ({failure.status}): see `credentials` of {_if_short(archive)}",
        why=f"The upstream refused to deliver {step.path} of {step.reported_space}. {failure.login}",
        hint=f"{legal} Otherwise check {setting}.",
    )


def _if_short(archive: str) -> str:
    """Return the name of an archive, for a reason phrase that has room for 30 characters."""
    return archive if len(archive) <= 30 else "the archive"  # noqa: PLR2004 (explained above)


def broken(step: Fetch, upstream: str, failure: Broken, wait: float) -> Refusal:
    """Return the refusal for a failed upstream: 504 if it cannot be reached, 502 if its answer is unusable.

    It has a Retry-After only if the same request may succeed: a web page instead of a file stays one.
    """
    cause = f"{step.path} of {step.reported_space} was requested from {upstream}: {failure.reason}."
    if not failure.is_worth_retrying:
        return unavailable(
            whole=step.whole,
            status=502,
            reason=failure.reason[:1].upper() + failure.reason[1:],
            why=f"{cause} Nothing was stored.",
            hint=_PROXY_HINTS.get(
                failure.fault,
                "A retry will not help: check the addresses of the archive in the configuration, and its redirects.",
            ),
        )
    seconds = max(RETRY_SOON, round(wait))
    named = f"{upstream} {failure.predicate}"
    return unavailable(
        whole=step.whole,
        status=504 if failure.fault in _UNREACHABLE else 502,
        reason=named if len(named) <= MAX_REASON else f"The upstream {failure.predicate}",
        why=f"{cause} Nothing was stored under its name.",
        hint=f"Try again in {seconds} seconds; `snapproxy stats` shows the requests and bytes of each upstream.",
        retry_after=seconds,
    )


def wrong_bytes(step: Fetch, difference: str) -> Refusal:
    """Return the refusal for bytes that do not match the expected file."""
    return unavailable(
        whole=step.whole,
        status=502,
        reason=f"Upstream sent wrong bytes: {difference}",
        why=f"{step.path} of {step.reported_space} was downloaded and does not match its expected size or digest.",
        hint="Try again: another source is tried if there is one. Otherwise the archive, or a mirror in the "
        "configuration, has damaged files.",
        retry_after=WRONG_BYTES_SECONDS,
    )


def unreadable(step: Fetch, error: ArchiveDataError) -> Refusal:
    """Return the refusal for a root that violates its format."""
    return unavailable(
        whole=True,
        status=502,
        reason="The archive's root cannot be read",
        why=f"{step.path} of {step.reported_space}: {error.reason}. {error.why}".strip(),
        hint="Check the addresses of the archive. A retry helps only if it is in the middle of an update.",
    )


def torn_pair(step: Fetch) -> Refusal:
    """Return the refusal for a file and a detached signature that may belong to two states of the archive."""
    return unavailable(
        whole=True,
        status=502,
        reason="The file and its signature belong to two states",
        why=f"The archive was published again while {step.path} of {step.reported_space} and its signature were "
        "downloaded.",
        hint="Try again later: the archive may be in the middle of an update.",
        retry_after=RETRY_SOON,
    )


def no_timeline(archive: Archive, cause: str) -> Refusal:
    """Return the refusal for an archive whose list of snapshots could not be fetched."""
    return Refusal(
        424,
        "The snapshot timeline of the archive is unavailable",
        f"The list of snapshots of {archive.name} could not be fetched: {cause}.",
        "Try again later, or use the exact id of a snapshot that was used before.",
    )


def timeline_cooling_down(archive: Archive, cooling: CoolingDown, now: Instant) -> Refusal:
    """Return the refusal for an archive whose list of snapshots cannot be requested during a cool-down."""
    seconds = max(1, round(cooling.wait))
    return Refusal(
        424,
        cool_down_reason(cooling),
        f"The list of snapshots of {archive.name} is needed for this time. {cooling.upstream} {cooling.cause_text}, so "
        f"snapproxy sends it no request until {format_instant(now + seconds)}.",
        f"Try again in {seconds} seconds, or use the exact id of a snapshot that was used before.",
        {"Retry-After": str(seconds)},
        is_wait=cooling.is_throttled,
    )


# --- the client timeout -----------------------------------------------------------------------------------------------


def still_fetching() -> Refusal:
    """Return the refusal for a live file, or an answer of a service, that has not arrived within the client timeout."""
    return Refusal(
        424,
        _IN_PROGRESS,
        "The answer has not arrived within the client timeout; the download continues, and its result is stored.",
        f"Try again in {RETRY_SOON} seconds.",
        {"Retry-After": str(RETRY_SOON)},
        is_wait=True,
    )


# --- offline ----------------------------------------------------------------------------------------------------------


def missing_offline(step: Fetch, *, was_absent: bool = False) -> Refusal:
    """Return the refusal for a file that an offline store lacks.

    `was_absent`: a capture recorded its absence. That is a 404, unless an index of the snapshot lists the file.
    """
    if was_absent and step.expected is None:
        return Refusal(
            404,
            "Not in the archive at that time",
            f"A capture recorded that {step.reported_space} has no {step.path}.",
            _CHECK_PATH,
            headers={"X-Snapproxy-Snapshot": step.reported_space},
        )
    return Refusal(
        424,
        "Offline: this file is not in the store",
        f"The missing file is {step.path} of {step.reported_space}.",
        "Run the build online once with the same requested time, or start snapproxy without --offline.",
    )


def damaged_offline(space: str, path: str, digest: str) -> Refusal:
    """Return the refusal for a file whose stored bytes were damaged, while nothing can be downloaded."""
    return Refusal(
        424,
        "Offline: the stored file was damaged on disk",
        f"{path} of {space} no longer had the bytes of its sha256 {digest}, and was removed from the store.",
        "Check the disk. Run the build online once, or import an artifact that contains the file.",
    )


def pass_through_offline(host: str) -> Refusal:
    """Return the refusal for a request to a host of the `pass` setting while snapproxy is offline."""
    return Refusal(
        424,
        "Offline: requests to pass-through hosts are not forwarded",
        f"{host} is in the `pass` setting, but snapproxy runs with --offline.",
        "Start snapproxy without --offline, or build without that host.",
    )


# --- snapproxy itself -------------------------------------------------------------------------------------------------


def vanished() -> Refusal:
    """Return the refusal for a blob that is deleted each time it is stored."""
    return Refusal(
        424,
        "The file was repeatedly deleted from the store",
        "Probably another program deletes blobs from the state folder while snapproxy serves them.",
        "Exclude the state folder of snapproxy from cleaning.",
    )


def stopped(step: Fetch) -> Refusal:
    """Return the refusal for a download that is stopped because snapproxy shuts down."""
    return unavailable(whole=step.whole, status=503, reason="snapproxy is shutting down", retry_after=RETRY_SOON)


def unread(step: Fetch) -> Refusal:
    """Return the outcome of a download that was stopped because no request waited for it."""
    return unavailable(
        whole=step.whole,
        status=503,
        reason="The download was stopped: its client left",
        retry_after=RETRY_SOON,
    )


def failed_elsewhere(step: Fetch, why: str) -> Refusal:
    """Return the refusal for a download that failed in the process that writes its draft."""
    return unavailable(
        whole=step.whole,
        status=502,
        reason="The download failed in another process of snapproxy",
        why=why,
    )


def broken_store(*, whole: bool, why: str) -> Refusal:
    """Return the refusal for a failure of the local store."""
    return unavailable(
        whole=whole,
        status=500,
        reason="The store of snapproxy failed",
        why=why,
        hint="Check the log, the disk and the permissions of the state folder, and run `snapproxy config check`.",
    )


def of_store(failure: StorageFailure, *, whole: bool) -> Refusal:
    """Return the refusal for a failure of the local store, and log it."""
    if isinstance(failure, DiskFailure):
        log.error("The disk takes no more bytes: %s", failure)
        return disk_full(whole=whole, why=str(failure), state=failure.state)
    log.error("The store failed", exc_info=failure)
    return broken_store(whole=whole, why=str(failure))


def disk_full(*, whole: bool = True, why: str = "", state: str = "") -> Refusal:
    """Return the refusal for a file that can neither be stored nor be sent from memory. `state`: of the disk, if known.

    The states are those of `DiskFailure`.
    """
    why = why or "This file, or one that is needed to verify it, was downloaded and could not be stored."
    if state in ("is read-only", "reports errors"):
        return unavailable(
            whole=whole,
            status=503,
            reason="The disk of snapproxy fails",
            why=f"The disk {state}. {why}",
            hint="Check the disk and the mount of the state folder, and try again.",
        )
    if state == "is over its quota":
        return unavailable(
            whole=whole,
            status=503,
            reason="The quota of snapproxy's stored files is used",
            why=why,
            hint="Raise the setting `quota` (or the disk quota of snapproxy's user), or remove stored files.",
        )
    if state == "is full":
        return unavailable(
            whole=whole,
            status=503,
            reason="The disk of snapproxy is full",
            why=why,
            hint="Free space on the file system of the state folder, and try again.",
        )
    return unavailable(
        whole=whole,
        status=503,
        reason="The disk of snapproxy is full, or its quota is used",
        why=why,
        hint="Free space on the file system of the state folder, or raise the setting `quota`, and try again.",
    )


def failed(step: Fetch, error: SnapproxyError) -> Refusal:
    """Return the refusal for a file whose download raised `error`."""
    return unavailable(whole=step.whole, status=error.status, reason=error.reason, why=error.why, hint=error.hint)


def internal_error(step: Fetch) -> Refusal:
    """Return the refusal for an unexpected exception: a bug."""
    return unavailable(
        whole=step.whole,
        status=500,
        reason="Internal error in snapproxy",
        why=f"{step.path} of {step.reported_space} could not be downloaded.",
        hint="The log of snapproxy has a traceback; please report it.",
    )
