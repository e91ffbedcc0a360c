"""Take the pictures of the pages in docs/: `python -m tests.fakes.page_pictures FOLDER`. Needs Chromium."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.fakes.page_site import PLACES, ServedSite

CHROMIUM = "/usr/bin/chromium"
PICTURES = {"now": (1100, 720), "archive": (1280, 1120), "capture": (1100, 640), "setup": (1100, 700)}
"""The size of the picture of each page."""

MOST_BYTES = 60 << 10


def main(folder: Path) -> None:
    """Write the pictures, with few colours, because they are part of the repository."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as store, ServedSite(Path(store)) as site, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for name, (width, height) in PICTURES.items():
            page = browser.new_page(viewport={"width": width, "height": height})
            page.goto(site.url + PLACES[name])
            target = folder / f"{name}.png"
            page.screenshot(path=target)
            subprocess.run(["pngquant", "--force", "--strip", "--output", target, "64", target], check=True)
            if target.stat().st_size > MOST_BYTES:
                raise SystemExit(f"{target} has more than {MOST_BYTES} bytes")
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
