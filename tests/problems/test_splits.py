"""Splits that never meet, drawn evenly, and what is said when they cannot be had."""

import itertools

import pytest
from hypothesis import given, settings, strategies as st
from pydantic import ValidationError

from axiom import values
from axiom.config import ProblemsConfig, build_config
from axiom.errors import ConfigError, DataError
from axiom.problems import (
    GENERATORS,
    audit_cases,
    check_families,
    family_named,
    generate,
    generate_splits,
    prove_disjoint,
)
from axiom.problems.benchmarks import humaneval
from axiom.problems.benchmarks.humaneval import humaneval_problems
from axiom.problems.cases import bounded
from axiom.problems.cases.building import Plan, build, fingerprint
from axiom.problems.composition import joined
from axiom.problems.family import load
from axiom.problems.space import permutation
from axiom.problems.splits import counting, out_of_distribution
from axiom.problems.splits.bulk import write
from axiom.problems.splits.overlap import first_solved, first_solving, solves, subject
from axiom.problems.splits.variants import Admitted, VariantSource, candidates, first_new
from axiom.records import Case, Problem, Split
from axiom.seeds import stream
from tests.tables import every

EASY = ("list_sort", "list_filter", "list_aggregate", "string_transform", "arithmetic", "rpn", "parentheses")


def config(**changes):
    base = {"families": EASY, "difficulty": (1, 2), "train_size": 42, "val_size": 21, "test_size": 21}
    return ProblemsConfig(**(base | changes))


@pytest.fixture(scope="module")
def splits():
    return generate_splits(config(ood_size=14, ood_families=("palindrome", "caesar")), 0)


def test_every_split_has_the_size_asked_for(splits):
    sizes = {name: len(problems) for name, problems in splits.items()}
    assert sizes == {
        "train": 42,
        "val": 21,
        "test": 21,
        "ood_cases": 14,
        "ood_longer": 14,
        "ood_composed": 14,
        "ood_family": 14,
    }
    assert all(problem.split == name for name, problems in splits.items() for problem in problems)


def test_small_splits_are_even_over_families_and_difficulties(splits):
    for name in ("train", "val", "test"):
        families = [problem.family for problem in splits[name]]
        assert len({families.count(family) for family in EASY}) == 1
        low = sum(problem.difficulty == 1 for problem in splits[name])
        assert abs(2 * low - len(families)) <= len(EASY) + 8  # rpn and arithmetic have few variants at difficulty 1


def test_the_proof_tries_every_ordered_pair_of_splits(splits):
    rows = prove_disjoint(splits)
    assert {(row["programs_of"], row["problems_of"]) for row in rows} == set(itertools.permutations(splits, 2))
    assert all(row["shared"] == 0 for row in rows)
    for row in rows:
        cases = {row["programs_of"], row["problems_of"]} == {"train", "ood_cases"}
        assert row["compared"] == ("calls" if cases else "programs")
        assert cases or row["tried"] == row["pairs"] <= row["programs"] * row["problems"]
    (row,) = (row for row in rows if (row["programs_of"], row["problems_of"]) == ("train", "val"))
    assert (row["programs"], row["problems"]) == (42, 21)
    same = sum(one.family == other.family for one in splits["train"] for other in splits["val"])
    assert row["pairs"] > same == 42 * 21 // len(EASY)


def judged(program: Problem, problem: Problem) -> bool:
    """Whether the plain reference program passes every hidden case, found without the code under test."""
    run = load(program.reference_solution, program.entry_point)
    try:
        return all(values.encode(run(*values.decode(case.args))) == case.expected for case in problem.cases)
    except Exception:  # noqa: BLE001 (a program may break in any way on another's call)
        return False


@pytest.mark.parametrize(
    "changes",
    [
        {"difficulty": (1, 2)},
        {"families": ("arithmetic", "rpn"), "difficulty": (3, 5), "train_size": 120, "val_size": 40, "test_size": 40},
        {
            "families": ("parentheses", "string_count", "anagram", "palindrome"),
            "difficulty": (1, 6),
            "ood_size": 10,
            "ood_families": ("word_count",),
        },
        {"families": ("list_sort+list_aggregate", "list_aggregate"), "difficulty": (1, 9), "train_size": 60},
        {"families": ("primes", "digit_sums", "coin_change"), "difficulty": (3, 10), "hidden_cases": 4},
    ],
)
@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_no_program_of_a_split_solves_a_problem_of_another(changes, seed):
    made = generate_splits(config(**changes), seed)
    for left, right in itertools.permutations(made, 2):
        if {left, right} != {"train", "ood_cases"}:
            pairs = itertools.product(made[left], made[right])
            assert [(a.problem_id, b.problem_id) for a, b in pairs if a.family == b.family and judged(a, b)] == []
    prove_disjoint(made)


def problem_of(family: str, names: dict, split: Split = "train") -> Problem:
    made = build(family_named(family), names, Plan(split, 0))
    assert made is not None
    return made[0]


RPN = {"order": "usual", "numerals": "decimal", "value": "same", "finish": "times_3"}
SUM = {"keep": "even", "map": "square", "aggregate": "sum", "finish": "none"}
ROMAN = {"letters": "IVXLCDM", "pairs": "01024546", "dress": "plain", "number": "n"}
SORTED = {"keep": "all", "key": "value", "direction": "ascending", "ties": "stable", "part": "all", "unique": "no"}


def planted() -> dict[str, tuple[Problem, Problem]]:
    """A program of the first solves the second. Only in the first pair does the second solve the first as well."""
    equal = problem_of("rpn", RPN | {"operators": "+"}), problem_of("rpn", RPN | {"operators": "+"}, "val")
    general = problem_of("rpn", RPN | {"operators": "+-"}), problem_of("rpn", RPN | {"operators": "-"}, "val")
    composed = problem_of("list_sort+list_aggregate", joined(SORTED, SUM), "ood_composed")
    across = problem_of("list_aggregate", SUM), composed
    upper = problem_of("roman_numerals+string_transform", joined(ROMAN, {"first": "upper"}), "ood_composed")
    part = problem_of("roman_numerals", ROMAN), upper  # a program of this family takes no other family's calls
    return {"equal": equal, "general": general, "composed": across, "part": part}


KINDS = ["equal", "general", "composed", "part"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("turned", [False, True])
def test_the_proof_finds_a_planted_problem_whichever_split_has_the_program(splits, kind, turned):
    program, problem = planted()[kind]
    left, right = ("val", "train") if turned else ("train", "val")
    leaked = splits | {
        left: [*splits[left], program.model_copy(update={"split": left})],
        right: [*splits[right], problem.model_copy(update={"split": right})],
    }
    with pytest.raises(DataError, match="the program of the first solves the second") as failure:
        prove_disjoint(leaked)
    for one, split in ((program, left), (problem, right)):
        assert f"problem {one.problem_id} of {split} ({one.family} {{" in str(failure.value)
    assert "\n" not in str(failure.value)


def test_the_general_program_is_not_solved_by_the_special_one():
    general, special = planted()["general"]
    assert judged(general, special)
    assert not judged(special, general)
    with pytest.raises(DataError, match=f"{general.problem_id} of test .* and problem {special.problem_id} of val"):
        prove_disjoint({"val": [special], "test": [general.model_copy(update={"split": "test"})]})


@every("kind", KINDS)
@every("other", ["train", "test", "ood_longer", "ood_composed", "ood_family", "ood_cases"])
def test_what_another_split_solves_or_is_solved_by_is_not_dealt(kind, other):
    for first, second in (planted()[kind], planted()[kind][::-1]):
        admitted = Admitted()
        assert admitted.admit(first.model_copy(update={"split": "val"}))
        assert not admitted.admit(second.model_copy(update={"split": other}))
        assert admitted.admit(second.model_copy(update={"split": "val"}))


def test_train_gives_way_to_humaneval():
    task = next(one for one in humaneval_problems() if one.entry_point == "get_positive")
    plain = {"map": "same", "order": "kept", "part": "all", "place": "everywhere"}
    positive = problem_of("list_filter", plain | {"keep": "positive"})
    assert judged(positive, task)
    admitted = Admitted()
    assert admitted.admit(task)
    assert not admitted.admit(positive)
    assert admitted.admit(problem_of("list_filter", plain | {"keep": "negative"}))


def test_humaneval_stands_before_all_other_splits_are_dealt(monkeypatch):
    """Its problems are those that an experiment without it would hold: none of them is admitted then."""
    settings = config(families=("list_sort", "caesar"), train_size=8, val_size=4, test_size=0)
    before = [problem for problems in generate_splits(settings, 0).values() for problem in problems]
    tasks = tuple(problem.model_copy(update={"split": "humaneval"}) for problem in before)
    monkeypatch.setattr(humaneval, "humaneval_problems", lambda: tasks)
    after = generate_splits(settings.model_copy(update={"humaneval": True}), 0)
    assert len(after["train"]) == 8
    assert {p.problem_id for p in before}.isdisjoint(p.problem_id for name in ("train", "val") for p in after[name])
    assert prove_disjoint(after)


OUT_OF_DISTRIBUTION = {
    "ood_cases": lambda settings, train, admitted: out_of_distribution.unseen_cases(settings, 4, train, admitted),
    "ood_longer": lambda settings, _, admitted: out_of_distribution.longer(settings, 4, admitted),
    "ood_composed": lambda settings, train, admitted: out_of_distribution.composed(settings, 4, train, admitted),
    "ood_family": lambda settings, _, admitted: out_of_distribution.unseen_families(settings, 4, admitted),
}


@pytest.mark.parametrize("split", sorted(OUT_OF_DISTRIBUTION))
def test_an_out_of_distribution_split_gives_way_to_validation(split, splits):
    """What the split would hold is put into validation: it then holds something else."""
    settings = config(ood_size=6, ood_families=("palindrome", "caesar"))
    first = OUT_OF_DISTRIBUTION[split](settings, splits["train"], Admitted())
    assert {problem.split for problem in first} == {split}
    admitted = Admitted()
    for problem in first:
        admitted.add(subject(problem.model_copy(update={"split": "val"})))
    second = OUT_OF_DISTRIBUTION[split](settings, splits["train"], admitted)
    assert len(second) == 6
    assert [pair for pair in itertools.product(first, second) if solves(*map(subject, pair))] == []
    assert [pair for pair in itertools.product(second, first) if solves(*map(subject, pair))] == []


def test_an_endless_program_solves_nothing_and_ends():
    small = problem_of("gcd_lcm", {"a": "same", "b": "same", "question": "count", "finish": "none"})
    large = problem_of("gcd_lcm", {"a": "same", "b": "same", "question": "gcd", "finish": "none"}, "val")
    assert prove_disjoint({"train": [small], "val": [large]})
    assert not solves(subject(small), subject(large))


def test_one_endless_trial_leaves_the_next_ones_their_steps():
    small = subject(problem_of("gcd_lcm", {"a": "same", "b": "same", "question": "count", "finish": "none"}))
    large = subject(problem_of("gcd_lcm", {"a": "same", "b": "same", "question": "gcd", "finish": "none"}, "val"))
    huge = Case(args=values.encode([10**15, 10**15]), expected=values.encode(0))
    endless = subject(large.problem.model_copy(update={"cases": (huge,)}))
    assert first_solved(small, [endless, small]) is small
    bounded.restart()
    with pytest.raises(TimeoutError):
        small.run(10**15, 10**15)
    assert first_solving(small, [large, small]) is small


ENDLESS = {
    "a condition that holds": "def f(n):\n    while n:\n        n += 1\n    return n",
    "a list that grows": "def f(n):\n    queue = [n]\n    for one in queue:\n        queue.append(one)",
    "a range of many": "def f(n):\n    return sum(1 for _ in range(10 ** 18))",
    "recursion": "def f(n):\n    return f(n - 1) + f(n - 2) if n > 0 else 1",
    "recursion inside": "def f(n):\n    def g(n):\n        return g(n - 1) + g(n - 2) if n > 0 else 1\n    return g(n)",
    "a loop in a loop": "def f(n):\n    while True:\n        while n:\n            n -= 1",
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", sorted(ENDLESS))
def test_every_way_to_go_on_for_ever_ends(kind):
    run = bounded.bounded(ENDLESS[kind], "f", printed=False)
    bounded.restart()
    with pytest.raises(TimeoutError, match="more than 300000 steps"):
        run(60)


@pytest.mark.parametrize(
    ("source", "steps"),
    [
        ("def f(n):\n    return n", 0),
        ("def g(n):\n    return n\n\ndef f(n):\n    return g(n)", 0),
        ("def f(n):\n    while n:\n        n -= 1\n    return n", 4),
        ("def f(n):\n    return f(n - 1) if n else n", 4),
    ],
)
def test_steps_are_counted_where_a_program_may_go_on_and_nowhere_else(source, steps):
    bounded.restart()
    assert bounded.bounded(source, "f", printed=False)(3) == 0 or not steps
    assert bounded.MOST_STEPS - bounded._steps[0] == steps


@pytest.mark.parametrize("grows", ["text = 'x' + text", "number *= 7"])
def test_what_grows_in_an_endless_loop_is_ended_long_before_one_that_does_not(grows):
    """Each round copies it: as many rounds as a loop may make that keeps nothing would take a minute."""
    source = "def spin(rounds):\n    text, number = '', 1\n    while rounds.append(0) is None:\n        {}"
    made = {}
    for line in (grows, "pass"):
        rounds = []
        bounded.restart()
        with pytest.raises(TimeoutError):
            bounded.bounded(source.format(line), "spin", printed=False)(rounds)
        made[line] = len(rounds)
    assert made["pass"] == bounded.MOST_STEPS
    assert made[grows] < bounded.MOST_STEPS / 5


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(GENERATORS))
def test_a_bounded_program_passes_its_own_problem_with_steps_to_spare(name, monkeypatch):
    monkeypatch.setattr(bounded, "MOST_STEPS", bounded.MOST_STEPS // 10)
    family = GENERATORS[name]
    turns = zip(candidates(family, family.difficulties, 4), itertools.cycle((1, 3)), strict=False)
    made = (build(family, names, Plan("train", 0, stretch=stretch)) for names, stretch in turns)
    for problem, _ in itertools.islice(filter(None, made), 12):
        assert solves(subject(problem), subject(problem)), problem.description


def test_a_sampled_proof_tries_every_program_and_says_how_many_pairs(splits):
    rows = prove_disjoint(splits, most_pairs=100)
    (row,) = (row for row in rows if (row["programs_of"], row["problems_of"]) == ("train", "val"))
    assert 100 <= row["tried"] < 200 < row["pairs"]
    assert prove_disjoint(splits, most_pairs=100) == rows
    shared = splits | {"val": [one.model_copy(update={"split": "val"}) for one in splits["train"]]}
    with pytest.raises(DataError, match="are not held out from each other"):
        prove_disjoint(shared, most_pairs=400)


def test_unseen_cases_are_those_of_trained_variants(splits):
    trained = {(p.family, p.variant): p for p in splits["train"]}
    for problem in splits["ood_cases"]:
        known = trained[problem.family, problem.variant]
        calls = [{case.args for case in (*p.shown, *p.cases)} for p in (known, problem)]
        assert not calls[0] & calls[1]


def test_longer_problems_are_harder_and_longer(splits):
    assert min(problem.difficulty for problem in splits["ood_longer"]) > 2
    lengths = [
        sum(len(case.args) for p in splits[name] for case in p.cases) / len(splits[name])
        for name in ("train", "ood_longer")
    ]
    assert lengths[1] > 1.5 * lengths[0]


def test_composed_problems_are_made_of_trained_variants(splits):
    trained = {f"{p.family}" for p in splits["train"]}
    for problem in splits["ood_composed"]:
        assert set(problem.family.split("+")) <= trained
        assert problem.entry_point == "combined"


def test_longer_problems_take_the_three_levels_above_the_trained_ones_as_far_as_the_family_goes():
    for difficulty, levels in (((1, 2), {3, 4, 5}), ((1, 8), {9, 10}), ((9, 10), {10})):
        settings = config(families=("list_sort",), difficulty=difficulty, ood_size=4)
        assert {p.difficulty for p in out_of_distribution.longer(settings, 0, Admitted())} == levels


def test_only_the_split_of_longer_inputs_is_stretched(splits):
    plan = out_of_distribution.plan_of(config(shown_cases=2, hidden_cases=8), "val", 3)
    assert plan == Plan("val", 3, shown=2, hidden=8, stretch=1)
    for name in ("train", "ood_longer"):
        first, second = (
            sum(len(case.args) for problem in splits[name] for case in cases(problem))
            for cases in (lambda problem: problem.cases, audit_cases)
        )
        assert 0.8 < second / first < 1.25, name


def test_composed_problems_join_two_families_where_there_are_two(splits):
    for problem in splits["ood_composed"]:
        first, second = problem.family.split("+")
        assert first != second
    assert out_of_distribution.composed(config(ood_size=2), 0, [], Admitted()) == []


def test_no_composed_problem_is_made_twice_and_too_few_are_refused():
    settings, train = config(ood_size=2), [problem_of("list_sort", SORTED)]
    (one,) = out_of_distribution.composed(config(ood_size=1), 0, train, Admitted())
    assert one.family == "list_sort+list_sort"
    with pytest.raises(ConfigError, match="only 1 of 2 composed problems could be made"):
        out_of_distribution.composed(settings, 0, train, Admitted())


def test_a_source_holds_each_behaviour_once_and_says_how_many_it_had():
    family, found = family_named("anagram"), []
    source = VariantSource(family, (1, 2), 0, Admitted())
    with pytest.raises(ConfigError, match="has no more than") as failure:
        found.extend(iter(lambda: source.draw(Plan("train", 0)), None))
    assert f"has no more than {len(found)} distinct" in str(failure.value)
    assert len({fingerprint(family, problem.reference_solution) for problem in found}) == len(found)
    assert len(found) < family.space.count(1) + family.space.count(2)


@pytest.mark.parametrize("bounds", [(1, 1), (2, 4), (1, 3)])
def test_candidates_are_all_variants_of_the_range_once_the_difficulties_in_turn(bounds):
    family = family_named("anagram")
    levels = [family.space.difficulty(names) for names in candidates(family, bounds, 0)]
    span = range(bounds[0], bounds[1] + 1)
    assert {level: levels.count(level) for level in span} == {level: family.space.count(level) for level in span}
    assert len(levels) == sum(family.space.count(level) for level in span)
    present = [level for level in span if family.space.count(level)]
    assert levels[: len(present)] == present


def test_the_first_of_each_fingerprint_are_taken_up_to_the_count():
    made = [("a", "1"), None, ("b", "1"), ("c", "2"), ("d", "3")]
    for count, expected in enumerate(([], ["a"], ["a", "c"], ["a", "c", "d"], ["a", "c", "d"])):
        assert list(first_new(made, count)) == expected


def test_the_count_of_distinct_variants_is_that_of_their_fingerprints(monkeypatch):
    monkeypatch.setattr(counting, "MOST_TRIED", 60)
    monkeypatch.setattr(counting, "MOST_OF_DEFAULT", 80)
    for name, most in (("coin_change", 60), ("rpn", 80)):
        family = family_named(name)
        some = list(itertools.islice(candidates(family, family.difficulties, 5), most))
        first = {}
        for names in some:
            first.setdefault(fingerprint(family, family.reference(names)), names)
        made = [build(family, names, Plan("train", 5)) for names in first.values()]
        kept = sum(one is not None for one in made)
        assert counting.distinct(family) == (most, kept)
        assert kept < most
        monkeypatch.setattr(counting, "BUILT", 9)
        sample = made[:: len(made) // 9]
        share = sum(one is not None for one in sample) / len(sample)
        assert counting.distinct(family) == (most, int(len(first) * share))
        monkeypatch.setattr(counting, "BUILT", 100)


def test_a_problem_with_too_few_further_calls_says_so():
    problem = next(iter(generate("coin_change", (3, 3), 1, 0)))
    with pytest.raises(DataError, match=rf"{problem.problem_id} of coin_change has no 160 further cases; lower"):
        audit_cases(problem.model_copy(update={"cases": problem.cases * 10}))


def test_a_larger_train_set_leaves_validation_and_test_as_they_were():
    small, large = (generate_splits(config(train_size=size), 5) for size in (10, 60))
    assert small["val"] == large["val"]
    assert small["test"] == large["test"]
    assert small["train"] == large["train"][:10]


def test_neighbouring_seeds_give_other_problems():
    one, two = ({p.problem_id for ps in generate_splits(config(), seed).values() for p in ps} for seed in (7, 8))
    assert one.isdisjoint(two)


@pytest.mark.slow
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
    with pytest.raises((ConfigError, ValidationError), match=message):
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


@pytest.mark.parametrize("hidden", [4, 16, 46, 64])
def test_the_second_hidden_set_is_as_large_as_the_first(hidden):
    families = ("coin_change", "fizzbuzz", "primes", "parentheses") if hidden < 46 else ("digit_sums", "parentheses")
    made = generate_splits(
        config(
            families=families,
            difficulty=(3, 6),
            train_size=16,
            val_size=8,
            test_size=0,
            hidden_cases=hidden,
            ood_size=4,
        ),
        3,
    )
    for problem in itertools.chain.from_iterable(made.values()):
        second = audit_cases(problem)
        assert len({case.args for case in second}) == hidden
        assert {case.args for case in second}.isdisjoint(case.args for case in (*problem.shown, *problem.cases))


def test_more_hidden_cases_than_a_family_has_calls_is_refused_before_the_run():
    with pytest.raises(ConfigError, match=r"'coin_change' has no more than 0 distinct .* lower .* hidden_cases"):
        generate_splits(config(families=("coin_change",), difficulty=(3, 3), hidden_cases=64), 0)


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


@pytest.mark.slow
def test_bulk_files_hold_what_generate_gives_whatever_the_number_of_processes(tmp_path):
    import pyarrow.parquet as pq

    expected = list(generate("list_sort", (1, 10), 300, 9))
    for workers in (1, 2):
        path = tmp_path / f"{workers}.parquet"
        assert write(path, ["list_sort"], (1, 10), 300, 9, workers) == 300
        assert Problem.from_table(pq.read_table(path)) == expected


def test_bulk_files_that_cannot_be_filled_are_refused_and_not_left_behind(tmp_path):
    path, family = tmp_path / "p.parquet", family_named("anagram")
    with pytest.raises(ConfigError, match="count 100 is more than the 3 variants of family 'rpn'"):
        write(path, ["rpn"], (1, 1), 100, 0, 1)
    with pytest.raises(ConfigError, match="has no more than") as failure:
        write(path, ["anagram"], (1, 2), family.space.count(1) + family.space.count(2), 0, 1)
    with pytest.raises(ConfigError) as plain:
        list(generate("anagram", (1, 2), family.space.count(1) + family.space.count(2), 0))
    assert str(failure.value) == str(plain.value)
    assert not path.exists()


def test_bulk_files_share_the_count_between_families(tmp_path):
    path = tmp_path / "p.jsonl"
    assert write(path, ["rpn", "caesar"], (3, 5), 11, 0) == 11
    families = [Problem.model_validate_json(line).family for line in path.read_text().splitlines()]
    assert (families.count("rpn"), families.count("caesar")) == (6, 5)
