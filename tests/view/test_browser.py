"""The sample browser in a real browser: from the server and as a folder of files, with a hostile model's texts."""

import os
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest
from playwright.sync_api import expect

from axiom.experiment import Experiment
from axiom.view.export import export
from axiom.view.samples import Run
from tests.browser import chromium, looks_right, serious_faults, watched
from tests.report.stores import write_run
from tests.report.test_hostile_text import ATTACKS

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Two runs of the same problems, of which one wrote hostile texts."""
    root = tmp_path_factory.mktemp("view")
    programs = tuple(f"def f(x):\n    return x + {n}\n" for n in range(5))
    write_run(root, "calm", iterations=4, draws=4, texts=programs)
    write_run(root, "hostile", iterations=2, texts=tuple(ATTACKS.values()))
    return root


@contextmanager
def served(root):
    """The address of `axiom view` of everything under the root."""
    words = [sys.executable, "-m", "axiom.cli", "view", "--port", "0", "--root", str(root)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"})
    try:
        yield process.stdout.readline().split()[0]
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(30) in (0, 130)


@pytest.fixture(scope="module", params=["server", "folder"])
def address(request, root, tmp_path_factory):
    if request.param == "server":
        with served(root) as url:
            yield url
        return
    folder = tmp_path_factory.mktemp("export")
    export({name: Run(Experiment.open(str(root), name)) for name in ("calm", "hostile")}, folder)
    yield f"file://{folder}/index.html"


def opened(page, address, at=""):
    page.goto(f"{address}#{at}")
    page.wait_for_selector("body[data-drawn] .row")
    return page.locator("#count")


def test_filters_choose_samples_and_stand_in_the_address(browser, address):
    with watched(browser, address.removesuffix("index.html")) as page:
        count = opened(page, address, "run=calm")
        total = count.inner_text()
        for field, value in {"family": "family_1", "outcome": "passed", "purpose": "train"}.items():
            before = count.inner_text()
            page.locator(f"#{field}").select_option(value)
            expect(count).not_to_have_text(before)
        expect(page.locator(".row").first).to_contain_text("passed")
        few, link = count.inner_text(), page.url
        page.get_by_role("button", name="Clear").click()
        expect(count).to_have_text(total)
        page.go_back()
        expect(count).to_have_text(few)
        page.goto("about:blank")
        page.goto(link)
        expect(count).to_have_text(few)
        for only in ("first", "forgotten"):
            page.get_by_role("button", name="Clear").click()
            page.locator("#only").select_option(only)
            expect(count).not_to_have_text(total)
            mark = "passed" if only == "first" else "✗"
            for row in page.locator(".row").all():
                expect(row).to_contain_text(mark)
        page.get_by_role("button", name="Clear").click()
        page.locator("#text").fill("X + 3")
        page.keyboard.press("Enter")
        expect(count).not_to_have_text(total)
        page.locator(".row").first.click()
        expect(page.locator("#detail pre").filter(has_text="return x + 3").first).to_be_visible()


def test_a_problem_through_its_iterations_and_two_samples_beside_each_other(browser, address):
    with watched(browser, address.removesuffix("index.html")) as page:
        opened(page, address, "run=calm&sample=4.train.0")
        expect(page.locator(".through button")).to_have_count(9)
        page.locator(".through button").nth(1).click()
        expect(page.locator("#detail")).to_contain_text("Iteration 1, drawn for training")
        page.get_by_label("Sample", exact=True).select_option(index=5)
        expect(page.locator(".sides pre")).to_have_count(2)
        page.locator("#detail").get_by_label("Run", exact=True).select_option("hostile")
        expect(page.locator(".sides")).to_contain_text("hostile, iteration 0")
        assert "with=" in page.url
        looks_right(page, f"view-beside-{'file' if address.startswith('file') else 'live'}")
        link = page.url
        page.goto("about:blank")
        page.goto(link)
        expect(page.locator(".sides pre")).to_have_count(2)


def test_hostile_texts_stay_texts(browser, address):
    with watched(browser, address.removesuffix("index.html")) as page:
        count = opened(page, address, "run=hostile&iteration=1&purpose=train")
        rows = int(count.inner_text().split()[0])
        page.locator("#list").focus()
        for _ in range(rows):
            page.keyboard.press("ArrowDown")
            page.wait_for_selector("#detail .through [aria-current=true]")
        page.locator("#detail summary").first.click()
        assert page.locator("#detail script, #detail img, #detail a, #detail iframe").count() == 0
        looks_right(page, "view-hostile")


def test_a_long_list_is_drawn_in_few_rows_and_goes_by_keyboard(browser, address):
    with watched(browser, address.removesuffix("index.html")) as page:
        opened(page, address, "run=calm")
        page.locator("#list").focus()
        page.keyboard.press("End")
        expect(page.locator(".row[aria-selected=true]")).to_have_count(1)
        chosen = page.locator(".row[aria-selected=true]")
        assert chosen.get_attribute("aria-posinset") == chosen.get_attribute("aria-setsize")
        assert page.locator(".row").count() < 60
        page.keyboard.press("Home")
        expect(page.locator(".row[aria-selected=true]")).to_have_attribute("aria-posinset", "1")


def test_assistive_programs_find_no_serious_fault(browser, address):
    with watched(browser, address.removesuffix("index.html")) as page:
        opened(page, address, "run=calm&sample=4.train.0")
        page.wait_for_selector("#detail pre")
        assert serious_faults(page) == []


def test_a_run_that_goes_on_grows_on_the_page(browser, tmp_path):
    experiment = write_run(tmp_path, "live", iterations=2)
    later = experiment.folder.join("iterations/0002")
    kept = {name: later.read_bytes(name) for name in later.names()}
    for name in kept:
        later.remove(name)
    with served(tmp_path) as url, watched(browser, url) as page:
        count = opened(page, url)
        before = count.inner_text()
        for name, data in kept.items():
            later.write_bytes(name, data)
        expect(count).not_to_have_text(before, timeout=30_000)
        assert page.locator("#iteration option").last.inner_text() == "2"
