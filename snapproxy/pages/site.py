"""Answer requests for pages: select the view, add the verdict, and write it as HTML or JSON."""

from __future__ import annotations

import asyncio
import functools
import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from snapproxy.core.exchange import Page, PageRequest
from snapproxy.core.model import Refusal
from snapproxy.errors import SnapproxyError
from snapproxy.monitoring.verdict import ServiceVerdict, verdict
from snapproxy.pages.archives import ArchivePages
from snapproxy.pages.captures import CapturePages
from snapproxy.pages.now import now_view
from snapproxy.pages.packages import PackagePages
from snapproxy.pages.service import RunningService
from snapproxy.pages.setup import SetupPage
from snapproxy.pages.view import FileToDownload, NoSuchPageError, View, counted, duration, moment, number, size
from snapproxy_storage import StorageFailure

SECTIONS = (
    ("now", "/", "Now"),
    ("archives", "/archives", "Archives"),
    ("captures", "/captures", "Captures"),
    ("packages", "/packages", "Packages"),
    ("setup", "/setup", "Set up"),
)
"""The entries of the navigation: name, address, text."""

_HTML, _JSON = "text/html; charset=utf-8", "application/json"
_ASSETS = {
    f"/{name}": (kind, files("snapproxy.pages").joinpath("static", name).read_bytes())
    for name, kind in (("style.css", "text/css; charset=utf-8"), ("live.js", "text/javascript; charset=utf-8"))
}

_log = logging.getLogger(__name__)


class PageSite:
    """All pages of the service (`core.exchange.PageAnswerer`)."""

    def __init__(
        self,
        service: RunningService,
        *,
        archives: ArchivePages,
        captures: CapturePages,
        packages: PackagePages,
        setup: SetupPage,
    ) -> None:
        self._service = service
        self._archives = archives
        self._captures = captures
        self._packages = packages
        self._setup = setup

    async def answer(self, request: PageRequest) -> Page | Refusal:
        """Return the page for a request. Faults are pages too; raises only for an internal error."""
        asset = _ASSETS.get(request.path)
        if asset is not None:
            return Page(asset[0], asset[1], headers={"Cache-Control": "max-age=300"})
        try:
            view = await self._view(request.path, request.query)
        except SnapproxyError as error:
            return await self._fault(request, error.status, error.reason, error.why, error.hint)
        except StorageFailure as failure:
            _log.warning("A page cannot be shown: %s", failure)
            return await self._fault(request, 503, "The store cannot be read", str(failure), "")
        if isinstance(view, FileToDownload):
            named = {"Content-Disposition": f'attachment; filename="{view.name}"'}
            return Page(view.media_type, view.data, headers=named)
        return await self._page(request, view)

    async def _view(self, path: str, query: Mapping[str, str]) -> View | FileToDownload:
        match [segment for segment in path.split("/") if segment]:
            case []:
                return now_view(self._service)
            case ["archives"]:
                return await self._archives.every()
            case ["archives", name]:
                return await self._archives.one(name, query)
            case ["captures"]:
                return await self._captures.every(query)
            case ["captures", name]:
                return await self._captures.one(name, query)
            case ["captures", name, form]:
                return await self._captures.file(name, form)
            case ["compare"]:
                return await self._captures.compare(query)
            case ["packages"]:
                return await self._packages.view(query)
            case ["setup"]:
                return self._setup.view(query, self._service.now())
        raise NoSuchPageError("No such page", hint="Request / for the first page.")

    async def _fault(self, request: PageRequest, status: int, reason: str, why: str, hint: str) -> Page:
        error = {"status": status, "reason": reason, "why": why, "hint": hint}
        return await self._page(request, View("error.html", "", reason, {"error": error}), status)

    async def _page(self, request: PageRequest, view: View, status: int = 200) -> Page:
        judged = verdict(await self._service.signals())
        now = self._service.now()
        fields = {"Vary": "Accept"}
        if wants_json(request):
            state = {"verdict": judged.level.word, "reasons": list(judged.reasons), "time": now}
            return Page(_JSON, await asyncio.to_thread(_as_json, {**state, **view.data}), status, fields)
        frame = {"view": view, "verdict": _shown(judged), "now": now, "query": request.query}
        html = await asyncio.to_thread(_render, view.template, {**view.data, **view.shown, **frame})
        return Page(_HTML, html, status, fields)


def wants_json(request: PageRequest) -> bool:
    """Return whether a program asks: by `format=json`, or an Accept that has JSON and no HTML."""
    if "format" in request.query:
        return request.query["format"] == "json"
    accept = request.accept.lower()
    return "json" in accept and "html" not in accept


@functools.cache
def _templates() -> Environment:
    """Return the templates. They escape every value, and a value that is missing is an error."""
    templates = Environment(
        loader=PackageLoader("snapproxy.pages"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters.update(size=size, number=number, moment=moment, duration=duration, count=counted)
    templates.globals["sections"] = SECTIONS
    return templates


def _render(template: str, values: Mapping[str, Any]) -> bytes:
    """Write a page. Templates are read and compiled when they are used first, so this runs in a thread."""
    return _templates().get_template(template).render(values).encode("utf-8", "replace")


def _shown(judged: ServiceVerdict) -> dict[str, Any]:
    return {"word": judged.level.word, "class": judged.level.name.lower(), "reasons": judged.reasons}


def _as_json(values: Mapping[str, Any]) -> bytes:
    return f"{json.dumps(values, indent=2, default=_json_value)}\n".encode()


def _json_value(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    raise TypeError(f"not a JSON value: {value!r}")
