"""What was seen of live roots, and when: the memory of archives that have no other, and brackets for those that have.

An *observation* is a root that was adopted with all that belongs to it. Where it is written down (besides `names`):
- values `root/<archive>/<path>`: the root's digest over time; seeing the same again costs no further row
- facts `set/<archive>/<path>/<digest>`: under which snapshot id the root is kept, the instant at which it was seen first
- names `<archive>/<snapshot id>`: the root and its detached signature. What the root promises is found by its digest, so that each
  version is kept once however often it was seen
- names `observed:<archive>`: the paths of its roots

The names are written before the moment is: what was cut off half-way was not observed.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from snapproxy.core.history import History
from snapproxy.core.model import Archive, Family, Instant, Promise, Sighting, Span
from snapproxy.core.steps import Held
from snapproxy.core.when import parse, spell
from snapproxy.errors import SnapproxyError
from snapproxy.shell.names import date_of
from snapproxy.shell.promises import Promises
from storage import Catalog, Name, StorageFailure, Value

_END: Instant = 1 << 60
"""Later than any observation."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Seen:
    """A root as upstream had it, with the detached signature that belongs to it."""

    root: Held
    signature: Held | None = None


class Observations:
    """Reads are inline and few: three look-ups settle an instant for a root."""

    def __init__(self, catalog: Catalog, promises: Promises) -> None:
        self._catalog = catalog
        self._promises = promises

    # --- writing ----------------------------------------------------------------------------------------------------------

    async def note(self, row: Archive, family: Family, seen: Seen, at: Instant) -> None:
        """Write down what a client's request brought to light. What cannot be written is missing, and never in a client's way."""
        try:
            if not await self.record(row, family, [seen], at):
                log.info("%s of %s was seen twice in one second; the next look tells", seen.root.path, row.name)
        except (SnapproxyError, StorageFailure) as failure:
            log.warning("an observation of %s was not kept: %s", row.name, failure)

    async def record(self, row: Archive, family: Family, taken: Sequence[Seen], at: Instant) -> bool:
        """Write down what was seen at `at`, all of it or nothing; False when another observation of that second contradicts it."""
        if any(self._is_told_otherwise(row, seen.root, at) for seen in taken):
            return False
        for seen in taken:
            if self.is_older(row, seen.root.path, seen.root.digest):
                log.warning(
                    "%s of %s went back in time: it is older now than it was seen last", seen.root.path, row.name
                )
            if not await self._keep(row, family, seen, at):
                return False
        await self._catalog.observe_all(at, {_key(row, seen.root.path): seen.root.digest for seen in taken})
        return True

    async def _keep(self, row: Archive, family: Family, seen: Seen, at: Instant) -> bool:
        """Name a root and its signature, unless that was done when it was seen first."""
        root = seen.root
        snapshot = self.snapshot(row, root.path, root.digest)
        if snapshot is not None and self._was_seen(row, root, snapshot):
            name = self._catalog.name(f"{row.name}/{snapshot}", root.path)
            if name is None or name.proof < root.proof:
                await self._name(f"{row.name}/{snapshot}", seen)
            return True
        space = f"{row.name}/{spell(at)}"
        if await self._is_contradicted(family, space, root):
            return False
        await self._name(space, seen)
        await self._catalog.put_fact(_set(row, root.path, root.digest), spell(at))
        if self._catalog.name(_register(row), root.path) is None:
            await self._catalog.put_name(_register(row), root.path, Name("", 0, 0))
        return True

    async def _name(self, space: str, seen: Seen) -> None:
        files = [(space, seen.root), (f"roots:{space}", seen.root)]
        if seen.signature is not None:
            files.append((space, seen.signature))
        for where, held in files:
            await self._catalog.put_name(where, held.path, Name(held.digest, held.size, int(held.proof)))

    def _is_told_otherwise(self, row: Archive, root: Held, at: Instant) -> bool:
        """Whether that very second is known to have begun or ended with another state of this root."""
        value, _ = self._catalog.around(_key(row, root.path), at)
        return value is not None and at in (value.first, value.last) and value.value != root.digest

    def _was_seen(self, row: Archive, root: Held, snapshot: str) -> bool:
        """Whether the moment was written down too when the root was named: a sweep may have been cut off in between."""
        before, _ = self._catalog.around(_key(row, root.path), _instant(snapshot))
        return before is not None and before.value == root.digest and before.last >= _instant(snapshot)

    async def _is_contradicted(self, family: Family, space: str, root: Held) -> bool:
        """Whether a root of the same second promises other bytes for a file that this one promises too (InRelease beside Release)."""
        promised: Mapping[str, Promise] | None = (
            None  # of every file, once: a root may list tens of thousands of packages
        )
        for path, name in self._catalog.names(f"roots:{space}"):
            if path == root.path:
                if name.digest != root.digest:
                    return True
                continue
            if promised is None:
                promised = {each.path: each for each in await self._promises.all(family, root.digest, root.path)}
            others = await self._promises.all(family, name.digest, path)
            if any(each.path in promised and promised[each.path].digests != each.digests for each in others):
                return True
        return False

    # --- reading ----------------------------------------------------------------------------------------------------------

    def sightings(
        self, row: Archive, history: History, roots: tuple[str, ...], instant: Instant
    ) -> tuple[Sighting, ...]:
        """Return what was seen of these roots (or of every root) around an instant, the one seen latest first."""
        if history.is_observed:
            paths = roots or tuple(path for path, _ in self._catalog.names(_register(row)))
            found = [self._sighting(row, path, instant) for path in paths]
            return tuple(sorted(found, key=lambda each: 0 if each.before is None else -each.before.last))
        prefix = f"root/{row.name}/"
        paths = roots or tuple(key.removeprefix(prefix) for key in self._catalog.keys(prefix))
        return tuple(self._dumped(row, history, path, instant) for path in paths)

    def spans(self, row: Archive, path: str, start: Instant, end: Instant) -> list[Span]:
        """Return every span of a root that has a part in [start, end], oldest first."""
        before, after = self._catalog.around(_key(row, path), start)
        found = [before] if before is not None and before.last >= start else []
        while after is not None and after.first <= end:
            found.append(after)
            _, after = self._catalog.around(_key(row, path), after.first)
        return [self._span(row, path, each) for each in found]

    def newest(self, row: Archive, path: str) -> str | None:
        """Return the digest of a root as it was observed last."""
        value, _ = self._catalog.around(_key(row, path), _END)
        return None if value is None else value.value

    def is_older(self, row: Archive, path: str, digest: str) -> bool:
        """Whether a root is dated before the one that was observed last."""
        newest = self.newest(row, path)
        if newest is None or newest == digest:
            return False
        before, now = date_of(self._catalog, newest), date_of(self._catalog, digest)
        return before is not None and now is not None and now < before

    def last(self, row: Archive, path: str) -> Instant | None:
        """Return when a root was observed last."""
        value, _ = self._catalog.around(_key(row, path), _END)
        return None if value is None else value.last

    def snapshot(self, row: Archive, path: str, digest: str) -> str | None:
        """Return the id under which a root is kept: when it was seen first. None for one that never was."""
        snapshot: str | None = self._catalog.fact(_set(row, path, digest), 0)
        return snapshot

    def roots(self, row: Archive) -> list[str]:
        """Return the paths of every root that was ever observed."""
        return [path for path, _ in self._catalog.names(_register(row))]

    def _sighting(self, row: Archive, path: str, instant: Instant) -> Sighting:
        """Walk back over observations that are marked bad, and on over those that follow."""
        key, bad = _key(row, path), {spell(each) for each in row.bad}
        before, after = self._catalog.around(key, instant)
        passed: Instant | None = None
        span = None if before is None else self._span(row, path, before)
        while span is not None and _is_bad(span, bad):
            passed = span.first if passed is None else passed
            before, _ = self._catalog.around(key, span.first - 1)
            span = None if before is None else self._span(row, path, before)
        while bad and after is not None and _is_bad(self._span(row, path, after), bad):
            _, after = self._catalog.around(key, after.first)
        following = None if after is None else Span(after.first, after.last, spell(after.first))
        return Sighting(path, span, following, passed)

    def _dumped(self, row: Archive, history: History, path: str, instant: Instant) -> Sighting:
        """Return the span around an instant as the archive's own snapshots are called: by the instant at which it begins.

        A bad one is none: what it answers for, its timeline says.
        """
        before, _ = self._catalog.around(_key(row, path), instant)
        is_bad = before is None or before.first in row.bad or instant in row.bad
        span = None if before is None or is_bad else Span(before.first, before.last, history.id_of(before.first))
        return Sighting(path, span, None)

    def _span(self, row: Archive, path: str, value: Value) -> Span:
        return Span(value.first, value.last, self.snapshot(row, path, value.value) or spell(value.first))


def _is_bad(span: Span, bad: set[str]) -> bool:
    return span.snapshot in bad or spell(span.first) in bad


def _instant(snapshot: str) -> Instant:
    instant = parse(snapshot).instant
    if instant is None:
        raise AssertionError("a snapshot of an observation is called by its instant")
    return instant


def _key(row: Archive, path: str) -> str:
    return f"root/{row.name}/{path}"


def _set(row: Archive, path: str, digest: str) -> str:
    return f"set/{row.name}/{path}/{digest}"


def _register(row: Archive) -> str:
    return f"observed:{row.name}"
