"""apk's configuration texts: /etc/apk/repositories, the proxy form, a Dockerfile.

An index and its packages are signed, so plain http from here is as safe as https from the mirror; and an https repository would only be
a CONNECT, in which nothing can be pinned (recent images ship such ones).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from snapproxy.client_config.snippets import DEFAULT_BASE, Snippet, user_name
from snapproxy.core.model import TimeSpec
from snapproxy.errors import ConfigurationError

ALPINE = "alpine"
EXAMPLE = "v3.20"

REPOSITORIES = "/etc/apk/repositories"
COMPONENTS = ("main", "community")

# `VERSION_ID` of a release is 3.20.3; that of edge has an underscore, 3.21_alpha20240807.
_RELEASE = re.compile(r"v?(?P<branch>[0-9]{1,3}\.[0-9]{1,3})(?:\.[0-9]{1,3})?")
_EDGE = re.compile(r"edge|[0-9.]+_.+")


@dataclass(frozen=True, slots=True)
class ApkOptions:
    """What the texts are for: a branch of Alpine (`v3.20`, `edge`), and snapproxy's own address without a slash at its end."""

    branch: str
    when: TimeSpec
    base: str = DEFAULT_BASE

    @property
    def proxy(self) -> str:
        """The proxy form's URL."""
        return self.base.replace("://", f"://{user_name(self.when)}:x@", 1)


def branch_of(release: str) -> str:
    """Return the branch that a user or /etc/os-release means: `3.20`, `v3.20` and `3.20.3` are v3.20. Raises ConfigurationError."""
    if match := _RELEASE.fullmatch(release):
        return f"v{match['branch']}"
    if _EDGE.fullmatch(release):
        return "edge"
    # latest-stable is another branch at another time, which is what nobody pins for.
    raise ConfigurationError(f"{release[:40]!a} is no release of Alpine", hint=f"Name it like this: --suite {EXAMPLE}")


def mirror(request: ApkOptions) -> tuple[Snippet, ...]:
    """Return the repositories with the time in their addresses: apk keeps an index by its address, so each time has a cache of its own."""
    prefix = f"{request.base}/{ALPINE}/{user_name(request.when)}/{request.branch}"
    return (Snippet(REPOSITORIES, "".join(f"{prefix}/{component}\n" for component in COMPONENTS)),)


def proxy(request: ApkOptions) -> tuple[Snippet, ...]:
    """Return shell lines for the proxy form. apk reads HTTP_PROXY first and http_proxy only without it; others know the latter alone."""
    text = f"""\
sed -i 's,https://,http://,' {REPOSITORIES}
export HTTP_PROXY={request.proxy} http_proxy={request.proxy} NO_PROXY= no_proxy=
# behind one address apk 2 keeps an index for four hours: this fetches it anew after a change of the time
apk --cache-max-age 0 update
"""
    return (Snippet("", text),)


def dockerfile(request: ApkOptions) -> tuple[Snippet, ...]:
    """Return lines for a Dockerfile. The time is an argument of its own: BuildKit's cache key has none of the proxy variables."""
    host = request.base.partition("://")[2]
    text = f"""\
# SNAPPROXY must be reachable from inside the build; on this machine: docker build --network=host
ARG SNAPPROXY={host}
ARG SNAPSHOT={user_name(request.when)}
RUN cp -p {REPOSITORIES} /tmp/repositories \\
 && sed -i 's,https://,http://,' {REPOSITORIES} \\
 && HTTP_PROXY="http://$SNAPSHOT:x@$SNAPPROXY" NO_PROXY= apk add --no-cache ca-certificates \\
 && mv /tmp/repositories {REPOSITORIES}
"""
    return (Snippet("Dockerfile", text),)


#: Every form by the name `--form` takes. The first one is the default.
FORMS: dict[str, Callable[[ApkOptions], tuple[Snippet, ...]]] = {
    "mirror": mirror,
    "proxy": proxy,
    "dockerfile": dockerfile,
}
