"""Bad input for the readers of Debian lists, SBOMs and builds: each returns a list or raises ListFormatError."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapproxy.formats.package_lists.known import FORMATS
from snapproxy.formats.package_lists.model import ListFormatError
from tests.fakes.deb_sbom_lists import CONTENTS, FORMAT_OF
from tests.fakes.rpm_apk_arch_lists import accepts, own_format, refusal

BUILDINFO = CONTENTS["debian/snaptest_1.0_amd64.buildinfo"]
SIGNED = CONTENTS["debian/signed.buildinfo"]
STATUS = CONTENTS["dpkg/status"]
SUM = b"0" * 64 + b"  pool/main/h/hello/hello_1_all.deb\n"
ALPHABET = "abc-._:= \n\t%{}[]\",'()*!@0123456789PaV\0é"


@given(data=st.binary() | st.text(alphabet=ALPHABET).map(str.encode))
def test_any_bytes(data: bytes) -> None:
    for each in FORMATS:
        accepts(each, data)


@given(data=st.data())
def test_any_change_of_a_list(data: st.DataObject) -> None:
    """Cut it, and replace some of its bytes by others or by a part of another list."""
    text, other = (CONTENTS[data.draw(st.sampled_from(sorted(CONTENTS)))] for _ in range(2))
    start, end = sorted(data.draw(st.integers(0, len(text))) for _ in range(2))
    part = data.draw(st.binary(max_size=5) | st.integers(0, len(other)).map(lambda at: other[at : at + 40]))
    for each in FORMATS:
        accepts(each, text[:start] + part + text[end:])
        accepts(each, text[:end])


@given(text=st.text(max_size=60), prefix=st.sampled_from(["", "pkg:", "pkg:deb/", "pkg:rpm/a/b@", "pkg:apk/a/b@1?"]))
def test_any_package_url(text: str, prefix: str) -> None:
    data = json.dumps({"bomFormat": "CycloneDX", "components": [{"name": text, "purl": prefix + text}]}).encode()
    accepts(own_format(CONTENTS["syft/image.cdx.json"]), data)


@pytest.mark.parametrize("name", [name for name in CONTENTS if "json" in name or "manifest" in name])
@pytest.mark.parametrize("length", [1, 2, 3])
def test_a_truncated_document_is_refused(name: str, length: int) -> None:
    data = CONTENTS[name].rstrip()
    assert not accepts(own_format(CONTENTS[name]), data[: len(data) * length // 4])
    assert not accepts(own_format(CONTENTS[name]), data[:-1])


@pytest.mark.parametrize("name", [name for name in CONTENTS if name.endswith(".txt") and name != "dpkg/list.txt"])
@pytest.mark.parametrize(
    "line",
    [
        b"another line",
        b"hello",
        b"bash 5.2-1",
        b"bash-5.2-1.x86_64",
        b"bash-5.2-r1",
        b"bash\0=1",
        b"ba\x1b[31msh\t1",
        b"caf\xc3\xa9\t1",
        b"\xff",
        b"../bash=1",
        b"x" * 5000,
        b"0" * 63 + b"  x.deb",
        b"0" * 64 + b"  ../x.deb",
        b"0" * 64 + b"  /x.deb",
        b"0" * 64 + b"  a\\b.deb",
    ],
)
def test_one_line_of_another_format_is_named(name: str, line: bytes) -> None:
    first, second, *rest = CONTENTS[name].splitlines()
    changed = b"\n".join([first, second, line, *rest])
    with pytest.raises(ListFormatError) as refused:
        own_format(CONTENTS[name]).read(changed)
    assert refused.value.place.split(",")[0] in {"line 3", ""}
    assert not any(accepts(each, changed) for each in FORMATS)


@pytest.mark.parametrize(
    ("data", "place", "why"),
    [
        (BUILDINFO.replace(b"(= 2.10-3)", b"(>= 2.10-3)"), "Installed-Build-Depends, item 1", "Expected NAME"),
        (BUILDINFO.replace(b"hello (", b"he llo ("), "Installed-Build-Depends, item 1", "Expected NAME"),
        (BUILDINFO.replace(b"2.10-3", b"x"), "Installed-Build-Depends, item 1", "Expected the version"),
        (BUILDINFO.replace(b":i386", b":I386"), "Installed-Build-Depends, item 2", "Expected the architecture"),
        (BUILDINFO.replace(b"29 Nov", b"31 Nov"), "Build-Date", "Expected a date, not 'Sun, 31 Nov"),
        (BUILDINFO.replace(b"Build-Architecture: amd64", b"Build-Architecture: a/b"), "Build-Architecture", "Expected"),
        (BUILDINFO + b"Format: 1.0\n", "", "An entry of the index has a duplicate field"),
        (
            SIGNED.replace(b"-----END PGP SIGNATURE-----", b""),
            "",
            "Its signature is not valid. Its signature has no end",
        ),
        (b"Format: 1.0\nInstalled-Build-Depends:\n", "Installed-Build-Depends", "It has no package."),
        (SIGNED + b"x\n", "", "Its signature is not valid. It has text after"),
        (STATUS.replace(b"ok half-configured", b"ok installed").replace(b"3-1", b"x"), "stanza 1", "Expected the ver"),
        (STATUS.replace(b"install ok unpacked", b"installed"), "stanza 6", "Its Status is not one of dpkg"),
        (STATUS.replace(b"Version: 2.10", b"Package: x\nVersion: 2.10"), "stanza 3", "Expected the version"),
        (
            STATUS.replace(b"Version: 2.10", b"version: 1\nVersion: 2.10"),
            "stanza 3",
            "An entry of the index has a dupl",
        ),
        (STATUS.replace(b"Package: libstd", b"Package: \x1blibstd"), "stanza 4", "Expected the name"),
        (STATUS.replace(b"Version: 12", b"Version: 12\0"), "stanza 4", "Expected the version"),
        (STATUS.replace(b"Architecture: amd64\nMulti", b"Multi"), "stanza 4", "Expected the architecture"),
        (CONTENTS["dpkg/list.txt"].replace(b"ii  hello ", b"zz  hello "), "line 8", "Expected a state"),
        (CONTENTS["dpkg/list.txt"].replace(b"2.10-3", b"\0"), "line 8", "Expected the version"),
        (CONTENTS["dpkg/list.txt"] + b"ii  hello\n", "line 12", "Expected a state"),
        (CONTENTS["dpkg/list.txt"].replace(b"+++-", b"---"), "", "The line +++- is missing"),
        (SUM + b"x\n", "line 2", "Expected a SHA-256"),
        (CONTENTS["syft/image.spdx"] + b"nonsense\n", "line 28", "Expected TAG: VALUE"),
    ],
)
def test_a_fault_of_a_recognised_text_is_named(data: bytes, place: str, why: str) -> None:
    refused = refusal(data)
    assert (refused.place, refused.is_recognised) == (place, True)
    assert refused.problem.startswith(why)


@pytest.mark.parametrize(
    "data",
    [
        b"busybox=1.36.1-r0\nmusl=1.2.4-r2\n",  # /etc/apk/world
        b"Package: hello\nVersion: 1\nArchitecture: all\nFilename: pool/h.deb\nSize: 1\n",  # Packages
        b"Package: hello\nBinary: hello\nVersion: 1\nArchitecture: all\nDirectory: pool/h\n",  # Sources
        b"Package: hello\nArchitecture: all\n",  # debian/control
        b"Package: hello\nStatus: deinstall ok config-files\nVersion: 1\nArchitecture: all\n",
        b"Source: hello\nFormat: 1.0\nVersion: 1\n",  # .dsc
        BUILDINFO.replace(b"Format: 1.0", b"Formula: 1"),
        BUILDINFO + b"\n" + BUILDINFO,
        b"0" * 64 + b"  installer.iso\n",
        b"0" * 32 + b"  pool/hello_1_all.deb\n",
        b"requests==2.31.0\n",  # pip freeze
        b"left-pad@1.0.0\n",
        b"KEY=value\n",
        b"a=1\n",
        b"debhelper\t\n",
        b",,\n",
        b'{"predicate": {"predicateType": "x"}, "materials": []}',
        b'{"materials": [], "resolvedDependencies": []}',
        b'{"bomFormat": "other"}',
        b'{"spdxVersion": "SPDX-3.0"}',
        b'{"artifacts": [], "descriptor": {"name": "grype"}}',
        b'{"artifacts": 1, "descriptor": {"name": "syft"}}',
        b'{"manifest_version": "1", "packages": []}',
        b'{"manifest_version": 3, "name": "an extension of a browser"}',
        b'{"version": 1, "packages": [{"name": "x"}], "sha256": ""}',
        b'{"version": 1, "packages": [7], "sha256": ""}',
        b'{"version": true, "packages": [], "sha256": ""}',
        b'{"bomFormat": "CycloneDX"',
        b'["bomFormat"]',
        b'{"a": "\\"bomFormat\\""} x',
        b'{"payloadType": "text/plain", "payload": "e30="}',
    ],
)
def test_another_document_is_of_no_format(data: bytes) -> None:
    assert not refusal(data).is_recognised


@pytest.mark.parametrize("payload", [None, 7, "e", "e30", "\u00e9", "e30=\n\n\n="])
def test_an_envelope_without_base64_is_refused(payload: object) -> None:
    envelope = {"payloadType": "application/vnd.in-toto+json", "payload": payload}
    assert refusal(json.dumps(envelope).encode()).place == "payload"


def test_an_envelope_in_an_envelope_is_not_opened() -> None:
    inner = CONTENTS["trivy/image.spdx.intoto.jsonl"]
    outer = {"payloadType": "application/vnd.in-toto+json", "payload": base64.b64encode(inner).decode()}
    assert not refusal(json.dumps(outer).encode()).is_recognised


def test_every_reader_has_a_sample() -> None:
    assert {each.name for each in FORMATS} >= set(FORMAT_OF.values())
