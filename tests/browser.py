"""Chromium for tests: from the system, offline, with everything that a page says and asks for written down."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

SCREENSHOTS = Path(__file__).parents[1] / "test-output"
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
WIDTHS, SCHEMES = (375, 1440), ("light", "dark")


def binary() -> str | None:
    """Where the system's Chromium is."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser; without Chromium the test is left out, and the summary of the run says why."""
    if binary() is None:
        pytest.skip("no Chromium on this machine, so no page is looked at; install it with `apt-get install chromium`")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=binary(), args=list(FLAGS))
        yield browser
        browser.close()


@contextmanager
def watched(browser: Browser, allowed: str) -> Iterator[Page]:
    """A page that may load what begins with `allowed`; anything else, and any error, fails the test at the end."""
    page = browser.new_page(viewport={"width": 375, "height": 800})
    page.set_default_timeout(60_000)
    faults: list[str] = []
    page.on("console", lambda message: message.type in ("error", "warning") and faults.append(message.text))
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("dialog", lambda dialog: (faults.append(f"dialog {dialog.message}"), dialog.dismiss()))
    ours = (allowed, "data:", "blob:", "about:")
    page.on("request", lambda request: request.url.startswith(ours) or faults.append(f"request {request.url[:200]}"))
    yield page
    page.close()
    assert faults == []


def looks_right(page: Page, name: str) -> None:
    """At both widths and in both schemes nothing is wider than the window; a screenshot of each is kept."""
    SCREENSHOTS.mkdir(exist_ok=True)
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            page.screenshot(path=SCREENSHOTS / f"{name}-{width}-{scheme}.png", animations="disabled")
            assert page.evaluate("document.documentElement.scrollWidth") <= width, (name, width)


PAPER = 718
"""Width of an A4 page between margins of a centimetre, in pixels."""
CUT = """width => [...document.body.querySelectorAll("*")]
  .filter((one) => one.checkVisibility() && !one.closest("svg > *") && one.getBoundingClientRect().right > width + 1)
  .map((one) => one.outerHTML.slice(0, 200))"""
FOLDED = """() => [...document.querySelectorAll("details:not(.vega-embed details) > :not(summary)")]
  .filter((one) => one.textContent.trim() && !one.checkVisibility({ contentVisibilityAuto: true }))
  .map((one) => one.outerHTML.slice(0, 200))"""
CONTROLS = """() => [...document.querySelectorAll("select, input, form, #filters button")]
  .filter((one) => one.checkVisibility()).map((one) => one.outerHTML.slice(0, 200))"""


def prints_right(page: Page, name: str) -> None:
    """On paper nothing is cut or folded, there are no controls and the ground is white; a PDF is kept."""
    SCREENSHOTS.mkdir(exist_ok=True)
    page.set_viewport_size({"width": PAPER, "height": 1000})
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate(CUT, PAPER) == []
    assert page.evaluate(FOLDED) == []
    assert page.evaluate(CONTROLS) == []
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    margin = dict.fromkeys(("top", "right", "bottom", "left"), "1cm")
    page.pdf(path=SCREENSHOTS / f"{name}.pdf", format="A4", margin=margin, print_background=True)
    page.emulate_media(media="screen")


def serious_faults(page: Page) -> list[tuple[str, str]]:
    """What axe-core calls serious or critical, in both schemes: the rule, and the first element that breaks it."""
    found = []
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        for fault in Axe().run(page, options={"preload": False}).response["violations"]:
            if fault["impact"] in ("serious", "critical"):
                found.append((f"{scheme} {fault['id']}", fault["nodes"][0]["html"][:200]))
    return found
