"""Reading JSON written by others: a value, or an error with a sentence that names the fault."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapproxy.formats.strict_json import Members, parse


def test_a_repeated_key_is_marked_in_its_object() -> None:
    value = parse(b'{"a":{"b":1,"c":2,"b":3},"d":[]}')
    assert value == {"a": {"b": 3, "c": 2}, "d": []}
    assert (value.repeated, value["a"].repeated) == (None, "b")


def test_a_repeated_key_among_many_is_found_quickly() -> None:
    """A lock may have three million members: comparing each with all others would take days."""
    data = b"{" + b",".join(b'"%d":0' % (number % 299_999) for number in range(299_999, -1, -1)) + b"}"
    found = parse(data)
    assert isinstance(found, Members)
    assert found.repeated == "0"


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "It is not valid JSON: line 1, column 1."),
        (b"\xff", "It is not UTF-8 (byte 0)."),
        (b"\xef\xbb\xbf{}", "It is not valid JSON: line 1, column 1."),
        (b"{} {}", "It is not valid JSON: line 1, column 4."),
        (b"[" * 100_000, "Its arrays or objects are nested too deeply."),
        (b"9" * 5000, "It contains a number with thousands of digits."),
    ],
)
def test_invalid_json_is_explained_in_a_sentence(data: bytes, why: str) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011 # the whole text is compared
        parse(data)
    assert str(refused.value) == why


@given(st.binary() | st.text(alphabet='{}[]",:01eE-. \\ud8').map(str.encode))
def test_no_other_error_is_raised(data: bytes) -> None:
    try:
        parse(data)
    except ValueError:
        return
