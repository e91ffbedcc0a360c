"""Observations: which live roots were adopted, and when.

They are the snapshots of archives without a snapshot service; for other archives they show that a root did not change
between two snapshots.

An *observation* is a root that was adopted together with its indexes. It is stored (besides `base.names`) as:
- values `root/<archive>/<path>`: the root's digest over time; observing the same digest again adds no entry
- facts `set/<archive>/<path>/<digest>`: the snapshot id of the root, which is the instant of its first observation
- names `<archive>/<snapshot id>`: the root and its detached signature. The files it lists are found by their digests,
  so that each version is stored once for any number of observations
- names `lacking:<archive>/<snapshot id>`: the signature of the root, if upstream answered that it has none
- names `observed:<archive>`: the paths of its roots

The other forms of a root (a Release beside an InRelease) that upstream lacked are observed too: as the value '' of
`root/<archive>/<path>`, so that an absence follows the rules of a root over time. So do files beside a root that no
index lists (a key, pacman's `.files`): they have values, facts and names as roots do, but are not roots.
- names `beside:<archive>`: the paths of such files that are observed again with every later observation

Recording is crash-safe: the names are written before the value, so that an interrupted observation is ignored.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from snapproxy.base.names import date_of, lacking_in
from snapproxy.core.history import History
from snapproxy.core.model import Archive, ExpectedFile, Family, Instant, ObservedRoot, Proof, Refusal, Span
from snapproxy.core.plan_model import StoredFile
from snapproxy.core.root_checks import CLOCK_SLACK, refuse_future_date
from snapproxy.core.time_spec import format_instant, parse_time
from snapproxy.errors import SnapproxyError
from snapproxy.indexes.index_tables import IndexTables
from snapproxy_storage import Catalog, Name, StorageFailure, Value

_END: Instant = 1 << 60
"""An instant later than any observation."""

MAX_REPEATED = 32
MAX_REPEATED_BYTES = 1 << 20
"""Maximum number of files that no index lists and that every observation of an archive requests again, and the maximum
size of one that clients requested: keys are smaller."""

_ABSENT = ""
"""The observed value of a root that upstream lacked."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RootPair:
    """A root of upstream, with its detached signature if it has one. `date`: the date that the root contains.

    `is_unsigned`: upstream answered that it has no detached signature.
    """

    root: StoredFile
    signature: StoredFile | None = None
    is_unsigned: bool = False
    date: Instant | None = None

    def refuse_at(self, archive: Archive, at: Instant) -> Refusal | None:
        """Refuse the root as an observation of `at` if it is dated later."""
        return refuse_future_date(self.date, at, CLOCK_SLACK, f"{self.root.path} of {archive.name}")


class Observations:
    """Stored observations. Reads are inline and few: three look-ups find the snapshot of a root at an instant."""

    def __init__(self, catalog: Catalog, tables: IndexTables) -> None:
        self._catalog = catalog
        self._tables = tables

    # --- writing

    async def note(self, archive: Archive, family: Family, seen: RootPair, at: Instant) -> None:
        """Record an observation made by a client's request. A failure is logged and does not affect the client."""
        if refusal := seen.refuse_at(archive, at):
            log.warning("An observation is not recorded: %s", refusal.why)
            return
        try:
            if not await self.record(archive, family, [seen], at):
                log.info(
                    "%s of %s was observed twice in one second; the second is dropped", seen.root.path, archive.name
                )
        except (SnapproxyError, StorageFailure) as failure:
            log.warning("An observation of %s could not be stored: %s", archive.name, failure)

    async def note_beside(self, archive: Archive, path: str, file: StoredFile | None, at: Instant) -> None:
        """Record a file that no index lists, as a client's live request found it; None: upstream lacks it.

        The absence of a file that was never observed is not recorded: clients may request any number of names. A
        failure is logged.
        """
        try:
            if file is None and self.newest(archive, path) is not None:
                await self.note_absence(archive, path, at)
            elif file is not None and not self._is_contradicted_at(archive, path, file.digest, at):
                await self._keep_beside(archive, file, at)
                await self._catalog.observe(_key(archive, path), at, file.digest)
                repeated = self.beside(archive)
                if file.size <= MAX_REPEATED_BYTES and path not in repeated and len(repeated) < MAX_REPEATED:
                    await self._catalog.put_name(_beside(archive), path, Name("", 0, 0))
        except StorageFailure as failure:
            log.warning("An observation of %s could not be stored: %s", archive.name, failure)

    async def note_absence(self, archive: Archive, path: str, at: Instant) -> None:
        """Record that upstream had no such form of a root. A failure is logged."""
        try:
            if not self._is_contradicted_at(archive, path, _ABSENT, at):
                await self._catalog.observe(_key(archive, path), at, _ABSENT)
        except StorageFailure as failure:
            log.warning("An observation of %s could not be stored: %s", archive.name, failure)

    async def record(
        self,
        archive: Archive,
        family: Family,
        pairs: Sequence[RootPair],
        at: Instant,
        absent: Iterable[str] = (),
        beside: Sequence[StoredFile] = (),
    ) -> bool:
        """Record the roots observed at `at`, files `beside` them that no index lists, and absent files: all or none.

        Return False if another observation of that second contradicts them, or one of them is dated later.
        """
        files = {file.path: file.digest for file in (*(seen.root for seen in pairs), *beside)}
        values = files | dict.fromkeys(absent, _ABSENT)
        if any(seen.refuse_at(archive, at) for seen in pairs):
            return False
        if any(self._is_contradicted_at(archive, path, value, at) for path, value in values.items()):
            return False
        for seen in pairs:
            if self.is_older(archive, seen.root.path, seen.root.digest):
                log.warning("%s of %s is older than the root that was observed before", seen.root.path, archive.name)
            if not await self._keep(archive, family, seen, at):
                return False
        for file in beside:
            await self._keep_beside(archive, file, at)
        await self._catalog.observe_all(at, {_key(archive, path): value for path, value in values.items()})
        return True

    async def _keep(self, archive: Archive, family: Family, seen: RootPair, at: Instant) -> bool:
        """Record the names of a root and its signature, unless an earlier observation did."""
        root = seen.root
        snapshot = self.snapshot(archive, root.path, root.digest)
        if snapshot is not None and self._was_seen(archive, root, snapshot):
            space = f"{archive.name}/{snapshot}"
            name = self._catalog.name(space, root.path)
            if name is None or name.proof < root.proof:
                await self._name(space, seen)
            await self._name_signature(family, space, seen)
            return True
        space = f"{archive.name}/{format_instant(at)}"
        if await self._is_contradicted(family, space, root):
            return False
        await self._name(space, seen)
        await self._name_signature(family, space, seen)
        await self._catalog.put_fact(_set(archive, root.path, root.digest), format_instant(at))
        if self._catalog.name(_register(archive), root.path) is None:
            await self._catalog.put_name(_register(archive), root.path, Name("", 0, 0))
        return True

    async def _keep_beside(self, archive: Archive, file: StoredFile, at: Instant) -> None:
        """Record the name of a file that no index lists, unless an earlier observation did."""
        snapshot = self.snapshot(archive, file.path, file.digest)
        if snapshot is None or not self._was_seen(archive, file, snapshot):
            space = f"{archive.name}/{format_instant(at)}"
            await self._catalog.put_name(space, file.path, Name(file.digest, file.size, int(Proof.NONE)))
            await self._catalog.put_fact(_set(archive, file.path, file.digest), format_instant(at))

    async def _name(self, space: str, seen: RootPair) -> None:
        root = seen.root
        for where in (space, f"roots:{space}"):
            await self._catalog.put_name(where, root.path, Name(root.digest, root.size, int(root.proof)))

    async def _name_signature(self, family: Family, space: str, seen: RootPair) -> None:
        """Record the name of the detached signature, or that upstream has none; a signature may appear later."""
        path, signature = family.signature(seen.root.path), seen.signature
        if path is None or self._catalog.name(space, path) is not None:
            return
        if signature is not None:
            await self._catalog.put_name(space, path, Name(signature.digest, signature.size, int(signature.proof)))
        elif seen.is_unsigned and self._catalog.name(lacking_in(space), path) is None:
            await self._catalog.put_name(lacking_in(space), path, Name("", 0, 0))

    def _is_contradicted_at(self, archive: Archive, path: str, state: str, at: Instant) -> bool:
        """Return whether another state of this root was observed in the same second."""
        value, _ = self._catalog.around(_key(archive, path), at)
        return value is not None and at in (value.first, value.last) and value.value != state

    def _was_seen(self, archive: Archive, root: StoredFile, snapshot: str) -> bool:
        """Return whether the value was written too when the root was named.

        An observation may have been interrupted in between.
        """
        before, _ = self._catalog.around(_key(archive, root.path), _instant(snapshot))
        return before is not None and before.value == root.digest and before.last >= _instant(snapshot)

    async def _is_contradicted(self, family: Family, space: str, root: StoredFile) -> bool:
        """Return whether a root of the same second lists other bytes for the same file (InRelease and Release)."""
        listed: Mapping[str, ExpectedFile] | None = None  # read once: a root may list tens of thousands of packages
        for path, name in self._catalog.names(f"roots:{space}"):
            if path == root.path:
                if name.digest != root.digest:
                    return True
                continue
            if listed is None:
                listed = {each.path: each for each in await self._tables.all(family, root.digest, root.path)}
            others = await self._tables.all(family, name.digest, path)
            if any(each.path in listed and listed[each.path].digests != each.digests for each in others):
                return True
        return False

    # --- reading

    def sightings(
        self, archive: Archive, history: History, roots: tuple[str, ...], instant: Instant
    ) -> tuple[ObservedRoot, ...]:
        """Return the observations of these roots (or of every root) around an instant, the latest first."""
        if history.is_observed:
            paths = roots or tuple(path for path, _ in self._catalog.names(_register(archive)))
            found = [self._observed(archive, path, instant) for path in paths]
            return tuple(sorted(found, key=lambda each: 0 if each.before is None else -each.before.last))
        prefix = f"root/{archive.name}/"
        paths = roots or tuple(key.removeprefix(prefix) for key in self._catalog.keys(prefix))
        return tuple(self._in_snapshots(archive, history, path, instant) for path in paths)

    def spans(self, archive: Archive, path: str, start: Instant, end: Instant) -> list[Span]:
        """Return every span of a root that overlaps [start, end], oldest first; times without the root are omitted."""
        before, after = self._catalog.around(_key(archive, path), start)
        found = [before] if before is not None and before.last >= start else []
        while after is not None and after.first <= end:
            found.append(after)
            _, after = self._catalog.around(_key(archive, path), after.first)
        return [self._span(archive, path, each) for each in found if each.value != _ABSENT]

    def newest(self, archive: Archive, path: str) -> str | None:
        """Return the digest of a root in its latest observation, '' if upstream lacked it."""
        value, _ = self._catalog.around(_key(archive, path), _END)
        return None if value is None else value.value

    def is_older(self, archive: Archive, path: str, digest: str) -> bool:
        """Return whether a root is dated before the root of the latest observation."""
        newest = self.newest(archive, path)
        if newest in (None, _ABSENT, digest):
            return False
        before, now = date_of(self._catalog, newest), date_of(self._catalog, digest)
        return before is not None and now is not None and now < before

    def last(self, archive: Archive, path: str) -> Instant | None:
        """Return the instant of the latest observation of a root."""
        value, _ = self._catalog.around(_key(archive, path), _END)
        return None if value is None else value.last

    def snapshot(self, archive: Archive, path: str, digest: str) -> str | None:
        """Return the snapshot id of a root: the instant of its first observation. None if it was never observed."""
        snapshot: str | None = self._catalog.fact(_set(archive, path, digest), 0)
        return snapshot

    def beside(self, archive: Archive) -> list[str]:
        """Return the paths of the files that no index lists and that every observation includes."""
        return [path for path, _ in self._catalog.names(_beside(archive))]

    def roots(self, archive: Archive) -> list[str]:
        """Return the paths of every root that was ever observed."""
        return [path for path, _ in self._catalog.names(_register(archive))]

    def _observed(self, archive: Archive, path: str, instant: Instant) -> ObservedRoot:
        """Return the nearest good observations before and after an instant, skipping those that are marked bad."""
        key, bad = _key(archive, path), {format_instant(each) for each in archive.bad}
        before, after = self._catalog.around(key, instant)
        passed: Instant | None = None
        span = None if before is None else self._span(archive, path, before)
        while span is not None and _is_bad(span, bad):
            passed = span.first if passed is None else passed
            before, _ = self._catalog.around(key, span.first - 1)
            span = None if before is None else self._span(archive, path, before)
        while bad and after is not None and _is_bad(self._span(archive, path, after), bad):
            _, after = self._catalog.around(key, after.first)
        following = None if after is None else Span(after.first, after.last, format_instant(after.first))
        return ObservedRoot(path, span, following, passed)

    def _in_snapshots(self, archive: Archive, history: History, path: str, instant: Instant) -> ObservedRoot:
        """Return the span around an instant, with the id of the archive's own snapshot at which it begins.

        An absence, and a span that is marked bad, are omitted: the archive's timeline decides about them.
        """
        before, _ = self._catalog.around(_key(archive, path), instant)
        is_bad = before is None or before.first in archive.bad or instant in archive.bad
        span = (
            None
            if before is None or is_bad or before.value == _ABSENT
            else Span(before.first, before.last, history.id_of(before.first))
        )
        return ObservedRoot(path, span, None)

    def _span(self, archive: Archive, path: str, value: Value) -> Span:
        if value.value == _ABSENT:
            return Span(value.first, value.last, format_instant(value.first), is_absence=True)
        return Span(value.first, value.last, self.snapshot(archive, path, value.value) or format_instant(value.first))


def _is_bad(span: Span, bad: set[str]) -> bool:
    return not span.is_absence and (span.snapshot in bad or format_instant(span.first) in bad)


def _instant(snapshot: str) -> Instant:
    instant = parse_time(snapshot).instant
    if instant is None:
        raise AssertionError("the id of an observed snapshot is an instant")
    return instant


def values_of(archive: Archive) -> str:
    """Return the beginning of the keys of the values that the roots of an archive had over time."""
    return f"root/{archive.name}/"


def _key(archive: Archive, path: str) -> str:
    return values_of(archive) + path


def _set(archive: Archive, path: str, digest: str) -> str:
    return f"set/{archive.name}/{path}/{digest}"


def _beside(archive: Archive) -> str:
    return f"beside:{archive.name}"


def _register(archive: Archive) -> str:
    return f"observed:{archive.name}"
