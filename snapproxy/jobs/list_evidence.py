"""Collect the dated evidence of a list of packages or a record of a build."""

from __future__ import annotations

from dataclasses import replace

from snapproxy.core.time_evidence import EvidenceKind, TimeEvidence, not_after, not_before
from snapproxy.errors import ClientError
from snapproxy.formats.package_lists.known import read_list
from snapproxy.formats.package_lists.model import ListFormatError, PackageList
from snapproxy.formats.time_evidence.build_records import build_date
from snapproxy.formats.time_evidence.dates import quoted


def list_evidence(data: bytes, name: str) -> list[TimeEvidence]:
    """Return the evidence of a list, none if it states no date. `name` is the file's name, for places.

    Raises ClientError if the data is neither a record of a build nor a known list.
    """
    built = build_date(data)
    found = []
    if built is not None:
        # Packages were installed before the build; how long before, the record does not say.
        found.append(
            TimeEvidence(
                kind=EvidenceKind.LOG, first=None, last=built.last, place=name, says=built.text, line=built.line
            )
        )
    try:
        listed = read_list(data)
    except ListFormatError as error:
        if found:
            return found
        raise ClientError(
            "The file is neither a Dockerfile nor a known list",
            why=error.why,
            hint="Name a root folder, an image, a Dockerfile, a .buildinfo, a .BUILDINFO or a list of packages.",
        ) from error
    return found + _of_list(listed if not found else replace(listed, made=None), name)  # the same date, with its line


def _of_list(listed: PackageList, name: str) -> list[TimeEvidence]:
    found = []
    if listed.made is not None:
        says = f"the list ({listed.format}) was made then"
        found.append(not_after(EvidenceKind.LOG, listed.made, name, says))
    firsts = [(each.first, each) for each in listed.entries if each.first is not None]
    lasts = [(each.last, each) for each in listed.entries if each.last is not None]
    newest = max(firsts, key=lambda pair: pair[0], default=None)
    oldest = min(lasts, key=lambda pair: pair[0], default=None)
    if newest and oldest and newest[0] <= oldest[0]:
        says = quoted(f"indexes listed {newest[1].label} from then on, and {oldest[1].label} until then")
        span = TimeEvidence(kind=EvidenceKind.LISTING, first=newest[0], last=oldest[0], place=name, says=says)
        return [*found, span]
    if newest:
        place = f"{name}, {newest[1].origin}"
        found.append(not_before(EvidenceKind.LISTING, newest[0], place, quoted(newest[1].label)))
    if oldest:
        place = f"{name}, {oldest[1].origin}"
        found.append(not_after(EvidenceKind.LISTING, oldest[0], place, quoted(oldest[1].label)))
    return found
