"""Reads XML of strangers as a stream: the elements at one place of a document, in bounded memory.

Expat itself, told to refuse: no document type, hence no entity but the five of XML itself and nothing external; one encoding; bounds on
depth, on a single token and on text. defusedxml refuses the same, around readers that build trees or bound neither tokens nor text, and
the indexes read here unpack to hundreds of megabytes. What the elements mean is left to others.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from xml.parsers.expat import ExpatError, ParserCreate

from snapproxy.errors import ArchiveDataError

MAX_DEPTH = 32
"""Elements within one another; package metadata has five."""
MAX_TEXT = 4096
"""Characters of text in an element that is wanted: a digest, a number or a name."""
MAX_TOKEN = 1 << 20
"""Bytes of a single tag, comment or the like. Expat keeps a whole one, and reads it anew with each piece that arrives."""

XML_BASE = "http://www.w3.org/XML/1998/namespace base"
"""The key of the attribute `xml:base`. Attributes without a namespace have their plain names."""

_PIECE = 64 << 10


@dataclass(slots=True)
class Element:
    """An element: its attributes, its text, and those of its children that were wanted, by their names without namespace."""

    attributes: Mapping[str, str]
    text: str = ""
    children: dict[str, Element] = field(default_factory=dict)


def elements(chunks: Iterable[bytes], path: str, wanted: Collection[str] = ()) -> Iterator[Element]:
    """Yield each element at `path` (`document/.../element`, names without namespace) with its `wanted` children.

    Direct children count, and theirs where one is wanted as `child/grandchild`; only they have text. With none wanted, the element has its own. An encoding that the document declares
    is not believed: it is UTF-8, or UTF-16 where a byte order mark says so. Raises ArchiveDataError when the document is another one, is malformed, has a document type, gives a
    wanted child twice, has elements inside such text, or passes a bound.
    """
    reader = _Reader(path.split("/"), wanted)
    for chunk in chunks:
        for start in range(0, len(chunk), _PIECE):
            yield from reader.feed(chunk[start : start + _PIECE])
    yield from reader.feed(b"", final=True)


class _Reader:
    """Follows the document downwards. `_matched` counts the levels, from the top, at which the way so far is the way to the elements."""

    def __init__(self, path: list[str], wanted: Collection[str]) -> None:
        self._path = path
        self._wanted = frozenset(wanted)
        self._depth = self._matched = self._fed = 0
        self._element: Element | None = None
        self._child = ""
        self._leaf: Element | None = None
        self._found: list[Element] = []
        self._parser = ParserCreate("utf-8", namespace_separator=" ")
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.StartDoctypeDeclHandler = _refuse_doctype

    def feed(self, data: bytes, *, final: bool = False) -> list[Element]:
        """Take the next bytes, and return the elements that ended in them."""
        self._found = []
        try:
            self._parser.Parse(data, final)
        except ExpatError as error:
            raise _malformed(f"The parser says: {error}.") from error
        self._fed += len(data)
        if self._fed - self._parser.CurrentByteIndex > MAX_TOKEN:
            raise _malformed(f"A single tag of it has more than {MAX_TOKEN} bytes.")
        return self._found

    def _start(self, qualified: str, attributes: dict[str, str]) -> None:
        name = qualified.rpartition(" ")[2]
        if self._depth == 0 and name != self._path[0]:
            raise ArchiveDataError("The metadata is another document", why=f"It is no {self._path[0]}: {name[:140]!r}.")
        if self._depth == self._matched < len(self._path) and name == self._path[self._depth]:
            self._matched += 1
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _malformed(f"Its elements stand more than {MAX_DEPTH} deep.")
        if self._leaf is not None:
            raise _malformed(f"An element stands where text is expected: {name[:140]!r}.")
        if self._matched < len(self._path):
            return
        if self._depth == len(self._path):
            self._element = Element(attributes)
            if not self._wanted:
                self._collect_text(self._element)
        elif self._element is not None and (field := self._field(name)) in self._wanted:
            if field in self._element.children:
                raise ArchiveDataError("An entry of the metadata gives a field twice", why=f"The field: {field}.")
            leaf = self._element.children[field] = Element(attributes)
            self._collect_text(leaf)

    def _field(self, name: str) -> str:
        """Return by what name an element below the one that is read may be wanted, '' for one too deep."""
        below = self._depth - len(self._path)
        if below == 1:
            self._child = name
            return name
        return f"{self._child}/{name}" if below == 2 else ""  # noqa: PLR2004 -- a child's child

    def _end(self, _name: str) -> None:
        if self._element is not None and self._depth == len(self._path):
            self._found.append(self._element)
            self._element = None
        if self._leaf is not None:
            self._leaf = None
            self._parser.CharacterDataHandler = None
        self._depth -= 1
        self._matched = min(self._matched, self._depth)

    def _collect_text(self, leaf: Element) -> None:
        """Gather text from here on. Elsewhere there is no handler: most of an index is prose and lists of files."""
        self._leaf = leaf
        self._parser.CharacterDataHandler = self._text

    def _text(self, text: str) -> None:
        if self._leaf is not None:
            self._leaf.text += text
            if len(self._leaf.text) > MAX_TEXT:
                raise _malformed(f"The text of an element has more than {MAX_TEXT} characters.")


def _refuse_doctype(*_: object) -> None:
    raise ArchiveDataError(
        "The metadata has a document type", why="Package metadata has none; entities declared in one can be bombs."
    )


def _malformed(why: str) -> ArchiveDataError:
    return ArchiveDataError("The metadata is malformed XML", why=why)
