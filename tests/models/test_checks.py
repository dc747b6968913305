"""A model folder, its tokenizer, its targets and its adapter: each fault is one sentence before anything is written."""
# ruff: noqa: TID253

import json
import os
import shutil
import subprocess
import sys

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from axiom.config import load_config
from axiom.errors import ConfigError
from axiom.learners import check
from axiom.learners.proof import prove
from axiom.models import load_tokenizer, stop_tokens
from tests.models.tiny_model import make_tiny_model


@pytest.fixture
def folder(tmp_path):
    return make_tiny_model(tmp_path / "model")


def config(folder, **changes):
    plain = {"model.path": str(folder), "model.device": "cpu", "prompts.template": "plain"}
    return load_config(None, **(plain | changes))


def refusal(folder, **changes):
    with pytest.raises(ConfigError) as caught:
        check(config(folder, **changes))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def foreign_adapter(folder, out, random=True, **settings):
    adapted = get_peft_model(
        AutoModelForCausalLM.from_pretrained(folder), LoraConfig(task_type="CAUSAL_LM", r=4, **settings)
    )
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_" in name and random:
                weight.normal_(std=0.1)
    adapted.save_pretrained(out)
    return str(out)


def test_a_good_folder_passes(folder):
    check(config(folder))


def test_weights_in_pytorch_model_bin_are_weights(folder):
    model = AutoModelForCausalLM.from_pretrained(folder)
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    check(config(folder))


def test_no_weights_is_one_sentence(folder):
    (folder / "model.safetensors").unlink()
    assert "holds no model.safetensors or pytorch_model.bin" in refusal(folder)


def test_an_adapter_beside_the_model_is_refused(folder, tmp_path):
    foreign_adapter(folder, tmp_path / "adapter", target_modules=["q_proj"])
    shutil.copy(tmp_path / "adapter" / "adapter_config.json", folder)
    assert "holds an adapter beside the model" in refusal(folder)


def test_a_tokenizer_beyond_the_vocabulary_is_refused(folder):
    model = AutoModelForCausalLM.from_pretrained(folder)
    model.resize_token_embeddings(100)
    model.save_pretrained(folder)
    assert "the tokenizer has token 256, the model's vocabulary ends at 99" in refusal(folder)


@pytest.mark.parametrize(
    ("targets", "sentence"),
    [
        ("q_proj", "is neither 'all-linear' nor a list; write ['q_proj']"),
        (["q_proj", "nonesuch"], "no layer is named 'nonesuch'; this model has "),
        (["embed_tokens"], "'embed_tokens' is a Embedding, whose update cannot be merged"),
        (["lm_head"], "shares with its input"),
        ([], "trains nothing"),
    ],
)
def test_targets_that_cannot_be_trained_are_refused(folder, targets, sentence):
    assert sentence in refusal(folder, **{"training.target_modules": targets})


@pytest.mark.parametrize(
    "settings",
    [
        {"target_modules": ["q_proj"], "use_dora": True},
        {"target_modules": ["q_proj"], "modules_to_save": ["lm_head"]},
        {"target_modules": ["q_proj"], "trainable_token_indices": [3, 4]},
        {"target_modules": ["q_proj", "embed_tokens"]},
        {"target_modules": ["q_proj"], "bias": "lora_only"},
        {"target_modules": ["q_proj"], "layer_replication": [[0, 2], [1, 2]]},
        {"target_modules": ["lm_head"]},
    ],
    ids=lambda settings: ",".join(settings),
)
def test_foreign_adapters_that_cannot_be_merged_are_refused(folder, tmp_path, settings):
    adapter = foreign_adapter(folder, tmp_path / "adapter", **settings)
    assert "adapter" in refusal(folder, **{"model.adapter": adapter})


@pytest.mark.parametrize(
    "settings",
    [
        {"target_modules": ["q_proj", "down_proj"]},
        {"target_modules": ["q_proj", "down_proj"], "use_rslora": True},
        {"target_modules": ["q_proj", "down_proj"], "rank_pattern": {"q_proj": 2}, "alpha_pattern": {"down_proj": 3}},
    ],
    ids=lambda settings: ",".join(settings),
)
def test_foreign_adapters_that_can_be_merged_are_merged_as_by_peft(folder, tmp_path, settings):
    from peft import PeftModel

    from axiom.config import SamplingConfig
    from axiom.models import Policy
    from axiom.sampling.transformers import TransformersSampler

    adapter = foreign_adapter(folder, tmp_path / "adapter", **settings)
    chosen = config(folder, **{"model.adapter": adapter, "model.dtype": "float32", "training.mode": "restart"})
    check(chosen)
    sampler = TransformersSampler(chosen.model, SamplingConfig(), "slots")
    ids = torch.tensor([[5, 6, 7, 8]])
    with torch.no_grad():
        before = sampler.model(ids).logits
        sampler.use(Policy("foreign", tmp_path / "adapter"))
        reference = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(folder), adapter)
        torch.testing.assert_close(sampler.model(ids).logits, reference(ids).logits, atol=1e-4, rtol=1e-4)
        sampler.use(Policy("base", None))
        assert torch.equal(sampler.model(ids).logits, before)


def test_every_end_of_sequence_counts(folder):
    for name, ends in (("generation_config.json", [2, 5]), ("config.json", [7])):
        tree = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps(tree | {"eos_token_id": ends}))
    assert stop_tokens(folder, load_tokenizer(config(folder).model)) == {0, 2, 5, 7}


@pytest.mark.slow
def test_a_proof_is_made_once_for_a_model_and_again_for_another(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("AXIOM_CACHE_DIR", str(tmp_path / "cache"))
    chosen = config(folder)
    first = prove(chosen.model, chosen.training, chosen.sampling)
    monkeypatch.setattr("axiom.learners.probe.probe", lambda *_: pytest.fail("probed again"))
    assert prove(chosen.model, chosen.training, chosen.sampling) == first
    with pytest.MonkeyPatch.context() as other:
        other.setattr("importlib.metadata.version", lambda name: "0.1")
        with pytest.raises(pytest.fail.Exception, match="probed again"):
            prove(chosen.model, chosen.training, chosen.sampling)
        other.undo()
        other.setattr("axiom.learners.proof._code", lambda: "other code")
        with pytest.raises(pytest.fail.Exception, match="probed again"):
            prove(chosen.model, chosen.training, chosen.sampling)
    elsewhere = (
        "import sys; sys.modules['axiom.learners.probe'] = None; from axiom.config import *; "
        "from axiom.learners.proof import prove; "
        f"model = ModelConfig.model_validate_json({chosen.model.model_dump_json()!r}); "
        "prove(model, TrainingConfig(), SamplingConfig())"
    )
    environment = os.environ | {"AXIOM_CACHE_DIR": str(tmp_path / "cache")}
    subprocess.run([sys.executable, "-c", elsewhere], check=True, env=environment)
    monkeypatch.undo()
    monkeypatch.setenv("AXIOM_CACHE_DIR", str(tmp_path / "cache"))
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(settings | {"rms_norm_eps": 1e-3}))
    prove(chosen.model, chosen.training, chosen.sampling)
    assert len(list((tmp_path / "cache" / "proofs").glob("*.json"))) == 4


def test_a_run_goes_the_ways_that_were_shown_and_no_other(folder, tmp_path, monkeypatch):
    from axiom.learners import LanguageLearner
    from axiom.models import Policy
    from axiom.models.ways import OWN, QUICK, Proof
    from axiom.training import Example, Round, lora

    taken = []
    monkeypatch.setattr(lora, "quickened", lambda *given, was=lora.quickened: taken.append(given[1]) or was(*given))
    for path, way in ((QUICK, "slots"), (OWN, "recompute")):
        found = [Proof(path=path), Proof(way=way)]
        monkeypatch.setattr("axiom.learners.checks.prove", lambda *_, found=found: found)
        learner = LanguageLearner(config(folder))
        example, base = Example("a", "b", 1.0), Policy("base", None)
        learner.train([example], Round(base, tmp_path / way, 0, 1))
        assert (taken.pop(), learner.sampler.way) == (path, way)
    monkeypatch.setattr("axiom.learners.checks.prove", lambda *_: [Proof(refused="no way is right")])
    with pytest.raises(ConfigError, match="no way is right"):
        LanguageLearner(config(folder))


def test_doctor_says_what_a_model_goes_without(folder):
    from typer.testing import CliRunner

    from axiom.cli.app import app
    from axiom.cli.doctor import doctor

    assert doctor
    shown = CliRunner().invoke(app, ["doctor", "--model", str(folder)])
    assert shown.exit_code == 0, shown.output
    words = " ".join(shown.output.split())
    assert "packed sequences, fused layers and norms, loss without whole logits" in words
    assert "earlier tokens are kept in axiom's cache" in words


def test_the_outcome_stands_in_the_experiment(folder, tmp_path):
    from axiom.experiment import Experiment

    experiment = Experiment(str(tmp_path / "root"), config(folder))
    experiment.save()
    experiment.settle()
    training, sampling = json.loads(experiment.folder.read_bytes("experiment.json"))["model"]
    assert training["path"]["packed"]
    assert sampling["way"] == "slots"


def test_the_trainer_s_model_is_freed_with_its_owner(folder, tmp_path):
    import gc
    import weakref

    from axiom.config import TrainingConfig
    from axiom.models import Policy
    from axiom.training import Example, Kept, Round
    from axiom.training.loop import train
    from axiom.training.lora import Trainable

    kept, model = Kept(), config(folder).model
    train(
        [Example("a", "b", 1.0)],
        Round(Policy("base", None), tmp_path / "adapter", 0, 1),
        model,
        TrainingConfig(),
        kept=kept,
    )
    (held,) = [value for value in kept.held.values() if isinstance(value, Trainable)]
    inside = weakref.ref(held.model)
    del held
    assert inside() is not None
    kept.release()
    gc.collect()
    assert inside() is None


def test_sampling_stops_at_the_token_by_which_only_the_template_ends_a_turn(folder):
    from axiom.learners import LanguageLearner
    from axiom.sampling import Request

    def drawn():
        learner = LanguageLearner(config(folder, **{"prompts.template": "chat"}))
        return next(iter(learner.sampler.sample([Request("x", "def f(x):", 1, 0.0, 1.0, 24, 0)])))

    tokenizer = load_tokenizer(config(folder).model)
    tokenizer.chat_template = "{% for m in messages %}{{ m.content }}{% endfor %}"
    tokenizer.save_pretrained(folder)
    whole = drawn()
    assert whole.finish_reason == "length"
    given = tokenizer("def f(x):", return_tensors="pt")["input_ids"]
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
    ids = model.generate(given, do_sample=False, max_new_tokens=24)[0, given.shape[1] :].tolist()
    end = next(token for token in ids[3:] if token not in ids[:3])
    name = tokenizer.convert_ids_to_tokens(end)
    tokenizer.add_special_tokens({"additional_special_tokens": [name]})
    tokenizer.chat_template = "{% for m in messages %}{{ m.content }}" + name + "{% endfor %}"
    tokenizer.save_pretrained(folder)
    stopped = drawn()
    assert stopped.finish_reason == "stop"
    assert stopped.token_count == ids.index(end) + 1
