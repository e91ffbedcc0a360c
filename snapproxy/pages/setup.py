"""The page that shows the lines of a client's configuration, as `snapproxy sources` prints them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from snapproxy.client_config.choice import KNOWN, SCRIPT, ChosenSources, chosen_snippets, forms_of
from snapproxy.client_config.snippets import user_name
from snapproxy.core.model import Archive, Instant, Match, TimeSpec
from snapproxy.core.time_spec import format_instant, parse_time
from snapproxy.errors import ClientError, ConfigurationError, SnapproxyError
from snapproxy.pages.view import View

_FORM_WORDS = {
    "mirror": "sources whose addresses contain the time",
    "list": "one-line sources",
    "proxy": "proxy settings; the sources stay as they are",
    "snapshot": "settings for apt --snapshot",
    "dockerfile": "lines of a Dockerfile",
    "environment": "environment variables",
    "bootstrap": "debootstrap and mmdebstrap",
    "mkosi": "lines of mkosi.conf",
    "cache": "CacheServer lines",
    "edit": "a line for sed",
    "zypper": "a .repo file for zypper",
    "script": "a script that pins a whole system",
}
_FIELDS = ("distro", "suite", "repo", "at", "form", "base")
_SUITES = {"debian": "bookworm", "ubuntu": "noble", "alpine": "v3.20"}
_WORD = re.compile(r"[A-Za-z0-9._~/+:$-]*")
_MOST = 200
"""Characters of a field of the form that are used."""


class SetupPage:
    """The page. `base` is the address of this proxy as its clients reach it, `http://HOST:PORT`, if it is known."""

    def __init__(self, archives: Sequence[Archive], base: str) -> None:
        self._archives = archives
        self._base = base
        own = [each.name for each in archives if each.name not in KNOWN and forms_of(each.name, archives)]
        self._distros = (*KNOWN, *sorted(own))

    def view(self, query: Mapping[str, str], now: Instant) -> View:
        """Return the page for the choices in `query`; mistakes are shown beside the form."""
        asked = {
            name: query.get(name, "").strip()[:_MOST] for name in ("distro", "suite", "repo", "at", "form", "base")
        }
        distro = asked["distro"] if asked["distro"] in self._distros else "debian"
        forms = forms_of(distro, self._archives)
        form = asked["form"] if asked["form"] in forms else forms[0]
        at = asked["at"] or format_instant(now // 86400 * 86400 - 7 * 86400)
        is_of_distro = "suite" in query and distro == asked["distro"] == query.get("shown", distro)
        suite = asked["suite"] if is_of_distro else _SUITES.get(distro, "")
        base = asked["base"] or self._base
        fields = {**asked, "distro": distro, "form": form, "at": at, "suite": suite, "base": base}
        try:
            _check_words(suite, asked["repo"])
            choice = ChosenSources(
                distro=distro,
                time=_time(at),
                form=form,
                suite="" if form == SCRIPT else suite,
                repo=asked["repo"],
                base=_address(base),
            )
            snippets = [
                {"path": each.path, "text": each.text} for each in chosen_snippets(choice, lambda: self._archives)
            ]
            error: dict[str, str] | None = None
        except SnapproxyError as mistake:
            snippets, error = [], {"reason": mistake.reason, "why": mistake.why, "hint": mistake.hint}
        data: dict[str, Any] = {"choice": fields, "forms": list(forms), "files": snippets, "error": error}
        shown = {
            "distros": self._distros,
            "forms": [(each, _FORM_WORDS.get(each, each)) for each in forms],
            "command": "" if error else _command(fields),
        }
        return View("setup.html", "setup", "Set up a client", data, shown)


def _check_words(*words: str) -> None:
    """Check text that becomes part of files and commands. Raises ConfigurationError."""
    if not all(_WORD.fullmatch(each) for each in words):
        raise ConfigurationError(
            "A suite or a folder has a character that no archive uses",
            hint="Letters, digits and . _ ~ / + : $ - are accepted.",
        )


def _command(fields: Mapping[str, str]) -> str:
    """Return the command that prints the same text. Its words have no character that a shell interprets."""
    words = ["snapproxy", "sources", fields["distro"], "--at", user_name(_time(fields["at"]))]
    for option in ("suite", "repo", "form", "base"):
        value = fields[option]
        if value and not (option == "suite" and fields["form"] == SCRIPT):
            words += [f"--{option}", f"'{value}'" if "$" in value else value]
    return " ".join(words)


def _time(text: str) -> TimeSpec:
    """Read a time that lasts. Raises ClientError."""
    when = parse_time(text)
    if when.match is Match.LATEST:
        raise ClientError(
            "The time `latest` changes",
            why="A client's configuration would answer differently later.",
            hint="Name a day.",
        )
    return when


def _address(text: str) -> str:
    """Read the address of a server. Raises ConfigurationError."""
    try:
        parts = urlsplit(text)
        is_address = parts.scheme == "http" and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_address = False
    if not is_address or not set(text) <= _ADDRESS or "@" in text or text.rstrip("/").count("/") != len("//"):
        raise ConfigurationError("The address of the proxy is not http://HOST:PORT", hint="As the client reaches it.")
    return text.rstrip("/")


_ADDRESS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.:/-_[]")
