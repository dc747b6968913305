"""Forks beside the runs they come from: the pairs, the iteration at which they part, and what is refused."""

import pytest

from axiom.config import load_config, override
from axiom.errors import DataError
from axiom.experiment import Experiment, iteration_folder
from axiom.records import Metric
from axiom.report import study_charts as charts
from axiom.store import write_parquet
from axiom.study import Study
from axiom.study.forks import common, owners
from tests.rows import metric_row

LAST = 8


def run(root, name, seed=0, late=6, fork=None, arm="expert_iteration", yoke="", **changes) -> Experiment:
    """A finished run that generalises at `late`; `fork` is the parent and the iteration it was forked at."""
    base = load_config("modular", name=name, seed=seed, iterations=LAST, arm=arm, yoke=yoke)
    config = override(base, (), **{key.replace("__", "."): value for key, value in changes.items()})
    made = Experiment(str(root), config)
    shared, at = [], 0
    if fork is not None:
        parent, at = fork
        shared = [{"before": at, "config": parent.made_with(0).model_dump(mode="json")}]
        made.save(fork={"of": parent.config.name, "at": at, "shared": shared})
    else:
        made.save()
    made = Experiment(str(root), config)
    rows = [
        metric_row(iteration=i, split=split, value=float(split == "train" or i >= late), n=50)
        for i in range(LAST + 1)
        for split in ("train", "val")
    ]
    write_parquet(made.folder, "metrics", rows, Metric)
    for number in range(LAST + 1):
        mark = f"{seed}" if number < at or fork is None else name
        made.stages.run(
            "metrics", iteration_folder(number), settings=mark, version="1", inputs={},
            work=lambda out, mark=mark: out.json("metrics", mark),
        )  # fmt: skip
    return made


def compared(root, *names):
    study = Study("forks", names, root=str(root))
    return study, study.compare()


@pytest.mark.parametrize("reverse", [False, True])
def test_six_parents_and_their_forks_are_paired_by_stem_and_decide(tmp_path, reverse):
    names = []
    for seed in range(6):
        parent = run(tmp_path, f"p{seed}", seed, late=5)
        run(tmp_path, f"f{seed}", seed, late=3, fork=(parent, 2), replay__rounds=0)
        names += [f"p{seed}", f"f{seed}"]
    study, [found] = compared(tmp_path, *(reversed(names) if reverse else names))
    label = "replay.rounds = 0 from iteration 2 on"
    assert (found.expert, found.other, found.pairs, found.difference) == ("expert_iteration", label, 6, -2.0)
    assert found.differ == {"replay.rounds": (1000, 0)}
    assert found.since == (2, 2)
    text = found.paragraph()
    assert "they differ from iteration 2 on, in replay.rounds (1000 against 0)" in text
    assert f"It follows that {label} generalises sooner than expert_iteration here" in text
    drawn = charts.all_of(study.arms, [found], "iteration", "val")["branches"].to_dict()
    [rows] = drawn["datasets"].values()
    assert {row["iteration"] for row in rows if row["branch"] == "shared"} == {0, 1}
    assert {row["iteration"] for row in rows if row["branch"] == label} == set(range(1, LAST + 1))


def test_one_pair_is_described_and_decides_nothing(tmp_path):
    parent = run(tmp_path, "p", late=7)
    run(tmp_path, "f", late=3, fork=(parent, 2), modular__weight_decay=0.5)
    _, [found] = compared(tmp_path, "p", "f")
    assert (found.pairs, found.since) == (1, (2, 2))
    assert "It follows that" not in found.paragraph().replace("does not follow that", "")
    assert "differ from iteration 2 on, in modular.weight_decay (1.0 against 0.5)" in found.paragraph()


def test_a_setting_that_a_fork_does_not_read_is_no_difference(tmp_path):
    parent = run(tmp_path, "p", late=7)
    unread = {"replay__capacity": 9, "curriculum__up": 0.5, "training__epochs": 3}
    run(tmp_path, "f", late=3, fork=(parent, 2), modular__weight_decay=0.5, **unread)
    _, [found] = compared(tmp_path, "p", "f")
    assert found.other == "modular.weight_decay = 0.5 from iteration 2 on"
    assert found.differ == {"modular.weight_decay": (1.0, 0.5)}


def test_two_forks_of_one_run_part_where_the_first_of_them_does(tmp_path):
    parent = run(tmp_path, "p")
    first = run(tmp_path, "f", fork=(parent, 4), modular__weight_decay=0.5)
    run(tmp_path, "g", fork=(parent, 2), modular__weight_decay=0.1)
    grand = run(tmp_path, "h", fork=(first, 6), modular__weight_decay=0.3)
    lines = {name: owners(Experiment.open(str(tmp_path), name)) for name in "pfgh"}
    assert lines["h"] == [("h", 6), ("f", 4), ("p", 0)]
    assert [common(lines["p"], lines[name]) for name in "fgh"] == [4, 2, 4]
    assert (common(lines["f"], lines["g"]), common(lines["f"], lines["h"]), common(lines["g"], lines["h"])) == (2, 6, 2)
    assert common(lines["p"], [("other", 0)]) == 0
    assert grand.forked_from == "f"
    _, [found] = compared(tmp_path, "f", "g")
    assert found.since == (2, 2)


def test_a_fork_of_a_yoked_run_is_not_held_against_the_ledger_of_its_parent(tmp_path):
    run(tmp_path, "expert")
    parent = run(tmp_path, "p", arm="static_rft", yoke="expert")
    run(tmp_path, "f", fork=(parent, 2), arm="static_rft", yoke="expert", modular__weight_decay=0.5)
    _, [found] = compared(tmp_path, "p", "f")
    assert found.refusal is None
    assert "No verdict" not in found.paragraph()


def test_forks_that_make_no_pair_are_refused_in_one_sentence(tmp_path):
    parent = run(tmp_path, "p")
    run(tmp_path, "f", fork=(parent, 2), modular__weight_decay=0.5)
    run(tmp_path, "twin", fork=(parent, 2), modular__weight_decay=0.5)
    run(tmp_path, "q", seed=1)
    for names, says in (
        (("f", "q"), "'q' shares its first iterations with none of the others"),
        (("p", "f", "q"), "'q' shares its first iterations with none"),
        (("p", "f", "twin"), "'f' and 'twin' are both"),
        (("f", "twin"), "both"),
    ):
        with pytest.raises(DataError, match=says) as error:
            compared(tmp_path, *names)
        assert "\n" not in str(error.value)


def test_a_parent_that_was_computed_again_since_is_no_common_stem(tmp_path):
    parent = run(tmp_path, "p")
    run(tmp_path, "f", fork=(parent, 3), modular__weight_decay=0.5)
    parent.stages.run(
        "metrics",
        iteration_folder(1),
        settings="anew",
        version="2",
        inputs={},
        work=lambda out: out.json("metrics", "x"),
    )
    with pytest.raises(DataError, match="iteration 1 of 'p' is no longer that of 'f'"):
        compared(tmp_path, "p", "f")
