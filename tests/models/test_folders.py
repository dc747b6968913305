"""Model folders and adapters as they come: each is right, or refused in one sentence before anything is written."""
# ruff: noqa: TID253

import json
import os
import shutil

import pytest
import torch
import transformers
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from axiom.config import load_config
from axiom.errors import ConfigError
from axiom.learners import check
from axiom.learners.checks import table_length
from tests.models.architectures import tiny_config, tiny_model
from tests.models.tiny_model import make_tiny_model

SIZES = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
LLAMA = SIZES | {"vocab_size": 257, "num_key_value_heads": 2, "tie_word_embeddings": False}
CHATML = "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}"


@pytest.fixture
def folder(tmp_path):
    return make_tiny_model(tmp_path / "model")


def admit(folder, **changes):
    plain = {"model.path": str(folder), "model.device": "cpu"}
    check(load_config(None, **(plain | changes)))


def refusal(folder, **changes):
    with pytest.raises(ConfigError) as caught:
        admit(folder, **changes)
    assert "\n" not in str(caught.value)
    assert ";" in str(caught.value)
    return str(caught.value)


def settings(file, **changes):
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def sharded(folder):
    model = AutoModelForCausalLM.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="40KB")
    return sorted(folder.glob("model-*.safetensors"))


def bin_shards(folder):
    state = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    shards = [f"pytorch_model-0000{number}-of-00002.bin" for number in (1, 2)]
    places = {name: shards[number % 2] for number, name in enumerate(state)}
    for shard in shards:
        torch.save({name: value for name, value in state.items() if places[name] == shard}, folder / shard)
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))
    return [folder / shard for shard in shards]


def replaced(folder, change):
    state = load_file(folder / "model.safetensors")
    change(state)
    save_file(state, folder / "model.safetensors", {"format": "pt"})


def other_model(folder, kind, **config):
    (folder / "model.safetensors").unlink()
    getattr(transformers, kind)(getattr(transformers, kind).config_class(**config)).save_pretrained(folder)


def halved(folder):
    AutoModelForCausalLM.from_pretrained(folder).half().save_pretrained(folder)


def bare(folder):
    AutoModelForCausalLM.from_pretrained(folder).model.save_pretrained(folder)


def old_pickle(folder):
    state = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(state, folder / "pytorch_model.bin", _use_new_zipfile_serialization=False)


def linked(folder):
    folder.rename(folder.parent / "real")
    folder.symlink_to(folder.parent / "real")


RIGHT = {
    "sharded": sharded,
    "sharded .bin": bin_shards,
    "float16": halved,
    "no head, but tied": bare,
    "a link": linked,
    "an old pickle": old_pickle,
    "not quantised": lambda folder: settings(folder / "config.json", quantization_config=None),
    "a copy in another format": lambda folder: shutil.copy(
        folder / "model.safetensors", folder / "consolidated.safetensors"
    ),
}


@pytest.mark.parametrize("case", RIGHT)
def test_a_folder_with_whole_weights_of_any_form_is_used(folder, case):
    ids = torch.tensor([[5, 6, 7]])
    before = AutoModelForCausalLM.from_pretrained(folder)(ids).logits
    RIGHT[case](folder)
    admit(folder)
    from axiom.config import ModelConfig
    from axiom.models import load_model

    found = load_model(ModelConfig(path=str(folder), dtype="float32", device="cpu"))(ids).logits
    torch.testing.assert_close(found, before, atol=2e-2, rtol=2e-2)


class Evil:
    def __reduce__(self):
        return os.system, ("exit 3",)


def evil(folder):
    (folder / "model.safetensors").unlink()
    torch.save({"weight": Evil()}, folder / "pytorch_model.bin")


def drop(part):
    def change(state):
        state.pop(next(name for name in state if part in name))

    return change


def rounded(state):
    state["model.norm.weight"] = state["model.norm.weight"].to(torch.int8)


def narrowed(state):
    state["model.norm.weight"] = state["model.norm.weight"][:30].contiguous()


def added_tokens(folder, special):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["<|im_start|>", "<|im_end|>"], special_tokens=special)
    tokenizer.chat_template = CHATML if special else None
    tokenizer.save_pretrained(folder)


def without(name):
    def change(folder):
        tokenizer = AutoTokenizer.from_pretrained(folder)
        setattr(tokenizer, name, None)
        tokenizer.save_pretrained(folder)

    return change


def write(name, text):
    return lambda folder: (folder / name).write_text(text)


def configured(**changes):
    return lambda folder: settings(folder / "config.json", **changes)


WRONG = {
    "a shard is missing": (lambda folder: sharded(folder)[-1].unlink(), "which its index names"),
    "a .bin shard is missing": (lambda folder: bin_shards(folder)[0].unlink(), "which its index names"),
    "no shard is there": (lambda folder: [file.unlink() for file in sharded(folder)], "which its index names"),
    "an index of nothing": (
        lambda folder: (sharded(folder), write("model.safetensors.index.json", "{}")(folder)),
        "holds no",
    ),
    "an index that is no JSON": (
        lambda folder: (sharded(folder), write("model.safetensors.index.json", "{")(folder)),
        "JSON",
    ),
    "a weight is missing": (lambda folder: replaced(folder, drop("down_proj")), "lacks the weight model.layers."),
    "a weight has another shape": (lambda folder: replaced(folder, narrowed), "cannot be opened"),
    "a weight was rounded": (lambda folder: replaced(folder, rounded), "whole numbers"),
    "half a file": (lambda folder: os.truncate(folder / "model.safetensors", 5000), "cannot be opened"),
    "an empty file": (write("model.safetensors", ""), "cannot be opened"),
    "a pointer to a file": (
        write("model.safetensors", "version https://git-lfs.github.com/spec/v1\n"),
        "cannot be opened",
    ),
    "a pickle with code": (evil, "cannot be opened"),
    "GGUF alone": (lambda folder: (folder / "model.safetensors").rename(folder / "model.gguf"), "holds no"),
    "a variant": (lambda folder: (folder / "model.safetensors").rename(folder / "model.fp16.safetensors"), "holds no"),
    "a dangling link": (lambda folder: (linked(folder), shutil.rmtree(folder.parent / "real")), "does not exist"),
    "a file": (lambda folder: (shutil.rmtree(folder), folder.write_text("x")), "holds no config.json"),
    "empty": (lambda folder: (shutil.rmtree(folder), folder.mkdir()), "holds no config.json"),
    "config.json is half there": (write("config.json", '{"model_type":'), "cannot be read as JSON"),
    "config.json is a list": (write("config.json", "[]"), "holds a list"),
    "a size is a word": (configured(hidden_size="many"), "hidden_size"),
    "heads that do not divide": (configured(num_attention_heads=5), "attention heads"),
    "an unknown architecture": (configured(model_type="nonesuch"), "does not recognize this architecture"),
    "code of its own": (
        configured(model_type="mine", auto_map={"AutoConfig": "c.C", "AutoModelForCausalLM": "m.M"}),
        "custom code",
    ),
    "more layers than weights": (configured(num_hidden_layers=3), "lacks the weight model.layers.2."),
    "fewer layers than weights": (configured(num_hidden_layers=1), "goes nowhere, model.layers.1."),
    "biases without weights": (configured(attention_bias=True), "lacks the weight"),
    "a head without weights": (configured(tie_word_embeddings=False), "lacks the weight lm_head.weight"),
    "bitsandbytes": (configured(quantization_config={"quant_method": "bitsandbytes"}), "quantised (bitsandbytes)"),
    "GPTQ": (configured(quantization_config={"quant_method": "gptq", "bits": 4}), "quantised (gptq)"),
    "fp8": (configured(quantization_config={"quant_method": "fp8"}), "quantised (fp8)"),
    "an unknown quantisation": (configured(quantization_config={"quant_method": "new"}), "quantised (new)"),
    "rotary positions of no known kind": (
        configured(rope_parameters={"rope_type": "new", "factor": 2.0}),
        "cannot be opened",
    ),
    "no tokenizer": (lambda folder: [file.unlink() for file in folder.glob("tokenizer*")], "the tokenizer of"),
    "half a tokenizer": (write("tokenizer.json", "{"), "the tokenizer of"),
    "no end of sequence": (without("eos_token"), "names no end-of-sequence token"),
    "a tokenizer with tokens beyond": (lambda folder: added_tokens(folder, special=False), "vocabulary ends at 256"),
    "a template with tokens beyond": (lambda folder: added_tokens(folder, special=True), "vocabulary ends at 256"),
    "a template that is no Jinja": (
        lambda folder: write("chat_template.jinja", "{% for m in %}")(folder),
        "chat template",
    ),
    "an end that is a word": (write("generation_config.json", '{"eos_token_id": "<end>"}'), "no token's number"),
    "generation_config.json is half there": (write("generation_config.json", "{"), "cannot be read as JSON"),
    "T5": (
        lambda folder: other_model(
            folder, "T5ForConditionalGeneration", vocab_size=257, d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=4
        ),
        "encoder with a decoder",
    ),
    "an embedding model": (
        lambda folder: other_model(folder, "LlamaModel", **LLAMA),
        "lacks the weight lm_head.weight",
    ),
    "a classifier": (
        lambda folder: other_model(folder, "LlamaForSequenceClassification", **LLAMA, pad_token_id=0),
        "lm_head",
    ),
    "a classifier with a tied embedding": (
        lambda folder: other_model(
            folder, "LlamaForSequenceClassification", **(LLAMA | {"tie_word_embeddings": True, "pad_token_id": 0})
        ),
        "goes nowhere, score.weight",
    ),
    "BERT": (
        lambda folder: other_model(folder, "BertLMHeadModel", vocab_size=257, max_position_embeddings=4096, **SIZES),
        "lets tokens see later ones",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", WRONG)
def test_a_folder_that_is_no_whole_model_is_one_sentence(folder, case, tmp_path):
    change, sentence = WRONG[case]
    change(folder)
    assert sentence in refusal(folder, **{"prompts.template": "auto" if "template" in case else "plain"})


def test_a_name_that_is_not_utf_8_is_one_sentence(folder, tmp_path):
    other = tmp_path / os.fsdecode(b"caf\xe9")
    folder.rename(other)
    assert "is not UTF-8" in refusal(other)


def test_doctor_refuses_the_same_folders(folder):
    from typer.testing import CliRunner

    from axiom.cli.app import app
    from axiom.cli.doctor import doctor

    assert doctor
    WRONG["a weight is missing"][0](folder)
    shown = CliRunner().invoke(app, ["doctor", "--model", str(folder)])
    assert isinstance(shown.exception, ConfigError)
    assert "lacks the weight" in str(shown.exception)


def adapter(folder, out, **settings):
    plain = {"task_type": "CAUSAL_LM", "r": 4, "lora_alpha": 8, "target_modules": ["q_proj"]}
    get_peft_model(AutoModelForCausalLM.from_pretrained(folder), LoraConfig(**(plain | settings))).save_pretrained(out)
    return out


def factors(out, change):
    state = load_file(out / "adapter_model.safetensors")
    change(state)
    save_file(state, out / "adapter_model.safetensors")


def spoil(part, change):
    def spoilt(state):
        name = next(name for name in state if part in name)
        state[name] = change(state[name]).contiguous()

    return lambda out: factors(out, spoilt)


BROKEN = {
    "settings are half there": (lambda out: (out / "adapter_config.json").write_text("{"), "cannot be read as JSON"),
    "settings are a list": (lambda out: (out / "adapter_config.json").write_text("[]"), "holds a list"),
    "half a file": (lambda out: os.truncate(out / "adapter_model.safetensors", 500), "cannot be opened"),
    "another kind": (lambda out: settings(out / "adapter_config.json", peft_type="IA3"), "of the kind IA3"),
    "another rank": (lambda out: settings(out / "adapter_config.json", r=8), "has rank 4 in"),
    "no rank": (lambda out: settings(out / "adapter_config.json", r=None), "has r = None"),
    "alpha is a word": (lambda out: settings(out / "adapter_config.json", lora_alpha="x"), "has lora_alpha = 'x'"),
    "no first factor": (lambda out: factors(out, drop("lora_A")), "lora_A.weight; name a whole"),
    "no second factor": (lambda out: factors(out, drop("lora_B")), "lora_B.weight; name a whole"),
    "no factors": (lambda out: factors(out, dict.clear), "has no factors"),
    "too few outputs": (spoil("lora_B", lambda b_OR: b_OR[:7]), "by 7 times 32 values"),
    "ranks that differ": (spoil("lora_B", lambda b_OR: b_OR[:, :3]), "do not fit together"),
    "a value that is no number": (spoil("lora_B", lambda b_OR: b_OR * float("nan")), "not finite"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_adapter_is_one_sentence(folder, tmp_path, case):
    change, sentence = BROKEN[case]
    out = adapter(folder, tmp_path / "adapter")
    change(out)
    assert sentence in refusal(folder, **{"model.adapter": str(out), "training.mode": "restart"})


@pytest.mark.parametrize(
    ("made", "sentence"),
    [
        ({}, "has other layers than training.target_modules"),
        ({"r": 8}, "training.lora_r = 4 cannot continue"),
        ({"lora_alpha": 4}, "training.lora_alpha = 8 cannot continue"),
        ({"target_modules": "all-linear", "use_rslora": True}, "has use_rslora"),
        ({"target_modules": "all-linear", "alpha_pattern": {"q_proj": 3}}, "has alpha_pattern"),
    ],
    ids=["layers", "rank", "alpha", "scale", "pattern"],
)
def test_an_adapter_that_training_cannot_continue_is_refused_at_the_start(folder, tmp_path, made, sentence):
    start = {
        "model.adapter": str(adapter(folder, tmp_path / "adapter", **made)),
        "training.lora_r": 4,
        "training.lora_alpha": 8,
    }
    assert sentence in refusal(folder, **start)
    admit(folder, **(start | {"training.mode": "restart"}))


def test_an_adapter_of_the_same_layers_and_rank_is_continued(folder, tmp_path):
    out = adapter(folder, tmp_path / "adapter", target_modules="all-linear")
    admit(folder, **{"model.adapter": str(out), "training.lora_r": 4, "training.lora_alpha": 8})


def rooted(folder, out):
    return adapter(folder, out, use_rslora=True, target_modules=["down_proj", "q_proj"])


def test_an_adapter_that_only_peft_merges_is_read_whole_or_refused(folder, tmp_path):
    start = {"training.mode": "restart"}
    admit(folder, **start, **{"model.adapter": str(rooted(folder, tmp_path / "right"))})
    tiny_model(tiny_config("laguna")).save_pretrained(folder)  # some of whose layers peft looks for under other names
    assert "has no factors under the names" in refusal(
        folder, **start, **{"model.adapter": str(rooted(folder, tmp_path / "wrong"))}
    )


def test_texts_beyond_the_table_of_positions_are_refused(folder):
    other_model(
        folder,
        "GPT2LMHeadModel",
        vocab_size=257,
        n_embd=32,
        n_layer=2,
        n_head=4,
        n_positions=1536,
        bos_token_id=0,
        eos_token_id=0,
    )
    small = {
        "problems.train_size": 4,
        "problems.val_size": 2,
        "problems.test_size": 2,
        "problems.families": ["list_filter"],
        "problems.difficulty": [1, 1],
        "training.max_length": 1536,
    }
    assert "more than the 1536 positions" in refusal(folder)
    assert "sampling.max_new_tokens = 1000 are more than" in refusal(
        folder, **small, **{"sampling.max_new_tokens": 1000}
    )
    admit(folder, **small, **{"sampling.max_new_tokens": 64})


@pytest.mark.parametrize(
    ("kind", "config", "limit"),
    [
        ("GPT2LMHeadModel", {"n_embd": 32, "n_layer": 1, "n_head": 4, "n_positions": 100}, 100),
        (
            "OPTForCausalLM",
            {
                "hidden_size": 32,
                "word_embed_proj_dim": 32,
                "ffn_dim": 32,
                "num_hidden_layers": 1,
                "num_attention_heads": 4,
                "max_position_embeddings": 100,
            },
            100,
        ),
        ("GPTJForCausalLM", {"n_embd": 32, "n_layer": 1, "n_head": 4, "rotary_dim": 4, "n_positions": 100}, 100),
        ("RobertaForCausalLM", SIZES | {"is_decoder": True, "max_position_embeddings": 102}, 100),
        ("LlamaForCausalLM", LLAMA, None),
        ("BloomForCausalLM", {"hidden_size": 32, "n_layer": 1, "n_head": 4}, None),
    ],
)
def test_the_length_of_the_table_is_what_the_model_takes(kind, config, limit):
    made = getattr(transformers, kind)
    model = made(made.config_class(**(config | {"vocab_size": 50}))).eval()
    assert table_length(model) == limit
    with torch.no_grad():
        assert model(torch.full((1, limit or 3000), 7)).logits.isfinite().all()
        if limit is not None:
            with pytest.raises((IndexError, RuntimeError), match=r"out of (range|bounds)"):
                model(torch.full((1, limit + 1), 7))
