"""Read tables of settings by a description of their keys, and collect every mistake.

A *reader* takes a raw value of the file and returns the value of the setting. It raises ValueError, whose text ends the
line "accepted: ...", or MistakesError for the mistakes inside a list or a table.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from snapproxy.core.similar import similar

Reader = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Mistake:
    """A mistake: the keys and indexes that lead to it, and the text that follows the path in a message."""

    path: tuple[str | int, ...]
    text: str


class HiddenValueError(ValueError):
    """A value that may be a secret: the mistake does not repeat it."""


class MistakesError(ValueError):
    """The mistakes in a list or a table."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        super().__init__(f"{len(mistakes)} mistakes")
        self.mistakes = mistakes


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A key of a table. `description` is its line in `--help`."""

    read: Reader
    default: Any = None
    description: str = ""
    is_required: bool = False


class SettingsTable:
    """A table with known keys."""

    def __init__(self, keys: Mapping[str, Key]) -> None:
        self.keys = keys

    def __call__(self, raw: Any) -> dict[str, Any]:
        """Return the values that are set. Raises as a reader does."""
        if not isinstance(raw, dict):
            raise ValueError("a table")  # noqa: TRY004 -- a reader raises ValueError
        values: dict[str, Any] = {}
        mistakes = [
            Mistake((name,), f"no such setting{near(name, self.keys)}") for name in raw if name not in self.keys
        ]
        for name, key in self.keys.items():
            if name in raw:
                _read(key.read, raw[name], name, values, mistakes)
            elif key.is_required:
                mistakes.append(_refused((name,), raw, "Field required"))
        if mistakes:
            raise MistakesError(mistakes)
        return values

    def with_defaults(self, raw: Any) -> dict[str, Any]:
        """Return the values of all keys, with the defaults of those that are not set. Raises as a reader does."""
        return {name: key.default for name, key in self.keys.items()} | self(raw)


def a_list(read: Reader, *, least: int = 0) -> Reader:
    """Return a reader of a list of at least `least` values."""

    def reader(raw: Any) -> list[Any]:
        if not isinstance(raw, list):
            raise ValueError("a list")  # noqa: TRY004 -- a reader raises ValueError
        values: dict[int, Any] = {}
        mistakes: list[Mistake] = []
        for at, item in enumerate(raw):
            _read(read, item, at, values, mistakes)
        if mistakes:
            raise MistakesError(mistakes)
        if len(raw) < least:
            raise ValueError(f"List should have at least {least} item after validation, not {len(raw)}")
        return list(values.values())

    return reader


def a_mapping(read_name: Reader, read: Reader) -> Reader:
    """Return a reader of a table whose keys are names that the user chooses."""

    def reader(raw: Any) -> dict[str, Any]:
        if not isinstance(raw, dict):
            raise ValueError("a table")  # noqa: TRY004 -- a reader raises ValueError
        values: dict[str, Any] = {}
        mistakes: list[Mistake] = []
        for name, value in raw.items():
            _read(read_name, name, name, {}, mistakes)
            _read(read, value, name, values, mistakes)
        if mistakes:
            raise MistakesError(mistakes)
        return values

    return reader


def optional(read: Reader) -> Reader:
    """Return a reader that takes null as well, which only JSON in a variable has."""
    return lambda raw: None if raw is None else read(raw)


def boolean(raw: Any) -> bool:
    """Read true or false."""
    if not isinstance(raw, bool):
        raise ValueError("true or false")  # noqa: TRY004 -- a reader raises ValueError
    return raw


def text(raw: Any) -> str:
    """Read a text."""
    if not isinstance(raw, str):
        raise ValueError("a text in quotes")  # noqa: TRY004 -- a reader raises ValueError
    return raw


def whole_number(least: int, most: int) -> Reader:
    """Return a reader of whole numbers in a range that includes both ends."""

    def reader(raw: Any) -> int:
        if isinstance(raw, bool) or not isinstance(raw, int):
            raise ValueError("a whole number")  # noqa: TRY004 -- a reader raises ValueError
        if raw > most:
            raise ValueError(f"a number of at most {most}")
        if raw < least:
            raise ValueError(f"a number of at least {least}")
        return raw

    return reader


def positive_number(most: float) -> Reader:
    """Return a reader of numbers above 0, up to `most`."""

    def reader(raw: Any) -> float:
        if isinstance(raw, bool) or not isinstance(raw, int | float):
            raise ValueError("a number")  # noqa: TRY004 -- a reader raises ValueError
        if not raw <= most:  # nan is not
            raise ValueError(f"a number of at most {most}")
        if raw <= 0:
            raise ValueError("a number of more than 0.0")
        return float(raw)

    return reader


def near(name: str, known: Iterable[str]) -> str:
    """Return the known name that is most like `name`, as the end of a message; all of them if none is like it."""
    known = list(known)
    close = similar(name, known)
    return f"; did you mean {close}?" if close else f"; there are: {', '.join(known)}"


def _read(read: Reader, raw: Any, at: Any, values: dict[Any, Any], mistakes: list[Mistake]) -> None:
    """Put the value of `raw` into `values`, or its mistakes, found at the key or index `at`, into `mistakes`."""
    try:
        values[at] = read(raw)
    except MistakesError as error:
        mistakes += [Mistake((at, *each.path), each.text) for each in error.mistakes]
    except HiddenValueError as error:
        mistakes.append(Mistake((at,), f"this value is not accepted; accepted: {error}"))
    except ValueError as error:
        mistakes.append(_refused((at,), raw, str(error)))


def _refused(path: tuple[str | int, ...], raw: Any, accepted: str) -> Mistake:
    return Mistake(path, f"{json.dumps(_without_users(raw), default=str)} is not accepted; accepted: {accepted}")


def _without_users(raw: Any) -> Any:
    """Return a value in which no text has a user and a password: all before the last `@` is left out.

    In a reference to an image the `@` after the path begins a digest.
    """
    match raw:
        case str():
            scheme, mark, rest = raw.rpartition("://")
            user, at, host = rest.rpartition("@")
            is_image = scheme.lower() == "docker" and "/" in user
            return raw if not at or is_image else f"{scheme}{mark}...@{host}"
        case list():
            return [_without_users(each) for each in raw]
        case dict():
            return {_without_users(key): _without_users(value) for key, value in raw.items()}
        case _:
            return raw
