"""Logins are found in the files of docker, podman and skopeo, in their order; helpers have limits."""

from __future__ import annotations

import json
import stat
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from snapproxy.base.clock import SystemClock
from snapproxy.errors import ConfigurationError
from snapproxy.oci.artifact import Artifact
from snapproxy.oci.credentials import Keychain, Login, files
from snapproxy.oci.transfer import push
from tests.fakes.debian_registry import PASSWORD, USER, DebianRegistry
from tests.fakes.virtual_clock import VirtualClock

HOST = "r.example:5000"


def auth(user: str, password: str = "pw") -> dict[str, str]:
    return {"auth": b64encode(f"{user}:{password}".encode()).decode()}


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {
        "HOME": str(tmp_path / "home"),
        "XDG_RUNTIME_DIR": str(tmp_path / "run"),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "DOCKER_CONFIG": str(tmp_path / "docker"),
        "PATH": str(tmp_path / "bin") + ":/usr/bin:/bin",
    }


def write(path: Path, value: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


def helper(environ: dict[str, str], name: str, script: str) -> None:
    path = write(Path(environ["PATH"].split(":")[0]) / f"docker-credential-{name}", f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


async def find(
    environ: dict[str, str], registry: str = HOST, repository: str = "team/art", **options: Any
) -> Login | None:
    return await Keychain(environ, clock=SystemClock(), **options).find(registry, repository)


async def test_the_files_are_searched_in_the_documented_order(environ: dict[str, str], tmp_path: Path) -> None:
    assert await find(environ) is None
    order = [*files(environ)]
    assert order == [
        tmp_path / "run/containers/auth.json",
        tmp_path / "config/containers/auth.json",
        tmp_path / "docker/config.json",
        tmp_path / "home/.docker/config.json",
    ]
    for number, path in reversed([*enumerate(order)]):
        write(path, {"auths": {HOST: auth(f"user{number}")}})
        assert await find(environ) == Login(f"user{number}", "pw")
    write(order[0], {"auths": {"other.example": auth("other")}})
    assert await find(environ) == Login("user1", "pw")


def test_without_their_variables_the_homes_are_the_usual_ones() -> None:
    assert [*files({"HOME": "/home/ann"})] == [
        Path("/home/ann/.config/containers/auth.json"),
        Path("/home/ann/.docker/config.json"),
    ]


async def test_a_file_named_by_the_user_is_the_only_one(environ: dict[str, str], tmp_path: Path) -> None:
    write(tmp_path / "run/containers/auth.json", {"auths": {HOST: auth("run")}})
    named = write(tmp_path / "named.json", {"auths": {HOST: auth("named")}})
    environ["REGISTRY_AUTH_FILE"] = str(named)
    assert await find(environ) == Login("named", "pw")
    assert await find(environ, "other.example") is None
    option = write(tmp_path / "option.json", {})
    assert await find(environ, authfile=option) is None
    assert await find(environ, authfile=option, login=Login("given", "pw")) == Login("given", "pw")
    environ["REGISTRY_AUTH_FILE"] = str(tmp_path / "missing.json")
    with pytest.raises(ConfigurationError, match="does not exist"):
        await find(environ)


async def test_the_longest_path_wins(environ: dict[str, str], tmp_path: Path) -> None:
    keys = {HOST: "all", f"{HOST}/team": "team", f"{HOST}/team/art": "art", f"{HOST}/tea": "tea"}
    write(tmp_path / "run/containers/auth.json", {"auths": {key: auth(user) for key, user in keys.items()}})
    for repository, user in {"team/art": "art", "team/other": "team", "teams": "all"}.items():
        assert await find(environ, repository=repository) == Login(user, "pw")


@pytest.mark.parametrize("key", ["https://index.docker.io/v1/", "docker.io", "index.docker.io", "docker.io/library"])
async def test_docker_hub_has_several_keys(environ: dict[str, str], tmp_path: Path, key: str) -> None:
    write(tmp_path / "docker/config.json", {"auths": {key: auth("hub")}})
    assert await find(environ, "docker.io", "library/debian") == Login("hub", "pw")


async def test_old_keys_are_urls(environ: dict[str, str], tmp_path: Path) -> None:
    write(tmp_path / "docker/config.json", {"auths": {f"https://{HOST}/v1/": auth("old", "p:w\0")}})
    assert await find(environ) == Login("old", "p:w")


async def test_an_identity_token_beats_a_password(environ: dict[str, str], tmp_path: Path) -> None:
    write(tmp_path / "docker/config.json", {"auths": {HOST: auth("ann") | {"identitytoken": "id"}}})
    assert await find(environ) == Login(identity_token="id")


async def test_helpers_are_asked_by_host(environ: dict[str, str], tmp_path: Path) -> None:
    helper(environ, "one", 'test "$*" = get && read host; echo "{\\"Username\\":\\"$host\\",\\"Secret\\":\\"s\\"}"')
    helper(environ, "two", 'echo \'{"ServerURL":"x","Username":"<token>","Secret":"id"}\'')
    write(
        tmp_path / "docker/config.json",
        {"credHelpers": {HOST: "one"}, "credsStore": "two", "auths": {HOST: auth("file"), "empty.example": {}}},
    )
    assert await find(environ) == Login(HOST, "s")
    assert await find(environ, "empty.example") == Login(identity_token="id")
    write(tmp_path / "docker/config.json", {"credHelpers": {"docker.io": "one"}})
    assert await find(environ, "docker.io") == Login("https://index.docker.io/v1/", "s")


async def test_a_helper_without_the_login_is_not_an_error(environ: dict[str, str], tmp_path: Path) -> None:
    helper(environ, "none", "echo credentials not found in native keychain; exit 1")
    write(tmp_path / "docker/config.json", {"credsStore": "none"})
    assert await find(environ) is None


@pytest.mark.parametrize(
    ("name", "script", "words"),
    [
        ("broken", "echo locked; exit 3", "exited with status 3: 'locked'"),
        ("long", "yes", "exceeds 65536 bytes"),
        ("vague", "echo '{}'", "no Username"),
        ("odd", "echo hello", "not valid JSON"),
        ("missing", None, "cannot be run"),
        ("../sh", None, "names '../sh'"),
        ("a b", None, "names 'a b'"),
    ],
)
async def test_a_broken_helper_is_named(
    environ: dict[str, str], tmp_path: Path, name: str, script: str | None, words: str
) -> None:
    if script is not None:
        helper(environ, name, script)
    write(tmp_path / "docker/config.json", {"credsStore": name})
    with pytest.raises(ConfigurationError) as broken:
        await find(environ)
    assert words in broken.value.why


async def test_a_helper_that_does_not_answer_is_killed(environ: dict[str, str], tmp_path: Path) -> None:
    helper(environ, "slow", f"echo $$ > {tmp_path}/pid; exec sleep 1000")
    write(tmp_path / "docker/config.json", {"credsStore": "slow"})
    clock = VirtualClock(pause=0.2)
    with pytest.raises(ConfigurationError) as broken:
        await clock.run(Keychain(environ, clock=clock).find(HOST, "a"))
    assert "within 60 s" in broken.value.why
    pid = (tmp_path / "pid").read_text().strip()
    assert not Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"auths": []}',
        '{"auths": {"r.example:5000": {"auth": "%%"}}}',
        '{"auths": {"r.example:5000": {"auth": "YQ=="}}}',
        " " * (2 << 20),
    ],
)
async def test_a_broken_file_is_named(environ: dict[str, str], tmp_path: Path, text: str) -> None:
    path = write(tmp_path / "docker/config.json", text)
    with pytest.raises(ConfigurationError) as broken:
        await find(environ)
    assert str(path) in broken.value.why


def test_a_login_is_not_in_its_repr() -> None:
    assert "s3cret" not in repr(Login("ann", "s3cret", "s3cret"))


async def test_a_login_of_skopeo_is_found(
    environ: dict[str, str],
    tmp_path: Path,
    connect: Callable[..., Any],
    locked_registry: DebianRegistry,
    make_artifact: Callable[..., Artifact],
) -> None:
    """A file in the format of `skopeo login` gives access to a registry that requires a password."""
    write(tmp_path / "run/containers/auth.json", {"auths": {locked_registry.host: auth(USER, PASSWORD)}})
    repository = await connect(locked_registry.host, "login/test", environ=environ)
    artifact = make_artifact(b"a")
    await push(repository, artifact, "v1")
    assert await repository.resolve("v1") == artifact.root
