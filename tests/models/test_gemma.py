"""Gemma 3 270M, a base model of another make than SmolLM2: read, prompted, sampled, trained and saved rightly."""
# ruff: noqa: TID253

import copy
from pathlib import Path

import pytest
import torch
from peft import PeftModel

from axiom.config import ModelConfig, PromptsConfig, TrainingConfig, load_config
from axiom.errors import ConfigError
from axiom.experiment import Experiment
from axiom.experiment.running import running
from axiom.models import check_adapter, fingerprint, load_model, load_tokenizer, resolve_model, stop_tokens
from axiom.models.merging import Merger, originals, put_in_force
from axiom.models.ways import OWN, QUICK
from axiom.records import Evaluation, Outcome, Verdict
from axiom.sampling import Request
from axiom.sampling.prompts import make_template, read_program
from axiom.sampling.transformers import Draft, Ending, decode
from axiom.tasks.evaluate import evaluate_policy
from axiom.tasks.generate import generate
from axiom.tasks.sample import sample
from axiom.tasks.verify import verify
from axiom.training import Example
from axiom.training.batches import encode, pack
from axiom.training.lora import adapt, quickened, save_adapter
from axiom.training.passes import run_pass
from tests.sampling.test_prompts import one_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
MODEL = ModelConfig(path="gemma3-270m", dtype="float32", device="cpu")
PRESET = Path(__file__).parents[2] / "deployments/gemma.toml"
PROBLEM = one_of("list_sort")


@pytest.fixture(scope="module")
def tokenizer():
    return load_tokenizer(MODEL)


@pytest.fixture(scope="module")
def model():
    return load_model(MODEL)


@pytest.fixture(scope="module")
def prompt(tokenizer):
    return make_template(PromptsConfig(), tokenizer).render(PROBLEM)


def logits(model, ids):
    model.set_attn_implementation("eager")
    with torch.no_grad():
        return model(input_ids=torch.tensor([ids]), use_cache=False).logits[0]


def test_a_text_begins_as_the_model_was_trained_with_it(model, tokenizer):
    ids = tokenizer("Water boils at one hundred degrees, and it freezes at zero.")["input_ids"]
    assert ids[0] == tokenizer.bos_token_id == 2
    losses = [
        torch.nn.functional.cross_entropy(logits(model, given)[-len(ids) + 2 - 1 : -1], torch.tensor(ids[2:])).item()
        for given in (ids, ids[1:])
    ]
    assert losses[0] < losses[1] - 0.3, losses


def test_it_continues_a_plain_prompt_that_begins_once(tokenizer, prompt):
    template = make_template(PromptsConfig(), tokenizer)
    assert template.name == "plain"
    ids = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    assert ids.count(tokenizer.bos_token_id) == 1
    assert ids[0] == tokenizer.bos_token_id
    assert {template.turn_end, tokenizer.eos_token_id} <= stop_tokens(resolve_model(MODEL.path), tokenizer)


def test_greedy_tokens_are_those_of_generate_and_make_a_program(model, tokenizer, prompt):
    ids = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    request = Request("x", prompt, 1, 0.0, 1.0, 6, 0)
    (found,) = decode(model, [Draft(request, 0, ids, 0)], Ending(frozenset(), tokenizer), "slots")
    model.set_attn_implementation("eager")
    expected = model.generate(torch.tensor([ids]), do_sample=False, max_new_tokens=6)[0, len(ids) :].tolist()
    assert found.tokens[: len(expected)] == expected
    assert PROBLEM.signature in read_program(prompt, tokenizer.decode(found.tokens), PROBLEM)


def test_it_is_trained_as_by_its_own_code_and_its_adapter_is_read_back(model, tokenizer, tmp_path):
    training = TrainingConfig(target_modules=("q_proj", "down_proj"), lora_r=4, lora_alpha=8)
    trainable = quickened(adapt(copy.deepcopy(model), training), OWN)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in trainable.factors.parameters:
            weight.copy_(0.02 * torch.randn(weight.shape, generator=generator))
    examples = [
        Example("<bos>def one(x):", "\n    return x + 1\n", 1.0),
        Example("<bos>def two():", "\n    return 2\n", 1.0),
    ]
    encoded = encode(examples, tokenizer, 64)
    given = pack(encoded, sum(example.loss_weight for example in encoded))
    found = []
    for path in (OWN, QUICK):
        trainable = quickened(trainable.adapted, path)
        trainable.factors.gradient_P.zero_()
        found.append(
            (float(run_pass(trainable.model, trainable.factors, given, path)), trainable.factors.gradient_P.clone())
        )
    (loss, gradient), (quick_loss, quick_gradient) = found
    assert quick_loss == pytest.approx(loss, rel=1e-4)
    assert float((quick_gradient - gradient).norm()) <= 1e-3 * float(gradient.norm()) > 0
    save_adapter(trainable, MODEL, tmp_path, None)
    check_adapter(MODEL, tmp_path)
    with pytest.raises(ConfigError, match="was trained on 'gemma3-270m'"):
        check_adapter(ModelConfig(path="smollm2-135m"), tmp_path)
    base, ids = copy.deepcopy(model), encoded[0].tokens
    before = logits(base, ids)
    with torch.no_grad():
        put_in_force(base, Merger(originals(dict(base.named_parameters()).__getitem__), "cpu"), tmp_path)
    merged = logits(base, ids)
    expected = logits(PeftModel.from_pretrained(copy.deepcopy(model), tmp_path).eval().get_base_model(), ids)
    assert float((merged - expected).abs().max()) <= 1e-3 * float(expected.std())
    assert not torch.allclose(merged, before)


def test_another_model_has_another_fingerprint():
    assert fingerprint(resolve_model("gemma3-270m")) != fingerprint(resolve_model("smollm2-135m"))


def test_the_preset_s_problems_are_asked_judged_and_counted(tmp_path):
    """A round of evaluation: the model solves some of them before it has learnt anything, and not all."""
    few = {"problems.train_size": 6, "problems.val_size": 2, "problems.test_size": 0}
    config = load_config(PRESET, **few, **{"model.device": "cpu", "model.dtype": "float32", "iterations": 0})
    with running(Experiment.create(str(tmp_path), config)) as run:
        problems = generate.fn(run)
        with run.streaming("eval") as stream:
            samples = sample.fn(run, problems, None, "eval", stream, iteration=0)
            verdicts = verify.fn(run, problems, samples, "eval", stream, iteration=0)
        evaluation = evaluate_policy.fn(run, problems, samples, verdicts, iteration=0)
        judged = run.experiment.stages.read(verdicts.folder, "eval_verdicts", Verdict)
        counted = run.experiment.stages.read(evaluation.folder, "evaluation", Evaluation)
    passed = sum(verdict.outcome is Outcome.PASSED for verdict in judged)
    assert 0 < passed < len(judged) == len(counted) == 8
    assert sum(row.greedy_correct for row in counted) == passed
    assert 0 < samples.info["mismatch"]["mean"] < 1e-3
