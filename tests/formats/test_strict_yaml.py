"""Reading YAML written by others: texts, or an error with a line."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from snapproxy.formats import strict_yaml
from snapproxy.formats.strict_yaml import DEEPEST, YamlError, documents


@pytest.fixture(params=["libyaml", "pure Python"], autouse=True)
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """PyYAML is built with or without libyaml."""
    if request.param == "pure Python":
        monkeypatch.delattr(yaml, "CSafeLoader")
    else:
        assert hasattr(yaml, "CSafeLoader")


def test_scalars_stay_texts() -> None:
    data = b"evr: 1.10\nflag: no\noctal: 010\ndate: 2024-01-01\nword: 'null'\nmany: [1, 0x1F, +1e3, .inf]\n"
    assert documents(data) == (
        {
            "evr": "1.10",
            "flag": "no",
            "octal": "010",
            "date": "2024-01-01",
            "word": "null",
            "many": ["1", "0x1F", "+1e3", ".inf"],
        },
    )


@pytest.mark.parametrize("null", ["", "~", "null", "Null", "NULL"])
def test_a_plain_null_is_none(null: str) -> None:
    assert documents(f"a: {null}\n~: x\n".encode()) == ({"a": None, "~": "x"},)


def test_documents_follow_each_other() -> None:
    assert documents(b"a: {b: [c]}\n...\n---\n- d\n- - e\n--- f\n...\n") == ({"a": {"b": ["c"]}}, ["d", ["e"]], "f")
    assert documents(b"") == documents(b"# nothing\n") == ()


def test_quoted_and_folded_texts_are_read() -> None:
    assert documents(b'a: >-\n  b\n  c\nd: |\n  e\n  f\ng: "h\\u00e9"\n') == ({"a": "b c", "d": "e\nf\n", "g": "hé"},)


@pytest.mark.parametrize(
    ("data", "line", "why"),
    [
        (b"a: 1\nb: &x [1]\n", 2, "Anchors and aliases are not allowed."),
        (b"a: 1\nb:\n- *x\n", 3, "Anchors and aliases are not allowed."),
        (b"a: 1\n\n? &x k\n: 2\n", 3, "Anchors and aliases are not allowed."),
        (b"a: !!int 1", 1, "Tags are not allowed."),
        (b"a: ! b", 1, "Tags are not allowed."),
        (b"a: !!python/object/apply:os.system [id]", 1, "Tags are not allowed."),
        (b"a: 1\nb: 2\na: 3\n", 3, "The key 'a' occurs twice."),
        (b"a: {b: 1, 'b': 2}", 1, "The key 'b' occurs twice."),
        (b"? [a]\n: b\n", 1, "A list or a mapping is a key."),
        (b"? {a: b}\n: b\n", 1, "A list or a mapping is a key."),
        (b"a: \xff", 1, "It is not UTF-8."),
        (b"a\n\xff\xfe", 2, "It is not UTF-8."),
        ("a: ä\nb: \0".encode(), 2, "It has a character that YAML does not allow."),
        (b"a: \x1b[1m", 1, "It has a character that YAML does not allow."),
        (b"- " * (DEEPEST + 1) + b"a", 1, "Its lists and mappings are nested more than 50 deep."),
        (b"[" * (DEEPEST + 1), 1, "Its lists and mappings are nested more than 50 deep."),
        (b"{a: " * (DEEPEST + 1), 1, "Its lists and mappings are nested more than 50 deep."),
    ],
)
def test_a_fault_is_named_with_its_line(data: bytes, line: int, why: str) -> None:
    with pytest.raises(YamlError) as refused:
        documents(data)
    assert (refused.value.line, refused.value.why) == (line, why)


@pytest.mark.parametrize("data", [b"a: b: c", b"a:\n\t- b", b"'a", b"%YAML 3.0\n--- a", b"a\n  b: [", b"a: 'b\n"])
def test_invalid_yaml_is_refused(data: bytes) -> None:
    with pytest.raises(YamlError, match="It is not valid YAML"):
        documents(data)


@pytest.mark.parametrize("escape", [r"\ud800", r"\U00110000", r"\UFFFFFFFF"])
def test_an_escape_of_no_character_is_refused(escape: str) -> None:
    with pytest.raises(YamlError):
        documents(f'a: "{escape}"'.encode())


def test_the_greatest_depth_is_allowed() -> None:
    (found,) = documents(b"[" * DEEPEST + b"]" * DEEPEST)
    for _ in range(DEEPEST - 1):
        (found,) = found
    assert found == []


def test_a_bomb_of_aliases_is_refused_before_it_grows() -> None:
    levels = [b"a: &a [x, x, x, x, x, x, x, x, x]\n"]
    levels += [b"%c: &%c [%s]\n" % (at, at, b", ".join([b"*%c" % (at - 1)] * 9)) for at in range(ord("b"), ord("z"))]
    with pytest.raises(YamlError, match="Anchors"):
        documents(b"".join(levels))


def test_the_number_of_values_and_the_size_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strict_yaml, "MOST", 10)
    assert documents(b"- a\n" * 9) == (["a"] * 9,)
    for data in (b"- a\n" * 10, b"---\n" * 11, b"[" + b"[], " * 10 + b"]", b"{a: b, c: d, e: f, g: h, i: j, k: l}"):
        with pytest.raises(YamlError, match="It has more than 10 values"):
            documents(data)
    monkeypatch.setattr(strict_yaml, "LARGEST", 10)
    with pytest.raises(YamlError, match="It has 11 bytes; the maximum is 10"):
        documents(b"a" * 11)


ANY = st.binary() | st.text(alphabet="{}[]&*!|>'\"%@`-?:,#~ \t\n\r\\ud8x1ab\0é\x85").map(
    lambda text: text.encode("utf-8", "ignore")
)


@given(ANY)
def test_no_other_error_is_raised(data: bytes) -> None:
    try:
        documents(data)
    except YamlError as error:
        assert 1 <= error.line <= data.count(b"\n") + data.count(b"\r") + data.count(b"\x85") + 2  # noqa: PT017
