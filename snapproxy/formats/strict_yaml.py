"""Read YAML of other programs (locks and manifests of packages) strictly, in bounded memory.

A document becomes dicts, lists and texts. Every scalar stays the text that the document has, because YAML reads the
version `1.10` as a number and `no` as a boolean; only a plain `null`, `~` or nothing is None. Refused are anchors,
aliases and tags, which make a document larger than its text or create objects, duplicate keys, on which readers differ,
and lists and mappings as keys.

PyYAML reads the events, by libyaml where it was built with it. It is imported with the first document.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

LARGEST = 64 * 2**20
"""Maximum size of a file in bytes."""
MOST = 1_000_000
"""Maximum number of scalars, lists and mappings of a file. Parsed, they need many times the memory of their text."""
DEEPEST = 50
"""Maximum depth of lists and mappings; the known formats have six."""

_NULL = frozenset({"", "~", "null", "Null", "NULL"})


class YamlError(ValueError):
    """The data cannot be read. `line` is the line of the fault, counted from 1; `why` is a sentence."""

    def __init__(self, line: int, why: str) -> None:
        super().__init__(f"line {line}: {why}")
        self.line = line
        self.why = why


def documents(data: bytes) -> tuple[Any, ...]:
    """Return the documents of a file. Raises YamlError, and no other error."""
    if len(data) > LARGEST:
        raise YamlError(1, f"It has {len(data)} bytes; the maximum is {LARGEST}.")
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise YamlError(data.count(b"\n", 0, error.start) + 1, "It is not UTF-8.") from None
    found: list[Any] = []
    for event in _events(data):
        name = type(event).__name__
        if name == "DocumentStartEvent":
            builder = _Builder()
        elif name == "DocumentEndEvent":
            found.append(builder.value)
        elif not name.startswith("Stream"):
            builder.take(name, event)
    return tuple(found)


def _events(data: bytes) -> Iterator[Any]:
    """Yield PyYAML's events, at most those of `MOST` values."""
    import yaml  # noqa: PLC0415 -- 15 ms that only the readers of YAML need

    seen = 0
    try:
        for event in yaml.parse(data, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
            seen += isinstance(event, yaml.NodeEvent)
            if seen > MOST:
                raise YamlError(_line(event), f"It has more than {MOST} values.")
            yield event
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise YamlError(line, f"It is not valid YAML: {error.problem or error.context}.") from None
    except yaml.reader.ReaderError as error:
        line = data.count(b"\n", 0, error.position) + 1
        raise YamlError(line, "It has a character that YAML does not allow.") from None
    except (ValueError, OverflowError) as error:
        if isinstance(error, YamlError):
            raise
        raise YamlError(1, "It has an escape of a character that does not exist.") from None


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1


class _Builder:
    """Build the value of one document from its events."""

    def __init__(self) -> None:
        self.value: Any = None
        self._open: list[dict[str, Any] | list[Any]] = []
        self._keys: list[str | None] = []

    def take(self, name: str, event: Any) -> None:
        """Add the next event. Raises YamlError."""
        if getattr(event, "anchor", None) is not None:
            raise YamlError(_line(event), "Anchors and aliases are not allowed.")
        if getattr(event, "tag", None) is not None:
            raise YamlError(_line(event), "Tags are not allowed.")
        if name == "ScalarEvent":
            self._scalar(event)
        elif name in {"SequenceStartEvent", "MappingStartEvent"}:
            self._begin(event, {} if name == "MappingStartEvent" else [])
        else:
            self._open.pop()
            self._keys.pop()

    def _scalar(self, event: Any) -> None:
        text: str = event.value
        if not text.isascii() and any("\ud800" <= each <= "\udfff" for each in text):
            raise YamlError(_line(event), "It has half a surrogate pair, which is not valid Unicode.")
        if self._open and isinstance(self._open[-1], dict) and self._keys[-1] is None:
            if text in self._open[-1]:
                raise YamlError(_line(event), f"The key {text[:40]!a} occurs twice.")
            self._keys[-1] = text
        else:
            is_plain = event.style in {None, ""}
            self._put(None if is_plain and text in _NULL else text)

    def _begin(self, event: Any, value: dict[str, Any] | list[Any]) -> None:
        if len(self._open) == DEEPEST:
            raise YamlError(_line(event), f"Its lists and mappings are nested more than {DEEPEST} deep.")
        if self._open and isinstance(self._open[-1], dict) and self._keys[-1] is None:
            raise YamlError(_line(event), "A list or a mapping is a key.")
        self._put(value)
        self._open.append(value)
        self._keys.append(None)

    def _put(self, value: Any) -> None:
        if not self._open:
            self.value = value
            return
        above, key = self._open[-1], self._keys[-1]
        if isinstance(above, list):
            above.append(value)
        elif key is not None:
            above[key] = value
            self._keys[-1] = None
