"""Definition of every setting: key, type, default, and the line in `--help`. `Config` has the effective values.

A setting `max_gap` has the twin `SNAPPROXY_MAX_GAP`; tables and lists are written there as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.fields import FieldInfo

from snapproxy.config.archives import ArchiveName, ArchiveSettings
from snapproxy.config.value_types import AbsolutePath, Duration, Endpoints, Host, Kept, Passed, Pinned, RootPath
from snapproxy.families import FAMILIES

PREFIX = "SNAPPROXY_"

#: The variable with the name of the file; not a setting itself.
FILE_VARIABLE = "SNAPPROXY_CONFIG"


def _family(name: str) -> str:
    if name not in FAMILIES:
        raise ValueError(f"a family: {', '.join(FAMILIES)}")
    return name


class UpstreamSettings(BaseModel):
    """`[upstreams."host"]`; a value that is not set keeps the default for a host of its kind."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    connections: int | None = Field(default=None, ge=1, le=64)
    requests_per_second: float | None = Field(default=None, gt=0, le=1000)
    burst: int | None = Field(default=None, ge=1, le=10_000)


class WatchSettings(BaseModel):
    """`[[watch]]`: roots and indexes that are observed on a schedule."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    archive: ArchiveName
    paths: list[RootPath] = Field(min_length=1)
    every: Duration = 3600
    packages: Kept = "used"


class Settings(BaseModel):
    """The settings as written in the file."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    listen: Endpoints = Field(
        default=[("127.0.0.1", 3142)], description='where to listen: "ADDRESS:PORT", or a list of them'
    )
    state_dir: AbsolutePath | None = Field(
        default=None, description="catalog, blobs, drafts; for root /var/lib/snapproxy, else $XDG_STATE_HOME/snapproxy"
    )
    cache_dir: AbsolutePath | None = Field(
        default=None,
        description="files that can be rebuilt; for root /var/cache/snapproxy, else $XDG_CACHE_HOME/snapproxy",
    )
    default_when: Pinned | None = Field(
        default=None, description="the time of a proxy request that names none (unset: 407)"
    )
    max_gap: Duration | None = Field(
        default=None, description='longest time between two snapshots that is answered across (default "48h")'
    )
    settle_after: Duration | None = Field(
        default=None, description='age at which the newest snapshot counts as settled (default "24h", any-instant "1h")'
    )
    passes: list[Passed] = Field(
        default=[], alias="pass", description='hosts a pinned build may reach unpinned, such as ["github.com:443"]'
    )
    connect: bool = Field(default=False, description="whether live clients may CONNECT to an archive's hosts, port 443")
    patience: dict[Annotated[str, AfterValidator(_family)], Duration] = Field(
        default={}, description='client timeout: how long a client waits for an answer, per family: apt = "25s"'
    )
    archives: dict[ArchiveName, ArchiveSettings] = Field(
        default={}, description="built-in archives overridden, and your own: [archives.NAME]"
    )
    upstreams: dict[Host, UpstreamSettings] = Field(
        default={}, description='rate limit per host: [upstreams."HOST"] connections, requests_per_second, burst'
    )
    watch: list[WatchSettings] = Field(
        default=[], description="roots and indexes observed on a schedule: [[watch]] archive, paths, every, packages"
    )


def keys() -> dict[str, FieldInfo]:
    """Return every setting by its key in the file."""
    return {field.alias or name: field for name, field in Settings.model_fields.items()}


def twin(key: str) -> str:
    """Return the environment variable of `key`."""
    return PREFIX + key.upper()


def describe() -> str:
    """Return the settings for `--help`: one line each, with twin and description."""
    width = max(len(key) for key in keys())
    return "\n".join(
        f"  {key:<{width}}  {twin(key):<{width + len(PREFIX)}}  {field.description}" for key, field in keys().items()
    )


def unknown_variables(environ: Mapping[str, str]) -> list[str]:
    """Return the SNAPPROXY_ variables that are not settings, sorted."""
    known = {FILE_VARIABLE, *map(twin, keys())}
    return sorted(name for name in environ if name.startswith(PREFIX) and name not in known)


def from_variables(environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the settings in the environment, by key.

    An empty variable is unset, so a compose file may name one without a value.
    """
    return {key: _value(text) for key in keys() if (text := environ.get(twin(key), ""))}


def _value(text: str) -> Any:
    """Return the value of a variable: JSON for a table, a list, `true` and `false`, else the text itself."""
    if text[:1] not in {"[", "{"} and text not in {"true", "false"}:
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text  # an IPv6 listen address, or a mistake that validation reports
