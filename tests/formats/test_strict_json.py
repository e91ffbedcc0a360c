"""JSON from strangers: a value, or a sentence that says why it is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapproxy.formats.strict_json import Members, parse


def test_what_stands_twice_is_marked_where_it_does() -> None:
    value = parse(b'{"a":{"b":1,"c":2,"b":3},"d":[]}')
    assert value == {"a": {"b": 3, "c": 2}, "d": []}
    assert (value.repeated, value["a"].repeated) == (None, "b")


def test_one_that_stands_twice_among_many_is_found_at_once() -> None:
    """A lock may have three million members: to look each of them up among the others would take days."""
    data = b"{" + b",".join(b'"%d":0' % (number % 299_999) for number in range(299_999, -1, -1)) + b"}"
    found = parse(data)
    assert isinstance(found, Members)
    assert found.repeated == "0"


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "It is no JSON: line 1, column 1."),
        (b"\xff", "It is not UTF-8 (byte 0)."),
        (b"\xef\xbb\xbf{}", "It is no JSON: line 1, column 1."),
        (b"{} {}", "It is no JSON: line 1, column 4."),
        (b"[" * 100_000, "Its arrays or objects are nested too deeply."),
        (b"9" * 5000, "It holds a number of thousands of digits."),
    ],
)
def test_what_is_none_is_told_in_a_sentence(data: bytes, told: str) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011 # the whole text is compared
        parse(data)
    assert str(refused.value) == told


@given(st.binary() | st.text(alphabet='{}[]",:01eE-. \\ud8').map(str.encode))
def test_nothing_else_comes_out(data: bytes) -> None:
    try:
        parse(data)
    except ValueError:
        return
