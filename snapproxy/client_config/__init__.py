"""Configuration texts for clients (apt, apk, pacman, dnf, zypper), for the command line and the web pages.

The package returns texts and writes no file.
"""

from __future__ import annotations

from snapproxy.client_config.apt import first_steps
from snapproxy.client_config.snippets import ASK_AGAIN, DEFAULT_BASE, Snippet, user_name

__all__ = ["ASK_AGAIN", "DEFAULT_BASE", "Snippet", "first_steps", "user_name"]
