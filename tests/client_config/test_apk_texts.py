"""The texts for apk. The journeys check that apk accepts the same forms."""

from __future__ import annotations

import subprocess

import pytest

from snapproxy.client_config.apk import FORMS, ApkOptions, branch_of
from snapproxy.core.time_spec import parse_time
from snapproxy.errors import ConfigurationError

BASE = "http://127.0.0.1:4000"
TIME = "20240601T000000Z"


def text(form: str, when: str = "2024-06-01") -> str:
    (snippet,) = FORMS[form](ApkOptions("v3.20", parse_time(when), BASE))
    return snippet.text


def test_repositories_carry_the_time() -> None:
    assert text("mirror").splitlines() == [
        f"{BASE}/alpine/{TIME}/v3.20/main",
        f"{BASE}/alpine/{TIME}/v3.20/community",
    ]


def test_the_proxy_form_sets_the_variable_that_apk_reads_first() -> None:
    """HTTP_PROXY takes precedence over http_proxy, so an existing one would override ours."""
    shell = text("proxy").replace("sed -i", ": sed").replace("\napk --cache", "\n: apk --cache")
    script = f'export HTTP_PROXY=http://other NO_PROXY="*"\n{shell}\necho "$HTTP_PROXY|$http_proxy|$NO_PROXY"'
    output = subprocess.run(["sh", "-ec", script], capture_output=True, text=True, check=True).stdout
    url = f"http://{TIME}:x@127.0.0.1:4000"
    assert output == f"{url}|{url}|\n"


@pytest.mark.parametrize("form", ["proxy", "dockerfile"])
def test_https_repositories_are_made_http(form: str) -> None:
    assert "sed -i 's,https://,http://,' /etc/apk/repositories" in text(form)


def test_a_dockerfile_has_the_time_as_a_separate_argument() -> None:
    assert f"ARG SNAPSHOT={TIME}\n" in text("dockerfile")
    run = text("dockerfile").partition("RUN ")[2]
    subprocess.run(["sh", "-n"], input=run, text=True, check=True)


@pytest.mark.parametrize(
    ("release", "branch"),
    [("3.20", "v3.20"), ("v3.9", "v3.9"), ("3.20.3", "v3.20"), ("edge", "edge"), ("3.21_alpha20240807", "edge")],
)
def test_a_release_is_read_as_its_branch(release: str, branch: str) -> None:
    assert branch_of(release) == branch


@pytest.mark.parametrize("release", ["latest-stable", "bookworm", "3", "v3.20/../x", ""])
def test_an_invalid_release_is_refused(release: str) -> None:
    with pytest.raises(ConfigurationError, match="is not a release of Alpine"):
        branch_of(release)
