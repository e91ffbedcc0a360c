"""`[archives.X]`: a built-in archive with fields overridden, or a new archive.

The valid families and histories are those that are implemented.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from snapproxy.archives import HISTORIES, RESERVED_NAMES
from snapproxy.config.model import Watch
from snapproxy.config.schema import Key, Reader, SettingsTable, a_list, boolean, optional, text, whole_number
from snapproxy.config.value_types import (
    absolute_path,
    an_instant,
    base_address,
    blob_source,
    credentials_place,
    day_folder,
    duration,
    host_or_below,
    host_pattern,
    list_of_days,
)
from snapproxy.core.model import Archive
from snapproxy.families import FAMILIES

#: The default `settle_after` of a history, in seconds, if it differs from the model's.
SETTLE_AFTER = {"any-instant": 3600, "dated": 48 * 3600}

#: Histories whose past is at an upstream, so that `snapshot` is required.
WITH_UPSTREAM_PAST = ("snapshots", "any-instant", "dated")

_HISTORY_KEYS = frozenset(
    each.name for history in HISTORIES.values() if history.default_settings for each in fields(history.default_settings)
)
"""Keys that belong to one history alone (`Archive.history_settings`); for another history they have no effect."""

_UNSET = Archive(name="", family="", history="")
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


def _choice(built: Collection[str]) -> Reader:
    def read(value: Any) -> str:
        if isinstance(value, str) and value in built:
            return value
        raise ValueError(", ".join(f'"{name}"' for name in built))

    return read


def archive_name(value: Any) -> str:
    """Read the name of an archive."""
    name = text(value)
    if name in RESERVED_NAMES:
        raise ValueError(
            f"any name except those reserved for snapproxy's own addresses: {' '.join(sorted(RESERVED_NAMES))}"
        )
    if not _NAME.fullmatch(name):
        raise ValueError("1 to 63 lower-case letters, digits and hyphens, beginning with a letter or digit")
    return name


ARCHIVE = SettingsTable(
    {
        "family": Key(read=_choice(FAMILIES)),
        "history": Key(read=_choice(HISTORIES)),
        "snapshot": Key(read=optional(a_list(base_address))),
        "mirrors": Key(read=optional(a_list(base_address))),
        "sources": Key(read=optional(a_list(blob_source))),
        "hosts": Key(read=optional(a_list(host_pattern))),
        "keyrings": Key(read=optional(a_list(absolute_path))),
        "redirects": Key(read=optional(a_list(host_or_below))),
        "max_gap": Key(read=optional(duration)),
        "settle_after": Key(read=optional(duration)),
        "frozen": Key(read=optional(boolean)),
        "first": Key(read=optional(an_instant)),
        "scope": Key(read=optional(whole_number(0, 8))),
        "folder": Key(read=optional(day_folder)),
        "days": Key(read=optional(list_of_days)),
        "bad": Key(read=optional(a_list(an_instant))),
        "credentials": Key(read=optional(credentials_place)),
        "credentials_over_http": Key(read=optional(boolean)),
        "upstream_ca": Key(read=optional(absolute_path)),
    }
)
"""The settings of one archive."""


def _in_types_of_archive(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of an archive in the types of an Archive."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in settings.items()}


def set_keeps_packages(archives: Sequence[Archive], watches: Sequence[Watch]) -> tuple[Archive, ...]:
    """Set `keeps_packages` to False for archives whose every watch has `packages = "none"`."""
    kept: dict[str, set[str]] = {}
    for watch in watches:
        kept.setdefault(watch.archive, set()).add(watch.packages)
    return tuple(replace(archive, keeps_packages=kept.get(archive.name) != {"none"}) for archive in archives)


def missing_keys(tables: Any, built_in: Sequence[Archive]) -> list[str]:
    """Return a line for each required key that a new archive lacks.

    Reads the raw tables, so that these mistakes are reported together with others.
    """
    known = {archive.name for archive in built_in}
    new = {name: table for name, table in tables.items() if name not in known} if isinstance(tables, Mapping) else {}
    lines = []
    for name, table in new.items():
        if not isinstance(table, Mapping):
            continue
        needed = ["family", "history"]
        if table.get("history") in WITH_UPSTREAM_PAST:
            needed.append("snapshot")
        elif not table.get("snapshot"):
            needed.append("mirrors")
        lines += [
            f"archives.{name}.{key}: missing; required for a new archive (built in: {', '.join(sorted(known))})"
            for key in needed
            if table.get(key) in (None, [])  # other values of the wrong type are reported as such
        ]
    return lines


def with_defaults(archive: Archive, max_gap: int | None, settle_after: int | None) -> Archive:
    """Apply the file's general `max_gap` and `settle_after` to an archive that has the model's defaults."""
    if max_gap is not None and archive.max_gap == _UNSET.max_gap:
        archive = replace(archive, max_gap=max_gap)
    if settle_after is not None and archive.settle_after == _UNSET.settle_after:
        archive = replace(archive, settle_after=settle_after)
    return archive


def merge(
    built_in: Sequence[Archive], tables: Mapping[str, Mapping[str, Any]], max_gap: int | None, settle_after: int | None
) -> tuple[Archive, ...]:
    """Return the table with the user's archives: the built-in ones in their order, then the new ones in file order."""
    archives = []
    for archive in built_in:
        settings = _in_types_of_archive(tables.get(archive.name, {}))
        archives.append(_overlaid(with_defaults(archive, max_gap, settle_after), settings))
    known = {archive.name for archive in built_in}
    for name, table in tables.items():
        if name not in known:
            settings = _in_types_of_archive(table)
            gap = _UNSET.max_gap if max_gap is None else max_gap
            settle = (
                SETTLE_AFTER.get(settings["history"], _UNSET.settle_after) if settle_after is None else settle_after
            )
            new = Archive(name, settings["family"], settings["history"], max_gap=gap, settle_after=settle)
            archives.append(_overlaid(new, settings))
    return tuple(archives)


def _overlaid(archive: Archive, settings: Mapping[str, Any]) -> Archive:
    """Return the archive with the user's values, including the settings of its history."""
    values = {key: value for key, value in settings.items() if key not in _HISTORY_KEYS}
    default = HISTORIES[values.get("history", archive.history)].default_settings
    if default is None:
        return replace(archive, **values, history_settings=None)
    own = {key: value for key, value in settings.items() if key in _HISTORY_KEYS}
    present = archive.history_settings
    base = present if type(present) is type(default) else default  # another type belongs to the overridden history
    return replace(archive, **values, history_settings=replace(base, **own))
