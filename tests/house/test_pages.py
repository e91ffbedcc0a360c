"""The pages of docs/ and CONTRIBUTING: commands parse, settings load, links lead somewhere, and named files exist."""

from __future__ import annotations

import importlib
import re
import tomllib
from pathlib import Path

import pytest
import yaml

from snapproxy.archives import BUILTIN
from snapproxy.cli import main
from snapproxy.cli.parser import parse
from snapproxy.cli.verbs import VERBS
from snapproxy.config import load
from snapproxy.config.settings import FILE_VARIABLE
from snapproxy.core.model import Role
from snapproxy.core.time_spec import parse_time
from snapproxy.families import FAMILIES
from tests.fakes.pages import anchors, blocks, code_names, command_lines, links
from tests.fakes.reasons import statuses_by_reason

ROOT = Path(__file__).parents[2]
DOCS = sorted((ROOT / "docs").rglob("*.md"))
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", ROOT / "examples/README.md", *DOCS]
DESIGN = ROOT / "docs/explain/design.md"

#: Columns of prose; rows of tables and code cannot be wrapped.
WIDTH = 100

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def our_commands(page: Path) -> list[list[str]]:
    return [line[1:] for line in command_lines(text_of(page)) if line[0] == "snapproxy" and line[1:2] != ["--version"]]


@each_page
def test_every_command_parses(page: Path) -> None:
    for line in our_commands(page):
        assert parse(line).verb == line[0]


def test_the_guides_show_every_command() -> None:
    assert {line[0] for page in DOCS for line in our_commands(page)} == set(VERBS)


@each_page
def test_every_command_in_a_sentence_exists(page: Path) -> None:
    calls = [name.split() for name in code_names(text_of(page)) if name.startswith("snapproxy ")]
    named = {call[1] for call in calls if call[1] != "is"}  # "snapproxy is shutting down" is a message
    assert {name for name in named if name.islower()} <= set(VERBS)


@pytest.mark.parametrize("page", DOCS, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_text_to_paste_can_be_printed(
    page: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # The guides write their archives to /etc/snapproxy/config.toml; the example has the same ones.
    monkeypatch.setenv(FILE_VARIABLE, str(ROOT / "examples/config.toml"))
    for line in our_commands(page):
        if line[0] == "sources":
            assert main(line) == 0, line
            assert capsys.readouterr().out


@pytest.mark.parametrize(
    ("page", "settings"),
    [(page, settings) for page in DOCS for settings in blocks(text_of(page), "toml")],
    ids=lambda value: value.name if isinstance(value, Path) else "toml",
)
def test_the_sample_settings_are_accepted(page: Path, settings: str, tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(settings, encoding="utf-8")
    config = load(file, {"HOME": str(tmp_path)})
    families = {archive.name: FAMILIES[archive.family] for archive in config.archives}
    for watch in config.watch:
        assert all(families[watch.archive].classify(path).role is Role.ROOT for path in watch.paths), watch


def test_three_fields_are_enough_for_a_vendor_repository(tmp_path: Path) -> None:
    sample = blocks(text_of(ROOT / "docs/guides/vendor-repositories.md"), "toml")[0]
    file = tmp_path / "config.toml"
    file.write_text("".join(sample.splitlines(keepends=True)[:4]), encoding="utf-8")
    archive = load(file, {"HOME": str(tmp_path)}).archives[-1]
    assert (archive.name, archive.history) == ("docker", "captured")
    assert archive.mirrors


def test_a_vendor_repository_is_the_same_in_the_guide_and_in_the_example() -> None:
    sample = tomllib.loads(blocks(text_of(ROOT / "docs/guides/vendor-repositories.md"), "toml")[0])
    example = tomllib.loads(text_of(ROOT / "examples/config.toml"))
    assert sample["archives"]["docker"] == example["archives"]["docker"]


def test_every_time_in_the_table_is_read() -> None:
    page = text_of(ROOT / "docs/reference/addresses-and-times.md")
    table = page.partition("## How to write a time")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| (`[^|]+) \|", table, re.MULTILINE)
    times = [time for cell in cells for time in re.findall(r"`([^`]+)`", cell)]
    assert len(times) == 9
    for time in times:
        parse_time(time)


@each_page
def test_every_link_leads_to_a_page_and_a_heading(page: Path) -> None:
    for link in links(text_of(page)):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_every_page_is_in_the_navigation() -> None:
    def pages(node: object) -> list[str]:
        if isinstance(node, str):
            return [node]
        inner = node.values() if isinstance(node, dict) else node
        return [page for each in inner for page in pages(each)]  # type: ignore[attr-defined]

    nav = pages(yaml.safe_load(text_of(ROOT / "mkdocs.yml"))["nav"])
    assert sorted(nav) == [page.relative_to(ROOT / "docs").as_posix() for page in DOCS]


@each_page
def test_lines_are_wrapped(page: Path) -> None:
    if page.name == "commands.md":
        return  # generated; its code blocks are help texts
    is_code, long = False, []
    for number, line in enumerate(text_of(page).splitlines(), 1):
        is_code ^= line.startswith("```")
        if len(line) > WIDTH and not is_code and not line.startswith("|"):
            long.append(number)
    assert long == []


# --- reasons and their statuses ---------------------------------------------------------------------------------------


def reasons_on_the_page() -> list[tuple[str, set[int]]]:
    """Every reason of the tables, with the statuses in the heading above it."""
    page = text_of(ROOT / "docs/reference/answers-and-status-codes.md").partition("The following tables")[2]
    found = []
    for section in page.split("\n## ")[1:]:
        statuses = set(map(int, re.findall(r"\b\d{3}\b", section.partition(":")[0])))
        cells = re.findall(r"^\| (`[^|]+) \|", section, re.MULTILINE)
        found += [(reason, statuses) for cell in cells for reason in re.findall(r"`([^`]+)`", cell)]
    return found


def test_every_reason_is_listed_under_its_status() -> None:
    known = statuses_by_reason()
    listed = reasons_on_the_page()
    assert len(listed) > 50
    for reason, headings in listed:
        statuses = {status for text, found in known.items() if text.startswith(reason) for status in found}
        assert statuses, f"no refusal begins with: {reason}"
        assert statuses & headings, f"{reason}: {sorted(statuses)}, not {sorted(headings)}"


def test_every_reason_about_a_time_is_on_the_page() -> None:
    listed = reasons_on_the_page()
    for text, statuses in statuses_by_reason().items():
        for status in statuses & {409, 410, 425}:
            assert any(text.startswith(reason) and status in headings for reason, headings in listed), (status, text)


# --- names of files and modules ---------------------------------------------------------------------------------------


def exists(name: str) -> bool:
    """Whether a path or a dotted module name, as pages write them, exists."""
    bases = [ROOT, ROOT / "snapproxy", ROOT / "storage/snapproxy_storage", ROOT / "storage"]
    path = name if "/" in name or name.endswith(".py") else name.replace(".", "/")
    return any((base / path).exists() or (base / f"{path}.py").exists() for base in bases)


def named_files(text: str) -> set[str]:
    folders = [folder.name for folder in (ROOT / "snapproxy").iterdir() if folder.is_dir()]
    tops = ["snapproxy", "storage", "tests", "docs", "bench", "systemd", "examples", "snapproxy_storage", *folders]
    first = "|".join(map(re.escape, sorted(set(tops))))
    paths = re.compile(rf"(?:{first})(?:/[\w.-]+)*/?")
    modules = re.compile(rf"(?:{first})(?:\.[a-z_0-9]+)+")
    names = {name for name in code_names(text) if not name.endswith((".toml", ".sh", ".json"))}
    return {name for name in names if ("/" in name and paths.fullmatch(name)) or modules.fullmatch(name)}


@pytest.mark.parametrize("page", [DESIGN, ROOT / "CONTRIBUTING.md"], ids=["design", "contributing"])
def test_every_file_and_module_that_is_named_exists(page: Path) -> None:
    named = named_files(text_of(page))
    assert len(named) > 15
    assert sorted(name for name in named if not exists(name)) == []


def test_contributing_names_the_registries_of_families_and_histories() -> None:
    text = text_of(ROOT / "CONTRIBUTING.md").partition("## Add a family or a history")[2].partition("\n## ")[0]
    registries = {name for name in code_names(text) if name.isupper()}
    assert registries == {"FAMILIES", "LISTERS", "CLIENT_CACHES", "REPOSITORY_CACHES", "HISTORIES"}
    found = [importlib.import_module(name) for name in ("snapproxy.families", "snapproxy.archives")]
    assert all(any(hasattr(module, name) for module in found) for name in registries)


def test_the_design_shows_every_package() -> None:
    (tree,) = (block for block in blocks(text_of(DESIGN), "text") if "errors.py" in block)
    inner = tree.partition("snapproxy/\n")[2].partition("storage/\n")[0]
    shown = re.findall(r"^  (\w+)/ ", inner, re.MULTILINE)
    packages = [init.parent.name for init in (ROOT / "snapproxy").glob("*/__init__.py")]
    assert sorted(shown) == sorted(packages)


def test_the_design_shows_the_layers_that_are_checked() -> None:
    contracts = tomllib.loads(text_of(ROOT / "pyproject.toml"))["tool"]["importlinter"]["contracts"]
    (layers,) = (each["layers"] for each in contracts if each["type"] == "layers" and "containers" not in each)
    checked = [sorted(re.findall(r"snapproxy\.(\w+)", layer)) for layer in layers]
    table = text_of(DESIGN).partition("| layer | packages |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| \d+ \| (.+) \|$", table, re.MULTILINE)
    assert [sorted(re.findall(r"`(\w+)`", row)) for row in rows] == checked


def test_the_pages_list_every_archive() -> None:
    built_in = {archive.name for archive in BUILTIN}
    table = text_of(ROOT / "docs/explain/archives.md").partition("## The archives")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| (`[^|]+) \|", table, re.MULTILINE)
    assert {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)} == built_in
    names = text_of(ROOT / "docs/reference/addresses-and-times.md").partition("## Names of archives")[2]
    assert set(re.findall(r"`([^`]+)`", names.partition("\n## ")[0])) == built_in


def test_every_page_that_the_project_cites_exists(project_files: list[Path]) -> None:
    texts = (file.read_bytes().decode(errors="ignore") for file in project_files if file.name != "CHANGELOG.md")
    cited = {page for text in texts for page in re.findall(r"\bdocs/[\w/-]+\.md\b", text)}
    assert sorted(page for page in cited if not (ROOT / page).exists()) == []
