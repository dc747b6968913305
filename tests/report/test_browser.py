"""Reports of runs of every kind in a real browser; screenshots are kept under `test-output/`."""

import shutil
from pathlib import Path

import pytest

from axiom.experiment import Experiment
from axiom.report.page import write
from tests.browser import chromium, looks_right, prints_right, serious_faults, watched
from tests.report.stores import diverged, write_run
from tests.report.test_hostile_text import ATTACKS

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


def interrupted(root):
    """A run that ended within its third iteration."""
    experiment = write_run(root, "interrupted", iterations=3)
    experiment.folder.join("iterations/0003").remove("iteration.manifest.json")
    experiment.folder.join("iterations/0003").remove("evaluation.parquet")
    return experiment


def without_problems(root):
    """What is left where only the metrics were kept, as of a published run."""
    write_run(root, "published")
    shutil.rmtree(root / "published" / "iterations")
    shutil.rmtree(root / "published" / "problems")
    return Experiment.open(str(root), "published")


RUNS = {
    "usual": lambda root: write_run(root, "usual", draws=5),
    "one": lambda root: write_run(root, "one", iterations=1),
    "base": lambda root: write_run(root, "base", iterations=0),
    "interrupted": interrupted,
    "published": without_problems,
    "no-gold": lambda root: write_run(root, "no-gold", gold=False),
    "diverged": diverged,
    "hostile": lambda root: write_run(root, "hostile", texts=tuple(ATTACKS.values())),
    "long": lambda root: write_run(root, "long", iterations=300, families=30, each=1),
}
FEWEST_CHARTS = {"usual": 14, "one": 8, "base": 1, "published": 6, "no-gold": 8, "hostile": 10, "long": 12}


@pytest.mark.parametrize("kind", RUNS)
def test_a_report_of_any_run_opens_in_any_window(browser, tmp_path, kind):
    path = write(RUNS[kind](tmp_path))
    assert Path(path).stat().st_size < 5_000_000 or kind == "hostile"
    with watched(browser, f"file://{path}") as page:
        page.goto(f"file://{path}")
        page.wait_for_selector("body[data-drawn]")
        charts = page.locator(".chart")
        assert charts.count() >= FEWEST_CHARTS.get(kind, 8)
        for number in range(charts.count()):
            marks = charts.nth(number).locator("svg .role-mark path, svg .role-mark text")
            assert marks.count() > 0, charts.nth(number).get_attribute("data-title")
        looks_right(page, f"report-{kind}")
        if kind in ("usual", "hostile"):
            prints_right(page, f"report-{kind}")
        assert "Validation accuracy" in page.locator(".headline").inner_text()


def test_a_report_has_no_serious_fault_for_assistive_programs(browser, tmp_path):
    path = write(write_run(tmp_path, "usual"))
    with watched(browser, f"file://{path}") as page:
        page.goto(f"file://{path}")
        page.wait_for_selector("body[data-drawn]")
        for details in page.locator("details").all():
            details.evaluate("place => place.open = true")
        assert serious_faults(page) == []


def test_the_axis_of_the_charts_is_the_reader_s_choice(browser, tmp_path):
    path = write(write_run(tmp_path, "usual"))
    with watched(browser, f"file://{path}") as page:
        page.goto(f"file://{path}")
        page.wait_for_selector("body[data-drawn]")
        accuracy = page.locator(".chart").first
        assert "seconds of sampling and training" not in accuracy.inner_text()
        page.get_by_label("Horizontal axis").select_option("wall_seconds")
        accuracy.get_by_text("seconds of sampling and training").wait_for()
        page.get_by_label("Horizontal axis").focus()
        page.keyboard.press("Tab")
        page.keyboard.press("Space")  # the box beside it: logarithmic
        assert page.locator("#log").is_checked()
        accuracy.get_by_text("seconds of sampling and training").wait_for()


RULES = ".chart[data-title='Generalisation gap'] svg .mark-rule.role-mark line"
"""The mark of the chosen iteration in another chart than the one that it is chosen in."""


def faint(page):
    """Bars of the chart of verdicts that are not of the chosen iteration."""
    bars = page.locator(".chart[data-title='Verdicts on the training samples'] svg .mark-rect.role-mark path")
    return sum(float(bar.get_attribute("opacity") or 1) < 1 for bar in bars.all()), bars.count()


def test_an_iteration_chosen_by_keyboard_or_by_pointing_is_marked_in_every_view(browser, tmp_path):
    path = write(write_run(tmp_path, "usual", draws=5))
    with watched(browser, f"file://{path}") as page:
        page.set_viewport_size({"width": 1440, "height": 12_000})  # all charts are in the window
        page.goto(f"file://{path}")
        page.wait_for_selector("body[data-drawn]")
        said, rule = page.locator("#chosen"), page.locator(RULES)
        marks = page.locator(".chart[data-title='pass@k against k'] svg .mark-line.role-mark path").count()
        assert rule.get_attribute("opacity") == "0"
        assert faint(page)[0] == 0
        page.get_by_role("slider", name="Iteration").focus()
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("ArrowLeft")
        page.wait_for_function(f"document.querySelector(`{RULES}`).getAttribute('opacity') !== '0'")
        assert "Iteration 3: training" in said.inner_text()
        dim, bars = faint(page)
        assert 0 < dim < bars
        assert page.locator(".chart[data-title='pass@k against k'] svg .mark-line.role-mark path").count() == marks + 1
        assert (
            page.locator("tr.chosen").evaluate_all("rows => rows.map(row => row.cells[0].textContent)") == ["3"] * 4
        )  # accuracies, distance, diversity, ledger
        assert page.locator(".programs:visible h3").inner_text() == "Iteration 3"
        before = rule.get_attribute("transform")
        page.locator(".chart[data-title='Accuracy'] svg .mark-symbol.role-mark path").first.hover(force=True)
        page.wait_for_function("document.getElementById('chosen').textContent.startsWith('Iteration 0: ')")
        page.wait_for_function(f"document.querySelector(`{RULES}`).getAttribute('transform') !== '{before}'")
        assert page.get_by_role("slider", name="Iteration").input_value() == "0"
        page.get_by_label("Horizontal axis").select_option("trained_tokens")
        page.wait_for_function(f"document.querySelector(`{RULES}`)?.getAttribute('opacity') !== '0'")
        page.get_by_role("button", name="Show all iterations").click()
        assert said.inner_text() == "All iterations."
        page.wait_for_function(f"document.querySelector(`{RULES}`).getAttribute('opacity') === '0'")
        assert faint(page)[0] == 0
        assert page.locator("tr.chosen").count() == 0
        _choose_an_interval(page, said)


def _choose_an_interval(page, said):
    """By keyboard and by dragging in the accuracies, whose axis is of tokens now."""
    first, last = page.get_by_label("First iteration shown"), page.get_by_label("Last iteration shown")
    losses = page.locator(".chart[data-title='Training loss'] svg .mark-line.role-mark path")
    whole = page.locator(f"{ACCURACY} .mark-symbol.role-mark path").count()
    first.focus()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    last.focus()
    page.keyboard.press("ArrowDown")
    page.wait_for_function("document.getElementById('chosen').textContent === 'Iterations 2 to 4.'")
    assert (_iterations(page), losses.count()) == ({"2", "3", "4"}, 3)
    assert page.locator(f"{ACCURACY} .mark-symbol.role-mark path").count() == whole  # the accuracies mark it alone
    box = page.locator(f"{ACCURACY}.marks").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"], box["y"] + box["height"] / 2)
    page.mouse.up()
    page.wait_for_function("document.getElementById('chosen').textContent.startsWith('Iterations 3 to 5.')")
    assert (first.input_value(), last.input_value()) == ("3", "5")
    assert (_iterations(page), losses.count()) == ({"3", "4", "5"}, 3)
    page.get_by_role("button", name="Show all iterations").click()
    assert (said.inner_text(), first.input_value(), last.input_value()) == ("All iterations.", "0", "5")
    assert (_iterations(page), losses.count()) == ({"1", "2", "3", "4", "5"}, 5)


ACCURACY = ".chart[data-title='Accuracy'] svg"


def _iterations(page):
    """The iterations of which the chart of verdicts has bars, when all that was asked for is drawn."""
    page.wait_for_timeout(500)
    axis = page.locator(".chart[data-title='Verdicts on the training samples'] svg .role-axis-label").first
    return {text for text in axis.locator("text").all_text_contents() if text.isdecimal()}
