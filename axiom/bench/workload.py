"""What the sampling and training benches run on: real prompts and programs, and a model of any size."""

import json
from pathlib import Path
from typing import Any

from axiom.config import ModelConfig, ProblemsConfig, PromptsConfig
from axiom.models import free_memory, load_tokenizer, resolve_model
from axiom.problems import generate_splits
from axiom.sampling import Request
from axiom.sampling.prompts import make_template
from axiom.training import Example

SHAPES: dict[str, dict[str, Any]] = {
    "qwen2.5-coder-1.5b": {
        "model_type": "qwen2",
        "architectures": ["Qwen2ForCausalLM"],
        "hidden_size": 1536,
        "intermediate_size": 8960,
        "num_hidden_layers": 28,
        "num_attention_heads": 12,
        "num_key_value_heads": 2,
        "vocab_size": 151936,
        "max_position_embeddings": 32768,
        "rope_theta": 1e6,
        "rms_norm_eps": 1e-6,
        "tie_word_embeddings": True,
        "bos_token_id": 1,
        "eos_token_id": 2,
    },
    "qwen2.5-coder-7b": {
        "model_type": "qwen2",
        "architectures": ["Qwen2ForCausalLM"],
        "hidden_size": 3584,
        "intermediate_size": 18944,
        "num_hidden_layers": 28,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
        "vocab_size": 152064,
        "max_position_embeddings": 32768,
        "rope_theta": 1e6,
        "rms_norm_eps": 1e-6,
        "tie_word_embeddings": False,
        "bos_token_id": 1,
        "eos_token_id": 2,
    },
    "tiny": {
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
        "bos_token_id": 1,
        "eos_token_id": 2,
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


def make_requests(
    model: ModelConfig, problems: int, samples: int, temperature: float, max_new_tokens: int
) -> list[Request]:
    """Requests for training problems of the original experiment's families."""
    template = make_template(PromptsConfig(), load_tokenizer(model))
    train = generate_splits(ProblemsConfig(train_size=problems, val_size=1, test_size=0), 0)["train"]
    return [
        Request(problem.problem_id, template.render(problem), samples, temperature, 1.0, max_new_tokens, number)
        for number, problem in enumerate(train)
    ]


def make_examples(model: ModelConfig, problems: int, copies: int) -> list[Example]:
    """Prompts with their reference solutions, each `copies` times."""
    template = make_template(PromptsConfig(), load_tokenizer(model))
    train = generate_splits(ProblemsConfig(train_size=problems, val_size=1, test_size=0), 0)["train"]
    pairs = [(template.render(problem), template.completion(problem, problem.reference_solution)) for problem in train]
    return [Example(prompt, target, 1.0, template.turn_end) for prompt, target in pairs] * copies


def as_json(model: ModelConfig, requests: list[Request]) -> str:
    """Requests for a baseline that runs as a script of its own."""
    ids = load_tokenizer(model)([request.prompt for request in requests], add_special_tokens=False)["input_ids"]
    rows = [
        {"ids": row, "n": r.n, "temperature": r.temperature, "max_tokens": r.max_new_tokens}
        for row, r in zip(ids, requests, strict=True)
    ]
    return json.dumps({"model": str(resolve_model(model.path)), "requests": rows})
