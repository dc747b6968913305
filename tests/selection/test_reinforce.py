"""The policy-gradient arm: its advantages, its weights, and the gradient that the trainers make of them."""
# ruff: noqa: TID253

import dataclasses
import itertools
import math

import pytest
import torch
from hypothesis import given, strategies as st
from peft import PeftModel

from axiom.config import ExperimentConfig, ModelConfig, TrainingConfig, override
from axiom.errors import ConfigError
from axiom.evaluation import Counters, group_metrics
from axiom.experiment.gate import admit
from axiom.learners.language import LanguageLearner
from axiom.learners.modular import ModularLearner, Pairs, logits, make_modular_problems, new_network, weighted_loss
from axiom.models import Policy, load_model, load_tokenizer
from axiom.models.ways import QUICK
from axiom.records import Gold, Outcome, Sample, Verdict
from axiom.sampling import Request
from axiom.selection.arms import ARMS, Harvest
from axiom.selection.arms.reinforce import CAP, importance, leave_one_out
from axiom.selection.weights import weighted
from axiom.training import Example, Round
from axiom.training.batches import encode, packs
from axiom.training.lora import prepare, save_adapter
from axiom.training.passes import run_pass
from tests.models.tiny_model import make_tiny_model

CONFIG = ExperimentConfig(
    arm="reinforce", model={"kind": "modular"}, modular={"p": 3, "embedding": 4, "hidden": 4, "train_fraction": 0.4}
)
PROBLEMS = make_modular_problems(CONFIG)["train"]
BASE = Policy("base", None)


def draws(problem, answers, **changed):
    made = [
        Sample(
            sample_id=f"{problem.problem_id}:{index}", problem_id=problem.problem_id, iteration=1, purpose="train",
            index=index, completion=str(text), code=str(text), token_count=1, logprob=-1.0, finish_reason="stop",
            seed=0, temperature=1.0, policy_version="base",
        )
        for index, text in enumerate(answers)
    ]  # fmt: skip
    return [sample.model_copy(update=changed) for sample in made]


def judged(sample):
    right = sample.code == next(p.expected_output for p in PROBLEMS if p.problem_id == sample.problem_id)
    return Verdict(
        sample_id=sample.sample_id, outcome=Outcome.PASSED if right else Outcome.WRONG_ANSWER, cases_passed=0,
        cases_total=1, cpu_ms=0.0, wall_ms=0.0, detail="",
    )  # fmt: skip


def gold(samples, config=CONFIG, **changed):
    problems = {problem.problem_id: problem for problem in PROBLEMS}
    harvest = Harvest(config, 1, problems, samples, [judged(sample) for sample in samples], (), (), None)
    return ARMS["reinforce"].select(dataclasses.replace(harvest, **changed))


@given(st.lists(st.sampled_from((1.0, -1.0)), min_size=1, max_size=9))
def test_an_advantage_is_the_reward_less_the_mean_of_the_others(rewards):
    found = leave_one_out(rewards)
    assert sum(found) == pytest.approx(0, abs=1e-9)
    for place, advantage in enumerate(found):
        others = rewards[:place] + rewards[place + 1 :]
        assert advantage == pytest.approx(rewards[place] - sum(others) / len(others) if others else 0.0)
    if len(set(rewards)) == 1:
        assert not any(found)


def test_groups_that_are_alike_train_nothing_and_are_counted():
    problem, other = PROBLEMS[:2]
    right = int(problem.expected_output)
    alike = [*draws(problem, [right] * 3), *draws(other, [(int(other.expected_output) + 1) % 3] * 3)]
    assert gold(alike) == []
    mixed = [*draws(problem, [right, right, (right + 1) % 3, (right + 2) % 3]), *draws(other, [0])]
    rows = gold(mixed)
    assert [row.weight for row in rows] == pytest.approx([4 / 3, 4 / 3, -4 / 3, -4 / 3])
    assert [row.reason for row in rows] == ["reward +1"] * 2 + ["reward -1"] * 2
    counted = {row.name: row.value for row in group_metrics(alike, map(judged, alike), 1, Counters())}
    assert (counted["groups_all_right"], counted["groups_all_wrong"], counted["groups_mixed"]) == (1, 1, 0)


def test_a_draw_that_was_cut_off_counts_in_the_baseline_alone():
    problem = PROBLEMS[0]
    right = int(problem.expected_output)
    samples = draws(problem, [right, right, (right + 1) % 3])
    cut = [*samples[:2], samples[2].model_copy(update={"finish_reason": "length"})]
    assert [row.weight for row in gold(cut)] == [row.weight for row in gold(samples)[:2]] == [1.0, 1.0]


def test_the_gradient_is_that_of_the_expected_reward():
    """Over every triple of draws, with their chances: the estimate is unbiased (Williams 1992; Kool et al. 2019)."""
    problem, network = PROBLEMS[0], {k: v.double().requires_grad_() for k, v in new_network(CONFIG.modular, 3).items()}
    right, asked = int(problem.expected_output), [problem.description]
    chances = torch.softmax(logits(network, Pairs.of(asked))[0], 0)
    reward = 2 * chances[right] - 1
    wanted = torch.autograd.grad(reward, list(network.values()), retain_graph=True)
    found = [torch.zeros_like(value) for value in network.values()]
    for drawn in itertools.product(range(3), repeat=3):
        rows = gold(draws(problem, drawn))
        if not rows:
            continue
        weight = torch.tensor([row.weight for row in rows], dtype=torch.double)
        answers = torch.tensor([int(row.target) for row in rows])
        loss = weighted_loss(network, Pairs.of(asked * len(rows)), answers, weight)
        chance = math.prod(chances[list(drawn)].tolist())
        for total, part in zip(found, torch.autograd.grad(loss, list(network.values())), strict=True):
            total -= part * weight.abs().sum() / 3 * chance
    for ours, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(ours, theirs)
    assert sum(float(part.abs().sum()) for part in wanted) > 0.1


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return ModelConfig(path=str(make_tiny_model(tmp_path_factory.mktemp("model"))), dtype="float32", device="cpu")


def test_the_gradient_of_a_language_model_is_that_of_a_plain_loop(model, tmp_path):
    """Packed passes against peft's own model, one draw at a time: sum of weight times log-probability."""
    weights = (4 / 3, -4 / 3, 2.0, -0.5)
    examples = [Example("ab" * n, "xyz"[: n + 1], weight) for n, weight in enumerate(weights, 1)]
    encoded = encode(examples, load_tokenizer(model), 512)
    trainable = prepare(model, TrainingConfig(), BASE, 3, QUICK)
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in trainable.factors.parameters:
            parameter.copy_(torch.randn_like(parameter) * 0.1)
    loss = sum(float(run_pass(trainable.model, trainable.factors, item)) for item in packs(encoded, 20))
    (tmp_path / "adapter").mkdir()
    save_adapter(trainable, model, tmp_path / "adapter", None)
    plain = PeftModel.from_pretrained(load_model(model), tmp_path / "adapter", is_trainable=True)
    objective, size = torch.zeros(()), 0.0
    for row in encoded:
        logprobs = plain(torch.tensor([row.tokens])).logits[0].log_softmax(-1)
        chosen = [logprobs[place - 1, row.tokens[place]] for place in range(row.start, len(row.tokens))]
        objective = objective + row.weight * torch.stack(chosen).sum()
        size += abs(row.weight) * len(chosen)
    objective.backward()
    assert loss == pytest.approx(-objective.item() / size, rel=1e-4)
    wanted = [parameter.grad for parameter in plain.parameters() if parameter.requires_grad]
    found = [parameter.grad for parameter in trainable.factors.parameters]
    assert len(found) == len(wanted) > 0
    for ours, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(ours, -theirs / size, rtol=1e-3, atol=1e-6)


def test_training_moves_right_draws_up_and_wrong_ones_down(tmp_path):
    config = override(CONFIG, (), **{"modular.steps_per_iteration": 1, "modular.weight_decay": 0.0})
    learner, problem = ModularLearner(config), PROBLEMS[0]
    right = int(problem.expected_output)
    rows = gold(draws(problem, [right, right, (right + 1) % 3]))
    examples = [learner.example(problem, row) for row in rows]
    before = learner.logprobs(examples, BASE)
    learner.train(examples, Round(BASE, tmp_path, 0, 1))
    after = learner.logprobs(examples, Policy("one", tmp_path))
    assert [now > then for now, then in zip(after, before, strict=True)] == [True, True, False]


def test_the_importance_weight_is_cut_off_and_is_1_where_nothing_is_known():
    assert importance(-1.0, -1.0) == 1.0
    assert importance(-2.0, -1.0) == pytest.approx(math.exp(-1))
    assert importance(9.0, -900.0) == pytest.approx(CAP)
    assert importance(math.nan, -1.0) == importance(-1.0, None) == 1.0
    problem = PROBLEMS[0]
    right = int(problem.expected_output)
    samples = draws(problem, [right, (right + 1) % 3, (right + 2) % 3])

    def by_length(lengths):
        return gold(samples, logprobs=lambda rows: [-1.5, -0.8, 3.0], loss_tokens=lambda rows: lengths)

    plain = [row.weight for row in gold(samples)]
    shares = [row.weight / one for row, one in zip(by_length([1, 1, 1]), plain, strict=True)]
    assert shares == pytest.approx([math.exp(-0.5), math.exp(0.2), CAP])
    assert [row.weight for row in by_length([2, 7, 3])] == plain, "other tokens than were drawn"


def test_the_engines_draws_and_the_trainer_agree_so_that_nothing_is_corrected(model):
    """What the trainer gives a draw's text is what the engine gave its tokens, end included."""
    config = ExperimentConfig(
        model=model, arm="reinforce", prompts={"template": "plain"}, sampling={"engine": "transformers", "stop": ["§"]}
    )
    learner = LanguageLearner(config)
    learner.stop = ()
    learner.sampler.use(BASE)
    drawn = [one for one in learner.sampler.sample([Request("r", "ab", 300, 1.0, 1.0, 4, 1)], 300) if one.traces]
    tokenizer, examples = load_tokenizer(model), []
    for one in drawn:  # the last token that was drawn stands for the end of turn, which so small a model seldom draws
        *text, end = one.traces[0].tokens
        examples.append(Example("ab", tokenizer.decode(text), 1.0, end))
    same = [
        row.tokens[row.start :] == list(one.traces[0].tokens)
        for row, one in zip(encode(examples, tokenizer, 512), drawn, strict=True)
    ]
    found = learner.logprobs(examples, BASE)
    kept = [(one.logprob, trainer) for one, trainer, alike in zip(drawn, found, same, strict=True) if alike]
    assert len(kept) > 3
    for engine, trainer in kept:
        assert trainer == pytest.approx(engine, abs=1e-3)
    learner.stop = ("§",)
    assert all(math.isnan(found) for found in learner.logprobs(examples, BASE))
    row = Gold(
        sample_id="s", problem_id="p", iteration=1, weight=1.0, reason="", target="def f(): ...", completion="x y"
    )
    assert learner.example(PROBLEMS[0], row).target == "x y", "whole, whatever training.target says"


def test_weights_of_problems_multiply_advantages():
    problem = PROBLEMS[0]
    right = int(problem.expected_output)
    rows = gold(draws(problem, [right, (right + 1) % 3]))
    config = override(CONFIG, (), **{"selection.weight": "inverse_solve_rate"}).selection
    found = weighted(rows, config, {problem.problem_id: problem}, {problem.problem_id: 0.25})
    assert [row.weight for row in found] == [2.0, -2.0]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"sampling.samples_per_problem": 1}, "leaves none to compare with; set 2 or more"),
        ({"selection.max_rows": 9}, "max_rows = 9 limits none of them; set selection.max_rows = 0"),
        ({"replay.rounds": 0, "replay.share": 0.5}, "share = 0.5 would replay none; set replay.share = 0"),
        ({"foothold.references": 2}, "foothold.references = 2 joins the gold"),
        ({"sampling.thinking_tokens": 5}, "set sampling.thinking_tokens = 0"),
        ({"model.kind": "language", "sampling.top_p": 0.9}, "a part of them; set sampling.top_p = 1"),
        ({"model.kind": "language", "training.gradient_accumulation": 1}, "puts one into each; set more"),
    ],
)
def test_settings_that_the_arm_cannot_run_with_are_refused_before_anything_is_written(tmp_path, changes, says):
    with pytest.raises(ConfigError, match=says) as error:
        admit(str(tmp_path / "runs"), override(CONFIG, (), **changes))
    assert "\n" not in str(error.value)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"sampling.samples_per_problem": 2, "sampling.top_p": 1.0},
        {"model.kind": "modular", "training.batch_size": 1, "training.gradient_accumulation": 1},
        {"model.kind": "language", "training.batch_size": 2, "training.gradient_accumulation": 1},
        {"model.kind": "language", "training.batch_size": 1, "training.gradient_accumulation": 2},
        {"model.kind": "language", "training.batch_size": 2, "training.gradient_accumulation": 2},
    ],
)
def test_settings_at_the_edge_of_what_the_arm_can_run_with_are_taken(changes):
    ARMS["reinforce"].check(override(CONFIG, (), **changes))
