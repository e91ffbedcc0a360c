"""The names of apt's package lists, from the sources of the client (strutl.cc, URItoFileName)."""

from __future__ import annotations

import pytest

from snapproxy.core.client_cache import ClientSettings
from snapproxy.errors import ConfigurationError
from snapproxy.families.apt.client_lists import APT_LISTS


def names(text: str, path: str = "main/binary-amd64/Packages.xz", *, file: str = "a.list") -> list[str]:
    """Return the name of the list at `path` below the folder of each source's root."""
    found = APT_LISTS.repositories(ClientSettings({file: text}))
    return [f"{each.folder}{each.joint}{APT_LISTS.place(path)}".removeprefix("var/lib/apt/lists/") for each in found]


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("deb http://h.org/debian/ sid main", "h.org_debian_dists_sid_main_binary-amd64_Packages.xz"),
        ("deb [arch=amd64] http://u:p@h.org:81/d sid main", "h.org:81_d_dists_sid_main_binary-amd64_Packages.xz"),
        ("deb http://h.org/~who/a_b sid main", "h.org_%7ewho_a%5fb_dists_sid_main_binary-amd64_Packages.xz"),
        ("deb http://h.org/d stable/updates main", "h.org_d_dists_stable_updates_main_binary-amd64_Packages.xz"),
    ],
)
def test_a_one_line_source_has_apts_own_name(line: str, name: str) -> None:
    assert names(f"# deb http://other.org/x sid main\n{line}\ndeb-src http://h.org/d sid main\n") == [name]


def test_a_flat_repository_has_the_name_of_its_folder() -> None:
    assert names("deb http://h.org/d ./\n", "Packages") == ["h.org_d_Packages"]
    assert names("deb http://h.org/d bin/\n", "Packages") == ["h.org_d_bin_Packages"]


def test_a_deb822_source_has_a_list_for_each_address_and_suite() -> None:
    text = """\
Types: deb deb-src
URIs: http://a.org/d http://b.org/d
Suites: sid
 forky
# Suites: other
Components: main

Enabled: no
Types: deb
URIs: http://c.org/d
Suites: sid

Types: deb-src
URIs: http://e.org/d
Suites: sid
"""
    found = [name.removesuffix("_main_binary-amd64_Packages.xz") for name in names(text, file="a.sources")]
    assert found == ["a.org_d_dists_sid", "a.org_d_dists_forky", "b.org_d_dists_sid", "b.org_d_dists_forky"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "No source is enabled"),
        ("deb file:/srv sid main", "only http and https"),
        ("deb http://h/../x sid main", "a.list"),
    ],
)
def test_sources_without_lists_in_a_capture_are_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        names(text)
