"""The texts for dnf and zypper. tests/journeys/test_rpm.py checks that the real programs obey them."""

from __future__ import annotations

from configparser import ConfigParser

import pytest

from snapproxy.client_config import Snippet
from snapproxy.client_config.rpm import FORMS, RpmOptions, environment, mirror, proxy, zypper
from snapproxy.core.time_spec import parse_time

FOLDER = "updates/$releasever/Everything/$basearch"


def wanted(when: str = "2024-06-01T00:00:00Z", path: str = FOLDER) -> RpmOptions:
    return RpmOptions("linux", path, parse_time(when), "http://127.0.0.1:3142")


def read(snippet: Snippet) -> ConfigParser:
    parser = ConfigParser(interpolation=None)
    parser.read_string(snippet.text)
    return parser


@pytest.mark.parametrize("form", [mirror, zypper])
def test_a_repository_file_carries_the_time_in_its_address(form) -> None:
    file, *_ = form(wanted())
    section = read(file)["linux"]
    assert file.path.endswith("/linux.repo")
    assert section["baseurl"] == f"http://127.0.0.1:3142/linux/20240601T000000Z/{FOLDER}/"
    assert section["gpgcheck"] == "1"
    assert not {"metalink", "mirrorlist", "proxy"} & set(section)


@pytest.mark.parametrize("path", ["", "/", "a/b", "/a/b/"])
def test_the_folder_may_be_written_with_or_without_slashes(path: str) -> None:
    inside = path.strip("/")
    assert wanted(path=path).url == f"http://127.0.0.1:3142/linux/20240601T000000Z/{inside + '/' if inside else ''}"


def test_only_metadata_of_the_past_does_not_expire() -> None:
    assert read(mirror(wanted())[0])["linux"]["metadata_expire"] == "never"
    assert "metadata_expire" not in read(mirror(wanted("live"))[0])["linux"]


def test_dnf_waits_and_skips_no_repository() -> None:
    for file, section in ((mirror(wanted())[0], "linux"), (proxy(wanted())[0], "main")):
        options = read(file)[section]
        assert (options["timeout"], options["minrate"], options["skip_if_unavailable"]) == ("300", "1", "False")


def test_the_proxy_form_sends_the_time_first_and_uses_no_cached_metadata() -> None:
    options = read(proxy(wanted())[0])["main"]
    assert options["proxy"] == "http://127.0.0.1:3142"
    assert (options["proxy_username"], options["proxy_password"]) == ("20240601T000000Z", "x")
    assert options["proxy_auth_method"] == "basic"
    assert options["metadata_expire"] == "0"


def test_the_environment_is_for_zypper_too() -> None:
    (lines,) = environment(wanted())
    assert "http_proxy=http://20240601T000000Z:x@127.0.0.1:3142 " in lines.text


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_plain_text(form: str) -> None:
    assert all(each.text.endswith("\n") for each in FORMS[form](wanted()))


def test_the_dockerfile_pins_by_the_script_and_undoes_it() -> None:
    text = FORMS["dockerfile"](wanted())[0].text
    assert "ADD http://127.0.0.1:3142/20240601T000000Z/pin.sh /\n" in text
    assert (
        text.index("sh /mnt/pin.sh --disable-unknown \\\n")
        < text.index("dnf -y install")
        < text.index("sh /mnt/pin.sh --undo\n")
    )
