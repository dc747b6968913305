"""What the sampling and training benches run on: real prompts and programs, and a model of any size."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from axiom.config import ModelConfig, ProblemsConfig, PromptsConfig
from axiom.models import free_memory, load_tokenizer, resolve_model
from axiom.problems import generate_splits
from axiom.records import Problem
from axiom.sampling import Request
from axiom.sampling.prompts import make_template
from axiom.training import Example

_TOKENS = {"bos_token_id": 1, "eos_token_id": 2}
_QWEN = {
    **_TOKENS,
    "model_type": "qwen2",
    "architectures": ["Qwen2ForCausalLM"],
    "num_hidden_layers": 28,
    "max_position_embeddings": 32768,
    "rope_theta": 1e6,
    "rms_norm_eps": 1e-6,
}
SHAPES: dict[str, dict[str, Any]] = {
    "qwen2.5-coder-1.5b": {
        **_QWEN,
        "hidden_size": 1536,
        "intermediate_size": 8960,
        "num_attention_heads": 12,
        "num_key_value_heads": 2,
        "vocab_size": 151936,
        "tie_word_embeddings": True,
    },
    "qwen2.5-coder-7b": {
        **_QWEN,
        "hidden_size": 3584,
        "intermediate_size": 18944,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
        "vocab_size": 152064,
        "tie_word_embeddings": False,
    },
    "tiny": {
        **_TOKENS,
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "hidden_size": 128,
        "intermediate_size": 256,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "vocab_size": 49152,
        "max_position_embeddings": 4096,
        "tie_word_embeddings": True,
    },
}
"""Published configurations, and a tiny one for a CPU.

With random weights they serve for timing where the weights cannot be had.
"""


def shaped_model(shape: str, folder: Path) -> Path:
    """A model directory of `shape` with random bfloat16 weights and the embedded model's tokenizer."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    if (folder / "config.json").is_file():
        return folder
    settings = AutoConfig.for_model(**SHAPES[shape])
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        model = AutoModelForCausalLM.from_config(settings, dtype=torch.bfloat16)
    model.save_pretrained(folder)
    del model
    free_memory()
    load_tokenizer(ModelConfig(path="smollm2-135m")).save_pretrained(folder)
    return folder


def train_problems(count: int) -> list[Problem]:
    """Training problems of the original experiment's families."""
    return generate_splits(ProblemsConfig(train_size=count, val_size=1, test_size=0), 0)["train"]


def make_requests(model: ModelConfig, problems: int, samples: int, max_new_tokens: int) -> list[Request]:
    """Requests for training problems, at the usual temperature."""
    template = make_template(PromptsConfig(), load_tokenizer(model))
    return [
        Request(problem.problem_id, template.render(problem), samples, 0.8, 1.0, max_new_tokens, number)
        for number, problem in enumerate(train_problems(problems))
    ]


def make_examples(model: ModelConfig, problems: int, copies: int) -> list[Example]:
    """Prompts with their reference solutions, each `copies` times."""
    template = make_template(PromptsConfig(), load_tokenizer(model))
    pairs = [
        (template.render(problem), template.completion(problem, problem.reference_solution))
        for problem in train_problems(problems)
    ]
    return [Example(prompt, target, 1.0, template.turn_end) for prompt, target in pairs] * copies


def token_count(model: ModelConfig, examples: Sequence[Example]) -> int:
    """Tokens of prompts and targets, without padding."""
    return sum(len(ids) for ids in load_tokenizer(model)([e.prompt + e.target for e in examples])["input_ids"])


def as_json(model: ModelConfig, requests: list[Request]) -> str:
    """Requests for a baseline that runs as a script of its own."""
    ids = load_tokenizer(model)([request.prompt for request in requests], add_special_tokens=False)["input_ids"]
    rows = [
        {"ids": row, "n": r.n, "temperature": r.temperature, "max_tokens": r.max_new_tokens}
        for row, r in zip(ids, requests, strict=True)
    ]
    return json.dumps({"model": str(resolve_model(model.path)), "requests": rows})
