"""`export`, `attach` and `import`, with output for people and as JSON."""

from __future__ import annotations

import json
import os
import shutil
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import pytest

from snapproxy.cli import main
from snapproxy.cli.import_verb import name_of
from snapproxy.errors import ConfigurationError
from snapproxy.oci.places import read_place
from tests.fakes.debian_registry import PASSWORD, USER, DebianRegistry
from tests.fakes.hamlet import FIRST, INRELEASE, PACKAGES, Hamlet, later
from tests.fakes.house import House

AT = later(FIRST, 3600)
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
async def stores(hamlet: Hamlet, tmp_path: Path) -> Path:
    """Settings of a store that holds the capture `build` (one.toml), and of an empty one (two.toml)."""
    paths = (INRELEASE, PACKAGES, hamlet.edition.kept.path)
    async with House(tmp_path / "one", (hamlet.row,)) as house:
        for path in paths:
            await house.get(AT, path, capture="build")
    for name in ("one", "two"):
        folders = f'state_dir = "{tmp_path}/{name}/state"\ncache_dir = "{tmp_path}/{name}/cache"\n'
        keyrings = f'[archives.debian]\nkeyrings = ["{hamlet.row.keyrings[0]}"]\n'
        (tmp_path / f"{name}.toml").write_text(folders + keyrings)
    return tmp_path


@pytest.fixture
def run(stores: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(stores)

    def run(store: str, *arguments: str) -> tuple[int, str, str]:
        code = main([*arguments, "--config", str(stores / f"{store}.toml")])
        output = capsys.readouterr()
        return code, output.out, output.err

    return run


def test_out_and_in_again(run: Run) -> None:
    code, out, _ = run("one", "export", "build", "oci-archive:build.tar")
    digest = out.splitlines()[-1]
    assert (code, digest[:7]) == (0, "sha256:")
    code, out, err = run("two", "import", "oci-archive:build.tar")
    assert (code, err) == (0, "")
    assert out.splitlines()[1:] == [
        "1 of 1 roots have a good signature by a key in this machine's keyrings",
        "2 times of these roots can be requested without the capture",
        "build",
    ]
    assert run("two", "lock", "build")[1] == run("one", "lock", "build")[1]
    again = json.loads(run("two", "export", "build", "oci:again", "--json")[1])
    assert (again["digest"], again["name"], again["files"]) == (digest, digest, 5)
    code, _, err = run("two", "import", "oci-archive:build.tar")
    assert (code, "A capture of that name exists already" in err) == (1, True)
    output = json.loads(run("two", "import", "oci-archive:build.tar", "--as", "other", "--json")[1])
    assert (output["name"], output["files"], output["new"], output["doubts"]) == ("other", 3, 0, [])


def test_what_cannot_be_believed_is_said(run: Run, stores: Path) -> None:
    run("one", "export", "build", "oci:art")
    settings = stores / "two.toml"
    settings.write_text(settings.read_text().partition("[")[0] + "[archives.debian]\nkeyrings = []\n")
    _, out, err = run("two", "import", "oci:art")
    assert err == f"snapproxy: debian/{FIRST}/{INRELEASE}: its signature was not checked\n"
    assert "0 of 1 roots" in out


@pytest.mark.parametrize(
    "options",
    [("--bare", "--blobs-only"), ("--arch", "amd64"), ("--as-image", "--except", "build.lock"), ("--repo-file", "a")],
)
def test_wishes_that_exclude_one_another(run: Run, options: tuple[str, ...]) -> None:
    run("one", "lock", "build", "--output", "build.lock")
    code, _, err = run("one", "export", "build", "oci:art", *options)
    assert (code, "exclude one another" in err) == (2, True)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--repo-file", "absent.repo"), "absent.repo: No such file"),
        (("--repo-file", "large.repo"), "too large"),
        (("--repo-file", "bytes.repo"), "not UTF-8"),
        (("--repo-file", "t.repo", "--repo-key", "absent.asc"), "absent.asc: No such file"),
        (("--var", "releasever=40"), "--repo-file FILE"),
        (("--repo-file", "t.repo"), "t.repo is not a file of apt's sources"),
    ],
)
def test_repository_files_that_do_not_serve(run: Run, stores: Path, options: tuple[str, ...], said: str) -> None:
    (stores / "large.repo").write_bytes(b"#" * (1 << 18) + b"\n")
    (stores / "bytes.repo").write_bytes(b"[\xff]\n")
    (stores / "t.repo").write_text("[t]\nbaseurl=http://h/a\n")
    code, _, err = run("one", "export", "build", "oci:art", "--as-image", *options)
    assert (code != 0, said in err, "Traceback" in err) == (True, True, False), err
    assert not (stores / "art").exists()


def test_a_place_that_is_none_is_refused_with_the_spellings(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    for verb in (("export", "build", "build.tar"), ("import", "build.tar"), ("attach", "build", "oci:art")):
        with pytest.raises(SystemExit):
            run("one", *verb)
        assert "docker://REGISTRY/REPOSITORY" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("oci-archive:/tmp/My_Build.tar", "my_build"),
        ("oci:build:v1.0", "v1.0"),
        ("docker://registry.example.org/team/app:2024-06", "2024-06"),
        (f"docker://registry.example.org/team/app@sha256:{'0' * 64}", "app"),
    ],
)
def test_a_capture_is_called_after_its_place(place: str, name: str) -> None:
    assert name_of(read_place(place)) == name


def test_a_place_without_a_usable_name_asks_for_one() -> None:
    with pytest.raises(ConfigurationError, match="--as NAME"):
        name_of(read_place("oci:/"))


def test_root_writes_as_itself_and_stores_as_the_owner(
    run: Run, stores: Path, foreign_folder: Path, tmp_path: Path
) -> None:
    """Destinations and logins belong to root, who alone may read them; stored files belong to the owner."""
    (tmp_path / "hosts").mkdir()
    owner = foreign_folder.stat().st_uid
    for name in ("one", "two"):
        home = foreign_folder / name
        shutil.copytree(stores / name, home) if name == "one" else (home / "state").mkdir(parents=True)
        (home / "cache").mkdir(exist_ok=True)
        for each in (home, *home.rglob("*")):
            os.chown(each, owner, owner)
        text = f'state_dir = "{home}/state"\ncache_dir = "{home}/cache"\n'
        (stores / f"{name}.toml").write_text(text)
    assert run("one", "export", "build", "oci-archive:out.tar")[0] == 0
    assert (stores / "out.tar").stat().st_uid == os.geteuid()
    with DebianRegistry(tmp_path / "hosts", is_locked=True) as registry:
        login = b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        logins = tmp_path / "auth.json"
        logins.write_text(json.dumps({"auths": {registry.host: {"auth": login}}}))
        logins.chmod(0o600)
        place = f"docker://{registry.host}/team/build:v1"
        assert run("one", "export", "build", place, "--authfile", str(logins))[0] == 0
        code, out, err = run("two", "import", place, "--authfile", str(logins))
        assert code == 0, err
        assert out.splitlines()[-1] == "v1"
    assert {each.stat().st_uid for each in foreign_folder.rglob("*")} == {owner}
