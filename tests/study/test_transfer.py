"""Transfer: the matrix of gains, times of one family, families that join, and what is refused."""

import dataclasses
from pathlib import Path

import pytest
from typer.testing import CliRunner

from axiom.cli.studies import app
from axiom.config import ExperimentConfig, load_config, override
from axiom.errors import ConfigError
from axiom.experiment import Experiment
from axiom.experiment.gate import admit
from axiom.problems import generate_splits
from axiom.records import Metric
from axiom.report import study as report, sweep_charts
from axiom.selection.curriculum import Course, joined
from axiom.store import write_parquet
from axiom.study import Study, StudyConfig, compare_study, load_study, plan, run_name, transfer
from axiom.study.compare import gather_study
from axiom.study.outcome import Outcome
from tests.rows import metric_row

FAMILIES = ("list_filter", "list_sort")
VARIANTS = {
    "only-list_filter": {"problems.families": ("list_filter",), "problems.ood_families": ("list_sort",)},
    "late": {"curriculum.joins": {"list_sort": 5}},
}
STUDY = StudyConfig(
    name="t",
    preset="quickstart",
    seeds=7,
    settings={"problems.families": FAMILIES, "iterations": 8, "problems.ood_size": 4},
    variants=VARIANTS,
)


def accuracy(split, family, iteration, value):
    return metric_row(iteration=iteration, split=split, family=family, value=value, n=40)


def outcome(label, seed, gains, families):
    """A run in which each family (split, name) gains so much from 0.1 on."""
    rows = [accuracy(split, name, at, 0.1 + gain * at / 8) for (split, name), gain in gains.items() for at in (0, 4, 8)]
    config = override(load_config("quickstart"), (), **{"problems.families": families, "seed": seed})
    times = (8.0, False, 8.0)
    return Outcome(
        f"{label}-{seed}", "expert_iteration", seed, "", *times, "gradual", 0.5, tuple(rows), (), config, label
    )


def groups():
    return {
        "all": [
            outcome("all", s, {("val", "list_filter"): 0.5, ("val", "list_sort"): 0.4}, FAMILIES) for s in range(3)
        ],
        "only": [
            outcome(
                "only", s, {("val", "list_filter"): 0.5, ("ood_family", "list_sort"): 0.2 + s / 100}, ("list_filter",)
            )
            for s in range(3)
        ],
    }


def test_the_matrix_has_the_gain_of_each_family_under_each_condition_with_its_interval():
    gains = {(gain.condition, gain.measured): gain for gain in transfer.matrix(groups(), 0.95)}
    assert set(gains) == {(label, family) for label in ("all", "only") for family in FAMILIES}
    assert [gains["only", family].trained for family in FAMILIES] == [True, False]
    crossed = gains["only", "list_sort"].gain
    assert crossed.value == pytest.approx(0.21)
    assert (crossed.low, crossed.high) == pytest.approx((0.21 - 0.0248, 0.21 + 0.0248), abs=1e-3), "Student, 2 degrees"
    kept = [
        row["gain"] for row in transfer.by_run(groups()) if (row["condition"], row["family"]) == ("only", "list_sort")
    ]
    assert kept == pytest.approx([0.2, 0.21, 0.22]), "from which a reader computes it again"
    header, rows = transfer.table(list(gains.values()))
    assert header == ["trained on", *FAMILIES]
    assert rows[1] == ["only", "+0.50, all alike *", "+0.21 [+0.19, +0.23]"]
    told = transfer.sentence(list(gains.values()), 0.95)
    assert "Of 1 entries without a star 1 have an interval without 0: list_sort under only (+0.21)" in told
    drawn = sweep_charts.transfer_map(list(gains.values()))
    page = report.page("t", groups(), [told], {"transfer": drawn}, None, (header, rows))
    assert "<h2>Transfer</h2>" in page
    assert "not measured" not in page


def test_a_loss_is_a_negative_gain_and_what_was_not_measured_says_so():
    lost = {"one": [outcome("one", s, {("ood_family", "rpn"): -0.1}, FAMILIES) for s in range(2)]}
    both = groups() | lost
    gains = transfer.matrix(both, 0.95)
    assert next(gain for gain in gains if gain.condition == "one").gain.value == pytest.approx(-0.1)
    _, rows = transfer.table(gains)
    assert rows[0][3] == rows[2][1] == "not measured"


def finished(root, config, late):
    """A run whose families generalise at `late[family]`; the pooled curve never does."""
    run = Experiment.create(str(root), config)
    run.save()
    rows = [
        metric_row(iteration=at, split=split, family=family, value=value, n=40)
        for at in range(config.iterations + 1)
        for split in ("train", "val")
        for family, value in [
            (None, 0.3),
            *((name, float(split == "train" or at >= when)) for name, when in late.items()),
        ]
    ]
    write_parquet(run.folder, "metrics", rows, Metric)


def test_a_jump_in_one_family_moves_the_time_of_another(tmp_path):
    """Times are those of list_sort: three iterations later where it joins."""
    study = STUDY.model_copy(update={"family": "list_sort", "variants": {"late": VARIANTS["late"]}})
    for seed in range(7):
        for config in plan(study, seed):
            joins = config.curriculum.joins
            finished(tmp_path, config, {"list_filter": 1, "list_sort": 5 + seed % 2 if joins else 2 + seed % 2})
    found_groups = gather_study(str(tmp_path), study)
    [found] = compare_study(study, found_groups)
    assert (found.other, found.difference, found.pairs) == ("late", 3.0, 7)
    assert found.differ == {"curriculum.joins.list_sort": (None, 5)}
    assert "expert_iteration generalises sooner than late" in found.paragraph()
    pooled = study.model_copy(update={"family": ""})
    assert not any(run.observed for runs in gather_study(str(tmp_path), pooled).values() for run in runs)


def test_conditions_that_measure_other_families_are_not_compared_by_their_times():
    labels = [one.label for one in STUDY.conditions()]
    families = {labels[1]: ("list_filter",)}
    made = {label: [outcome(label, seed, {}, families.get(label, FAMILIES)) for seed in range(7)] for label in labels}
    assert [one.other for one in compare_study(STUDY, made)] == ["late"]
    assert transfer.is_about_families(STUDY)
    assert not transfer.is_about_families(
        dataclasses.replace(Study("x", ())).config or StudyConfig(name="x", preset="y")
    )


def test_seeds_are_asked_for_by_what_is_compared_and_by_nothing_else(tmp_path):
    """Pairs of families alone need no seeds for a test; a condition of the same families beside them does."""
    pairs = {"seeds": 3, "variants": {"only-list_filter": VARIANTS["only-list_filter"]}}
    few = StudyConfig.model_validate(STUDY.model_dump() | pairs)
    assert (few.comparisons, STUDY.comparisons) == (0, 1)
    labels = [one.label for one in few.conditions()]
    families = {labels[1]: ("list_filter",)}
    made = {label: [outcome(label, seed, {}, families.get(label, FAMILIES)) for seed in range(3)] for label in labels}
    assert compare_study(few, made) == []
    with pytest.raises(ValueError, match="with 1 arm beside the expert's"):
        StudyConfig.model_validate(STUDY.model_dump() | {"seeds": 3})
    with pytest.raises(ValueError, match="fewer than 6"):
        StudyConfig.model_validate(STUDY.model_dump() | pairs | {"family": "list_filter"})
    planned = CliRunner().invoke(app, ["study", "transfer-pairs", "--plan", "--root", str(tmp_path)])
    assert planned.exit_code == 0
    assert "28 runs" in planned.output
    assert "their times are not compared" in planned.output


PROBLEMS = generate_splits(
    ExperimentConfig().problems.model_copy(
        update={"families": FAMILIES, "train_size": 8, "val_size": 2, "test_size": 0, "difficulty": (3, 4)}
    ),
    0,
)["train"]


def test_a_family_joins_in_its_iteration_and_stays():
    ids = {family: {p.problem_id for p in PROBLEMS if p.family == family} for family in FAMILIES}
    assert all(ids.values())
    courses = [joined(None, {"list_sort": 4}, PROBLEMS, number) for number in range(1, 7)]
    for number, course in enumerate(courses, 1):
        assert course.problems == (ids["list_filter"] | ids["list_sort"] if number >= 4 else ids["list_filter"])
    assert [(course.level, course.since, course.before) for course in courses] == [(1, 1, None)] * 3 + [(2, 4, 1)] * 3
    assert joined(None, {}, PROBLEMS, 1) is None
    two = [joined(None, {"list_sort": 3, "rpn": 3, "roman_numerals": 5}, PROBLEMS, number) for number in (2, 3, 4, 5)]
    assert [(course.level, course.since, course.before) for course in two] == [
        (1, 1, None),
        (3, 3, 1),
        (3, 3, 1),
        (4, 5, 3),
    ]
    level = Course(2, 3, 1, frozenset(list(ids["list_filter"])[:1] + list(ids["list_sort"])[:1]))
    assert joined(level, {"list_sort": 4}, PROBLEMS, 3).problems == level.problems & ids["list_filter"]
    assert joined(level, {"list_sort": 4}, PROBLEMS, 4) == level


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"curriculum.joins": {"lisst_sort": 3}}, "unknown family 'lisst_sort'; did you mean 'list_sort'"),
        ({"curriculum.joins": {"rpn": 3}}, "names 'rpn', which is none of the families that are trained"),
        ({"curriculum.joins": {"list_sort": 9}}, "after the last of 8 iterations"),
        ({"curriculum.joins": {"list_sort": 2, "list_filter": 3}}, "leaves no family to begin with"),
        ({"curriculum.joins": {"list_sort": 0}}, "curriculum.joins.list_sort = 0"),
        ({"curriculum.joins": {"list_sort": 3}, "model.kind": "modular"}, r"\(modular\); add it to"),
        ({"curriculum.joins": {"modular": 3}, "model.kind": "modular"}, "leaves no family to begin with"),
        ({"curriculum.joins": {"modular": 3}}, "names 'modular', which is none of the families that are trained"),
    ],
)  # fmt: skip
def test_a_family_that_cannot_join_is_refused_before_anything_is_written(tmp_path, changes, says):
    base = load_config("quickstart", (), **{"problems.families": FAMILIES, "iterations": 8})
    with pytest.raises(ConfigError, match=says) as error:
        admit(str(tmp_path / "runs"), override(base, (), **changes))
    assert "\n" not in str(error.value)
    assert not (tmp_path / "runs").exists()


def test_a_study_of_a_family_that_a_condition_does_not_train_is_refused(tmp_path):
    text = (
        (Path("deployments/transfer-join.toml")).read_text().replace('family = "list_sort"', 'family = "list_filter"')
    )
    (tmp_path / "study.toml").write_text(text)
    told = CliRunner().invoke(app, ["study", str(tmp_path / "study.toml"), "--root", str(tmp_path / "runs")])
    assert isinstance(told.exception, ConfigError)
    assert "reads family = 'list_filter', which transfer-join-list_sort-alone-s00 does not train" in str(told.exception)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("{ list_sort = 6 }", "{ rpn = 6 }", "curriculum.joins names 'rpn'"),
        ("{ list_sort = 6 }", '{}\n"curriculum.kind" = "linear"\n"curriculum.levels" = [[1, 1], [7, 8]]', "level 2 of"),
        ('"curriculum.joins" = { list_sort = 6 }', '"problems.ood_families" = ["rpn"]', "set problems.ood_size"),
        ("{ list_sort = 6 }", "{ list_sort = 60 }", "after the last of 16 iterations"),
        ('"curriculum.joins" = { list_sort = 6 }', '"foothold.partial" = 2', "foothold.partial = 2"),
        ("iterations = 16", '"sampling.samples_per_problem" = 1\n"arm" = 3', "settings.arm"),
        ('arms = ["expert_iteration"]', 'arms = ["expert_iteration", "reinforce"]\nfirst = 1', "first"),
    ],
)
def test_a_mistake_in_any_variant_stops_the_study_before_its_first_run(tmp_path, old, new, says):
    (tmp_path / "study.toml").write_text(Path("deployments/transfer-join.toml").read_text().replace(old, new))
    told = CliRunner().invoke(app, ["study", str(tmp_path / "study.toml"), "--root", str(tmp_path / "runs")])
    assert isinstance(told.exception, ConfigError)
    assert says in str(told.exception)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("name", ["transfer-pairs", "transfer-leave-one-out", "transfer-join", "transfer-modular"])
def test_the_studies_of_transfer_plan_and_measure_every_family(name):
    study = load_study(Path(name))
    assert transfer.is_about_families(study)
    configs = plan(study, 0)
    families = {family for config in configs for family in config.families}
    for config in configs:
        measured = {*config.families, *config.problems.ood_families}
        assert measured == families or study.family in config.families
        assert config.problems.ood_size or not config.problems.ood_families
    assert configs[0].name == run_name(study, "expert_iteration", 0)
