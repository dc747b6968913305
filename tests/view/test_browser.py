"""The sample browser in a real browser: from the server and as a folder of files, with a hostile model's texts."""

import os
import re
import signal
import subprocess
import sys
from contextlib import contextmanager

import polars as pl
import pytest
from playwright.sync_api import expect
from typer.testing import CliRunner

from axiom.cli.view import app
from tests.browser import chromium, looks_right, prints_right, serious_faults, watched
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
def served(root, port="0"):
    """The address of `axiom view` of everything under the root."""
    words = [sys.executable, "-m", "axiom.cli", "view", "--port", port, "--root", str(root)]
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
    folder = tmp_path_factory.mktemp("export") / "pages"
    told = CliRunner().invoke(app, ["view", "calm", "hostile", "--root", str(root), "--export", str(folder)])
    assert told.exception is None, told.output
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
            expect(page.locator(".row").first).to_contain_text(mark)
            expect(page.locator(".row").filter(has_not_text=mark)).to_have_count(0)  # once they are drawn
        page.get_by_role("button", name="Clear").click()
        page.locator("#text").fill("X + 3")
        page.keyboard.press("Enter")
        expect(count).not_to_have_text(total)
        page.locator(".row").first.click()
        expect(page.locator("#detail pre").filter(has_text="return x + 3").first).to_be_visible()


def tables(root, run):
    """Every sample of a run with its verdict and its problem, in the order of its tables, and how its problem stood.

    `place` is its row within its table, `first` the first iteration that solved its problem, for its purpose alone, and
    `solved` whether its own iteration did.
    """
    folder = root / run
    problems = pl.concat([pl.read_parquet(file) for file in (folder / "problems").glob("*.parquet")])
    parts = []
    for at in sorted((folder / "iterations").iterdir()):
        for prefix in ("", "eval_"):
            if (at / f"{prefix}samples.parquet").exists():
                verdicts = pl.read_parquet(at / f"{prefix}verdicts.parquet")
                part = pl.read_parquet(at / f"{prefix}samples.parquet").join(verdicts, on="sample_id", how="left")
                parts.append(part.with_row_index("place"))
    rows = pl.concat(parts).join(problems.select("problem_id", "family", "difficulty"), on="problem_id", how="left")
    passed = pl.col("outcome") == "passed"
    of = ["purpose", "problem_id"]
    return rows.with_columns(
        first=pl.when(passed).then("iteration").min().over(of), solved=passed.any().over([*of, "iteration"])
    )


ONLY = {
    "first": (pl.col("outcome") == "passed") & (pl.col("iteration") == pl.col("first")),
    "forgotten": (pl.col("iteration") > pl.col("first")) & ~pl.col("solved"),
    "audit": ~pl.col("audit_passed"),
}
HOLDS_3 = pl.any_horizontal(
    pl.col(name).str.to_lowercase().str.contains("x + 3", literal=True) for name in ("completion", "code")
)


def test_every_filter_shows_as_many_samples_as_the_tables_hold(browser, address, root):
    """Each choice of each filter by hand, and its address opened anew; then several at once."""
    rows = tables(root, "calm")
    choices = [
        (field, str(value), pl.col(field) == value)
        for field in ("iteration", "purpose", "family", "difficulty", "outcome")
        for value in rows[field].unique(maintain_order=True)
    ]
    choices += [("only", name, wanted) for name, wanted in ONLY.items()] + [("text", "X + 3", HOLDS_3)]
    with watched(browser, address.removesuffix("index.html")) as page:
        count = opened(page, address, "run=calm")
        for field, value, wanted in choices:
            found = rows.filter(wanted).height
            assert 0 < found < rows.height, (field, value)
            if field == "text":
                page.locator("#text").fill(value)
                page.keyboard.press("Enter")
            else:
                page.locator(f"#{field}").select_option(value)
            expect(count).to_have_text(f"{found} of {rows.height} samples")
            page.get_by_role("button", name="Clear").click()
            expect(count).to_have_text(f"{rows.height} of {rows.height} samples")
        one = rows.filter(ONLY["forgotten"]).row(0, named=True)
        several = rows.filter(ONLY["forgotten"], family=one["family"], purpose=one["purpose"])
        page.goto("about:blank")
        count = opened(page, address, f"run=calm&family={one['family']}&only=forgotten&purpose={one['purpose']}")
        expect(count).to_have_text(f"{several.height} of {rows.height} samples")
        prints_right(page, "view-list")


def test_a_problem_s_counts_and_the_marked_difference_are_those_of_the_tables(browser, address, root):
    rows = tables(root, "calm")
    chosen = rows.filter((pl.col("iteration") == 4) & (pl.col("purpose") == "train")).row(0, named=True)
    mine = rows.filter(problem_id=chosen["problem_id"])
    passed = (pl.col("outcome") == "passed").sum()
    counts = mine.group_by("iteration", "purpose", maintain_order=True).agg(passed=passed, of=pl.len())
    other = mine.filter(pl.col("code") != chosen["code"], pl.col("purpose") == "train").row(0, named=True)
    with watched(browser, address.removesuffix("index.html")) as page:
        opened(page, address, f"run=calm&sample=4.train.0&with=calm:{other['iteration']}.train.{other['place']}")
        told = [one.split(": ") for one in page.locator(".through button").all_inner_texts()]
        assert dict(told) == {
            f"{row['iteration']}{'e' if row['purpose'] == 'eval' else ''}": f"{row['passed']}/{row['of']}"
            for row in counts.iter_rows(named=True)
        }
        for side, kind, whose in ((0, "gone", chosen), (1, "new", other)):
            column = page.locator(".sides > div").nth(side)
            assert [line[2:] for line in column.locator(".line").all_inner_texts()] == whose["code"].split("\n")
            marked = set(chosen["code"].split("\n")) ^ set(other["code"].split("\n"))
            assert [line[2:] for line in column.locator(f".{kind}").all_inner_texts()] == [
                line for line in whose["code"].split("\n") if line in marked
            ]
        prints_right(page, "view-sample")


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
        expect(page.locator("#list")).to_have_attribute("aria-activedescendant", re.compile(r"row\d+"))
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


def test_a_run_that_goes_on_grows_on_the_page_and_one_that_begins_is_there(browser, tmp_path):
    experiment = write_run(tmp_path, "live", iterations=2)
    later = experiment.folder.join("iterations/0002")
    kept = {name: later.read_bytes(name) for name in later.names()}
    for name in kept:
        later.remove(name)
    with served(tmp_path) as url, watched(browser, url) as page:
        count = opened(page, url, "sample=1.train.0")
        page.locator("#detail summary").first.click()
        before = count.inner_text()
        for name, data in kept.items():
            later.write_bytes(name, data)
        expect(count).not_to_have_text(before, timeout=30_000)
        expect(page.locator(".through button").filter(has_text="2:")).to_have_count(1)
        expect(page.locator("#detail details[open]")).to_have_count(1)
        assert page.locator("#iteration option").last.inner_text() == "2"
        write_run(tmp_path, "later", iterations=1)
        expect(page.locator("#run option")).to_have_text(["live", "later"], timeout=30_000)
        assert page.locator("#run").input_value() == "live"


LOST = {
    "run=none&sample=1.train.0": ("No run none is open here", "Choose another"),
    "run=calm&sample=99.train.0": ("samples", "Choose another"),
    "run=calm&iteration=99&family=%3Cb%3E": ("iteration: there is no 99; family: there is no <b>", "Choose a sample"),
    "run=calm&sample=1.train.0&with=%25%3Ax": ("samples", "puts beside it is not here"),
    "run=calm&sample=1.train.0&with=none%3A1.train.0": ("samples", "puts beside it is not here"),
}


def test_a_link_to_what_is_not_there_says_so(browser, address):
    for at, (count, detail) in LOST.items():
        with watched(browser, address.removesuffix("index.html")) as page:
            page.goto(f"{address}#{at}")
            expect(page.locator("#count")).to_contain_text(count)
            expect(page.locator("#detail")).to_contain_text(detail)


def test_a_page_says_that_its_server_is_gone_and_goes_on_when_it_is_back(browser, tmp_path):
    write_run(tmp_path, "a", iterations=1)
    with served(tmp_path) as url:
        page = browser.new_page()
        count = opened(page, url)
        before = count.inner_text()
    expect(count).to_contain_text("start `axiom view` again", timeout=30_000)
    with served(tmp_path, url.rstrip("/").rpartition(":")[2]):
        expect(count).to_have_text(before, timeout=30_000)
    page.close()


IN_SIGHT = """() => { const list = document.getElementById("list").getBoundingClientRect();
  const row = document.querySelector(".row[aria-selected=true]").getBoundingClientRect();
  return row.top >= list.top && row.bottom <= list.bottom; }"""


def test_the_chosen_sample_is_in_sight_also_in_a_list_that_is_taller_than_a_browser_draws(browser, address):
    with watched(browser, address.removesuffix("index.html")) as page:
        page.set_viewport_size({"width": 1000, "height": 300})
        opened(page, address, "run=calm&sample=3.train.9")
        page.wait_for_selector("#detail h2")
        assert page.evaluate(IN_SIGHT)
        page.evaluate("""() => {
          current.shown = new Uint32Array(900_000).map((_, i) => i % current.run.size);
          current.shown[600_000] = current.chosen = current.run.size - 1;
          const other = (row, i) => (i !== 600_000 && row === current.chosen ? 0 : row);
          current.shown = current.shown.map(other);
          drawList(); reveal();
        }""")
        assert page.locator(".row[aria-selected=true]").get_attribute("aria-posinset") == "600001"
        assert page.evaluate(IN_SIGHT)
