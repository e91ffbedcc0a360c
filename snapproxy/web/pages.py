"""Our own pages: what this proxy is and how to use it, and whether it is well. Everything shown is injected; nothing is measured here."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from html import escape
from typing import Any

from snapproxy.client_config import pin_script
from snapproxy.core.exchange import ScriptTarget
from snapproxy.core.model import Refusal, TimeSpec
from snapproxy.web.heads import ReplyHead

Probe = Callable[[], Awaitable[str]]
"""Returns '' when well, else our own words for what is wrong."""

_AUTHORITY = re.compile(r"[A-Za-z0-9._-]{1,255}(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:[0-9]{1,5})?")
_SCRIPT_TYPE = "text/x-shellscript; charset=utf-8"
_PAGE_FIELDS = (
    ("Content-Security-Policy", "default-src 'none'"),
    ("X-Content-Type-Options", "nosniff"),
    ("Cache-Control", "no-store"),
)


class Pages:
    """Writes the pages of one proxy.

    `snippets(authority)` gives (title, text) pairs of client configuration for this proxy at `host:port`, `script(when, authority,
    capture)` the script that pins a root; `address` stands in
    for a Host header that is missing or strange. `stats` gives figures by name. `is_discoverable`: requests without a time are
    answered, so auto-apt-proxy may find us by the page's title; otherwise every machine that found us would only see a 407.
    """

    def __init__(
        self,
        *,
        snippets: Callable[[str], Iterable[tuple[str, str]]],
        script: Callable[[TimeSpec, str, str], str],
        stats: Callable[[], Mapping[str, Any]],
        healthy: Probe,
        ready: Probe,
        address: str,
        is_discoverable: bool = False,
    ) -> None:
        self._snippets = snippets
        self._script = script
        self._stats = stats
        self._healthy = healthy
        self._ready = ready
        self._address = address
        self._title = "Apt-cacher snapproxy" if is_discoverable else "snapproxy"

    async def answer(self, path: str, host: str) -> ReplyHead | Refusal:
        """Return the page at `path`, or a refusal where there is none. `host` is the request's Host header."""
        match path:
            case "/":
                return self._status_page(host if _AUTHORITY.fullmatch(host) else self._address)
            case "/-/stats":
                return _page(200, "OK", "application/json", json.dumps(self._stats(), indent=2, sort_keys=True) + "\n")
            case "/healthz":
                return _verdict(await self._healthy())
            case "/readyz":
                return _verdict(await self._ready())
            case _:
                return Refusal(404, "There is no such page", hint="The page at / shows how to address a file.")

    def script(self, target: ScriptTarget, host: str) -> ReplyHead:
        """Return the script of a target, for clients that reach this proxy at `host`, the request's Host header.

        The header becomes part of a shell's text, so a strange one is refused; and refusals are scripts that fail.
        """
        when: TimeSpec | Refusal = target.when
        if not _AUTHORITY.fullmatch(host):
            when = Refusal(
                400,
                "the Host header is not HOST:PORT",
                hint="The script points at the address that it was fetched from.",
            )
        if isinstance(when, Refusal):
            return _page(when.status, when.reason, _SCRIPT_TYPE, pin_script.refusal(when))
        return _page(200, "OK", _SCRIPT_TYPE, self._script(when, host, target.capture))

    def _status_page(self, authority: str) -> ReplyHead:
        snippets = "\n".join(
            f"<h2>{escape(title)}</h2>\n\n<pre>\n{escape(text.strip())}\n</pre>\n"
            for title, text in self._snippets(authority)
        )
        figures = "\n".join(
            f"{escape(str(name))}: {escape(str(value))}"
            for name, value in self._stats().items()
            if isinstance(value, int)
        )
        return _page(
            200,
            "OK",
            "text/html; charset=utf-8",
            f"""<!DOCTYPE html>
<html lang="en">
<title>{escape(self._title)}</title>

<h1>snapproxy</h1>

<p>This proxy makes a package manager see its distribution as it was at one instant.
Ask it for http://{escape(authority)}/ARCHIVE/WHEN/PATH, or use it as an HTTP proxy
whose user name is the time.</p>

{snippets}
<h2>Since it started</h2>

<pre>
{figures}
</pre>
</html>
""",
        )


def _verdict(complaint: str) -> ReplyHead:
    status, reason = (503, "Service Unavailable") if complaint else (200, "OK")
    return _page(status, reason, "text/plain; charset=utf-8", f"{complaint or 'ok'}\n")


def _page(status: int, reason: str, kind: str, text: str) -> ReplyHead:
    body = text.encode("utf-8", "replace")
    return ReplyHead(status, reason, (("Content-Type", kind), *_PAGE_FIELDS), len(body), body)
