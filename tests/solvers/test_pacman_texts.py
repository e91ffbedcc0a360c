"""pacman's texts: the configuration written for it, and everything read from its output (6.0.2 and 7.0.0)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from snapproxy.solvers import pacman_texts
from snapproxy.solvers.model import ClosureRequest, SolverError
from snapproxy.solvers.pacman_texts import PrintedPackage
from snapproxy.solvers.repositories import SolverRepository

BASE = "http://127.0.0.1:3142/archlinux/20240601T000000Z"
REQUEST = ClosureRequest(("a",), architectures=("x86_64",))


def repository(folder: str) -> SolverRepository:
    return SolverRepository("", BASE, folder)


def test_a_repository_is_a_section_with_its_folder() -> None:
    sections = pacman_texts.sections_of(REQUEST, [repository("core"), repository("aarch64/extra")])
    assert [(each.name, each.database, each.server) for each in sections] == [
        ("core", "core/os/x86_64/core.db", f"{BASE}/core/os/x86_64"),
        ("extra", "aarch64/extra/extra.db", f"{BASE}/aarch64/extra"),
    ]


@pytest.mark.parametrize("folders", [("core", "core"), ("core", "aarch64/core"), ("options",)])
def test_names_of_sections_are_unique(folders: tuple[str, ...]) -> None:
    with pytest.raises(SolverError, match="together"):
        pacman_texts.sections_of(REQUEST, [repository(folder) for folder in folders])


@pytest.mark.parametrize("name", ["gcc", "core/linux", "gcc>=13", "libstdc++", "base-devel", "qt6"])
def test_names_of_packages_are_accepted(name: str) -> None:
    assert pacman_texts.sections_of(replace(REQUEST, packages=(name,)), [repository("core")])


@pytest.mark.parametrize("name", ["", "-y", "--root=/", "a b", "/x.pkg.tar.zst", "http://h/x.pkg.tar", "a\n", "a/b/c"])
def test_options_and_files_are_refused(name: str) -> None:
    with pytest.raises(SolverError, match="Not a valid name"):
        pacman_texts.sections_of(replace(REQUEST, packages=(name,)), [repository("core")])


def test_every_folder_of_the_configuration_is_private() -> None:
    text = pacman_texts.configuration("/p", pacman_texts.sections_of(REQUEST, [repository("core")]), ["x86_64"])
    places = [line for line in text.splitlines() if line.split(" = ")[0].endswith(("Dir", "Path", "File"))]
    assert len(places) == 6
    assert all(" = /p/" in place for place in places)
    assert "XferCommand" not in text
    assert text.endswith(f"[core]\nServer = {BASE}/core/os/x86_64\n")
    with pytest.raises(SolverError, match="working folder"):
        pacman_texts.configuration("/p\nInclude = /etc/pacman.conf", (), ["x86_64"])


def test_the_version_of_the_library_belongs_to_the_solver() -> None:
    printed = "\n .--.                  Pacman v6.0.2 - libalpm v13.0.2\n/ _.-' .-.  .-.  Copyright (C) 2006-2021\n"
    assert pacman_texts.version(printed) == "pacman 6.0.2 (libalpm 13.0.2)"
    with pytest.raises(SolverError, match="version of pacman"):
        pacman_texts.version("pacman: command not found")


def test_all_unknown_names_are_found() -> None:
    errors = "error: target not found: nosuch\nwarning: x\nerror: target not found: also\n"
    assert pacman_texts.unknown_names(errors) == ("nosuch", "also")
    assert pacman_texts.unknown_names("error: failed to prepare transaction (conflicting dependencies)\n") == ()


def test_a_failed_preparation_differs_from_a_failed_download() -> None:
    conflict = "error: unresolvable package conflicts detected\nerror: failed to prepare transaction (conflicting...)\n"
    assert not pacman_texts.is_prepared(conflict)
    download = "warning: failed to retrieve some files\nerror: failed to commit transaction (error invoking external)\n"
    assert pacman_texts.is_prepared(download)


def test_a_choice_of_providers_is_noted() -> None:
    printed = ":: There are 2 providers available for java-environment:\n:: SolverRepository extra\n   1) a  2) b\n"
    (note,) = pacman_texts.provider_notes(printed)
    assert "provide java-environment" in note
    assert pacman_texts.provider_notes(":: There are 2 members in group grp:\n") == ()


class TestPrintedPackages:
    def test_each_line_is_a_package(self) -> None:
        line = f"core\tlibtest++\t2:2.4-1\t{BASE}/core/os/x86_64/libtest++-2:2.4-1-any.pkg.tar.zst"
        (package,) = pacman_texts.printed_packages(f"{line}\n", ["core"])
        assert package == PrintedPackage(*line.split("\t"))

    @pytest.mark.parametrize(
        "line", ["core\ta\t1", "core\ta\t1\thttp://x\ty", "other\ta\t1\thttp://x", "core\t\t1\thttp://x", "warning: x"]
    )
    def test_other_lines_are_errors(self, line: str) -> None:
        with pytest.raises(SolverError, match="cannot be used"):
            pacman_texts.printed_packages(f"core\tb\t1\thttp://x\n{line}\n", ["core"])
