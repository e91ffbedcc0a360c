"""Read the dates of a Dockerfile (docs.docker.com, "Dockerfile reference"), stage by stage.

Dates are in the tags of base images, in variables such as SNAPSHOT and SOURCE_DATE_EPOCH, and in addresses. Variables
are replaced as far as their values are in the file; nothing is executed.
"""

from __future__ import annotations

import re
import shlex
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from snapproxy.errors import ArchiveDataError
from snapproxy.formats.time_evidence.dates import DatedLine, quoted, read_day, read_iso, read_seconds

LARGEST = 1 << 20
"""Maximum size of a Dockerfile in bytes."""

_MOST_LINES = 20_000
_MOST_STAGES = 200
_MOST_VARIABLES = 1_000
_LONGEST = 16 << 10
_LARGEST_REPLACED = 4 << 20
"""Maximum number of characters of all instructions with their variables replaced."""

_INSTRUCTION = re.compile(r"\s*(?P<word>[A-Za-z]+)\s+(?P<rest>.*)", re.DOTALL)
_FROM = re.compile(r"(?:--\S+\s+)*(?P<image>\S+)(?:\s+[Aa][Ss]\s+(?P<name>\S+))?\s*")
_VARIABLE = re.compile(r"\$(?:(?P<plain>\w+)|\{(?P<braced>\w+)(?::?[-+](?P<default>[^}]*))?\})", re.ASCII)
# A word of the shell, so neither a shift, `$((1<<10))`, nor a here-string, `<<<word`.
_HERE = re.compile(r"(?<!\S)[0-9]*<<-?([\"']?)(?P<word>\w+)\1(?!\S)")
_DIRECTIVE = re.compile(r"#\s*escape\s*=\s*(?P<char>[\\`])\s*")
_TAG_DATE = re.compile(r"(?<![0-9])(20[0-9]{2})-?([01][0-9])-?([0-3][0-9])(?:T([0-9]{6})Z)?(?![0-9])")
_DAY = 86400
#: Names of variables whose value is the time of a snapshot, by convention.
_SNAPSHOT_NAME = re.compile(r"(?:.*_)?(?:SNAPSHOT(?:_(?:DATE|TIME|TIMESTAMP|ID))?|PIN_DATE|TIMESTAMP)", re.IGNORECASE)
_BASIC = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})T([0-9]{2})([0-9]{2})([0-9]{2})Z")
_FOLDER_DAY = re.compile(r"([0-9]{4})[/-]?([0-9]{2})[/-]?([0-9]{2})")


@dataclass(frozen=True, slots=True)
class Instruction:
    """An instruction with its first line. `text` follows the word, with variables replaced."""

    word: str
    text: str
    line: int


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage. `base` is the image of its FROM with variables replaced, `parent` the index of the stage of that name.

    `tag_date` is the day in the tag, None if the tag has none. `times` are variables whose value is a snapshot's time,
    `epoch` is SOURCE_DATE_EPOCH.
    """

    name: str
    base: str
    line: int
    parent: int | None
    tag_date: DatedLine | None
    times: tuple[DatedLine, ...]
    epoch: DatedLine | None
    instructions: tuple[Instruction, ...]


@dataclass(slots=True)
class _Open:
    name: str
    base: str
    line: int
    parent: int | None
    variables: dict[str, str]
    times: list[DatedLine] = field(default_factory=list)
    epoch: DatedLine | None = None
    instructions: list[Instruction] = field(default_factory=list)

    def close(self) -> Stage:
        tag_date = None if self.parent is not None else tag_date_of(self.base, self.line)
        return Stage(
            self.name, self.base, self.line, self.parent, tag_date, tuple(self.times), self.epoch,
            tuple(self.instructions),
        )  # fmt: skip


def looks_like_dockerfile(data: bytes) -> bool:
    """Return whether the first instruction is FROM or ARG."""
    head = data[:_LONGEST].decode("utf-8", "replace")
    lines = (line.strip() for line in head.splitlines())
    first = next((line for line in lines if line and not line.startswith("#")), "")
    return re.match(r"(?:FROM\s+\S|ARG\s+\w)", first, re.IGNORECASE) is not None


def read_dockerfile(data: bytes) -> tuple[Stage, ...]:
    """Return the stages. Raises ArchiveDataError if a limit is exceeded or FROM is missing."""
    if len(data) > LARGEST:
        raise _invalid(f"It has {len(data)} bytes; the limit is {LARGEST}.")
    shared: dict[str, str] = {}
    stages: list[_Open] = []
    size = 0
    for word, rest, line in _instructions(data.decode("utf-8", "replace").splitlines()):
        if word == "FROM":
            stages.append(_begin(rest, line, shared, stages))
            if len(stages) > _MOST_STAGES:
                raise _invalid(f"It has more than {_MOST_STAGES} stages.")
            continue
        current = stages[-1] if stages else None
        variables = current.variables if current else shared
        text = _replaced(rest, variables)
        size += len(text)
        if size > _LARGEST_REPLACED:
            raise _invalid(f"With its variables replaced it has more than {_LARGEST_REPLACED} characters.")
        if word in {"ARG", "ENV"}:
            _define(word, text, line, variables, shared, current)
        if current:
            current.instructions.append(Instruction(word, text, line))
    if not stages:
        raise _invalid("It has no FROM.")
    return tuple(each.close() for each in stages)


def tag_date_of(image: str, line: int = 0) -> DatedLine | None:
    """Return the day, or the second, that the tag of an image's name contains; None if it has none.

    A digest after the tag does not matter. `debian:bookworm-20240513-slim`, `archlinux:base-20240601.0.123456`.
    """
    name = image.partition("@")[0]
    tag = name.rpartition("/")[2].partition(":")[2]
    found = _TAG_DATE.search(tag)
    start = read_day(found[1], found[2], found[3]) if found else None
    if found is None or start is None:
        return None
    if found[4]:
        second = read_iso(f"{found[1]}-{found[2]}-{found[3]}T{found[4][:2]}:{found[4][2:4]}:{found[4][4:]}Z")
        return None if second is None else DatedLine(second, second, line, quoted(image))
    return DatedLine(start, start + _DAY - 1, line, quoted(image))


def _begin(rest: str, line: int, shared: Mapping[str, str], stages: list[_Open]) -> _Open:
    found = _FROM.fullmatch(_replaced(rest, shared))
    if found is None:
        raise _invalid(f"Line {line}: FROM {quoted(rest)!r} names no image.")
    base, name = found["image"], found["name"] or str(len(stages))
    names = {each.name.lower(): index for index, each in enumerate(stages)}
    parent = names.get(base.lower())
    inherited = dict(stages[parent].variables) if parent is not None else {}
    return _Open(name, base, line, parent, inherited)


def _define(
    word: str, text: str, line: int, variables: dict[str, str], shared: Mapping[str, str], current: _Open | None
) -> None:
    """Add the variables of an ARG or ENV. An ARG without a value has that of the ARG before the first FROM."""
    for name, value in _assignments(word, text):
        known = shared.get(name) if value is None and current else value
        if known is None or len(variables) >= _MOST_VARIABLES:
            continue
        variables[name] = known
        if current is None:
            continue
        if name == "SOURCE_DATE_EPOCH" and (instant := read_seconds(known)) is not None:
            current.epoch = DatedLine(instant, instant, line, quoted(f"{word} {name}={known}"))
        elif _SNAPSHOT_NAME.fullmatch(name) and (dated := _time(known)) is not None:
            current.times.append(DatedLine(*dated, line, quoted(f"{word} {name}={known}")))


def _time(text: str) -> tuple[int, int] | None:
    """Read the value of a variable for a snapshot: an id, a day (its midnight), or seconds."""
    basic = _BASIC.fullmatch(text)
    if basic:
        instant = read_iso("{}-{}-{}T{}:{}:{}Z".format(*basic.groups()))
    elif day := _FOLDER_DAY.fullmatch(text):
        instant = read_day(*day.groups())
        if instant is not None and "/" in text:  # the folder of a day, not its midnight
            return instant, instant + _DAY - 1
    else:
        instant = read_seconds(text) or (read_iso(text) if "T" in text else None)
    return None if instant is None else (instant, instant)


def _assignments(word: str, text: str) -> Iterator[tuple[str, str | None]]:
    """Yield the names and values of ARG and ENV; `ENV NAME value` is the older form."""
    try:
        words = shlex.split(text)
    except ValueError:  # an open quotation mark: docker refuses the file
        return
    if word == "ENV" and words and "=" not in words[0]:
        yield words[0], " ".join(words[1:])
        return
    for each in words:
        name, equals, value = each.partition("=")
        yield name, value if equals else None


def _replaced(text: str, variables: Mapping[str, str]) -> str:
    """Replace variables once; an unknown one is kept. The result is limited to `_LONGEST` characters."""

    def value(found: re.Match[str]) -> str:
        name = found["plain"] or found["braced"]
        return variables.get(name, found[0] if found["default"] is None else found["default"])

    return _VARIABLE.sub(value, text)[:_LONGEST]


def _instructions(lines: list[str]) -> Iterator[tuple[str, str, int]]:
    """Yield (word in upper case, rest, line) of each instruction, continued lines and here-documents joined."""
    if len(lines) > _MOST_LINES:
        raise _invalid(f"It has more than {_MOST_LINES} lines.")
    directive = _DIRECTIVE.fullmatch(lines[0].strip()) if lines else None
    escape = directive["char"] if directive else "\\"
    places = _places(lines)
    at = 0
    while at < len(lines):
        start = at + 1
        whole, at = _joined(lines, at, escape)
        found = _INSTRUCTION.fullmatch(whole)
        if found is None:
            continue
        word, rest = found["word"].upper(), found["rest"]
        for here in _HERE.finditer(rest) if word in {"RUN", "COPY", "ADD"} else ():
            end = _next(places.get(here["word"], ()), at)
            if end is not None:
                rest += "\n" + "\n".join(lines[at:end])
                at = end + 1
        yield word, rest.strip(), start


def _joined(lines: list[str], at: int, escape: str) -> tuple[str, int]:
    """Return a line with those that continue it, and the index after them. Comments within are left out."""
    whole = ""
    while at < len(lines):
        line = lines[at]
        at += 1
        if line.lstrip().startswith("#") or (whole and not line.strip()):
            continue
        if not line.rstrip().endswith(escape):
            return whole + line, at
        whole += line.rstrip()[:-1] + "\n"
    return whole, at


def _places(lines: list[str]) -> dict[str, list[int]]:
    """Return the indexes of each line: a file may begin more here-documents than it has lines."""
    places: dict[str, list[int]] = {}
    for index, line in enumerate(lines):
        places.setdefault(line.strip(), []).append(index)
    return places


def _next(places: Sequence[int], at: int) -> int | None:
    """Return the first of sorted places that is not before `at`, None if all are."""
    found = bisect_left(places, at)
    return places[found] if found < len(places) else None


def _invalid(why: str) -> ArchiveDataError:
    return ArchiveDataError("The Dockerfile cannot be read", why=why)
