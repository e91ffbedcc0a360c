"""Client configuration texts, for the command line and the web alike. Pure: a text goes in and out, nothing is written anywhere."""

from __future__ import annotations

from snapproxy.client_config.apt import first_steps
from snapproxy.client_config.snippets import DEFAULT_BASE, Snippet, user_name

__all__ = ["DEFAULT_BASE", "Snippet", "first_steps", "user_name"]
