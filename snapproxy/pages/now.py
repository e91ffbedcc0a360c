"""The first page: the present work of the service, and its traffic of the last day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from snapproxy.pages.plots import by_hour, day_plot
from snapproxy.pages.service import DiskUse, RunningService, TrafficSample, TrafficTotals, TransferState, UpstreamUse
from snapproxy.pages.view import View, code, duration, link, moment, number, share, size, table

MOST_SHOWN = 100
"""Maximum number of transfers, and of upstreams, on the page."""


def now_view(service: RunningService) -> View:
    """Return the page."""
    now, totals, disk = service.now(), service.totals(), service.disk()
    transfers, upstreams, day = service.transfers(), service.upstreams(), service.last_day()
    data = {
        "traffic": {
            **{name: value for name, value in asdict(totals).items() if name not in {"files", "refusals"}},
            "saved": totals.saved,
            "files": dict(totals.files),
            "refusals": {str(status): count for status, count in totals.refusals.items()},
        },
        "disk": asdict(disk),
        "transfers": [asdict(each) for each in transfers[:MOST_SHOWN]],
        "upstreams": [asdict(each) for each in upstreams[:MOST_SHOWN]],
        "last_day": [asdict(each) for each in day],
        "shown": {
            "figures": _figures(totals, disk, len(transfers)),
            "tables": {
                "transfers": _transfers(transfers),
                "upstreams": _upstreams(upstreams),
                "refusals": _refusals(totals.refusals),
            },
        },
    }
    return View("now.html", "now", "Now", data, _plots(day, now))


def _figures(totals: TrafficTotals, disk: DiskUse, running: int) -> dict[str, dict[str, str]]:
    found = totals.hits + totals.joined
    return {
        "hit_rate": _figure("Hit rate", share(found, totals.answers), f"of {number(totals.answers)} files"),
        "saved": _figure("Saved", size(totals.saved), f"{size(totals.fetched)} downloaded"),
        "sent": _figure("Served", size(totals.sent), f"{number(totals.unverified)} files without proof"),
        "stored": _figure("Stored", size(disk.used) if disk.is_counted else "counting", _room(disk)),
        "running": _figure("Downloads", number(running), "in progress"),
    }


def _figure(label: str, value: str, note: str) -> dict[str, str]:
    return {"label": label, "value": value, "note": note}


def _room(disk: DiskUse) -> str:
    return f"{size(disk.free)} free" if disk.limit is None else f"of {size(disk.limit)} quota"


def _transfers(transfers: Sequence[TransferState]) -> dict[str, Any]:
    rows = [
        (
            code(each.path),
            each.space,
            each.upstream or "waiting",
            share(each.arrived, each.length) if each.length else size(each.arrived),
            size(each.length) if each.length is not None else "unknown",
            number(each.readers),
        )
        for each in transfers[:MOST_SHOWN]
    ]
    columns = ("File", "Snapshot", "From", "#Arrived", "#Size", "#Readers")
    return table("transfers", "Downloads in progress", columns, rows, empty="Nothing is being downloaded.")


def _upstreams(upstreams: Sequence[UpstreamUse]) -> dict[str, Any]:
    ranked = sorted(upstreams, key=lambda each: (-each.cool_down, -each.requests, each.name))
    rows = [
        (code(each.name), number(each.requests), size(each.fetched), number(each.queued), _pace(each), _state(each))
        for each in ranked[:MOST_SHOWN]
    ]
    columns = ("Upstream", "#Requests", "#Received", "#Waiting", "Pace", "State")
    return table("upstreams", "Upstreams", columns, rows, empty="No upstream was asked.")


def _pace(each: UpstreamUse) -> str:
    return "full" if each.slow_down <= 1 else f"slowed {each.slow_down:.1f} times"


def _state(each: UpstreamUse) -> str:
    if each.cool_down <= 0:
        return "ready"
    return f"cooling down, {duration(each.cool_down)} left" + (f" ({each.cause})" if each.cause else "")


def _refusals(refusals: Mapping[int, int]) -> dict[str, Any]:
    rows = [(str(status), _meaning(status), number(count)) for status, count in sorted(refusals.items())]
    return table("refusals", "Refusals", ("Status", "Meaning", "#Answers"), rows)


_MEANINGS = {
    400: "malformed address or time",
    403: "not allowed",
    404: "absent in that snapshot",
    407: "a time is required",
    409: "the client has a newer root",
    410: "no snapshot for that time",
    424: "a root or an index failed, or offline",
    425: "not settled yet",
    502: "upstream sent wrong bytes",
    503: "cool-down or full queue",
    504: "upstream is silent",
}


def _meaning(status: int) -> str:
    if status in _MEANINGS:
        return _MEANINGS[status]
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _plots(day: Sequence[TrafficSample], now: int) -> dict[str, Any]:
    rows = [
        (
            moment(each.at)[:16],
            number(each.hits),
            number(each.misses),
            number(each.refusals),
            size(each.sent),
            size(each.fetched),
        )
        for each in by_hour(day, now)
    ]
    files = day_plot(day, now, lambda each: each.hits, lambda each: each.misses)
    volume = day_plot(day, now, lambda each: max(0, each.sent - each.fetched), lambda each: each.fetched)
    return {
        "files": {"plot": files, "most": number(files.most)},
        "volume": {"plot": volume, "most": size(volume.most)},
        "hours": table(
            "hours",
            "Traffic by hour (UTC)",
            ("Hour", "#Hits", "#Misses", "#Refusals", "#Served", "#Downloaded"),
            rows,
            empty="No traffic was sampled yet.",
        ),
        "has_samples": bool(rows),
    }


def archive_link(name: str) -> Mapping[str, str]:
    """Return a cell that leads to the page of an archive."""
    return link(name, f"/archives/{quote(name, safe='')}")
