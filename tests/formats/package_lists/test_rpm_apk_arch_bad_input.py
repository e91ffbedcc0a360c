"""Bad input for the readers of rpm's, apk's and pacman's lists: each one returns a list or raises ListFormatError."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapproxy.formats.package_lists.known import FORMATS
from snapproxy.formats.package_lists.model import ListFormatError
from tests.fakes.rpm_apk_arch_lists import CONTENTS, accepts, own_format, refusal

INFO = b"format = 2\n"
DESC = b"%NAME%\na\n\n%VERSION%\n1-1\n\n"
INSTALLED = b"C:Q1c0e5CAiU6H9SZj7rgN24gh3ftzw=\nP:a\nV:1-r0\nA:x86_64\nS:1\n\n"


@given(data=st.binary() | st.text(alphabet="abc-._:= \n%{}[]\",'&*!0123456789rPVCAS\0é").map(str.encode))
def test_any_bytes(data: bytes) -> None:
    for each in FORMATS:
        accepts(each, data)


@given(data=st.data())
def test_any_change_of_a_list(data: st.DataObject) -> None:
    """Cut it, and replace some of its bytes by others or by a part of another list."""
    text = CONTENTS[data.draw(st.sampled_from(sorted(CONTENTS)))]
    other = CONTENTS[data.draw(st.sampled_from(sorted(CONTENTS)))]
    start, end = sorted(data.draw(st.integers(0, len(text))) for _ in range(2))
    part = data.draw(st.binary(max_size=5) | st.integers(0, len(other)).map(lambda at: other[at : at + 40]))
    for each in FORMATS:
        accepts(each, text[:start] + part + text[end:])
        accepts(each, text[:end])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n\n",
        b"alpine-base\nbusybox\nmusl\n",  # /etc/apk/world has no versions
        b"bash 5.2-1ubuntu1\n",
        b"bash 5.2\n",
        b"some words-1\n",
        b"a" * 5000 + b" 1-1\n",
        b"a" * 5000 + b"-1-r0\n",
        b"format = 2\noptions = \x1b[0m\n",
        b"bash 5.2-1 x86_64\n",
        b"hello-1.0-1.deb\n",
        b"hello-1.0-1\n",
        b"Package: bash\nVersion: 5.2-1\n\n",
        b'[{"name": "requests", "version": "2.31.0"}]',  # pip list
        b'{"lockfileVersion": 3, "packages": {"": {"name": "x"}}}',  # npm
        b'{"packages": {"a": {"evr": "1-1"}}, "other": 1}',
        b'{"packages": {"a": {"version": "1-1"}}}',
        b'{"packages": {}}',
        b'{"version": "v1", "contents": {"packages": []}}',
        b"packages:\n- a\n",
        b"document: rpm-package-input\nversion: 0.0.2\npackages: []\n",
        b"a: rpm-package-manifest\n",
        b"- lockfileVendor\n",
        b"lockfileVendor: redhat\n---\nlockfileVendor: redhat\n",
        b"%FILENAME%\na-1-1-any.pkg.tar.zst\n\n%NAME%\na\n\n",
        b"C:\\Windows\n",
        b"pkgname = a\nformat = 2\n",
        b"gpg-pubkey-4279c65b-6b0b7c27\n",
        b".build-deps-20261129.012302\n",
        b'[{"name": ".build-deps", "version": "20261129.012302"}]',
    ],
)
def test_another_document_is_of_no_format(data: bytes) -> None:
    assert not refusal(data).is_recognised


@pytest.mark.parametrize("name", [name for name in CONTENTS if name.endswith(".txt")])
@pytest.mark.parametrize(
    "line",
    [
        b"another line",
        b"hello",
        b"hello-1.0",
        b"bash\t5.2-1",
        b"a\x1b[31mb-1.0-r0",
        b"a\0b 1-1",
        b"caf\xc3\xa9-1.0-1.noarch",
        b"\xff",
        b"x" * 5000,
        b"hello 1.0-1\rx",
        b"../hello-1.0-1.noarch",
    ],
)
def test_one_line_of_another_format_is_named(name: str, line: bytes) -> None:
    lines = CONTENTS[name].splitlines()
    changed = b"\n".join([*lines[:1], line, *lines[1:]])
    with pytest.raises(ListFormatError) as refused:
        own_format(CONTENTS[name]).read(changed)
    assert refused.value.place == "line 2"
    assert not any(accepts(each, changed) for each in FORMATS)


@pytest.mark.parametrize(
    ("data", "place", "why"),
    [
        (b"format = 3\n", "line 1", "The format '3' is not known."),
        (INFO + b"format = 2\n", "line 2", "Expected KEY = VALUE, not 'format = 2'."),
        (INFO + b"builddate = x\n", "line 2", "Expected one builddate in seconds."),
        (INFO + b"builddate = 1\nbuilddate = 2\n", "line 3", "Expected one builddate in seconds."),
        (INFO + b"nonsense\n", "line 2", "Expected KEY = VALUE, not 'nonsense'."),
        (INFO + b"installed = a-1-any\n", "line 2", "Expected NAME-VERSION-RELEASE-ARCHITECTURE, not 'a-1-any'."),
        (INFO + b"installed =\n", "line 2", "Expected NAME-VERSION-RELEASE-ARCHITECTURE, not ''."),
        (DESC + b"%NAME%\n\n", "line 7", "The package has no valid name, version or architecture: ''."),
        (
            DESC + b"%NAME%\na b\n\n%VERSION%\n1-1\n",
            "line 7",
            "The package has no valid name, version or architecture: 'a b'.",
        ),
        (DESC + b"%ARCH%\n../x\n\n", "line 1", "The package has no valid name, version or architecture: '../x'."),
        (DESC + b"%VERSION%\n2-1\n\n", "line 1", "'desc' has the field VERSION twice."),
        (DESC + b"nonsense\n", "line 1", "'desc' has a line outside any field."),
        (DESC + b"%DESC%\n" + b"x" * 2**20, "line 1", "The package has more than 1048576 bytes."),
        (INSTALLED + b"nonsense\n", "line 7", "Expected LETTER:VALUE, not 'nonsense'."),
        (
            INSTALLED + b"P:a\nP:b\n",
            "line 8",
            "The package has the field P twice; an empty line must follow each package.",
        ),
        (INSTALLED + b"P:a\n\n", "line 7", "The package has no valid P:, V: or A:, but ''."),
        (INSTALLED + b"F:usr\n\n", "line 7", "The package has no valid P:, V: or A:, but ''."),
        (b"P:a\nV:1-r0\nS:x\n", "line 1", "Its size is no number: 'x'."),
        (b"C:Q1AAAA\nP:a\nV:1-r0\n", "line 1", "Expected an apk digest (Q1 and base64), not 'Q1AAAA'."),
    ],
)
def test_a_fault_of_a_recognised_list_is_named(data: bytes, place: str, why: str) -> None:
    refused = refusal(data)
    assert (refused.place, refused.why, refused.is_recognised) == (place, f"{place}: {why}", True)
