"""Splits that never meet, drawn evenly, and what is said when they cannot be had."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from axiom.config import ProblemsConfig, build_config
from axiom.errors import ConfigError, DataError
from axiom.problems import GENERATORS, check_families, generate, generate_splits, prove_disjoint
from axiom.problems.bulk import write
from axiom.problems.space import permutation
from axiom.records import Problem
from axiom.seeds import stream

EASY = ("list_sort", "list_filter", "list_aggregate", "string_transform", "arithmetic", "rpn", "parentheses")


def config(**changes):
    base = {"families": EASY, "difficulty": (1, 2), "train_size": 42, "val_size": 21, "test_size": 21}
    return ProblemsConfig(**(base | changes))


@pytest.fixture(scope="module")
def splits():
    return generate_splits(config(ood_size=14, ood_families=("palindrome", "caesar")), 0)


def test_every_split_has_the_size_asked_for(splits):
    sizes = {name: len(problems) for name, problems in splits.items()}
    assert sizes == {"train": 42, "val": 21, "test": 21, "ood_cases": 14, "ood_longer": 14, "ood_composed": 14,
                     "ood_family": 14}  # fmt: skip
    assert all(problem.split == name for name, problems in splits.items() for problem in problems)


def test_small_splits_are_even_over_families_and_difficulties(splits):
    for name in ("train", "val", "test"):
        families = [problem.family for problem in splits[name]]
        assert len({families.count(family) for family in EASY}) == 1
        low = sum(problem.difficulty == 1 for problem in splits[name])
        assert abs(2 * low - len(families)) <= len(EASY) + 8  # rpn and arithmetic have few variants at difficulty 1


def test_the_proof_compares_every_pair(splits):
    rows = prove_disjoint(splits)
    assert len(rows) == 7 * 6 // 2
    assert all(row["shared"] == 0 for row in rows)
    assert {row["compared"] for row in rows} == {"calls", "variants and behaviours"}


def test_overlap_by_variant_names_the_pair(splits):
    leaked = splits | {"val": [*splits["val"], splits["train"][3].model_copy(update={"split": "val"})]}
    with pytest.raises(DataError, match=f"problem {splits['train'][3].problem_id} of train .* same variant"):
        prove_disjoint(leaked)


def test_overlap_by_behaviour_is_found_under_another_name(splits):
    problem = next(p for p in splits["train"] if p.family == "list_aggregate")
    disguised = problem.model_copy(update={"variant": problem.variant.replace('"none"', '"plus_1"')})
    with pytest.raises(DataError, match="same behaviour"):
        prove_disjoint({"train": [problem], "val": [disguised]})


def test_unseen_cases_are_those_of_trained_variants(splits):
    trained = {(p.family, p.variant): p for p in splits["train"]}
    for problem in splits["ood_cases"]:
        known = trained[problem.family, problem.variant]
        calls = [{case.args for case in (*p.shown, *p.cases)} for p in (known, problem)]
        assert not calls[0] & calls[1]


def test_longer_problems_are_harder_and_longer(splits):
    assert min(problem.difficulty for problem in splits["ood_longer"]) > 2
    lengths = [sum(len(case.args) for p in splits[name] for case in p.cases) / len(splits[name])
               for name in ("train", "ood_longer")]  # fmt: skip
    assert lengths[1] > 1.5 * lengths[0]


def test_composed_problems_are_made_of_trained_variants(splits):
    trained = {f"{p.family}" for p in splits["train"]}
    for problem in splits["ood_composed"]:
        assert set(problem.family.split("+")) <= trained
        assert problem.entry_point == "combined"


def test_a_larger_train_set_leaves_validation_and_test_as_they_were():
    small, large = (generate_splits(config(train_size=size), 5) for size in (10, 60))
    assert small["val"] == large["val"]
    assert small["test"] == large["test"]
    assert small["train"] == large["train"][:10]


def test_neighbouring_seeds_give_other_problems():
    one, two = ({p.problem_id for ps in generate_splits(config(), seed).values() for p in ps} for seed in (7, 8))
    assert one.isdisjoint(two)


def test_the_default_experiment_has_its_sizes():
    made = generate_splits(ProblemsConfig(), 0)
    assert {name: len(problems) for name, problems in made.items()} == {"train": 1000, "val": 200, "test": 200}
    assert all(3 <= problem.difficulty <= 7 for problems in made.values() for problem in problems)
    assert prove_disjoint(made)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"families": ("list_srt",)}, "unknown family 'list_srt'; did you mean 'list_sort'"),
        ({"families": ()}, "families is empty"),
        ({"families": ("queens",), "difficulty": (1, 5)}, "outside what family 'queens' offers, 3 to 10"),
        ({"families": ("rpn",), "difficulty": (1, 1)}, "family 'rpn' has 3 variants at difficulty 1 to 1, fewer than"),
        ({"families": ("list_sort",), "ood_families": ("nope",)}, "unknown family 'nope'"),
        ({"families": ("reasoning_gym:basic_arithmetik",)}, "unknown dataset 'basic_arithmetik'.*basic_arithmetic"),
    ],
)
def test_what_cannot_be_had_says_what_can(changes, message):
    with pytest.raises(ConfigError, match=message):
        check_families(config(**changes))


def test_the_config_checks_families_on_load():
    with pytest.raises(ConfigError, match="did you mean 'arithmetic'"):
        build_config({"problems": {"families": ["arithmetik"]}})


def test_more_problems_than_variants_says_how_many_there_are():
    with pytest.raises(ConfigError, match="count 100 is more than the 3 variants of family 'rpn' at difficulty 1 to 1"):
        generate("rpn", (1, 1), 100, 0)


def test_more_problems_than_distinct_behaviours_says_so_too():
    family = GENERATORS["anagram"]
    with pytest.raises(ConfigError, match=r"has no more than \d+ distinct problems at difficulty 1 to 2"):
        list(generate("anagram", (1, 2), family.space.count(1) + family.space.count(2), 0))


@given(st.integers(0, 300), st.integers())
def test_a_permutation_names_each_number_once(count, seed):
    assert sorted(permutation(count, stream(seed, "order"))) == list(range(count))


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(sorted(GENERATORS)), st.integers(0, 10**9))
def test_every_index_of_every_difficulty_is_a_variant_of_it(name, seed):
    family = GENERATORS[name]
    rng = stream(seed, "pick")
    level = rng.choice([level for level in range(1, 11) if family.space.count(level)])
    names = family.space.names(level, rng.randrange(family.space.count(level)))
    assert family.space.difficulty(names) == level
    assert family.describe(family.space.variant(names)).endswith(".")


def test_bulk_files_hold_what_generate_gives_whatever_the_number_of_processes(tmp_path):
    import pyarrow.parquet as pq

    expected = list(generate("list_sort", (1, 10), 300, 9))
    for workers in (1, 2):
        path = tmp_path / f"{workers}.parquet"
        assert write(path, ["list_sort"], (1, 10), 300, 9, workers) == 300
        assert Problem.from_table(pq.read_table(path)) == expected


def test_bulk_files_share_the_count_between_families(tmp_path):
    path = tmp_path / "p.jsonl"
    assert write(path, ["rpn", "caesar"], (3, 5), 11, 0) == 11
    families = [Problem.model_validate_json(line).family for line in path.read_text().splitlines()]
    assert (families.count("rpn"), families.count("caesar")) == (6, 5)
