"""The parser of untrusted XML: the elements that it yields and the documents that it refuses."""

import itertools
import tracemalloc
from collections.abc import Iterable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapproxy.errors import ArchiveDataError
from snapproxy.formats.strict_xml import MAX_TEXT, XML_BASE, Element, elements

BOMB = '<!DOCTYPE d [<!ENTITY a "aaaaaaaaaa">' + "".join(
    f'<!ENTITY {chr(letter + 1)} "{f"&{chr(letter)};" * 10}">' for letter in range(ord("a"), ord("j"))
)


def read(text: str | bytes, path: str = "d/e", wanted: Iterable[str] = ("f",)) -> list[Element]:
    return list(elements([text if isinstance(text, bytes) else text.encode()], path, tuple(wanted)))


def test_elements_have_their_wanted_children() -> None:
    text = '<d xmlns="x"><e a="1"><f b="2"> t&amp;u</f><g>no</g></e><o><e><f/></e></o><e/>tail</d>'
    assert read(text) == [Element({"a": "1"}, "", {"f": Element({"b": "2"}, " t&u")}), Element({})]


def test_without_wanted_children_an_element_has_its_own_text() -> None:
    assert read("<d><e>one</e><e>3</e></d>", wanted=()) == [Element({}, "one"), Element({}, "3")]


def test_elements_may_lie_deeper_and_only_at_their_own_place() -> None:
    assert read("<d><x><e/></x><y><x><e b='no'/></x></y><e/><x><e a='b'/></x></d>", "d/x/e") == [
        Element({}),
        Element({"a": "b"}),
    ]


def test_xml_base_is_distinguished_from_an_attribute_base() -> None:
    (found,) = read('<d><e base="x" xml:base="y"/></d>')
    assert found.attributes == {"base": "x", XML_BASE: "y"}


@pytest.mark.parametrize(
    "text",
    [
        BOMB + "]><d><e>&j;</e></d>",
        '<!DOCTYPE d SYSTEM "http://127.0.0.1/x.dtd"><d><e/></d>',
        '<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]><d><e><f>&x;</f></e></d>',
        '<!DOCTYPE d [<!ENTITY % x SYSTEM "file:///etc/passwd"> %x;]><d/>',
        "<!DOCTYPE d><d/>",
    ],
)
def test_a_document_type_is_refused_with_all_that_may_hide_in_it(text: str) -> None:
    with pytest.raises(ArchiveDataError, match="document type"):
        read(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<d>",
        "<d><e></d>",
        "<d/><d/>",
        "<d>&nbsp;</d>",
        "<d a='1' a='2'/>",
        "<d><x:e/></d>",
        "<d><e><f>1<f>2</f></f></e></d>",
        b"<d>\xff</d>",
        b"<d>\x00</d>",
        "<d>" + "<x>" * 40 + "</x>" * 40 + "</d>",
        f"<d><e><f>{'x' * (MAX_TEXT + 1)}</f></e></d>",
        f"<d><e a='{'x' * (3 << 20)}'/></d>",
        f"<d><!-- {'x' * (3 << 20)} --></d>",
    ],
)
def test_malformed_and_absurd_documents_are_refused(text: str | bytes) -> None:
    with pytest.raises(ArchiveDataError, match="malformed"):
        read(text)


@pytest.mark.parametrize("encoding", ["latin-1", "utf-7", "no-such", "idna", "utf-16"])
def test_a_declared_encoding_is_ignored(encoding: str) -> None:
    text = f'<?xml version="1.0" encoding="{encoding}"?><d><e><f>é</f></e></d>'
    assert read(text)[0].children["f"].text == "é"


def test_a_byte_order_mark_is_respected() -> None:
    assert read("<d><e a='é'/></d>".encode("utf-16")) == [Element({"a": "é"})]


def test_another_document_is_refused_by_name() -> None:
    with pytest.raises(ArchiveDataError, match="another document"):
        read("<html><e/></html>")


def test_a_duplicate_wanted_field_is_refused() -> None:
    with pytest.raises(ArchiveDataError, match="duplicate field"):
        read("<d><e><f/><f/></e></d>")


def test_unwanted_text_has_no_bound() -> None:
    assert read(f"<d><e>{'x' * 100_000}<g>{'y' * 100_000}</g><f>z</f></e></d>")[0].children["f"].text == "z"


def test_memory_stays_bounded_however_long_the_document() -> None:
    def document() -> Iterator[bytes]:
        yield b"<d>"
        for _ in range(60):
            yield b"<e><f>1</f><g>some prose</g></e>" * 1000
        yield b"</d>"

    tracemalloc.start()
    try:
        assert sum(1 for _ in elements(document(), "d/e", ("f",))) == 60_000
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


@given(text=st.binary(max_size=80) | st.text("<>/d ef=\"'&;![]-", max_size=60).map(str.encode))
def test_reading_is_total(text: bytes) -> None:
    try:
        found = read(text) + read(b"<d><e>" + text + b"</e></d>")
    except ArchiveDataError:
        return
    assert all(isinstance(each, Element) for each in found)


@given(cuts=st.lists(st.integers(0, 90), max_size=8))
def test_it_reads_the_same_however_it_arrives(cuts: list[int]) -> None:
    text = "<d>é<e a='1'><f>two &lt; 3</f></e><o><e/></o><e><f/></e></d>".encode()
    ends = sorted([*cuts, 0, len(text)])
    pieces = [text[start:stop] for start, stop in itertools.pairwise(ends)]
    assert list(elements(pieces, "d/e", ("f",))) == read(text)


def test_a_child_of_a_child_is_read_where_it_is_wanted() -> None:
    text = "<d><e><f><g>no</g></f><h><g>yes</g><i><g>no</g></i></h></e><e><g>no</g></e></d>"
    assert read(text, wanted=("h/g",)) == [Element({}, "", {"h/g": Element({}, "yes")}), Element({})]
    with pytest.raises(ArchiveDataError, match="duplicate field"):
        read("<d><e><h><g/></h><h><g/></h></e></d>", wanted=("h/g",))
