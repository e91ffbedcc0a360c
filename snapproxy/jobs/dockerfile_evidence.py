"""Collect the dated evidence of a Dockerfile, for each stage with that of the stage below it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from snapproxy.core.address import AddressBook
from snapproxy.core.time_evidence import EvidenceKind, TimeEvidence, not_after
from snapproxy.formats.time_evidence.addresses import MOST, FoundAddress, addresses
from snapproxy.formats.time_evidence.dates import DatedLine
from snapproxy.formats.time_evidence.dockerfile import Stage, read_dockerfile
from snapproxy.jobs.pinned_addresses import pinned

_INSTALLING = frozenset({"RUN", "ADD", "ENV", "ARG", "COPY"})


@dataclass(frozen=True, slots=True)
class StageEvidence:
    """A stage by its name and base, with its evidence."""

    name: str
    base: str
    evidence: tuple[TimeEvidence, ...]
    notes: tuple[str, ...]


def stage_evidence(data: bytes, name: str, book: AddressBook) -> list[StageEvidence]:
    """Return the evidence of every stage. `name` is the file's name, for places. Raises ArchiveDataError."""
    stages = read_dockerfile(data)
    budget = iter(range(MOST))
    pins = [list(_pins(stage, name, book, budget)) for stage in stages]
    return [_of_stage(stages, pins, index, name) for index in range(len(stages))]


def _of_stage(stages: Sequence[Stage], pins: Sequence[Sequence[TimeEvidence]], index: int, name: str) -> StageEvidence:
    """Return the evidence of a stage. `pins` are those of every stage alone."""
    lineage = [index]
    while (parent := stages[lineage[-1]].parent) is not None:
        lineage.append(parent)
    stage, bottom = stages[index], stages[lineage[-1]]
    found = [each for one in lineage for each in pins[one]]
    is_pinned = any(each.kind is EvidenceKind.PIN for each in found)
    notes: tuple[str, ...] = ()
    if bottom.tag_date is not None:
        found.append(_base(bottom.tag_date, name, is_pinned=is_pinned))
    elif bottom.base.lower() != "scratch":
        notes = (
            f"The name {bottom.base[:200]} contains no date, so the date of the base cannot be determined from it.",
        )
    return StageEvidence(stage.name, bottom.base, tuple(found), notes)


def _pins(stage: Stage, name: str, book: AddressBook, budget: Iterator[int]) -> Iterator[TimeEvidence]:
    """Yield what pins a stage. Reading an address takes one number of `budget`, which all stages share."""
    for dated in stage.times:
        yield TimeEvidence(
            kind=EvidenceKind.PIN,
            first=dated.first,
            last=dated.last,
            place=name,
            says=dated.text,
            line=dated.line,
            at=dated.last,
        )
    if stage.epoch is not None:
        yield not_after(EvidenceKind.FILE, stage.epoch.last, name, stage.epoch.text, stage.epoch.line)
    seen = set()
    for instruction in stage.instructions:
        if instruction.word not in _INSTALLING:
            continue
        for _, each in zip(budget, addresses(instruction.text.encode("utf-8", "replace")), strict=False):
            used = FoundAddress(each.url, instruction.line, each.text)
            evidence = pinned(used, name, book)
            if evidence is not None and (evidence.archive, evidence.at) not in seen:
                seen.add((evidence.archive, evidence.at))
                yield evidence


def _base(dated: DatedLine, name: str, *, is_pinned: bool) -> TimeEvidence:
    """Return the evidence of a base's date. Beside a pin it only limits the past."""
    last = None if is_pinned else dated.last
    return TimeEvidence(
        kind=EvidenceKind.STATED,
        first=dated.first,
        last=last,
        place=name,
        says=f"FROM {dated.text}",
        line=dated.line,
        at=dated.first,
    )
