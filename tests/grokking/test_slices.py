"""One run's many curves: which slices there are, and the problems the base model could not solve."""

import pytest

from axiom.grokking import slices, unsolved
from axiom.records import Evaluation
from tests.rows import metric_row


def metric(iteration, split, value, family=None, difficulty=None):
    return metric_row(
        iteration=iteration,
        split=split,
        family=family,
        difficulty=difficulty,
        value=value,
        n=20,
    )


def table(families=("rpn", "sort"), difficulties=(3, 4)):
    parts = [(None, None), *((family, None) for family in families), *((None, level) for level in difficulties)]
    return [
        metric(i, split, value, *part)
        for i in range(3)
        for split, value in (("train", 0.9), ("val", 0.2), ("ood_family", 0.1))
        for part in parts
        if not (split == "ood_family" and part[0])
    ]


def test_every_split_family_and_difficulty_has_its_curve():
    found = slices([*table(), metric(0, "ood_family", 0.1, "unseen")])
    assert set(found) == {
        "val",
        "val · rpn",
        "val · sort",
        "val · difficulty 3",
        "val · difficulty 4",
        "ood_family",
        "ood_family · difficulty 3",
        "ood_family · difficulty 4",
    }
    assert all(len(curve) == 3 for curve in found.values())
    assert found["ood_family"].val_accuracy == pytest.approx([0.1] * 3)


def test_a_single_family_is_no_slice_of_its_own():
    assert set(slices(table(("rpn",), (3,)))) == {"val", "ood_family"}


def row(problem, split, correct, greedy):
    return Evaluation(
        problem_id=problem, split=split, family="rpn", difficulty=3, n=4, correct=correct, greedy_correct=greedy
    )


def test_unsolved_keeps_the_problems_that_no_sample_of_the_base_model_solved():
    first = [
        row("a", "train", 0, False),
        row("b", "train", 1, False),
        row("c", "val", 0, False),
        row("d", "val", 0, True),
        row("e", "val", 0, False),
        row("f", "test", 2, True),
    ]
    later = [
        row("a", "train", 4, True),
        row("b", "train", 0, False),
        row("c", "val", 4, True),
        row("d", "val", 0, False),
        row("e", "val", 0, False),
        row("f", "test", 0, False),
    ]
    found = unsolved({2: later, 0: first})
    assert set(found) == {"val · pass@K = 0"}
    undrawn = [one.model_copy(update={"n": 0, "correct": 0}) for one in first]
    assert set(unsolved({0: undrawn})) == {"val · wrong at first"}
    curve = found["val · pass@K = 0"]
    assert curve.iteration.tolist() == [0, 2]
    assert curve.train_accuracy.tolist() == [0.0, 1.0]
    assert curve.val_accuracy.tolist() == [0.0, 0.5]
    assert curve.val_n.tolist() == [2, 2]


def test_where_the_base_model_solves_all_of_train_there_is_nothing_to_compare():
    assert unsolved({}) == {}
    assert unsolved({0: [row("a", "train", 4, True), row("c", "val", 0, False)]}) == {}
