"""Walk the pages with Chromium: its console, the keyboard, widths, light and dark, and axe-core's rules."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

from tests.fakes.page_pictures import CHROMIUM
from tests.fakes.page_site import PLACES, ServedSite

WIDTHS = (320, 768, 880, 1280, 1920)
SCHEMES = ("light", "dark")
EVERY = pytest.mark.parametrize("place", PLACES)

pytestmark = pytest.mark.skipif(shutil.which(CHROMIUM) is None, reason="needs Chromium")

FOCUSABLE = """() => [...document.querySelectorAll("a[href], button, input, select, summary, [tabindex='0']")]
    .filter((each) => each.tabIndex >= 0 && each.checkVisibility() && each.type !== "hidden").length"""
FOCUSED = """() => {
    const each = document.activeElement;
    if (each === null || each === document.body) return null;
    const style = getComputedStyle(each);
    if (!each.dataset.seen) each.dataset.seen = String(document.querySelectorAll("[data-seen]").length + 1);
    return [each.dataset.seen, style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2];
}"""
OVERFLOW = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture(scope="module")
def site(filled: Path) -> Iterator[ServedSite]:
    with ServedSite(filled) as served:
        yield served


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        launched.close()


class Walk:
    """A browser's page that collects everything that goes wrong in it."""

    def __init__(self, browser: Browser, site: ServedSite, *, width: int = 1280, **options: Any) -> None:
        """`options` are those of `Browser.new_context`."""
        self.context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        self.page: Page = self.context.new_page()
        self.site = site
        self.faults: list[str] = []
        self.foreign: list[str] = []
        self.page.on("console", lambda message: self.faults.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("request", lambda request: self._requested(request.url))

    def _requested(self, url: str) -> None:
        if not url.startswith((self.site.url, "data:,")):
            self.foreign.append(url)

    def open(self, place: str) -> None:
        """Open a page and check that nothing went wrong."""
        self.page.goto(self.site.url + PLACES[place])
        if place == "missing":
            self.faults = [each for each in self.faults if "404" not in each]
        assert (self.faults, self.foreign) == ([], [])

    def close(self) -> None:
        self.context.close()


def check_rules(walk: Walk) -> None:
    """Check axe-core's rules, best practices included."""
    found = Axe().run(walk.page)
    assert not found.response["violations"], found.generate_report()


def check_keyboard(walk: Walk) -> None:
    """Check that the tab key reaches every control once, each with a visible focus."""
    count = walk.page.evaluate(FOCUSABLE)
    seen = []
    for _ in range(count):
        walk.page.keyboard.press("Tab")
        focused = walk.page.evaluate(FOCUSED)
        assert focused is not None
        seen.append(focused)
    assert len({name for name, _ in seen}) == count
    assert all(is_visible for _, is_visible in seen)


def test_every_page_is_sound_at_one_width(browser: Browser, site: ServedSite) -> None:
    walk = Walk(browser, site)
    for place in PLACES:
        walk.open(place)
        assert walk.page.evaluate(OVERFLOW) <= 0, place
        check_rules(walk)
        if place not in {"archive", "day", "capture", "open"}:  # hundreds of links: in the long tests
            check_keyboard(walk)
    walk.close()


def test_the_first_tab_skips_to_the_content(browser: Browser, site: ServedSite) -> None:
    walk = Walk(browser, site)
    walk.open("setup")
    walk.page.keyboard.press("Tab")
    assert walk.page.evaluate("document.activeElement.textContent") == "Skip to the content"
    walk.page.keyboard.press("Enter")
    assert walk.page.evaluate("document.activeElement.id") == "main"
    walk.page.keyboard.press("Tab")
    assert walk.page.evaluate("document.activeElement.name") == "distro"
    walk.close()


def test_the_first_page_is_refreshed_and_can_be_paused(browser: Browser, site: ServedSite) -> None:
    walk = Walk(browser, site)
    walk.page.clock.install()
    walk.open("now")
    walk.page.evaluate("document.querySelector('[data-figure=hit_rate]').textContent = 'old'")
    walk.page.evaluate("document.querySelector('#table-upstreams tbody').replaceChildren()")
    with walk.page.expect_response(lambda answer: "format=json" in answer.url):
        walk.page.clock.run_for(10_500)
    walk.page.wait_for_function("document.querySelector('[data-figure=hit_rate]').textContent === '95.1%'")
    assert walk.page.locator("#table-upstreams tbody tr").count() == 4
    check_rules(walk)
    asked: list[str] = []
    walk.page.on("request", lambda request: asked.append(request.url))
    walk.page.get_by_role("button", name="Live: pause").click()
    walk.page.clock.run_for(60_000)
    assert (asked, walk.faults) == ([], [])
    walk.close()


def test_a_text_can_be_copied(browser: Browser, site: ServedSite) -> None:
    walk = Walk(browser, site)
    walk.context.grant_permissions(["clipboard-read", "clipboard-write"])
    walk.open("setup")
    walk.page.get_by_role("button", name="Copy").first.click()
    walk.page.get_by_role("button", name="Copied").wait_for()
    assert walk.page.evaluate("navigator.clipboard.readText()").startswith("Types: deb\nURIs: http://proxy.example.org")
    walk.close()


def test_without_a_script_everything_works(browser: Browser, site: ServedSite) -> None:
    walk = Walk(browser, site, java_script_enabled=False)
    walk.open("captures")
    walk.page.get_by_role("button", name="Compare").click()
    assert "/compare?one=nightly&other=web-image-2024-06" in walk.page.url
    walk.open("setup")
    walk.page.get_by_label("Distribution").select_option("alpine")
    walk.page.get_by_role("button", name="Show the lines").click()
    assert "/etc/apk/repositories" in walk.page.content()
    walk.open("archive")
    walk.page.get_by_role("link", name="11 June: 4 known, 1 bad").click()
    assert walk.page.get_by_role("cell", name="20240611T060000Z").is_visible()
    assert walk.faults == []
    walk.close()


@pytest.mark.long
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
@EVERY
def test_every_page_at_every_width_light_and_dark(
    browser: Browser, site: ServedSite, place: str, width: int, scheme: str
) -> None:
    walk = Walk(browser, site, width=width, color_scheme=scheme)
    walk.open(place)
    assert walk.page.evaluate(OVERFLOW) <= 0
    check_rules(walk)
    walk.close()


@pytest.mark.long
@EVERY
def test_every_control_of_every_page_is_reached(browser: Browser, site: ServedSite, place: str) -> None:
    walk = Walk(browser, site, width=768)
    walk.open(place)
    check_keyboard(walk)
    walk.close()
