"""The answers of the simulated services, computed from a path alone: no sockets, no threads.

`SnapshotService` simulates snapshot.debian.org as published traces and its source code describe it. `UbuntuService` and
`PpaService` are SIMULATED FROM DOCUMENTATION: the live servers were never contacted. `MirrorService` simulates a
regular mirror that shows the newest state only.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Protocol
from urllib.parse import parse_qs

from tests.fakes.content import Content, Package, Timeline, Tree

_EMPTY = Content(b"")


@dataclass(frozen=True)
class Answer:
    """A status, header lines and a body. `names`: where the body is published (`archive/path`), for faults to match."""

    status: int
    content: Content = _EMPTY
    headers: Mapping[str, str] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    has_validators: bool = False


class Service(Protocol):
    def answer(self, path: str, query: str) -> Answer:
        """Answer GET for a decoded path and its raw query. Total."""


def page(status: int, text: str = "", **headers: str) -> Answer:
    """Return a small HTML page, as servers send with errors and redirects."""
    title = text or HTTPStatus(status).phrase if status != 509 else text or "Bandwidth Limit Exceeded"
    body = f"<html><head><title>{status} {title}</title></head><body><h1>{html.escape(title)}</h1></body></html>\n"
    lines = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, Content(body.encode()), {"Content-Type": "text/html; charset=utf-8", **lines})


def document(value: object) -> Answer:
    """Return a JSON document."""
    return Answer(200, Content(json.dumps(value, indent=1).encode()), {"Content-Type": "application/json"})


def listing(tree: Tree, folder: str) -> Answer | None:
    """Return an HTML listing of `folder` ('' or with a final slash), None if the tree has no such folder."""
    if folder and not folder.endswith("/"):
        return None  # `Packages` is not a folder because `Packages.xz` exists
    below = {path[len(folder) :].partition("/")[0] for path in tree.paths() if path.startswith(folder)}
    if not below:
        return None
    rows = "".join(f'<li><a href="{html.escape(name)}">{html.escape(name)}</a></li>' for name in sorted(below))
    return Answer(200, Content(f"<ul>{rows}</ul>\n".encode()), {"Content-Type": "text/html; charset=utf-8"})


def is_folder(tree: Tree, path: str) -> bool:
    """Whether the tree has a path below `path`."""
    return any(each.startswith(path + "/") for each in tree.paths())


class SnapshotService:
    """snapshot.debian.org: nearest earlier dump, a relative 302 to /file/<sha1>, and the /mr/ calls."""

    def __init__(self, archives: Mapping[str, Timeline]) -> None:
        self.archives = archives
        self._routes: list[tuple[re.Pattern[str], Callable[..., Answer]]] = [
            (re.compile(r"/archive/([^/]+)/([^/]+)(?:/(.*))?"), self._archive),
            (re.compile(r"/file/([0-9a-f]{40})(?:/[^/]+)?"), self._file),
            (re.compile(r"/mr/file/([0-9a-f]{40})/info"), self._file_info),
            (re.compile(r"/mr/package/([^/]+)/"), self._source_versions),
            (re.compile(r"/mr/package/([^/]+)/([^/]+)/srcfiles"), self._source_files),
            (re.compile(r"/mr/binary/([^/]+)/"), self._binary_versions),
            (re.compile(r"/mr/binary/([^/]+)/([^/]+)/binfiles"), self._binary_files),
        ]

    def answer(self, path: str, query: str) -> Answer:
        if path in ("/mr/timestamp", "/mr/timestamp/"):
            return self._timestamps(parse_qs(query))
        for pattern, route in self._routes:
            if match := pattern.fullmatch(path):
                answer = route(*match.groups())
                wants_files = parse_qs(query).get("fileinfo") == ["1"]
                return self._with_fileinfo(answer) if wants_files and answer.status == 200 else answer
        return page(404)

    def _archive(self, archive: str, date: str, path: str | None) -> Answer:
        if archive not in self.archives:
            return page(404, "Archive not found.")
        if not re.fullmatch(r"\d{8}(T\d{6}Z)?|now", date):
            return page(404, "Invalid date string - nothing to be found here.")
        wanted = {"now": "99991231T235959Z"}.get(date, date if "T" in date else date + "T000000Z")
        dump = self.archives[archive].at(wanted)
        if dump is None:
            return page(404, "No mirrorrun found at this date.")
        exact, tree = dump
        if path and (content := tree.get(path)):
            return page(302, "Found", Location=f"/file/{content.sha1}", Cache_Control="max-age=600, public")
        if path is None or (not path.endswith("/") and is_folder(tree, path)):
            return page(301, "Moved Permanently", Location=f"/archive/{archive}/{date}/{path + '/' if path else ''}")
        found = listing(tree, path)
        if found and date != exact:
            return page(302, "Found", Location=f"/archive/{archive}/{exact}/{path}")
        return found or page(404, "No such file or directory.")

    def _file(self, sha1: str) -> Answer:
        places = list(self._places(sha1))
        if not places:
            return page(404, "No such file.")
        headers = {"Cache-Control": "max-age=864000, public", "Content-Type": "application/octet-stream"}
        names = tuple(f"{archive}/{path}" for archive, path, _, _ in places)
        return Answer(200, places[0][3], headers, names, has_validators=True)

    def _places(self, sha1: str) -> Iterator[tuple[str, str, str, Content]]:
        """Yield (archive, path, first dump, content) for every path that ever had these bytes."""
        seen = set()
        for archive, timeline in self.archives.items():
            for when, tree in timeline.states():
                for path in list(tree.paths()):
                    content = tree.get(path)
                    if content and content.sha1 == sha1 and (archive, path) not in seen:
                        seen.add((archive, path))
                        yield archive, path, when, content

    def _file_info(self, sha1: str) -> Answer:
        rows = [
            {"archive_name": archive, "first_seen": when, "name": path.rpartition("/")[2],
             "path": "/" + path.rpartition("/")[0], "size": content.size}
            for archive, path, when, content in self._places(sha1)
        ]  # fmt: skip
        return _api({"hash": sha1, "result": rows}) if rows else page(404)

    def _timestamps(self, query: Mapping[str, list[str]]) -> Answer:
        """Return the dumps between both bounds, inclusive.

        The sources do not state whether the bounds are inclusive, and a client must support either.
        """
        after, before = query.get("after", [""])[0], query.get("before", ["99991231T235959Z"])[0]
        wanted = query.get("archive", list(self.archives))
        if any(name not in self.archives for name in wanted):
            return page(404)
        ids = {name: [each for each in self.archives[name].ids if after <= each <= before] for name in wanted}
        return _api({"result": ids})

    def _packages(self, *, source: bool) -> dict[tuple[str, str, str], Package]:
        trees = (tree for timeline in self.archives.values() for _, tree in timeline.states())
        found = {(each.name, each.version, each.architecture): each for tree in trees for each in tree.packages}
        return {key: each for key, each in sorted(found.items()) if each.is_source == source}

    def _source_versions(self, name: str) -> Answer:
        rows = [{"version": each.version} for each in self._packages(source=True).values() if each.name == name]
        return _api({"package": name, "result": rows}) if rows else page(404)

    def _source_files(self, name: str, version: str) -> Answer:
        for each in self._packages(source=True).values():
            if (each.name, each.version) == (name, version):
                rows = [{"hash": content.sha1} for content in each.files.values()]
                return _api({"package": name, "version": version, "result": rows})
        return page(404)

    def _binary_versions(self, name: str) -> Answer:
        rows = [
            {"name": name, "binary_version": each.version, "source": each.source[0], "version": each.source[1]}
            for each in self._packages(source=False).values()
            if each.name == name
        ]
        return _api({"binary": name, "result": rows}) if rows else page(404)

    def _binary_files(self, name: str, version: str) -> Answer:
        rows = [
            {"architecture": each.architecture, "hash": next(iter(each.files.values())).sha1}
            for each in self._packages(source=False).values()
            if (each.name, each.version) == (name, version)
        ]
        return _api({"binary": name, "binary_version": version, "result": rows}) if rows else page(404)

    def _with_fileinfo(self, answer: Answer) -> Answer:
        value = json.loads(answer.content.data)
        hashes = [row["hash"] for row in value.get("result", []) if "hash" in row]
        infos = {sha1: json.loads(self._file_info(sha1).content.data)["result"] for sha1 in hashes}
        return document({**value, "fileinfo": infos})


def _api(value: Mapping[str, object]) -> Answer:
    return document({"_api": "0.3", "_comment": "simulated", **value})


class MirrorService:
    """A regular mirror: `/<archive>/<path>` in its present state. Supports keep-alive, dates, ranges and by-hash."""

    def __init__(self, archives: Mapping[str, Timeline]) -> None:
        self.archives = archives

    def answer(self, path: str, query: str) -> Answer:
        name, _, rest = path[1:].partition("/")
        if name not in self.archives:
            return page(404)
        return serve(self.archives[name].newest, rest, f"{name}/{rest}")


def serve(tree: Tree, path: str, name: str) -> Answer:
    """Answer a file or folder of one tree directly."""
    if content := tree.get(path):
        return Answer(200, content, {"Content-Type": "application/octet-stream"}, (name,), has_validators=True)
    return (listing(tree, path) if path == "" or path.endswith("/") else None) or page(404)


class UbuntuService:
    """snapshot.ubuntu.com, simulated from documentation: `/ubuntu/<TS>/...` for any second from 2023-03-01 on.

    The id is never rounded and there is no list of dumps. Without an id the newest state is shown. The real server
    redirects http to https; this one serves http only.
    """

    first = "20230301T000000Z"

    def __init__(self, timeline: Timeline, *, prefix: str = "/ubuntu/") -> None:
        self.timeline = timeline
        self._prefix = prefix

    def answer(self, path: str, query: str) -> Answer:
        if not path.startswith(self._prefix):
            return page(404)
        rest = path.removeprefix(self._prefix)
        match = re.fullmatch(r"(\d{8}T\d{6}Z)(?:/(.*))?", rest)
        if match is None:
            return serve(self.timeline.newest, rest, f"ubuntu/{rest}")
        when, below = match.groups(default="")
        state = self.timeline.at(when) if when >= self.first else None
        return serve(state[1], below, f"ubuntu/{below}") if state else page(404)


class PpaService(UbuntuService):
    """snapshot.ppa.launchpadcontent.net, simulated from documentation: `/<owner>/<ppa>/ubuntu/<TS>/...`."""

    def __init__(self, timeline: Timeline, *, owner: str, ppa: str) -> None:
        super().__init__(timeline, prefix=f"/{owner}/{ppa}/ubuntu/")
