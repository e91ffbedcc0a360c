"""apt's texts: the configuration and sources written for it, and everything read from its output."""

from __future__ import annotations

from dataclasses import replace

import pytest

from snapproxy.solvers import apt_texts
from snapproxy.solvers.apt_texts import AptArchive
from snapproxy.solvers.model import ClosureFile, ClosureRequest, FurtherArchive, SolverError

BASE = "http://127.0.0.1:3142/~one/debian/20240601T000000Z"
SECURITY = "http://127.0.0.1:3142/~one/debian-security/20240601T000000Z"
SOURCES = (
    AptArchive("", BASE, ("bookworm",), ("main",)),
    AptArchive("debian-security", SECURITY, ("bookworm-security",), ("main",)),
)
DIGEST = "ab" * 32


def line(path: str = "/pool/main/b/bash/bash_5.2_amd64.deb", local: str = "bash_5.2_amd64.deb", rest: str = "") -> str:
    return f"'{BASE}{path}' {local} 1490 {rest or 'SHA256:' + DIGEST}\n"


class TestFiles:
    def test_a_line_gives_name_version_architecture_path_size_and_digest(self) -> None:
        (file,) = apt_texts.parse_files(line(), SOURCES)
        path = "pool/main/b/bash/bash_5.2_amd64.deb"
        assert file == ClosureFile("bash", "5.2", "amd64", path, 1490, f"sha256:{DIGEST}")

    def test_escapes_of_the_address_and_of_the_local_name_are_decoded(self) -> None:
        text = line("/pool/main/g/g%2b%2b/g%2b%2b_4%7erc1_amd64.deb", "g++_4%3a12.2~rc1_amd64.deb")
        (file,) = apt_texts.parse_files(text, SOURCES)
        assert (file.name, file.version) == ("g++", "4:12.2~rc1")
        assert file.path == "pool/main/g/g++/g++_4~rc1_amd64.deb"

    def test_apt_may_escape_the_base_itself(self) -> None:
        text = line().replace("~one", "%7eone")
        assert [file.name for file in apt_texts.parse_files(text, SOURCES)] == ["bash"]

    def test_each_archive_gets_its_own_files(self) -> None:
        text = line() + line().replace(BASE, SECURITY)
        assert [file.archive for file in apt_texts.parse_files(text, SOURCES)] == ["", "debian-security"]

    def test_a_base_that_begins_like_another_one_is_told_apart(self) -> None:
        nested = (replace(SOURCES[0], base="http://h/a"), replace(SOURCES[1], base="http://h/a/b"))
        text = line().replace(BASE, "http://h/a/b")
        (file,) = apt_texts.parse_files(text, nested)
        assert (file.archive, file.path) == ("debian-security", "pool/main/b/bash/bash_5.2_amd64.deb")

    def test_a_weak_or_missing_digest_is_none(self) -> None:
        for rest in ("MD5Sum:" + "0" * 32, " "):
            assert [file.digest for file in apt_texts.parse_files(line(rest=rest), SOURCES)] == [""]

    def test_other_lines_are_ignored(self) -> None:
        text = f"Reading package lists...\nThe following NEW packages will be installed:\n  bash\n{line()}"
        assert len(list(apt_texts.parse_files(text, SOURCES))) == 1

    @pytest.mark.parametrize(
        "hostile",
        [
            line("/pool/../../etc/passwd"),
            line("/pool/%2e%2e/%2e%2e/etc/passwd"),
            line("/pool/a%00b.deb"),
            line("/pool/a%0ab.deb"),
            line("/"),
            line().replace(BASE, "http://elsewhere.example"),
            line().replace(BASE, BASE + "1"),
            line(local="nothing"),
            line(local="bash_5.2_amd64"),
            line().replace(" 1490 ", " -1 "),
            line().replace(" 1490 ", f" {'9' * 40} "),
            line().replace("'", '"', 1).replace('"', "'' ", 1),
            f"'{BASE}/x",
        ],
    )
    def test_hostile_lines_are_errors(self, hostile: str) -> None:
        with pytest.raises(SolverError, match="apt printed"):
            list(apt_texts.parse_files(hostile, SOURCES))


class TestErrors:
    def test_all_unknown_names_are_found(self) -> None:
        text = (
            "W: Something\nE: Unable to locate package bsah\nE: Unable to find a source package for crul\n"
            "E: Unable to locate package lib2.0\nE: Couldn't find any package by glob 'lib2.0'\n"
            "E: Unable to locate package desktop^\nE: Couldn't find task 'desktop'\n"
        )
        assert apt_texts.unknown_names(text) == ("bsah", "crul", "lib2.0", "desktop")

    def test_another_error_beside_them_needs_the_whole_explanation(self) -> None:
        text = "E: Unable to locate package bsah\nE: Package 'mta' has no installation candidate\n"
        assert apt_texts.unknown_names(text) == ()
        assert apt_texts.unknown_names("") == ()

    def test_the_explanation_has_no_progress_no_addresses_and_no_control_characters(self) -> None:
        text = f"Reading package lists...\nSolving dependencies...\n{line()}\n a : Depends: b\x1b[31m\nE: Broken\n"
        assert apt_texts.explanation(text) == " a : Depends: b?[31m\nE: Broken"

    def test_a_long_explanation_keeps_its_end(self) -> None:
        text = apt_texts.explanation("x" * 100_000 + "\nE: the end")
        assert len(text) < 5000
        assert text.endswith("E: the end")

    @pytest.mark.parametrize(
        ("status", "text", "failed"),
        [
            (0, "W: GPG error: NO_PUBKEY 1234\n", False),
            (100, "", True),
            (0, "W: Failed to fetch http://h/Packages  404  Not Found\n", True),
            (0, "W: Some index files failed to download. They have been ignored\n", True),
            (0, "Get:1 E: in a line\n", False),
        ],
    )
    def test_an_update_without_an_index_has_failed(self, status: int, text: str, failed: bool) -> None:
        assert apt_texts.update_failed(status, text) is failed

    def test_only_the_solver_3_prints_its_progress(self) -> None:
        assert apt_texts.is_solved_by_three("Building dependency tree...\nSolving dependencies...\n")
        assert not apt_texts.is_solved_by_three("Building dependency tree...\n")

    def test_versions_are_read(self) -> None:
        assert apt_texts.candidate("apt:\n  Installed: (none)\n  Candidate: 3.3.5\n  Version table:\n") == "3.3.5"
        assert apt_texts.candidate("apt:\n  Installed: (none)\n  Candidate: (none)\n") == ""
        assert apt_texts.program_version("apt 2.6.1 (amd64)\nSupported modules:\n") == "2.6.1"
        with pytest.raises(SolverError, match="version of apt"):
            apt_texts.program_version("dnf 5")


REQUEST = ClosureRequest(("bash",), suites=("bookworm",), architectures=("amd64",))


class TestRequest:
    @pytest.mark.parametrize("name", ["bash", "g++", "libc6:i386", "bash=5.2.15-2+b2", "bash/bookworm", "lib2.0"])
    def test_names_are_accepted(self, name: str) -> None:
        assert apt_texts.sources_of(replace(REQUEST, packages=(name,)), BASE)

    @pytest.mark.parametrize("pattern", ["?essential", "?and(?essential, ?name(a))", "!~n^a", "standard^", "lib*-dev"])
    def test_patterns_and_tasks_are_accepted(self, pattern: str) -> None:
        assert apt_texts.sources_of(replace(REQUEST, packages=(pattern,)), BASE)

    @pytest.mark.parametrize(
        "name",
        [
            "",
            "-y",
            "--option",
            "bash-",
            "bash:i386-",
            "bash=1-",
            "./x.deb",
            "/x.deb",
            "a b",
            "a\nb",
            "?x\n",
            "'",
            "~nbash-",
            "?name(a)-",
        ],
    )
    def test_options_files_and_removals_are_refused(self, name: str) -> None:
        with pytest.raises(SolverError, match="valid name or pattern"):
            apt_texts.sources_of(replace(REQUEST, packages=(name,)), BASE)

    @pytest.mark.parametrize("name", ["./folder", "/x.dsc", "-x", "a b", ""])
    def test_source_packages_are_names(self, name: str) -> None:
        with pytest.raises(SolverError, match="source package"):
            apt_texts.sources_of(replace(REQUEST, build_dependencies_of=(name,)), BASE)

    @pytest.mark.parametrize("word", ["a b", "[x]", "a\ndeb http://evil/ x main", "", "#"])
    def test_no_word_can_write_another_line_of_sources(self, word: str) -> None:
        for changed in ({"suites": (word,)}, {"components": (word,)}, {"architectures": (word,)}):
            with pytest.raises(SolverError):
                apt_texts.sources_of(replace(REQUEST, **changed), BASE)
        with pytest.raises(SolverError):
            apt_texts.sources_of(REQUEST, f"http://h/{word} x")
        with pytest.raises(SolverError):
            apt_texts.sources_of(replace(REQUEST, further=(FurtherArchive("x", BASE, (word,)),)), BASE)

    def test_suites_and_an_architecture_are_needed(self) -> None:
        for changed in ({"suites": ()}, {"architectures": ()}):
            with pytest.raises(SolverError, match="is given"):
                apt_texts.sources_of(replace(REQUEST, **changed), BASE)

    def test_further_archives_use_the_components_of_the_first(self) -> None:
        request = replace(REQUEST, components=("main", "contrib"), further=(FurtherArchive("s", SECURITY, ("x",)),))
        assert [source.components for source in apt_texts.sources_of(request, BASE)] == [("main", "contrib")] * 2
        assert apt_texts.sources_of(REQUEST, BASE)[0].components == ("main",)


class TestWrittenFiles:
    def test_each_suite_is_a_line_and_sources_are_listed_for_build_dependencies_only(self) -> None:
        source = AptArchive("", BASE, ("bookworm", "bookworm-updates"), ("main", "contrib"))
        assert apt_texts.source_lines(source, with_sources=False) == (
            f"deb [trusted=yes] {BASE} bookworm main contrib\ndeb [trusted=yes] {BASE} bookworm-updates main contrib\n"
        )
        assert apt_texts.source_lines(source, with_sources=True).count("deb-src [trusted=yes]") == 2

    def test_keyrings_replace_the_trust(self) -> None:
        source = AptArchive("", BASE, ("bookworm",), ("main",), ("/p/a.gpg", "/p/b.asc"))
        assert apt_texts.source_lines(source, with_sources=False) == (
            f"deb [signed-by=/p/a.gpg,/p/b.asc] {BASE} bookworm main\n"
        )

    def test_a_flat_repository_has_no_components(self) -> None:
        source = AptArchive("", BASE, ("./",), ("main",))
        assert apt_texts.source_lines(source, with_sources=False) == f"deb [trusted=yes] {BASE} ./\n"

    def test_the_configuration_is_inside_the_folder(self) -> None:
        text = apt_texts.configuration("/tmp/x", ["amd64", "i386"])
        assert text.startswith('Dir "/tmp/x/";\nDir::State::status "/tmp/x/status";\nAPT::Architecture "amd64";\n')
        assert 'APT::Architectures { "amd64"; "i386"; };' in text

    @pytest.mark.parametrize("folder", ['/tmp/"x', "/tmp/a b", "/tmp/a;b", "relative", "/tmp/a\nb"])
    def test_a_folder_cannot_write_settings(self, folder: str) -> None:
        with pytest.raises(SolverError, match="working folder"):
            apt_texts.configuration(folder, ["amd64"])
