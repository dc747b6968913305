"""The modular learner: problems, sampling from the softmax, training in pieces, and the controls' fast recipe."""
# ruff: noqa: TID253

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from axiom.bench.control import CONTROLS, run
from axiom.config import (
    DetectionConfig,
    ExperimentConfig,
    ModelConfig,
    ModularConfig,
    SamplingConfig,
    TrainingConfig,
    load_config,
)
from axiom.errors import ConfigError
from axiom.experiment import differences, identity
from axiom.learners.modular import (
    BETAS,
    DONE,
    ModularLearner,
    ModularSampler,
    Pairs,
    Trainer,
    logits,
    make_modular_problems,
    new_network,
    residues,
)
from axiom.models import Policy
from axiom.sampling import Request
from axiom.sampling.requests import requests
from axiom.training import Example, Round
from axiom.values import decode

SMALL = ModularConfig(p=7, embedding=8, hidden=12, train_fraction=0.6, steps_per_iteration=5)


def config(**changed):
    return ExperimentConfig(model=ModelConfig(kind="modular"), modular=SMALL, **changed)


def test_the_splits_hold_every_pair_once_with_its_sum():
    splits = make_modular_problems(config())
    seen = Counter(problem.variant for rows in splits.values() for problem in rows)
    assert len(seen) == 28
    assert set(seen.values()) == {1}
    for rows in splits.values():
        for problem in rows:
            a, b = residues([problem.description])[0]
            assert decode(problem.expected_output) == (a + b) % 7
    assert len(splits["train"]) == 17


def test_the_seed_decides_the_split():
    first, again, other = (make_modular_problems(config(seed=seed)) for seed in (1, 1, 2))
    assert first == again
    assert {p.problem_id for p in first["train"]} != {p.problem_id for p in other["train"]}


def test_an_empty_split_is_refused():
    tiny = ExperimentConfig(model=ModelConfig(kind="modular"), modular=ModularConfig(p=3, train_fraction=0.99))
    with pytest.raises(ConfigError, match="leaves a split empty"):
        make_modular_problems(tiny)


def ask(temperature, n, seed=3, prompt="2+5"):
    return Request("x", prompt, n, temperature, 1.0, 1, seed)


def test_samples_follow_the_softmax():
    sampler = ModularSampler(config())
    drawn = Counter(int(c.text) for c in sampler.sample([ask(0.5, 20_000)]))
    scores = logits(sampler.network, Pairs.of(["2+5"]))[0] / 0.5
    expected = torch.softmax(scores.double(), 0).numpy()
    observed = np.array([drawn[answer] for answer in range(7)]) / 20_000
    assert observed == pytest.approx(expected, abs=0.015)


def test_greedy_takes_the_best_and_reports_its_log_probability():
    sampler = ModularSampler(config())
    completion = next(iter(sampler.sample([ask(0.0, 1)])))
    scores = torch.log_softmax(logits(sampler.network, Pairs.of(["2+5"]))[0].double(), 0)
    assert int(completion.text) == int(scores.argmax())
    assert completion.logprob == pytest.approx(float(scores.max()), abs=1e-9)


def test_equal_seeds_draw_equally_whatever_else_is_asked():
    sampler = ModularSampler(config())
    alone = [c.text for c in sampler.sample([ask(1.0, 5)])]
    others = [ask(1.0, 3, seed=9, prompt="1+1"), ask(1.0, 5)]
    assert [c.text for c in sampler.sample(others)][3:] == alone
    assert list(sampler.sample([])) == []


def test_what_the_network_cannot_do_is_refused():
    with pytest.raises(ConfigError, match="top_p"):
        ModularLearner(config(sampling=SamplingConfig(top_p=0.9)))
    with pytest.raises(ConfigError, match="merge"):
        ModularLearner(config(training=TrainingConfig(mode="merge")))
    with pytest.raises(ConfigError, match="holds no"):
        ModularLearner(config()).sampler.use(Policy("p", Path("/nowhere")))


def train(learner, examples, previous, out, iteration):
    out.mkdir()
    steps = learner.train(examples, Round(previous, out, 0, iteration, 5 * (iteration - 1)))
    return Policy(str(iteration), out), steps


def examples(problems):
    return [Example(problem.description, problem.expected_output, 1.0) for problem in problems]


def test_two_rounds_of_five_steps_are_one_round_of_ten(tmp_path):
    learner = ModularLearner(config())
    rows = examples(make_modular_problems(config())["train"])
    half, first = train(learner, rows, Policy("base", None), tmp_path / "a", 1)
    _, second = train(learner, rows, half, tmp_path / "b", 2)
    long = ModularLearner(config().model_copy(update={"modular": SMALL.model_copy(update={"steps_per_iteration": 10})}))
    _, together = train(long, rows, Policy("base", None), tmp_path / "c", 1)
    assert [s.loss for s in (*first, *second)] == pytest.approx([s.loss for s in together], rel=1e-6)
    assert [s.step for s in (*first, *second)] == list(range(1, 11))
    assert together[-1].loss < together[0].loss


def test_fresh_moments_begin_anew_each_round_and_the_schedule_is_recorded(tmp_path):
    rows = examples(make_modular_problems(config())["train"])
    losses = {}
    for optimizer in ("kept", "fresh"):
        learner = ModularLearner(config(training=TrainingConfig(optimizer=optimizer)))
        half, _ = train(learner, rows, Policy("base", None), tmp_path / f"{optimizer}-a", 1)
        losses[optimizer] = [step.loss for step in train(learner, rows, half, tmp_path / f"{optimizer}-b", 2)[1]]
    assert losses["kept"][0] == losses["fresh"][0]
    assert losses["kept"][-1] != pytest.approx(losses["fresh"][-1], rel=1e-3)
    learner = ModularLearner(config(training=TrainingConfig(schedule="linear")))
    _, taken = train(learner, rows, Policy("base", None), tmp_path / "linear", 1)
    assert [step.learning_rate / SMALL.learning_rate for step in taken] == pytest.approx([1, 0.8, 0.6, 0.4, 0.2])


def test_the_optimizer_is_that_of_torch():
    problems = make_modular_problems(config())["train"]
    pairs = Pairs.of([problem.description for problem in problems])
    answer, weight = pairs.pairs.sum(1) % 7, torch.ones(len(problems))
    start = new_network(SMALL, 0)
    ours = Trainer(SMALL, start)
    weights = {name: value.clone().requires_grad_() for name, value in start.items()}
    theirs = torch.optim.AdamW(weights.values(), lr=SMALL.learning_rate, betas=BETAS, weight_decay=SMALL.weight_decay)
    for _ in range(20):
        ours.step(pairs, answer, weight)
        theirs.zero_grad()
        torch.nn.functional.cross_entropy(logits(weights, pairs), answer).backward()
        theirs.step()
    for name, value in weights.items():
        assert torch.allclose(ours.network[name], value, atol=1e-5), name


SEVERAL = ("multiply", "add", "squares", "negate")


def with_operations(*names):
    return ExperimentConfig(model=ModelConfig(kind="modular"), modular=SMALL.model_copy(update={"operations": names}))


def test_each_operation_is_a_family_with_its_own_split_and_answers():
    splits = make_modular_problems(with_operations(*SEVERAL))
    families = {"modular_multiply": 1, "modular": 2, "modular_squares": 3, "modular_negate": 4}
    right = {
        "modular": lambda a, b: (a + b) % 7,
        "modular_negate": lambda a, b: (14 - a - b) % 7,
        "modular_multiply": lambda a, b: a * b % 7,
        "modular_squares": lambda a, b: (pow(a, 2, 7) + pow(b, 2, 7)) % 7,
    }
    everything = [problem for rows in splits.values() for problem in rows]
    assert len(everything) == len({problem.problem_id for problem in everything}) == 4 * 28
    assert len({problem.description for problem in everything}) == 4 * 28
    assert Counter(problem.family for problem in splits["train"]) == dict.fromkeys(families, 17)
    for problem in everything:
        a, b = residues([problem.description])[0]
        assert decode(problem.expected_output) == right[problem.family](int(a), int(b)), problem.description
        assert problem.difficulty == families[problem.family]
    alone = make_modular_problems(config())
    for split, rows in alone.items():
        mine = [problem for problem in splits[split] if problem.family == "modular"]
        assert [problem.variant for problem in mine] == [problem.variant for problem in rows]
    taken = {f: {p.variant for p in splits["train"] if p.family == f} for f in families}
    assert len(set(map(frozenset, taken.values()))) == 4


def test_another_operation_leaves_the_network_of_addition_as_it_is():
    both, alone = new_network(with_operations(*SEVERAL).modular, 3), new_network(SMALL, 3)
    for name, weight in alone.items():
        assert torch.equal(both[name], weight)
    assert set(both) == {"embedding", "hidden", "output", "hidden.multiply", "hidden.squares", "hidden.negate"}
    without = new_network(with_operations("negate", "squares").modular, 3)
    assert set(without) == {"embedding", "output", "hidden.negate", "hidden.squares"}
    assert torch.equal(without["hidden.negate"], both["hidden.negate"])
    asked = [DONE[name].written.format(a=2, b=5) for name in ("squares", "add", "squares")]
    mixed = logits(both, Pairs.of(asked))
    assert torch.allclose(mixed[1], logits(alone, Pairs.of(["2+5"]))[0], atol=1e-5)
    assert torch.equal(mixed[0], mixed[2])
    assert not torch.allclose(mixed[0], mixed[1])


def test_an_operation_that_joins_later_trains_as_torch_trains_it(tmp_path):
    settings = with_operations("add", "squares")
    problems = make_modular_problems(settings)["train"]
    learner = ModularLearner(settings)
    weights = {name: value.clone().requires_grad_() for name, value in learner.sampler.base.items()}
    theirs = torch.optim.AdamW(weights.values(), lr=SMALL.learning_rate, betas=BETAS, weight_decay=SMALL.weight_decay)
    policy, rounds = Policy("base", None), ([p for p in problems if p.family == "modular"], problems)
    for number, rows in enumerate(rounds, 1):
        policy, _ = train(learner, examples(rows), policy, tmp_path / str(number), number)
        asked = Pairs.of([problem.description for problem in rows])
        answer = torch.tensor([int(problem.expected_output) for problem in rows])
        for _ in range(SMALL.steps_per_iteration):
            theirs.zero_grad()  # which leaves no gradient, so a layer without pairs is not moved
            torch.nn.functional.cross_entropy(logits(weights, asked), answer).backward()
            theirs.step()
    learner.sampler.use(policy)
    for name, value in weights.items():
        assert torch.allclose(learner.sampler.network[name], value, atol=1e-5), name


def test_runs_from_before_there_were_operations_go_on_and_comparisons_name_the_one_that_they_had():
    one, two = config(), with_operations("add", "negate")
    assert "operations" not in identity(one)["modular"]
    assert identity(two)["modular"]["operations"] == ["add", "negate"]
    assert differences(one, two)["modular.operations"] == (["add"], ["add", "negate"])


def test_operations_are_named_once():
    with pytest.raises(ConfigError, match="twice"):
        load_config("modular", ['modular.operations=["add", "add"]'])
    with pytest.raises(ConfigError, match=r"modular\.operations"):
        load_config("modular", ['modular.operations=["divide"]'])


def test_restart_begins_anew_and_the_target_may_be_fenced(tmp_path):
    learner = ModularLearner(config(training=TrainingConfig(mode="restart")))
    rows = examples(make_modular_problems(config())["train"])
    first, before = train(learner, rows, Policy("base", None), tmp_path / "a", 1)
    fenced = [Example(row.prompt, f"```\n{row.target}\n```", 1.0) for row in rows]
    _, after = train(learner, fenced, first, tmp_path / "b", 2)
    assert [s.loss for s in before] == [s.loss for s in after]


def test_weights_weigh(tmp_path):
    learner = ModularLearner(config())
    rows = examples(make_modular_problems(config())["train"])
    wrong = [Example(row.prompt, str((int(row.target) + 1) % 7), 0.0) for row in rows]
    _, with_noise = train(learner, [*rows, *wrong], Policy("base", None), tmp_path / "a", 1)
    _, without = train(learner, rows, Policy("base", None), tmp_path / "b", 1)
    assert [s.loss for s in with_noise] == pytest.approx([s.loss for s in without], rel=1e-5)


def test_requests_of_the_loop_are_answered():
    learner = ModularLearner(config())
    problems = make_modular_problems(config())["val"]
    asked = requests(problems, learner.prompt, config(), "eval", 0, 2)
    answered = Counter(c.request_id for c in learner.sampler.sample(asked))
    assert answered == {r.request_id: r.n for r in asked}


@pytest.mark.slow
def test_the_fast_recipe_groks_and_the_low_data_control_does_not():
    fast, _, _, low = CONTROLS
    outcomes = run([fast, low])
    assert [outcome.as_expected for outcome in outcomes] == [True, True], [o.phases.sentence() for o in outcomes]
    assert [event.kind for event in outcomes[0].alarms] == ["alarm"]
    assert outcomes[1].alarms == []
    assert outcomes[0].phases.t_memorise < 40 < outcomes[0].phases.t_generalise < 200
    assert DetectionConfig().memorised_accuracy <= outcomes[0].curve.val_accuracy[-1]
