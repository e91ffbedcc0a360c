"""The pages of the proxy itself: status, counters, health and the script that pins a system.

The content is passed in; this module measures nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from html import escape
from typing import Any

from snapproxy.client_config import pin_script
from snapproxy.core.exchange import ScriptTarget
from snapproxy.core.model import Refusal, TimeSpec
from snapproxy.web.replies import ReplyHead

Probe = Callable[[], Awaitable[str]]
"""Returns '' if healthy, otherwise a description of the fault, without text from clients or upstreams."""

_AUTHORITY = re.compile(r"[A-Za-z0-9._-]{1,255}(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:[0-9]{1,5})?")
_SCRIPT_TYPE = "text/x-shellscript; charset=utf-8"
_PAGE_FIELDS = (
    ("Content-Security-Policy", "default-src 'none'"),
    ("X-Content-Type-Options", "nosniff"),
    ("Cache-Control", "no-store"),
)


class Pages:
    """The pages of one proxy.

    `snippets(base)` returns (title, text) pairs of client configuration for this proxy at `http://HOST:PORT`,
    `script(when, base, capture)` the script that pins a system. `address`, `HOST:PORT`, replaces a missing or malformed
    Host header. `stats` returns counters by name. `is_discoverable`: requests without a time are answered, so
    auto-apt-proxy may find this proxy by the title of its page; otherwise every machine that found it would get a 407.
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

    async def answer(self, path: str, host: str, scheme: str = "http") -> ReplyHead | Refusal:
        """Return the page at `path`, or a 404. `host` is the request's Host header, `scheme` that of its connection."""
        match path:
            case "/":
                return self._status_page(f"{scheme}://{host if _AUTHORITY.fullmatch(host) else self._address}")
            case "/-/stats":
                return _page(200, "OK", "application/json", json.dumps(self._stats(), indent=2, sort_keys=True) + "\n")
            case "/healthz":
                return _health(await self._healthy())
            case "/readyz":
                return _health(await self._ready())
            case _:
                return Refusal(404, "No such page", hint="The page at / shows how to address a file.")

    def script(self, target: ScriptTarget, host: str, scheme: str = "http") -> ReplyHead:
        """Return the script of a target, for clients that reach this proxy at `host`, the request's Host header.

        The header becomes part of a shell script, so a malformed one is refused. A refusal is a script that fails.
        """
        when: TimeSpec | Refusal = target.when
        if not _AUTHORITY.fullmatch(host):
            when = Refusal(
                400,
                "the Host header is not HOST:PORT",
                hint="The script contains the address that it is downloaded from. Send it in the Host header.",
            )
        if isinstance(when, Refusal):
            return _page(when.status, when.reason, _SCRIPT_TYPE, pin_script.refusal(when))
        return _page(200, "OK", _SCRIPT_TYPE, self._script(when, f"{scheme}://{host}", target.capture))

    def _status_page(self, base: str) -> ReplyHead:
        snippets = "\n".join(
            f"<h2>{escape(title)}</h2>\n\n<pre>\n{escape(text.strip())}\n</pre>\n"
            for title, text in self._snippets(base)
        )
        counters = "\n".join(
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
Request {escape(base)}/ARCHIVE/TIME/PATH, or use it as an HTTP proxy
with the time as the user name.</p>

<p>Its state, its captures and the set-up of further clients are on the pages
that the setting admin_listen serves.</p>

{snippets}
<h2>Counters since its start</h2>

<pre>
{counters}
</pre>
</html>
""",
        )


def _health(fault: str) -> ReplyHead:
    status, reason = (503, "Service Unavailable") if fault else (200, "OK")
    return _page(status, reason, "text/plain; charset=utf-8", f"{fault or 'ok'}\n")


def _page(status: int, reason: str, kind: str, text: str) -> ReplyHead:
    body = text.encode("utf-8", "replace")
    return ReplyHead(status, reason, (("Content-Type", kind), *_PAGE_FIELDS), len(body), body)
