"""The settings: read once, validated as a whole, frozen.

`load` reads the TOML file and the `SNAPPROXY_*` variables and returns a `Config`, or raises one ConfigurationError that
lists every mistake. Only `wiring` and `cli` import this package; the packages below do not depend on settings.
"""

from __future__ import annotations

from snapproxy.config.effective import as_table, as_toml
from snapproxy.config.load import load
from snapproxy.config.model import Config, MirroredSlice, Watch
from snapproxy.config.settings import PREFIX, describe, twin

__all__ = ["PREFIX", "Config", "MirroredSlice", "Watch", "as_table", "as_toml", "describe", "load", "twin"]
