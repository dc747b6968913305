"""The cost model: lines from stored points, claims from points that took no part, the page from both."""

from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from axiom.bench.cost import (
    CPU,
    LEVEL,
    PARAMETERS,
    POINTS,
    ROUNDS,
    SIZES,
    UNITS,
    Point,
    fit,
    fits,
    forecast,
    forecasts,
    read,
    slower,
)
from axiom.bench.cost_points import PUBLISHED, published, write
from axiom.report.render import markdown_table

ROOT = Path(__file__).parents[2]
LINES = fit(read())


@given(st.floats(0.01, 10), st.floats(1e-6, 1e-2), st.lists(st.integers(1, 10**6), min_size=3, max_size=9, unique=True))
def test_a_line_is_found_again_from_its_points(fixed: float, each: float, amounts: list[int]):
    points = [Point("m", "sampling", n, fixed + each * n, place == 1, "") for place, n in enumerate(amounts)]
    line = fit(points)["m", "sampling"]
    assert max(map(abs, line.errors)) < 1e-6
    assert line.holds
    assert line.at(amounts[0]) == pytest.approx(points[0].value)


def test_a_held_out_point_does_not_move_the_line_and_can_break_it():
    points = [Point("m", "sampling", n, 1 + n, False, "") for n in (1, 2, 3)]
    before = fit([*points, Point("m", "sampling", 4, 5, True, "")])["m", "sampling"]
    after = fit([*points, Point("m", "sampling", 4, 10, True, "")])["m", "sampling"]
    assert (before.fixed, before.each) == (after.fixed, after.each)
    assert (before.holds, after.holds) == (True, False)
    assert after.errors == (pytest.approx(-0.5),)


def test_every_stage_has_held_out_points_and_the_page_says_which_hold():
    assert {stage for _, stage in LINES} == set(UNITS)
    for line in LINES.values():
        assert line.errors
        within = sum(abs(error) <= LEVEL for error in line.errors) / len(line.errors)
        assert line.holds == (within >= 0.9 and abs(line.total) <= LEVEL)
    broken = [key for key, line in LINES.items() if not line.holds]
    assert broken == [("one H200", "sampling")]
    page = (ROOT / "docs/scaling.md").read_text()
    assert "Eight of nine lines hold. Sampling on the H200 does not" in page
    assert all(abs(line.total) <= LEVEL for line in LINES.values())


def test_the_stored_points_of_published_runs_are_those_of_their_tables(tmp_path):
    write(published(ROOT / "artifacts/reference"), tmp_path / "points.csv")
    machines = set(PUBLISHED)
    assert [point for point in read() if point.machine in machines] == read(tmp_path / "points.csv")
    assert {point.machine for point in read()} == {*machines, CPU}


def test_a_larger_round_takes_no_less_and_more_gpus_no_more():
    for of in ROUNDS:
        parts = forecast(LINES, of)
        assert all(seconds >= 0 for seconds in parts.values())
        halved = forecast(LINES, type(of)(**{**vars(of), "gpus": 2 * of.gpus}))
        assert halved["sampling"] < parts["sampling"]
        assert halved["selection"] == parts["selection"]


def test_the_two_measured_models_are_on_the_line_of_sizes():
    for stage, (small, large) in SIZES.items():
        assert slower(stage, PARAMETERS["SmolLM2-135M"]) == pytest.approx(1)
        assert slower(stage, PARAMETERS["1.5B"]) == pytest.approx(small / large)


def test_the_page_shows_what_the_command_prints():
    page = (ROOT / "docs/scaling.md").read_text()
    for table in (fits(LINES), forecasts(LINES)):
        assert markdown_table(*table) in page, f"print the tables with `axiom bench cost --markdown` ({POINTS})"
