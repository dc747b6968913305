"""What a study's page says first, on data of every kind, and that nothing on it speaks against that."""

import dataclasses
import json
import re

import pytest

from axiom.report import looks, study as report, study_charts as charts
from axiom.study.compare import by_arm, compare_arms, conclusion
from axiom.study.config import Reading
from tests.report.stores import write_run
from tests.rows import metric_row
from tests.study.test_study import arms


def several(shifts, **changes):
    """The expert arm against one other for each shift of its times."""
    expert, other = arms(0.0)
    runs = list(expert)
    for number, shift in enumerate(shifts):
        runs += [
            dataclasses.replace(
                run,
                name=f"{run.name}-{number}",
                condition=f"other-{number}",
                time=min(run.horizon, run.time + shift),
                **changes,
            )
            for run in other
        ]
    groups = by_arm(runs)
    return groups, compare_arms(groups, Reading())


def test_one_decided_comparison_is_said_with_its_figures():
    for shift, says in (
        (5.0, "Expert_iteration generalises sooner than other-0"),
        (-5.0, "Other-0 generalises sooner"),
    ):
        _, found = several([shift])
        said = conclusion(found)
        assert said.startswith(says)
        low, high = map(float, re.search(r"\[(.*), (.*)\]", said).groups())
        assert 0 < low <= abs(found[0].difference) <= high
        assert "adjusted" not in said


def test_of_several_the_decided_are_named_and_the_rest_is_left_open():
    _, found = several([5.0, 0.0, 6.0, 7.0])
    said = conclusion(found)
    assert said.startswith("One is sooner in 3 of 4 comparisons: expert_iteration before other-0")
    assert "and 1 more" in said
    assert "no difference is shown in expert_iteration against other-1" in said
    assert said.endswith("P values are adjusted for 4 comparisons.")


def test_nothing_is_concluded_from_nothing():
    assert conclusion([]) == ""
    _, same = several([0.0, 0.0])
    assert "sooner" not in conclusion(same)
    never = [dataclasses.replace(c, expert_generalised=0, other_generalised=0) for c in same]
    assert conclusion(never).startswith(
        "No run of expert_iteration, other-0 or other-1 generalised, so nothing follows"
    )
    refused = [dataclasses.replace(c, refusal="examples of round 3") for c in same]
    assert "the ledgers disagree" in conclusion(refused)
    assert "sooner" not in conclusion(refused)


@pytest.mark.parametrize("shifts", [[5.0], [0.4, 0.0, 0.3], [5.0, 0.0, -6.0, 0.5]])
def test_a_page_has_adjusted_p_values_alone_and_a_box_for_each_comparison(shifts):
    groups, found = several(shifts)
    page = report.page("s", groups, [], charts.all_of(groups, found, "iteration", "val"), comparisons=found)
    for one in found:
        assert one.heading() in page
        if one.family > 1 and f"{one.p:.3g}" != f"{one.family_p:.3g}":
            assert f"p = {one.p:.3g}" not in page
        assert ("is sooner (p" in one.heading()) == (
            "It follows that" in one.paragraph().replace("not follow that", "")
        )
    assert page.count(conclusion(found)) == 1
    assert page.index(conclusion(found)) < page.index("<details>")


def test_a_sum_of_learning_rates_is_not_called_one():
    groups, _ = several([1.0])
    names = [row[0] for row in report.ledger_rows(groups)[1]]
    assert "learning rate, summed over steps" in names
    assert "learning rate" not in names


def test_kinds_that_cannot_rise_have_no_line():
    groups, _ = several([1.0], observed=False, kind="no_memorisation")
    rows = next(iter(charts.incidence(groups, "iteration").to_dict()["datasets"].values()))
    assert "no memorisation" not in {row["kind"] for row in rows}
    assert "none generalised" in {row["kind"] for row in rows}


def test_clocks_that_say_nothing_of_a_learner_are_left_out():
    groups, _ = several([1.0])
    assert charts.telling(groups) == charts.CLOCKS
    row = metric_row(iteration=0, split="val", family="modular", value=0.5, n=5)
    modular = {arm: [dataclasses.replace(run, metrics=(row,)) for run in runs] for arm, runs in groups.items()}
    assert charts.telling(modular) == ("iteration", "optimizer_step")


def test_each_run_is_linked_and_its_origin_is_told(tmp_path):
    write_run(tmp_path, "one", iterations=1).folder.write_bytes("report.html", b"x")
    write_run(tmp_path, "two", iterations=1)
    found = report.origin(str(tmp_path), ["one", "two"], tmp_path / "out", "axiom compare x", {"seeds": [1, 2]})
    assert found.reports == {"one": "../one/report.html"}
    assert found.plan == [("seeds", "1, 2")]
    assert dict(found.provenance)["runs"] == "2"
    groups, _ = several([1.0])
    named = {arm: [dataclasses.replace(run, name="one") for run in runs[:1]] for arm, runs in groups.items()}
    page = report.page("s", named, [], {}, origin=found)
    assert '<a href="../one/report.html">one</a>' in page
    assert "axiom compare x" in page


def test_an_arm_is_told_in_words_and_a_condition_by_its_name():
    _, found = several([5.0])
    named = [dataclasses.replace(one, other="my_condition", left_out={"static_rft": [3]}) for one in found]
    (told,) = map(report.in_words, named)
    for text in (told.heading(), told.paragraph(), conclusion([told])):
        assert "my_condition" in text
        assert "xpert iteration" in text
        assert "_iteration" not in text
    assert told.left_out == {"static rft": [3]}


def test_an_axis_of_few_iterations_has_whole_ones():
    groups, _ = several([1.0])
    for chart in (charts.survival(groups, "iteration"), charts.incidence(groups, "iteration")):
        assert json.dumps(looks.WHOLE) in chart.to_json()
        assert json.dumps(looks.WHOLE) not in charts.survival(groups, "trained_tokens").to_json()


def test_a_page_that_compares_nothing_begins_with_what_generalised():
    groups, _ = several([5.0, 0.0, 6.0])
    never = {name: [dataclasses.replace(run, observed=False) for run in found] for name, found in groups.items()}
    each = len(groups["expert_iteration"])
    says = f"of {4 * each} runs generalised for good"
    assert report.generalised(groups) == f"{4 * each} {says}, in 4 of 4 conditions."
    assert report.generalised(never) == f"0 {says}."
    one = never | {"expert_iteration": groups["expert_iteration"]}
    assert report.generalised(one) == f"{each} {says}: {each} of {each} with expert_iteration."
    text = report.page("s", one, [], {})
    assert text.index(report.generalised(one)) < text.index("<h2>")
