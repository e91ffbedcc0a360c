"""`[archives.X]`: a built-in row with fields overridden, or a whole new one.

Which families and histories a row may name follows from the drivers there are.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields, replace
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainValidator

from snapproxy.archives import HISTORIES, RESERVED_NAMES
from snapproxy.config.model import Watch
from snapproxy.config.value_types import (
    AbsolutePath,
    AnInstant,
    Base,
    DayFolder,
    Duration,
    HolderOfDigests,
    HostOrBelow,
    HostPattern,
    ListOfDays,
)
from snapproxy.core.model import Archive
from snapproxy.families import FAMILIES

#: The usual `settle_after` of a history, in seconds, where it is not the model's own.
SETTLE_AFTER = {"any-instant": 3600, "dated": 48 * 3600}

#: Histories that look the past up somewhere else, and so need `snapshot`.
REMEMBERED_ELSEWHERE = ("snapshots", "any-instant", "dated")

_HISTORY_KEYS = frozenset(
    each.name for history in HISTORIES.values() if history.default_settings for each in fields(history.default_settings)
)
"""Keys of `[archives.X]` that one history alone has (`Archive.history_settings`); for another history they have no effect."""

_UNSAID = Archive(name="", family="", history="")
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


def _choice(built: Collection[str]) -> PlainValidator:
    def read(value: Any) -> str:
        if value in built:
            return str(value)
        raise ValueError(", ".join(f'"{name}"' for name in built))

    return PlainValidator(read)


def _archive_name(name: str) -> str:
    if name in RESERVED_NAMES:
        raise ValueError(
            f"any name but the ones snapproxy's own addresses begin with: {' '.join(sorted(RESERVED_NAMES))}"
        )
    if not _NAME.fullmatch(name):
        raise ValueError("lower-case letters, digits and hyphens, beginning with a letter or digit, at most 63 of them")
    return name


ArchiveName = Annotated[str, AfterValidator(_archive_name)]


class ArchiveSettings(BaseModel):
    """What a file may say of one archive. None: not said."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    family: Annotated[str | None, _choice(FAMILIES)] = None
    history: Annotated[str | None, _choice(HISTORIES)] = None
    snapshot: list[Base] | None = None
    mirrors: list[Base] | None = None
    sources: list[HolderOfDigests] | None = None
    hosts: list[HostPattern] | None = None
    keyrings: list[AbsolutePath] | None = None
    redirects: list[HostOrBelow] | None = None
    max_gap: Duration | None = None
    settle_after: Duration | None = None
    frozen: bool | None = None
    first: AnInstant | None = None
    scope: int | None = Field(default=None, ge=0, le=8)
    folder: DayFolder | None = None
    days: ListOfDays | None = None
    bad: list[AnInstant] | None = None

    def said(self) -> dict[str, Any]:
        """Return what was said, in the types of an Archive."""
        given = {key: getattr(self, key) for key in self.model_fields_set}
        return {key: tuple(value) if isinstance(value, list) else value for key, value in given.items()}


def keeping(archives: Sequence[Archive], watches: Sequence[Watch]) -> tuple[Archive, ...]:
    """Lay over the rows which archives keep no packages: those of which every watch says so."""
    said: dict[str, set[str]] = {}
    for watch in watches:
        said.setdefault(watch.archive, set()).add(watch.packages)
    return tuple(replace(archive, keeps_packages=said.get(archive.name) != {"none"}) for archive in archives)


def missing_keys(tables: Any, built_in: Sequence[Archive]) -> list[str]:
    """Name what new archives lack, a line each; reads the raw tables, so that it can speak beside other mistakes."""
    known = {archive.name for archive in built_in}
    new = {name: table for name, table in tables.items() if name not in known} if isinstance(tables, Mapping) else {}
    lines = []
    for name, table in new.items():
        if not isinstance(table, Mapping):
            continue
        needed = ["family", "history"]
        if table.get("history") in REMEMBERED_ELSEWHERE:
            needed.append("snapshot")
        elif not table.get("snapshot"):
            needed.append("mirrors")
        lines += [
            f"archives.{name}.{key}: missing; a new archive needs it (the built-in ones are {', '.join(sorted(known))})"
            for key in needed
            if not table.get(key)
        ]
    return lines


def with_defaults(archive: Archive, max_gap: int | None, settle_after: int | None) -> Archive:
    """Apply the file's own defaults to a row that keeps the model's."""
    if max_gap is not None and archive.max_gap == _UNSAID.max_gap:
        archive = replace(archive, max_gap=max_gap)
    if settle_after is not None and archive.settle_after == _UNSAID.settle_after:
        archive = replace(archive, settle_after=settle_after)
    return archive


def merge(
    built_in: Sequence[Archive], tables: Mapping[str, ArchiveSettings], max_gap: int | None, settle_after: int | None
) -> tuple[Archive, ...]:
    """Return the table with the user's rows in it: the built-in ones in their order, then the new ones in the file's."""
    archives = []
    for archive in built_in:
        said = tables[archive.name].said() if archive.name in tables else {}
        archives.append(_overlaid(with_defaults(archive, max_gap, settle_after), said))
    known = {archive.name for archive in built_in}
    for name, table in tables.items():
        if name not in known:
            said = table.said()
            gap = _UNSAID.max_gap if max_gap is None else max_gap
            settle = SETTLE_AFTER.get(said["history"], _UNSAID.settle_after) if settle_after is None else settle_after
            new = Archive(name, said["family"], said["history"], max_gap=gap, settle_after=settle)
            archives.append(_overlaid(new, said))
    return tuple(archives)


def _overlaid(archive: Archive, said: Mapping[str, Any]) -> Archive:
    """Return the archive with the user's values laid over it, those of its history's own settings included."""
    values = {key: value for key, value in said.items() if key not in _HISTORY_KEYS}
    default = HISTORIES[values.get("history", archive.history)].default_settings
    if default is None:
        return replace(archive, **values, history_settings=None)
    own = {key: value for key, value in said.items() if key in _HISTORY_KEYS}
    present = archive.history_settings
    return replace(
        archive, **values, history_settings=replace(present if type(present) is type(default) else default, **own)
    )
