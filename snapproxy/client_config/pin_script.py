"""The script that pins a whole root, whatever package managers it has: `pin.sh` beside this file, with the table of archives filled in.

The script reads sources files and rewrites the addresses in them; which archive an address belongs to is said here, as `core.routes`
would decide it. What is filled in becomes part of a shell script, so everything is quoted on its way.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from importlib.resources import files

from snapproxy.archives import HISTORIES
from snapproxy.client_config import apt, pacman, rpm
from snapproxy.client_config.snippets import user_name
from snapproxy.core.model import Archive, Refusal, TimeSpec
from snapproxy.core.routes import Route, RouteKind, routes_of

_TEMPLATE = files("snapproxy.client_config").joinpath("pin.sh").read_text(encoding="utf-8")
_PLACEHOLDER = re.compile("@([A-Z]+)@")
# What stands for itself in an awk string and in its regular expressions, and does not end the shell word that holds the program.
_ITSELF = re.compile(r"[A-Za-z0-9 _~:/=,%-]")
#: How many segments a client puts behind a source: `core.db`; `x86_64/APKINDEX.tar.gz`. apt and dnf have no such number.
_DEPTHS = {"pacman": 1, "apk": 2}
_ANY_IN_LABEL = "[^.:@]*"
_ANY_SEGMENT = "[^/]+"


def script(archives: Iterable[Archive], when: TimeSpec, base: str, capture: str = "") -> str:
    """Return the script that points every source of a root to snapproxy at `base` (`http://HOST:PORT`) and pins it to `when`.

    With a `capture`, what the root then asks for is recorded into it.
    """
    values = {
        "BASE": base,
        "WHEN": user_name(when),
        "PREFIX": f"~{capture}/" if capture else "",
        "ROWS": "\n".join(rules(archives)),
        "APT": shlex.quote(apt.SETTINGS.rstrip("\n")),
        "PACMAN": _string(_settings(pacman.SETTINGS)),
        "DNF": _string(_settings(rpm.SETTINGS)),
        "ZYPP": _string(_settings(rpm.ZYPPER_SETTINGS)),
    }
    return _PLACEHOLDER.sub(lambda found: values[found[1]], _TEMPLATE)


def refusal(refused: Refusal) -> str:
    """Return a refusal as a script: what was meant to be piped into a shell must fail there, and say why."""
    lines = [line for line in (refused.reason, refused.why, refused.hint) if line]
    return "".join(f"echo {shlex.quote(f'snapproxy: {line}')} >&2\n" for line in lines) + "exit 1\n"


def rules(archives: Iterable[Archive]) -> list[str]:
    """Return the lines of awk that tell the archive of a source by `family`, `host` and `path`, the most specific place first.

    A source is a folder whose files are asked for, so a place that is told by the end of a path is told by what stands before the
    file. Addresses of the snapshot services hold a time already, and lose it; where that is not simply the next folder they are
    left out, and the script calls them unknown.
    """
    ranked = sorted(enumerate(routes_of(archives, HISTORIES)), key=lambda each: (each[1].rank, each[0]), reverse=True)
    families: dict[str, list[str]] = {}
    for _, route in ranked:
        families.setdefault(route.archive.family, []).extend(_rule(route))
    return [
        line
        for family, lines in sorted(families.items())
        for line in (f"    if (family == {_string(family)}) {{", *dict.fromkeys(lines), "    }")
    ]


def _rule(route: Route) -> tuple[str, ...]:
    place = _place(route)
    if not place:
        return ()
    host = "" if route.host == "*" else f"host ~ {_quoted(f'^{_host(route.host)}$')} && "
    return (f"        if ({host}{place}) return {_string(route.archive.name)}",)


def _place(route: Route) -> str:
    """Return the call that compares the path, '' for a place where no source can be."""
    if route.kind is RouteKind.MIRROR and route.shape is not None:
        tail = _tail(route.prefix.removeprefix("**/").split("/"), route.archive.family)
        return tail and f"ends({_quoted(tail)})"
    prefix = _string(f"/{route.prefix}" if route.prefix else "")
    if route.kind is RouteKind.MIRROR:
        return f"inside({prefix})"
    has_time_next = route.kind is RouteKind.DATED and not route.archive.scope
    return f"dated({prefix})" if has_time_next else ""


def _tail(segments: list[str], family: str) -> str:
    """Return what a source ends with when its files end with `segments`; '' when no name would be left to know it by.

    Where a client asks at several depths, what stands between the last name and the file may be there or not.
    """
    depth = _DEPTHS.get(family, 0)
    folder = segments[: -depth or -1]
    named = [place for place, segment in enumerate(folder, 1) if segment != "*"]
    if not named:
        return ""
    required, optional = (folder, []) if depth else (folder[: named[-1]], folder[named[-1] :])
    written = "".join(f"/{_ANY_SEGMENT if segment == '*' else _literal(segment)}" for segment in required)
    return written + f"(/{_ANY_SEGMENT}" * len(optional) + ")?" * len(optional)


def _host(pattern: str) -> str:
    return _ANY_IN_LABEL.join(_literal(piece) for piece in pattern.split("*"))


def _literal(text: str) -> str:
    """Write text as an extended regular expression: what might mean something there stands in brackets."""
    return "".join(
        each if _ITSELF.fullmatch(each) else f"[{each}]" if each not in "^\\" else f"\\{each}" for each in text
    )


def _settings(text: str) -> str:
    """Return the settings of a text that explains them, one a line."""
    lines = [line for line in text.splitlines() if not line.startswith(("#", "["))]
    return "\n".join(line.replace(" = ", "=") for line in lines)


def _quoted(regex: str) -> str:
    r"""Write a regular expression as an awk string; only `\` and what could end a string or the shell's word needs care."""
    return '"' + "".join(_octal(each) if each in "\"'\n" else "\\\\" if each == "\\" else each for each in regex) + '"'


def _string(text: str) -> str:
    """Write any text as an awk string that holds neither a quote of the shell's nor a line's end."""
    return '"' + "".join(each if each == "." or _ITSELF.fullmatch(each) else _octal(each) for each in text) + '"'


def _octal(character: str) -> str:
    return "".join(f"\\{byte:03o}" for byte in character.encode())
