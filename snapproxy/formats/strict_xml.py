"""Parse untrusted XML as a stream: yield the elements at one path of a document, in bounded memory.

The module configures expat to refuse a document type, hence every entity except the five of XML itself and every
external resource. It fixes the encoding and bounds the depth, a single token and the text. defusedxml refuses the same
constructs, but wraps parsers that build trees or bound neither tokens nor text, and the indexes read here decompress to
hundreds of megabytes. Callers interpret the elements.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from xml.parsers.expat import ExpatError, ParserCreate

from snapproxy.errors import ArchiveDataError, Drop, refuse_entry

MAX_DEPTH = 32
"""Maximum levels of nested elements; package metadata have five."""
MAX_TEXT = 4096
"""Maximum characters of text in a wanted element: a digest, a number or a name."""
MAX_TOKEN = 1 << 20
"""Maximum bytes of a single token (a tag, a comment). Expat buffers an incomplete token and rescans it with each new
piece.
"""

XML_BASE = "http://www.w3.org/XML/1998/namespace base"
"""The key of the attribute `xml:base`. The key of an attribute without a namespace is its plain name."""

_PIECE = 64 << 10


@dataclass(slots=True)
class Element:
    """An element: its attributes, its text, and its wanted children by their names without namespace."""

    attributes: Mapping[str, str]
    text: str = ""
    children: dict[str, Element] = field(default_factory=dict)


def elements(
    chunks: Iterable[bytes], path: str, wanted: Collection[str] = (), drop: Drop = refuse_entry
) -> Iterator[Element]:
    """Yield each element at `path` (`document/.../element`, names without namespace) with its `wanted` children.

    A wanted name is that of a direct child, or `child/grandchild`. Only wanted elements have text; if `wanted` is
    empty, the element at `path` has its own text. A declared encoding is ignored: the document is UTF-8, or UTF-16 with
    a byte order mark.

    An element that has a wanted child twice, or elements inside wanted text, is dropped. Raises ArchiveDataError if the
    document has another root element, is malformed, has a document type, or exceeds a bound.
    """
    reader = _Reader(path.split("/"), wanted, drop)
    for chunk in chunks:
        for start in range(0, len(chunk), _PIECE):
            yield from reader.feed(chunk[start : start + _PIECE])
    yield from reader.feed(b"", final=True)


class _Reader:
    """Track the position in the document. `_matched` is the number of levels, from the top, that match the path."""

    def __init__(self, path: list[str], wanted: Collection[str], drop: Drop) -> None:
        self._path = path
        self._wanted = frozenset(wanted)
        self._drop = drop
        self._fault: ArchiveDataError | None = None
        self._depth = self._matched = self._fed = self._leaf_depth = 0
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
        """Parse the next bytes, and return the elements that ended in them."""
        self._found = []
        try:
            self._parser.Parse(data, final)
        except ExpatError as error:
            raise _malformed(f"Parser error: {error}.") from error
        self._fed += len(data)
        if self._fed - self._parser.CurrentByteIndex > MAX_TOKEN:
            raise _malformed(f"A single token has more than {MAX_TOKEN} bytes.")
        return self._found

    def _start(self, qualified: str, attributes: dict[str, str]) -> None:
        name = qualified.rpartition(" ")[2]
        if self._depth == 0 and name != self._path[0]:
            raise ArchiveDataError(
                "The metadata is another document", why=f"Its root element is {name[:140]!r}, not {self._path[0]}."
            )
        if self._depth == self._matched < len(self._path) and name == self._path[self._depth]:
            self._matched += 1
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _malformed(f"Its elements are nested more than {MAX_DEPTH} levels deep.")
        if self._matched < len(self._path):
            return
        if self._leaf is not None:
            self._fault = _malformed(f"It has an element where text is expected: {name[:140]!r}.")
            return
        if self._depth == len(self._path):
            self._element, self._fault = Element(attributes), None
            if not self._wanted:
                self._collect_text(self._element)
        elif self._element is not None and (field := self._field(name)) in self._wanted:
            if field in self._element.children:
                self._fault = ArchiveDataError(
                    "An entry of the metadata has a duplicate field", why=f"The field: {field}."
                )
            leaf = self._element.children[field] = Element(attributes)
            self._collect_text(leaf)

    def _field(self, name: str) -> str:
        """Return the name by which a child or grandchild of the current element is wanted, '' for a deeper element."""
        below = self._depth - len(self._path)
        if below == 1:
            self._child = name
            return name
        return f"{self._child}/{name}" if below == 2 else ""  # noqa: PLR2004 -- a child's child

    def _end(self, _name: str) -> None:
        if self._element is not None and self._depth == len(self._path):
            if self._fault is None:
                self._found.append(self._element)
            else:
                self._drop(self._fault)
            self._element = None
        if self._leaf is not None and self._depth <= self._leaf_depth:
            self._leaf = None
            self._parser.CharacterDataHandler = None
        self._depth -= 1
        self._matched = min(self._matched, self._depth)

    def _collect_text(self, leaf: Element) -> None:
        """Start collecting text.

        No handler is installed for other elements: most of an index is descriptions and file lists.
        """
        self._leaf, self._leaf_depth = leaf, self._depth
        self._parser.CharacterDataHandler = self._text

    def _text(self, text: str) -> None:
        if self._leaf is not None:
            self._leaf.text += text
            if len(self._leaf.text) > MAX_TEXT:
                raise _malformed(f"The text of an element has more than {MAX_TEXT} characters.")


def _refuse_doctype(*_: object) -> None:
    raise ArchiveDataError(
        "The metadata has a document type",
        why="Package metadata has no DOCTYPE; entities declared in one can expand without limit.",
    )


def _malformed(why: str) -> ArchiveDataError:
    return ArchiveDataError("The metadata is malformed XML", why=why)
