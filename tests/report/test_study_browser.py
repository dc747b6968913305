"""Study pages of every kind in a real browser and on paper; screenshots and PDFs are kept under `test-output/`."""

import dataclasses
import html
import re
import shlex
from functools import cache

import pytest
from typer.testing import CliRunner

from axiom.cli.studies import app
from axiom.report import study as report, study_charts as charts
from axiom.study.compare import by_arm, compare_arms
from axiom.study.config import Reading
from tests.browser import chromium, looks_right, prints_right, serious_faults, watched
from tests.report.studies import write_study
from tests.report.test_hostile_text import ATTACKS
from tests.study.test_study import arms

pytestmark = pytest.mark.slow

GRID = """name = "grid"
preset = "modular"
seeds = 2
[settings]
iterations = 12
[grid]
"modular.train_fraction" = [0.4, 0.5, 0.6]
"modular.weight_decay" = [0, 1]
"""
ARMS = """name = "arms"
preset = "quickstart"
seeds = 7
arms = ["expert_iteration", "sft_reference", "frozen"]
[settings]
iterations = 12
"""
TRANSFER = """name = "transfer"
preset = "quickstart"
seeds = 6
[settings]
"problems.families" = ["list_filter", "list_sort"]
"problems.ood_size" = 4
iterations = 12
[variants.only-list_filter]
"problems.families" = ["list_filter"]
"problems.ood_families" = ["list_sort"]
[variants.list_sort-joins-late-in-the-run]
"curriculum.joins" = {list_sort = 5}
"""


def grid(folder):
    """Without decay no run generalises; with it all seeds of a cell do at the same time."""
    return write_study(
        folder, GRID, lambda run: {None: 9 - 10 * run.modular.train_fraction if run.modular.weight_decay else 99}
    )


def arms_by_seeds(folder, **missing):
    return write_study(folder, ARMS, lambda run: {None: {"frozen": 99, "sft_reference": 8}.get(run.arm, 3)}, **missing)


def some_missing(folder):
    """One run was never begun, and another ended within its first iterations."""
    return arms_by_seeds(folder, without=("arms-frozen-s03",), unfinished=("arms-sft_reference-s01",))


def transfer(folder):
    return write_study(
        folder, TRANSFER, lambda run: {None: 5 + run.seed % 2, **dict.fromkeys(run.problems.families, 4)}
    )


def hostile(folder):
    """Arms whose names are attacks, as far as a browser is concerned."""
    expert, other = arms(3.0)
    runs = [dataclasses.replace(run, condition="expert_iteration") for run in expert]
    for number, text in enumerate(ATTACKS[kind] for kind in ("html", "terminal", "nul", "lines", "vega", "long")):
        named = {"name": text[:300], "condition": f"{number}{text[:300]}"}
        runs += [dataclasses.replace(run, **named) for run in other]
    groups = by_arm(runs)
    found = compare_arms(groups, Reading())
    made = charts.all_of(groups, found, "iteration", "val")
    page = report.page("</title><script>alert(1)</script>", groups, list(ATTACKS.values()), made, comparisons=found)
    (folder / "report.html").write_text(page, encoding="utf-8", errors="surrogatepass")
    return folder / "report.html"


PAGES = {
    "grid": (grid, {"map time", "map accuracy", "over train fraction", "slopes", "curves"}),
    "arms": (arms_by_seeds, set()),
    "some-missing": (some_missing, {"survival", "incidence", "slopes", "curves"}),
    "transfer": (transfer, {"transfer", "survival", "differences"}),
    "hostile": (hostile, {"survival", "differences"}),
}
OVERLAPS = """() => [...document.querySelectorAll("#slopes .role-axis-label, #differences .role-axis-label")]
  .flatMap((group) => {
    const boxes = [...group.querySelectorAll("text")].map((one) => one.getBoundingClientRect());
    return boxes.flatMap((a, i) => boxes.slice(i + 1).filter((b) =>
      a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1));
  }).length"""


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """The path of each kind of page, made once."""
    return cache(lambda kind: PAGES[kind][0](tmp_path_factory.mktemp(kind)))


@pytest.mark.parametrize("kind", ["grid", "some-missing", "transfer", "hostile"])
def test_a_study_s_page_opens_in_any_window_and_prints(browser, drawn, kind):
    path = drawn(kind)
    with watched(browser, f"file://{path}") as page:
        page.goto(f"file://{path}")
        figures = page.locator("figure")
        shown = {figures.nth(at).get_attribute("aria-label") for at in range(figures.count())}
        assert PAGES[kind][1] <= shown
        for at in range(figures.count()):
            marks = figures.nth(at).locator("svg .role-mark path, svg .role-mark text, svg .role-mark line")
            assert marks.count() > 0, figures.nth(at).get_attribute("aria-label")
        assert page.evaluate(OVERLAPS) == 0
        assert page.locator("script, img, iframe").count() == 0
        looks_right(page, f"study-{kind}")
        assert kind == "hostile" or serious_faults(page) == []
        prints_right(page, f"study-{kind}")


def test_runs_that_all_agree_are_not_shown_as_certain(drawn):
    text = drawn("arms").read_text(encoding="utf-8")
    assert text.count("the same in all 7 pairs, so there is no interval") == 2
    assert "% bootstrap" not in text
    assert "all pairs alike</text>" in text, "in the chart of differences"
    grid = drawn("grid").read_text(encoding="utf-8")
    assert "0.930, all alike" in grid
    assert "0.930 [" not in grid


def test_a_study_with_missing_runs_says_so_and_compares_nothing(drawn):
    text = drawn("some-missing").read_text(encoding="utf-8")
    assert "2 of 21 runs are not finished, so the others are shown and nothing is compared" in text
    assert "is sooner" not in text
    assert "arms-sft_reference-s02</td>" in text
    assert "arms-frozen-s03</td>" not in text


def test_the_plan_is_in_words_and_the_command_makes_the_page_again(drawn):
    """No path of the machine that drew it, but those that the reader gave."""
    path = drawn("transfer")
    text = path.read_text(encoding="utf-8")
    assert "<td>quickstart</td>" in text
    assert "curriculum.joins: list_sort</td><td>5</td>" in text
    [command] = re.findall("<pre[^>]*>(.*)</pre>", text)
    words = shlex.split(html.unescape(command))[1:]
    assert CliRunner().invoke(app, [*words, "--out", str(path.parent / "again")]).exception is None
    assert (path.parent / "again/figures.json").read_bytes() == (path.parent / "figures.json").read_bytes()
