"""Build the script that pins all package sources of a system: `pin.sh` with the table of archives filled in.

The script rewrites the addresses in sources files. The rules find the archive of an address in the same way as
`core.routes`. Every value that is filled in is quoted, because it becomes part of a shell script.
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
# Characters without a special meaning in awk strings, regular expressions and the quoted shell word of the program.
_ITSELF = re.compile(r"[A-Za-z0-9 _~:/=,%-]")
#: Number of path segments that a client appends to a source: `core.db`; `x86_64/APKINDEX.tar.gz`. apt and dnf vary it.
_DEPTHS = {"pacman": 1, "apk": 2}
_ANY_IN_LABEL = "[^.:@]*"
_ANY_SEGMENT = "[^/]+"


def script(archives: Iterable[Archive], when: TimeSpec, base: str, capture: str = "") -> str:
    """Return the script that pins all sources of a system to `when`, served from `base` (`http://HOST:PORT`).

    With a `capture`, the requests of the system are recorded into it.
    """
    values = {
        "BASE": base,
        "WHEN": user_name(when),
        "PREFIX": f"~{capture}/" if capture else "",
        "ROWS": "\n".join(rules(archives)),
        "METALINKS": "\n".join(map(_metalink, rpm.METALINKS)),
        "APT": shlex.quote(apt.SETTINGS.rstrip("\n")),
        "PACMAN": _string(_settings(pacman.SETTINGS)),
        "DNF": _string(_settings(rpm.SETTINGS)),
        "ZYPP": _string(_settings(rpm.ZYPPER_SETTINGS)),
    }
    return _PLACEHOLDER.sub(lambda found: values[found[1]], _TEMPLATE)


def refusal(refused: Refusal) -> str:
    """Return a refusal as a script that prints it and fails, because the client pipes the answer into a shell."""
    lines = [line for line in (refused.reason, refused.why, refused.hint) if line]
    return "".join(f"echo {shlex.quote(f'snapproxy: {line}')} >&2\n" for line in lines) + "exit 1\n"


def rules(archives: Iterable[Archive]) -> list[str]:
    """Return awk lines that find the archive of a source by `family`, `host` and `path`, the most specific rule first.

    A source is a folder and clients request files in it, so a route that matches the end of a file's path matches the
    folder of that path here. Addresses of snapshot services already contain a time, which is removed. Services in which
    the time is not simply the next folder have no rule; the script reports their addresses as unknown.
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


def _metalink(known: rpm.Metalink) -> str:
    """Return the awk line that returns the folder for a known list of mirrors."""
    pieces = re.split(r"(\{release\}|\{arch\})", known.folder)
    written = " ".join(piece.strip("{}") if piece.startswith("{") else _string(piece) for piece in pieces)
    return f"    if (repo == {_string(f'{known.service} {known.repo}')}) return {written}"


def _rule(route: Route) -> tuple[str, ...]:
    place = _place(route)
    if not place:
        return ()
    host = "" if route.host == "*" else f"host ~ {_quoted(f'^{_host(route.host)}$')} && "
    return (f"        if ({host}{place}) return {_string(route.archive.name)}",)


def _place(route: Route) -> str:
    """Return the awk call that matches the path, '' for a route that cannot match a source."""
    if route.kind is RouteKind.MIRROR and route.shape is not None and not route.prefix.startswith("**/"):
        # `rest` may be empty, which awk counts as false.
        return f'match(path "/", {_quoted(f"^/{_prefix(route.prefix)}/")}) && ((rest = substr(path, RLENGTH)) || 1)'
    if route.kind is RouteKind.MIRROR and route.shape is not None:
        tail = _tail(route.prefix.removeprefix("**/").split("/"), route.archive.family)
        return tail and f"ends({_quoted(tail)})"
    prefix = _string(f"/{route.prefix}" if route.prefix else "")
    if route.kind is RouteKind.MIRROR:
        return f"inside({prefix})"
    has_time_next = route.kind is RouteKind.DATED and not route.archive.scope
    return f"dated({prefix})" if has_time_next else ""


def _tail(segments: list[str], family: str) -> str:
    """Return a regular expression for the end of a source whose files end with `segments`, '' if it contained no name.

    If the family's clients request files at several depths, the segments between the last name and the file are
    optional.
    """
    depth = _DEPTHS.get(family, 0)
    folder = segments[: -depth or -1]
    named = [place for place, segment in enumerate(folder, 1) if segment != "*"]
    if not named:
        return ""
    required, optional = (folder, []) if depth else (folder[: named[-1]], folder[named[-1] :])
    written = "".join(f"/{_ANY_SEGMENT if segment == '*' else _literal(segment)}" for segment in required)
    return written + f"(/{_ANY_SEGMENT}" * len(optional) + ")?" * len(optional)


def _prefix(pattern: str) -> str:
    """Return a regular expression for a prefix in which `*` is any segment or any characters within one."""
    return "/".join(
        _ANY_SEGMENT if segment == "*" else "[^/]*".join(_literal(piece) for piece in segment.split("*"))
        for segment in pattern.split("/")
    )


def _host(pattern: str) -> str:
    return _ANY_IN_LABEL.join(_literal(piece) for piece in pattern.split("*"))


def _literal(text: str) -> str:
    """Write text as an extended regular expression, with special characters in brackets."""
    return "".join(
        each if _ITSELF.fullmatch(each) else f"[{each}]" if each not in "^\\" else f"\\{each}" for each in text
    )


def _settings(text: str) -> str:
    """Return the settings of a configuration text without comments and headers, one per line."""
    lines = [line for line in text.splitlines() if not line.startswith(("#", "["))]
    return "\n".join(line.replace(" = ", "=") for line in lines)


def _quoted(regex: str) -> str:
    r"""Write a regular expression as an awk string. `\` is doubled; quotes and line feeds are written in octal."""
    return '"' + "".join(_octal(each) if each in "\"'\n" else "\\\\" if each == "\\" else each for each in regex) + '"'


def _string(text: str) -> str:
    """Write any text as an awk string without shell quotes and line feeds."""
    return '"' + "".join(each if each == "." or _ITSELF.fullmatch(each) else _octal(each) for each in text) + '"'


def _octal(character: str) -> str:
    return "".join(f"\\{byte:03o}" for byte in character.encode())
