"""Every file in examples/ works with the real settings, the real parser and a real shell."""

from __future__ import annotations

import base64
import json
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from snapproxy.cli.parser import parse
from snapproxy.config import load
from snapproxy.config.settings import FILE_VARIABLE, keys, twin
from snapproxy.core.credentials import read_credentials
from snapproxy.core.model import Match
from snapproxy.core.time_spec import format_instant

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
DOCKERFILES = sorted(EXAMPLES.glob("Dockerfile.*"))
PROXY_PAGES = ("/healthz", "/readyz", "/-/stats")
VARIABLES = {FILE_VARIABLE, *map(twin, keys())}


def document(name: str) -> Any:
    return yaml.safe_load((EXAMPLES / name).read_text(encoding="utf-8"))


def shell_parses(script: str) -> bool:
    return subprocess.run(["sh", "-n"], input=script, text=True, check=False).returncode == 0


def our_commands(script: str) -> list[list[str]]:
    lines = [shlex.split(line, comments=True) for line in script.replace("\\\n", " ").splitlines()]
    return [line[1:] for line in lines if line[:1] == ["snapproxy"]]


def test_each_example_is_listed() -> None:
    named = re.findall(r"`([\w.-]+)`", (EXAMPLES / "README.md").read_text(encoding="utf-8").partition("```")[0])
    files = {file.name for file in EXAMPLES.iterdir()} - {"README.md"}
    assert files == {name for name in named if "." in name and not name.endswith(".py")}


def test_the_settings_are_accepted_and_shown(tmp_path: Path) -> None:
    config = load(EXAMPLES / "config.toml", {"HOME": str(tmp_path)})
    archives = {archive.name: archive for archive in config.archives}
    assert (archives["docker"].history, archives["example"].history) == ("captured", "any-instant")
    assert [watch.archive for watch in config.watch] == ["docker", "alpine"]
    assert config.policies["mirror.example.org"].burst == 200


def test_compose_runs_the_image_with_valid_settings(tmp_path: Path) -> None:
    service = document("compose.yaml")["services"]["snapproxy"]
    build = service["build"]
    containerfile = ((EXAMPLES / build["context"]).resolve() / build["dockerfile"]).read_text(encoding="utf-8")
    assert "3142" in re.findall(r"^EXPOSE (\d+)$", containerfile, re.MULTILINE)
    assert [port.rpartition(":")[2] for port in service["ports"]] == ["3142"]
    mounts = {volume.split(":")[1]: volume.split(":")[0] for volume in service["volumes"]}
    assert mounts["/data"] in document("compose.yaml")["volumes"]
    assert re.search(r"^VOLUME /data$", containerfile, re.MULTILINE)

    environment = service["environment"]
    assert set(environment) <= VARIABLES
    settings = EXAMPLES / mounts[environment.pop(FILE_VARIABLE)]
    image = dict(re.findall(r"(SNAPPROXY_[A-Z_]+)=(\S+)", containerfile))
    config = load(settings, {"HOME": str(tmp_path), **image, **environment})
    assert config.listen == (("0.0.0.0", 3142),)
    assert config.state_dir.is_relative_to("/data")

    # Least privilege, limits, and the check of the image, which podman drops.
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert {"mem_limit", "pids_limit", "ulimits"} <= set(service)
    health = json.loads(re.search(r"^ +CMD (\[.*healthz.*\])$", containerfile, re.MULTILINE)[1])
    assert service["healthcheck"]["test"] == ["CMD", *health]
    assert int(service["stop_grace_period"].removesuffix("s")) >= config.drain + 15


def manifests() -> dict[str, Any]:
    text = (EXAMPLES / "kubernetes.yaml").read_text(encoding="utf-8")
    return {each["kind"]: each for each in yaml.safe_load_all(text)}


@pytest.mark.parametrize("version", ["1.29", kubernetes_validate.latest_version()])
def test_kubernetes_accepts_the_manifests(version: str) -> None:
    """By the schemas of Kubernetes itself; an unknown field is an error."""
    assert sorted(manifests()) == ["ConfigMap", "NetworkPolicy", "Service", "StatefulSet"]
    for manifest in manifests().values():
        kubernetes_validate.validate(manifest, version, strict=True)


def test_the_parts_of_the_cluster_fit_together(tmp_path: Path) -> None:
    found = manifests()
    pod = found["StatefulSet"]["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    labels = pod["metadata"]["labels"]
    policy = found["NetworkPolicy"]["spec"]
    selectors = [found["Service"]["spec"]["selector"], policy["podSelector"]["matchLabels"]]
    assert selectors == [labels] * 2 == [found["StatefulSet"]["spec"]["selector"]["matchLabels"], labels]
    (port,) = container["ports"]
    named = [container[probe]["httpGet"]["port"] for probe in ("startupProbe", "readinessProbe", "livenessProbe")]
    assert {*named, found["Service"]["spec"]["ports"][0]["targetPort"], policy["ingress"][0]["ports"][0]["port"]} == {
        port["name"]
    }
    pages = {container[probe]["httpGet"]["path"] for probe in ("startupProbe", "readinessProbe", "livenessProbe")}
    assert pages <= set(PROXY_PAGES)
    mounts = {each["name"]: each["mountPath"] for each in container["volumeMounts"]}
    claims = {each["metadata"]["name"] for each in found["StatefulSet"]["spec"]["volumeClaimTemplates"]}
    assert set(mounts) == claims | {each["name"] for each in pod["spec"]["volumes"]}
    assert mounts["data"] == "/data"

    file = tmp_path / "config.toml"
    file.write_text(found["ConfigMap"]["data"]["config.toml"], encoding="utf-8")
    config = load(file, {"HOME": str(tmp_path)})
    pause = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pod["spec"]["terminationGracePeriodSeconds"] >= pause + config.drain + 15
    assert {each["name"] for each in container["env"]} <= VARIABLES


def test_the_pod_has_the_least_privilege() -> None:
    """The rules of the Pod Security Standard `restricted`, and a read-only root."""
    pod = manifests()["StatefulSet"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    user = re.search(r"^USER (\d+):(\d+)$", (ROOT / "Containerfile").read_text(encoding="utf-8"), re.MULTILINE)
    assert user.groups() == tuple(str(pod["securityContext"][key]) for key in ("runAsUser", "runAsGroup"))
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert "memory" in container["resources"]["limits"]


@pytest.mark.parametrize("file", DOCKERFILES, ids=lambda file: file.name)
def test_a_dockerfile_has_a_base_and_a_shell_that_parses(file: Path) -> None:
    """test_reference compares the text with `snapproxy sources`. Base images are not available to the tests."""
    text = file.read_text(encoding="utf-8").replace("\\\n", " ")
    instructions = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert instructions[0].startswith("FROM ")
    assert {line.split()[0] for line in instructions} <= {"FROM", "ARG", "ADD", "RUN"}
    runs = [re.sub(r"^RUN (--mount=\S+ )*", "", line) for line in instructions if line.startswith("RUN ")]
    assert runs
    assert all(map(shell_parses, runs))


def test_there_is_a_dockerfile_for_each_distribution() -> None:
    assert [file.suffix[1:] for file in DOCKERFILES] == ["alpine", "arch", "debian", "fedora", "opensuse", "ubuntu"]


def test_the_github_job_calls_snapproxy_as_it_is() -> None:
    (job,) = document("github-actions.yaml")["jobs"].values()
    assert set(job["env"]) <= VARIABLES
    cache = next(step["with"]["path"] for step in job["steps"] if step.get("uses", "").startswith("actions/cache@"))
    assert all(Path(folder).is_relative_to(cache) for folder in job["env"].values())
    scripts = [step["run"] for step in job["steps"] if "run" in step]
    assert all(map(shell_parses, scripts))
    comment = "\n".join(re.findall(r"^# (snapproxy .*)$", (EXAMPLES / "github-actions.yaml").read_text(), re.MULTILINE))
    ours = [line for script in (*scripts, comment) for line in our_commands(script)]
    assert [line[0] for line in ours] == ["run", "run"]
    # The Dockerfile has a proxy of its own: `run` must listen there, and the build must reach it.
    dockerfile = (EXAMPLES / "Dockerfile.debian").read_text(encoding="utf-8")
    arguments = dict(re.findall(r"^ARG (\w+)=(\S+)$", dockerfile, re.MULTILINE))
    for line in ours:
        parsed = parse(line)
        assert parsed.verb == line[0]
        assert "{}:{}".format(*parsed.listen) == arguments["SNAPPROXY"]
        build = parsed.command[parsed.command.index("docker") :]
        assert build[:3] == ["docker", "build", "--network=host"]
        assert "--build-arg" not in build
    locked, recorded = map(parse, ours)
    assert locked.locked == recorded.lock
    assert format_instant(recorded.time.instant) == arguments["SNAPSHOT"]


def test_the_gitlab_job_is_pinned_and_its_shell_parses() -> None:
    job = document("gitlab-ci.yaml")["test"]
    assert shell_parses("\n".join(job["script"]))
    assert "variables" not in job
    assert job["script"][0].startswith("export http_proxy=")
    userinfo, host = re.search(r"http_proxy=http://(\S+)@([\w-]+):3142 no_proxy= NO_PROXY=$", job["script"][0]).groups()
    assert [service["alias"] for service in job["services"]] == [host]
    header = "Basic " + base64.b64encode(userinfo.encode()).decode()
    credentials = read_credentials(header)
    assert credentials is not None
    assert credentials.when is not None
    assert credentials.when.match is Match.AT
