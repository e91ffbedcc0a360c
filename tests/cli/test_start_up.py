"""The imports of a call: `--help` and `--version` import no module that does the work of a verb."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from snapproxy.cli.lock import WRITERS
from snapproxy.cli.usage.lock import FORMS
from snapproxy.cli.verbs import VERBS, main_of, usage_of

#: Packages that take tens of milliseconds to import, and the module that imports all others.
WORK = {
    "aiohttp",
    "cryptography",
    "diskcache",
    "rich",
    "snapproxy.wiring",
    "snapproxy_storage",
    "sqlite3",
    "uvloop",
    "yaml",
}
SETTINGS = {"asyncio", "snapproxy.config", "univers"}

#: Verbs whose help or arguments need the texts or types of the settings.
WITH_SETTINGS = {"bisect", "config", "run", "serve"}


def imported(*argv: str, script: str = "") -> set[str]:
    script = script or (
        "import sys\nfrom snapproxy.cli import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        "print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script, *argv], capture_output=True, text=True, check=True)
    return set(done.stderr.split())


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_the_list_of_verbs_imports_no_verb(option: str) -> None:
    found = imported(option)
    assert found & (WORK | SETTINGS) == set()
    assert {name for name in found if name.startswith("snapproxy.cli.usage.")} == set()


@pytest.mark.parametrize("verb", VERBS)
def test_the_help_of_a_verb_imports_its_arguments_alone(verb: str) -> None:
    found = imported(verb, "--help")
    assert found & (WORK if verb in WITH_SETTINGS else WORK | SETTINGS) == set()
    assert {name for name in found if name.startswith("snapproxy.cli.usage.")} == {usage_of(verb).__name__}
    assert main_of(verb).__module__ not in found


def test_every_form_of_a_lock_has_a_writer() -> None:
    assert tuple(WRITERS) == FORMS


@pytest.mark.parametrize("call", ["resolve ubuntu 20240101 --offline", "timeline ubuntu --offline"])
def test_a_time_is_resolved_without_a_client_or_a_server(plain_environment: Path, call: str) -> None:
    found = imported(*call.split())
    assert found & {"aiohttp", "cryptography", "multidict", "rich", "univers", "yarl"} == set()
    rooms = ("capture", "download", "oci", "trust", "upstream", "web", "wiring")
    ours = {name for name in found for room in rooms if name.startswith(f"snapproxy.{room}.")}
    assert ours == {"snapproxy.oci.places", "snapproxy.wiring.times"}


def test_captures_are_listed_without_a_client_or_a_server(plain_environment: Path) -> None:
    assert imported("capture", "list") & {"aiohttp", "cryptography", "snapproxy.wiring"} == set()


def test_a_list_of_packages_without_yaml_is_read_without_its_parser() -> None:
    script = (
        "import sys\nfrom snapproxy.formats.package_lists.known import read_list\n"
        "read_list(b'hello-1.0-1.noarch\\n')\nprint(*sys.modules, file=sys.stderr)"
    )
    found = imported(script=script)
    assert "snapproxy.formats.strict_yaml" in found
    assert found & WORK == set()
