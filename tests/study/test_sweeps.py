"""Grids and variants: which runs they are, what is refused, what their table, sentences and maps say."""

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from axiom.cli.studies import app
from axiom.config import ExperimentConfig, FootholdConfig, override
from axiom.errors import ConfigError, DataError
from axiom.experiment import Experiment
from axiom.learners.modular import ModularLearner, make_modular_problems
from axiom.learners.unread import UNREAD
from axiom.models import Policy
from axiom.report import study as report, sweep_charts
from axiom.study import StudyConfig, compare_study, load_study, plan, run_name, survival, sweep
from axiom.study.compare import gather_study
from axiom.study.outcome import Outcome
from axiom.training import Example, Round
from tests.rows import metric_row

PRESET = 'iterations = 4\n[model]\nkind = "modular"\n[modular]\np = 7\nembedding = 8\nhidden = 8\n'
HEAD = 'name = "tiny"\npreset = "preset.toml"\nseeds = 3\n'
GRID = '[grid]\n"modular.weight_decay" = [0, 0.1, 1.0]\nmodular.learning_rate = [0.01, 0.03]\n'


@pytest.fixture
def study_file(tmp_path):
    (tmp_path / "preset.toml").write_text(PRESET)

    def write(text):
        path = tmp_path / "study.toml"
        path.write_text(text)
        return path

    return write


def test_a_grid_is_every_combination_and_its_runs_have_readable_names(study_file):
    study = load_study(study_file(HEAD + GRID))
    configs = [config for seed in range(3) for config in plan(study, seed)]
    assert len(configs) == len({config.name for config in configs}) == 18 == len(study.runs())
    assert {config.name for config in configs} == set(study.runs())
    assert configs[1].name == "tiny-expert_iteration-weight_decay_0-learning_rate_0.03-s00"
    seen = {(c.modular.weight_decay, c.modular.learning_rate, c.seed) for c in configs}
    assert seen == {(d, r, s) for d in (0.0, 0.1, 1.0) for r in (0.01, 0.03) for s in range(3)}
    longer = load_study(study_file(HEAD + GRID.replace("[0, 0.1", "[3, 0.0, 0.1")))
    assert set(study.runs()) < set(longer.runs()), "a value more, or written otherwise, renames no run"


@pytest.mark.parametrize("size", [3, 120])
def test_names_stay_apart_and_short_whatever_the_values_are(study_file, size):
    families = [["list_sort"], ["list_sort", "list_filter"], ["a b"], ["a_b"], ["x" * size], ["y" * size]]
    tree = {"name": "n" * 60, "preset": "preset.toml", "seeds": 1, "grid": {"problems.families": families}}
    tree["grid"] |= {"problems.train_size": [1, 2], "modular.p": [7, 11]}
    names = StudyConfig(**tree).runs()
    assert len(names) == len(set(names)) == 24
    for name in names:
        assert ExperimentConfig(name=name).name == name


def test_an_arm_and_a_variant_run_in_each_cell_and_replay_the_expert_of_their_cell(study_file):
    text = HEAD + 'arms = ["static_rft", "expert_iteration"]\n' + GRID
    text += '[variants.lone]\nreplay.rounds = 3\n[variants.still]\narm = "frozen"\n"selection.replay" = 5\n'
    study = load_study(study_file(text))
    assert list(study.groups) == ["expert_iteration", "static_rft", "lone", "still"]
    assert study.comparisons == 3 * 6
    configs = plan(study, 1)
    assert len(configs) == 24
    for expert, static, lone, still in zip(*[iter(configs)] * 4, strict=True):
        assert (expert.arm, static.arm, lone.arm, still.arm) == (
            "expert_iteration",
            "static_rft",
            "expert_iteration",
            "frozen",
        )
        assert static.yoke == expert.name
        assert (expert.yoke, lone.yoke) == ("", "")
        assert len({(c.modular.weight_decay, c.modular.learning_rate) for c in (expert, static, lone, still)}) == 1
        assert (expert.replay.rounds, lone.replay.rounds, still.replay.rounds) == (0, 3, 5)


LONE = "[variants.x]\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[grid]\n"modular.weight_decay" = []\n', r"grid.modular.weight_decay = \[\] has no values"),
        ('[grid]\n"modular.weight_decay" = 0.1\n', "is not a list"),
        ('[grid]\n"modular.weight_decay" = [1, 0.1, 1.0]\n', "holds 1 twice"),
        ('[grid]\n"modular.weight_decya" = [1, 2]\n', "did you mean 'modular.weight_decay'"),
        ('[grid]\n"weight_decay" = [1, 2]\n', "did you mean 'training.weight_decay' or 'modular.weight_decay'"),
        ('[grid]\n"modular.weight_decay" = [1, "much"]\n', r'modular.weight_decay = "much"'),
        ('[grid]\n"modular.weight_decay" = [1, -3]\n', "modular.weight_decay = -3"),
        ('[grid]\n"modular.weight_decay" = [1]\n', "one more to compare"),
        ('[grid]\n"seed" = [1, 2]\n', "grid.seed is what the study itself sets"),
        ('[grid]\n"arm" = ["frozen"]\n', "grid.arm is what the study itself sets"),
        ('[grid]\n"training.weight_decay" = [0, 1]\n', "a modular model does not read training.weight_decay"),
        ('[settings]\n"modular.p" = 7\n[grid]\n"modular.p" = [7, 11]\n', r"is set in \[settings\] and in \[grid\]"),
        (LONE + '"modular.p" = 11\n[grid]\n"modular.p" = [7, 11]\n', r"\[variants.x\] and in \[grid\]"),
        ("max_runs = 17\n" + GRID, r"18 runs \(1 arm times 6 cells of the grid times 3 seeds\).*max_runs = 17"),
        (f'[grid]\n"iterations" = {list(range(3, 400))}\n', "has 1,191 runs"),
        ("[variants.x]\n[grid]\niterations = [4, 5]\n", "variants.x changes nothing"),
        (LONE + '"modular.p" = 7\n[grid]\niterations = [4, 5]\n', "x changes nothing.*values are set already"),
        (LONE + '"training.epochs" = 7\n[grid]\niterations = [4, 5]\n', "does not read training.epochs"),
        (LONE + 'iterations = "many"\n[grid]\n"modular.p" = [7, 11]\n', r'iterations = "many"'),
        (LONE + 'arm = "magic"\n[grid]\n"modular.p" = [7, 11]\n', "magic"),
        (LONE + 'seed = 3\n', "variants.x.seed is what the study itself sets"),
        ('[variants.frozen]\niterations = 5\n', "name of an arm"),
        ('[variants."a/b"]\niterations = 5\n', "at most 40 letters"),
        ('[variants]\nx = 5\n', "no named set of settings"),
        ("[variants.x]\niterations = 5\n", "at least 6"),
        ('arms = ["expert_iteration", "expert_iteration"]\n', "holds an arm twice; leave one out"),
        ('family = "rpn"\n[grid]\niterations = [4, 5]\n', "does not train; name one of modular"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_sweep_is_one_sentence_and_nothing_is_written(study_file, tmp_path, text, says):
    root = tmp_path / "runs"
    for options in ([], ["--plan"]):
        told = CliRunner().invoke(app, ["study", str(study_file(HEAD + text)), "--root", str(root), *options])
        assert isinstance(told.exception, ConfigError), told.output
        assert re.search(says, str(told.exception)), str(told.exception)
        assert "\n" not in str(told.exception)
        assert not root.exists()


def test_a_huge_grid_is_counted_without_being_made(study_file):
    keys = ("problems.train_size", "problems.val_size", "training.epochs", "modular.hidden", "modular.embedding")
    axes = "".join(f'"{key}" = {list(range(1, 400))}\n' for key in keys)
    with pytest.raises(ConfigError, match="more than max_runs = 1000"):
        load_study(study_file(HEAD + "[grid]\n" + axes))


HUGE = ("problems.train_size", "problems.val_size", "training.epochs", "modular.hidden", "modular.embedding", "seeds_")[
    :5
]


def test_the_plan_counts_the_runs(study_file, tmp_path):
    told = CliRunner().invoke(app, ["study", str(study_file(HEAD + GRID)), "--plan", "--root", str(tmp_path / "runs")])
    assert told.exit_code == 0
    assert "18 runs (1 arm times 6 cells of the grid times 3 seeds)" in " ".join(told.output.split())


QUICK = 'name = "tiny"\npreset = "quickstart"\nseeds = 8\n'
LEFT_UNREAD = {
    "replay.strategy": "'recency'",
    "replay.capacity": "7",
    "sampling.min_draws": "2",
    **{f"curriculum.{key}": "7" for key in ("rounds",)},
    **{f"curriculum.{key}": "0.5" for key in ("up", "down", "low", "high")},
    "curriculum.keep_easier": "false",
    "curriculum.levels": "[[1, 1], [2, 2]]",
    "foothold.partial_until": "4",
    "foothold.hints_until": "4",
}
READ_WITH = {
    "replay.strategy": ["'replay.rounds' = 0\n'replay.share' = 0.5"],
    "replay.capacity": ["'replay.rounds' = 0\n'replay.share' = 0.5"],
    "sampling.min_draws": [f"'sampling.allocation' = '{rule}'" for rule in ("unsolved_first", "adaptive")],
    "foothold.partial_until": ["'foothold.partial' = 0.5"],
    "foothold.hints_until": ["'foothold.hints' = 0.5"],
    "curriculum.rounds": ["linear", "success", "forced"],
    "curriculum.levels": ["linear", "success", "forced"],
    "curriculum.keep_easier": ["linear", "success", "forced"],
    "curriculum.up": ["success", "forced"],
    "curriculum.down": ["success"],
    "curriculum.low": ["self_paced"],
    "curriculum.high": ["self_paced"],
}


@pytest.mark.parametrize("key", LEFT_UNREAD)
def test_a_setting_that_another_leaves_unread_makes_no_condition(study_file, tmp_path, key):
    text = f"{QUICK}[settings]\niterations = 20\n[variants.x]\n'{key}' = {LEFT_UNREAD[key]}\n"
    root = tmp_path / "runs"
    told = CliRunner().invoke(app, ["study", str(study_file(text)), "--root", str(root)])
    assert isinstance(told.exception, ConfigError), told.output
    assert re.search(rf"variants.x changes nothing.* leaves unread {key}\)", str(told.exception))
    assert not root.exists()
    for setting in READ_WITH[key]:
        setting = setting if "=" in setting else f"'curriculum.kind' = '{setting}'"
        read = text.replace("[variants", f"{setting}\n[variants")
        assert len(plan(load_study(study_file(read)), 0)) == 2, setting


def test_a_grid_of_settings_that_nothing_reads_is_refused(study_file):
    text = QUICK + "[grid]\n'replay.strategy' = ['reservoir', 'recency', 'balanced', 'forgetting']\n"
    text += "'sampling.min_draws' = [0, 1, 2]\n'curriculum.up' = [0.6, 0.8]\n"
    with pytest.raises(ConfigError, match=r"grid.curriculum.up changes nothing.*curriculum.kind = 'none' leaves"):
        plan(load_study(study_file(text)), 0)
    half = QUICK + "[settings]\n'replay.rounds' = 0\n[grid]\n'replay.share' = [0, 0.5]\n"
    half += "'replay.strategy' = ['reservoir', 'recency']\n"
    with pytest.raises(ConfigError, match=r"grid\.replay\.strategy changes nothing"):
        plan(load_study(study_file(half)), 0)


@pytest.mark.parametrize(
    ("arm", "keys"),
    [
        ("frozen", ["selection.max_rows", "selection.weight", "replay.rounds", "sampling.allocation"]),
        ("sft_reference", ["selection.max_rows", "selection.max_per_problem", "replay.rounds", "foothold.partial"]),
        ("static_rft", ["selection.max_rows", "replay.rounds"]),
        ("reinforce", ["selection.max_per_problem", "replay.rounds", "training.target"]),
    ],
)
def test_what_an_arm_does_not_read_makes_no_variant_of_it(study_file, arm, keys):
    values = {"selection.weight": "'difficulty'", "sampling.allocation": "'adaptive'", "foothold.partial": "0.5"}
    values["training.target"] = "'completion'"
    for key in keys:
        change = f"'{key}' = {values.get(key, 2)}\n"
        text = f"{QUICK}arms = ['expert_iteration', '{arm}']\n[variants.x]\narm = '{arm}'\n{change}"
        with pytest.raises(ConfigError, match=rf"variants.x changes nothing.*arm '{arm}' .*does not read {key}"):
            plan(load_study(study_file(text)), 0)
        plan(load_study(study_file(f"{QUICK}[variants.x]\n{change}")), 0)


def test_a_grid_that_one_arm_does_not_read_is_a_grid_of_the_others(study_file):
    text = QUICK + "arms = ['expert_iteration', 'static_rft', 'frozen']\n[grid]\n'replay.rounds' = [0, 3]\n"
    assert len(plan(load_study(study_file(text)), 0)) == 6


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("difficulty", [5, 8]),
        ("difficulty_by_family", {"rpn": [5, 8]}),
        ("families", ["rpn"]),
        ("val_size", 50),
        ("test_size", 50),
        ("ood_size", 50),
        ("ood_families", ["list_reduce"]),
        ("shown_cases", 4),
        ("hidden_cases", 8),
    ],
)
def test_times_on_other_problems_are_not_compared(key, value):
    made = {"other": {f"problems.{key}": value}, "alike": {"training.mode": "restart"}}
    study = StudyConfig(name="s", preset="original", seeds=9, variants=made)
    assert [other.group for _, other in study.compared()] == ["alike"]
    study = StudyConfig(name="s", preset="original", seeds=9, family="rpn", variants=made)
    assert len(study.compared()) == (2 if key == "families" else 1)
    sized = StudyConfig(name="s", preset="modular", seeds=9, grid={"modular.train_fraction": (0.5, 0.6)})
    assert sized.comparisons == 1


OTHER = {
    "mode": "restart",
    "optimizer": "fresh",
    "schedule": "linear",
    "warmup_steps": 2,
    "epochs": 3,
    "learning_rate": 0.5,
    "batch_size": 3,
    "gradient_accumulation": 3,
    "lora_r": 3,
    "lora_alpha": 3,
    "lora_dropout": 0.5,
    "target": "completion",
    "target_modules": ["x"],
    "weight_decay": 0.5,
    "max_grad_norm": 0.001,
    "max_length": 33,
}


def test_a_setting_is_called_unread_if_and_only_if_training_does_not_depend_on_it(tmp_path):
    """So a sweep is refused where all of its runs would be the same, and nowhere else."""
    base = ExperimentConfig(
        model={"kind": "modular"}, modular={"p": 7, "embedding": 4, "hidden": 4, "steps_per_iteration": 3}
    )
    problems = make_modular_problems(base)["train"]

    def trained(config, out):
        learner, policy = ModularLearner(config), Policy("base", None)
        for number in (1, 2):
            (folder := out / str(number)).mkdir(parents=True)
            examples = [Example(learner.prompt(problem), problem.expected_output, 1.0) for problem in problems]
            learner.train(examples, Round(policy, folder, 0, number))
            policy = Policy(str(number), folder)
        return (out / "2/network.safetensors").read_bytes()

    same = trained(base, tmp_path / "base")
    for key, value in OTHER.items():
        found = trained(override(base, (), **{f"training.{key}": value}), tmp_path / key)
        assert (found == same) == (f"training.{key}" in UNREAD["modular"]), key
    assert make_modular_problems(override(base, (), **{"problems.train_size": 9})) == make_modular_problems(base)


def outcome(label, seed, time, accuracy=0.9, horizon=20.0):
    metric = metric_row(iteration=0, split="val", value=0.5, low=0.0, high=1.0, n=10)
    config = ExperimentConfig(seed=seed)
    seen = time < horizon
    times = (min(time, horizon), seen, horizon)
    return Outcome(
        f"{label}-{seed}", "expert_iteration", seed, "", *times, "gradual", accuracy, (metric,), (), config, label
    )


def swept(seeds, time, **fields):
    """A study on two axes whose runs generalise at `time(cell, seed)`, with its table's rows."""
    grid = fields.pop("grid", {"modular.train_fraction": (0.4, 0.6, 0.8), "modular.weight_decay": (0, 1)})
    study = StudyConfig(name="s", preset="modular", seeds=seeds, grid=grid, **fields)
    groups = {
        one.label: [outcome(one.label, seed, time(one, seed)) for seed in range(seeds)] for one in study.conditions()
    }
    found = compare_study(study, groups)
    return study, groups, found, sweep.rows(study, groups, found)


def late(one, seed):
    """Only with decay and enough data; sooner with more."""
    return (30 - 30 * one.cell["modular.train_fraction"] + seed % 3) if one.cell["modular.weight_decay"] else 99.0


def test_the_table_shows_what_differs_and_every_condition(study_file):
    study, _, found, rows = swept(9, late)
    header, body = sweep.table(study, rows)
    assert header[:2] == ["train_fraction", "weight_decay"]
    assert len(body) == 6
    assert body[0][2:6] == ["9", "0", "never", "0.900, all alike"]
    assert body[2][6:] == ["neither generalised", "", ""]
    assert body[5][:5] == ["0.8", "1", "9", "9", "7 [6, 8]"]
    assert len(found) == 5 == study.comparisons
    assert all(one.family == 5 for one in found)
    lone, _, _, rows = swept(9, late, grid={"modular.train_fraction": (0.6,), "modular.weight_decay": (0, 1)})
    assert sweep.table(lone, rows)[0][0] == "weight_decay", "an axis of one value does not differ"


def test_the_multiplicity_is_said_and_holm_decides():
    study, _, found, rows = swept(9, late)
    told = " ".join(sweep.sentences(study, rows))
    assert "There are 5 comparisons, each cell of the grid with the first" in told
    assert "Holm" in told
    decided = [one for one in found if one.family_p <= 0.05]
    assert f"{len(decided)} of them decide" in told
    assert decided
    assert [one.family_p for one in found] == survival.holm([one.p for one in found])
    assert any(one.family_p > one.p for one in found)
    for one in found:
        assert one.family_p >= one.p
        assert (f"{one.other} is sooner than" in told) == (one in decided)
    nothing = " ".join(sweep.sentences(study, swept(9, lambda one, seed: 5.0 + seed)[3]))
    assert "None of them decides" in nothing


def test_too_few_seeds_describe_and_decide_nothing():
    study, _, found, rows = swept(3, late)
    told = " ".join(sweep.sentences(study, rows))
    assert "With 3 seeds no test can reach 0.05 among so many; that takes at least 8" in told
    assert "decide nothing" in told
    assert "sooner" not in told
    assert "covers it with 75 %" in told
    assert min(one.family_p for one in found) > 0.05


def test_arms_are_compared_within_their_cell():
    study, _, found, rows = swept(9, late, variants={"other": {"replay.rounds": 3}})
    assert [(one.expert, one.other) for one in found] == [
        (rows[place].condition.label, rows[place + 1].condition.label) for place in range(0, 12, 2)
    ]
    assert "each arm and variant with expert_iteration in its cell" in " ".join(sweep.sentences(study, rows))


@pytest.mark.slow
def test_the_interval_of_a_median_covers_as_often_as_it_says():
    rng = np.random.default_rng(0)
    for n, covers in ((3, 0.75), (6, 0.96875), (9, 0.9609375), (20, 0.9586)):
        draws = [sweep.median(rng.exponential(size=n), 0.95) for _ in range(2000)]
        assert draws[0].covers == pytest.approx(covers, abs=1e-4)
        seen = np.mean([found.low <= math.log(2) <= found.high for found in draws])
        assert seen == pytest.approx(covers, abs=0.02)
    censored = sweep.median([3.0, 4.0, math.inf, math.inf, math.inf], 0.95)
    assert (censored.value, censored.low, censored.high) == (math.inf, 3.0, math.inf)


@pytest.mark.parametrize(
    ("generalises", "says"),
    [
        ((0, 0, 1), r"between train_fraction = 0.6, at which fewer than half .* and 0.8"),
        ((1, 1, 1), "below train_fraction = 0.4"),
        ((0, 0, 0), "above train_fraction = 0.8"),
        ((1, 0, 1), "between train_fraction = 0.6, .* and 0.8"),
    ],
)
def test_the_critical_data_size_is_bracketed(generalises, says):
    at = dict(zip((0.4, 0.6, 0.8), generalises, strict=True))
    grid = {"modular.train_fraction": (0.8, 0.4, 0.6)}
    study, _, _, rows = swept(3, lambda one, seed: 5.0 if at[one.cell["modular.train_fraction"]] else 99.0, grid=grid)
    [told] = sweep.critical_sizes(study, rows)
    assert re.search(says, told)
    assert set(sweep_charts.charts(study, rows)) == {"over_train_fraction"}


def test_the_map_is_white_where_no_run_generalised_and_has_a_cell_for_each():
    study, groups, found, rows = swept(3, late)
    made = sweep_charts.charts(study, rows)
    assert set(made) == {"map_time", "map_accuracy", "over_train_fraction"}
    [data] = made["map_time"].to_dict()["datasets"].values()
    assert {(row["x"], row["y"]): row["text"] for row in data if row["value"] is None} == {
        (x, 0.0): "never" for x in (0.4, 0.6, 0.8)
    }
    assert {row["value"] for row in data if row["y"] == 1.0} == {19.0, 13.0, 7.0}
    drawn = report.svg(made["map_time"])
    assert drawn.count('fill="white"') >= 3
    page = report.page("s", groups, sweep.sentences(study, rows), made, sweep.table(study, rows))
    assert page.count("<svg") == 3
    assert "<h2>Conditions</h2>" in page
    kept = json.loads(report.figures(groups, found))
    assert {run["group"] for run in kept["runs"]} == set(groups)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, "finish it"),
        ({"modular.weight_decay": 0.2}, r"has modular.weight_decay = 0.2 and the study gives it 0.1"),
        ({"replay.rounds": 7}, r"differ in replay.rounds \(0 and 7\)"),
    ],
)
def test_a_run_that_has_not_the_settings_of_its_condition_is_refused(study_file, tmp_path, changes, says):
    study, root = load_study(study_file(HEAD + GRID)), str(tmp_path / "runs")
    changed = run_name(study, "expert_iteration", 1, study.conditions()[3].cell)
    for config in (config for seed in range(3) for config in plan(study, seed)):
        Experiment(root, override(config, (), **changes) if config.name == changed else config).save()
    with pytest.raises(DataError, match=says):
        gather_study(root, study)


def test_each_way_to_a_foothold_is_a_variant_beside_plain_expert_iteration():
    study = load_study(Path("learning-from-nothing"))
    plain, *others = plan(study, 0)
    assert plain.foothold == FootholdConfig()
    assert len({str(config.foothold) for config in others}) == 4 == study.comparisons
    assert {str(config.model_copy(update={"name": "", "foothold": plain.foothold})) for config in others} == {
        str(plain.model_copy(update={"name": ""}))
    }


def test_the_list_for_when_nothing_groks_runs_on_both_learners():
    study = load_study(Path("if-nothing-groks"))
    assert len(plan(study, 0)) == len(study.groups) == 10
    language = study.model_copy(update={"settings": {"model.path": "smollm2-135m"}})
    configs = plan(language, 8)
    assert {config.model.kind for config in configs} == {"language"}
    assert len({str(config.model_copy(update={"name": "n"})) for config in configs}) == 10


def test_an_arm_that_the_engine_cannot_serve_stops_the_study_before_its_first_run(study_file):
    text = 'name = "tiny"\npreset = "quickstart"\nseeds = 6\narms = ["expert_iteration", "reinforce"]\n[settings]\n'
    engine = 'sampling.engine = "vllm"\n'
    with pytest.raises(ConfigError, match=r"sampling\.vllm\.logprobs = false; set it to true"):
        plan(load_study(study_file(text + engine)), 0)
    assert len(plan(load_study(study_file(f"{text}{engine}sampling.vllm.logprobs = true\n")), 0)) == 2
