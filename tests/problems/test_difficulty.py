"""Difficulty against solve rates: the trend finds what is there, names what is wrong, and is silent on chance."""

import random
import sys

import pytest
from scipy.stats import spearmanr

from axiom.cli import main
from axiom.config import load_config
from axiom.evaluation.difficulty import trends
from axiom.experiment import Experiment
from axiom.records import Evaluation
from axiom.store import write_parquet

QUICKSTART = "deployments/quickstart.toml"


def rows(family: str, chance, per_level: int = 12, n: int = 4, seed: int = 0) -> list[Evaluation]:
    """Problems of difficulty 1 to 6; `chance` gives the chance that a sample is correct."""
    rng = random.Random(seed)
    return [
        Evaluation(
            problem_id=f"{family}{level}.{place}",
            split="val",
            family=family,
            difficulty=level,
            n=n,
            correct=sum(rng.random() < chance(level) for _ in range(n)),
            greedy_correct=rng.random() < chance(level),
        )
        for level in range(1, 7)
        for place in range(per_level)
    ]


def test_a_trend_takes_eight_problems():
    """Four levels of two, of which the last is never solved."""
    solved = rows("falls", lambda level: float(level < 4), per_level=2)
    (enough,), (few,) = trends(solved[:8]), trends(solved[:7])
    assert (enough.says, few.rho) == ("falls", None)


def test_falling_rising_and_flat_rates_are_told_apart():
    mixed = rows("falls", lambda d: 1 - d / 8) + rows("rises", lambda d: d / 8) + rows("flat", lambda d: 0.5)
    found = {trend.family: trend for trend in trends(mixed)}
    assert {name: trend.says for name, trend in found.items()} == {
        "falls": "falls",
        "rises": "rises",
        "flat": "unclear",
    }
    cell = found["falls"].cells[1]
    assert cell.n == 12
    assert cell.low <= cell.rate <= cell.high


def test_the_correlation_is_scipys_over_problems():
    sample = rows("one", lambda d: 1 - d / 10)
    (trend,) = trends(sample)
    expected = spearmanr([row.difficulty for row in sample], [row.correct / row.n for row in sample])
    assert (trend.rho, trend.p) == pytest.approx((expected.statistic, expected.pvalue))


def test_the_greedy_answer_counts_where_no_samples_were_drawn():
    (trend,) = trends(rows("greedy", lambda d: float(d <= 3), n=0))
    assert [cell.rate for cell in trend.cells.values()] == [1, 1, 1, 0, 0, 0]
    assert trend.says == "falls"


@pytest.mark.parametrize("chance", [0.0, 1.0])
def test_problems_that_all_fail_or_all_pass_have_no_trend(chance):
    (trend,) = trends(rows("same", lambda d: chance))
    assert (trend.rho, trend.p, trend.says) == (None, 1.0, "unclear")


def test_one_difficulty_and_few_problems_have_no_trend():
    one_level = [row for row in rows("one", lambda d: 0.5) if row.difficulty == 1]
    assert [trend.rho for trend in trends(one_level)] == [None]
    assert [trend.rho for trend in trends(rows("few", lambda d: d / 8, per_level=1))] == [None]
    assert trends([]) == []


@pytest.mark.slow
def test_chance_alone_is_named_in_at_most_one_run_of_twenty():
    """35 families without a trend: some family is named in 5 % of runs at most, give or take the binomial's slack."""
    alarms = 0
    for seed in range(40):
        flat = [row for place in range(35) for row in rows(f"f{place}", lambda d: 0.5, 4, seed=100 * seed + place)]
        alarms += any(trend.says != "unclear" for trend in trends(flat))
    assert alarms <= 6  # P(more than 6 of 40 at 5 %) is 0.3 %


def axiom(monkeypatch, capsys, *arguments: str) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["axiom", "problems", "difficulty", *arguments])
    with pytest.raises(SystemExit) as left:
        main()
    return int(left.value.code or 0), *capsys.readouterr()


@pytest.fixture
def experiment(tmp_path, monkeypatch):
    monkeypatch.setenv("AXIOM_ROOT", str(tmp_path))
    monkeypatch.setattr("axiom.cli.app.console.width", 400)
    experiment = Experiment.create(str(tmp_path), load_config(QUICKSTART))
    experiment.save()
    return experiment


def test_the_command_reads_an_experiments_evaluations(experiment, monkeypatch, capsys):
    early, late = rows("rpn", lambda d: d / 7), rows("rpn", lambda d: 1 - d / 7)
    for iteration, evaluations in ((0, early), (3, late)):
        write_parquet(experiment.folder.join(f"iterations/{iteration:04d}"), "evaluation", evaluations, Evaluation)
    code, out, _ = axiom(monkeypatch, capsys, "quickstart")
    assert code == 0
    assert "iteration 3" in out
    assert "no family's solve rate rises with difficulty" in out
    code, out, _ = axiom(monkeypatch, capsys, "quickstart", "--iteration", "0")
    assert code == 0
    assert "rpn: problems called harder are solved more often" in out


def test_what_was_not_evaluated_is_said_in_one_sentence(experiment, monkeypatch, capsys):
    code, _, err = axiom(monkeypatch, capsys, "quickstart")
    assert (code, err.strip().count("\n")) == (2, 0)
    assert "has no evaluation yet" in err
    write_parquet(experiment.folder.join("iterations/0002"), "evaluation", rows("rpn", lambda d: 0.5), Evaluation)
    code, _, err = axiom(monkeypatch, capsys, "quickstart", "--iteration", "1")
    assert code == 2
    assert "no evaluation of iteration 1; evaluated are 2" in err
