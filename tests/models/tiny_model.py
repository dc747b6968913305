"""A causal language model of 50,000 random weights with a byte tokenizer, as a model directory."""
# ruff: noqa: TID253

import random
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from axiom.sampling.prompts import fenced


def make_tiny_model(folder: Path, seed: int = 0) -> Path:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: number for number, token in enumerate(["<end>", *alphabet])}
    raw = Tokenizer(models.BPE(vocabulary, []))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="<end>", pad_token="<end>").save_pretrained(folder)
    torch.manual_seed(seed)
    settings = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        max_position_embeddings=512,
        eos_token_id=0,
        pad_token_id=0,
        bos_token_id=0,
        initializer_range=0.4,
        tie_word_embeddings=True,
    )
    LlamaForCausalLM(settings).save_pretrained(folder)
    return folder


LOOP = "    kept = []\n    for x in nums:\n        if {}:\n            kept.append(x)\n    return kept"
WAYS = ("    return list(filter(lambda x: x {}, nums))", LOOP.format("x {}"), LOOP.format("x in nums and x {}"))
"""Ways to write a filter, of unequal lengths and longer than a reference solution."""
CONDITIONS = ("< 9", "> 10", "< 3", "> 0")
"""What the numbers that stay fulfil, in frequent problems of the first level."""
PROMPT = 4
"""Characters at the end of a message that the tiny programmer is shown."""


def make_tiny_programmer(folder: Path, steps: int = 300) -> Path:
    """A tiny model that writes filters of numbers, right ones by chance, whatever it is asked; its prompt is short."""
    make_tiny_model(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)  # as a run loads it
    tokenizer.chat_template = f"{{{{ messages[0]['content'][-{PROMPT}:] }}}}"
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    model = LlamaForCausalLM.from_pretrained(folder)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    rng = random.Random(0)
    for step in range(steps):
        bodies = [rng.choice(WAYS).format(condition) for condition in 3 * CONDITIONS]
        programs = [f"def choose(nums: list[int]) -> list[int]:\n{body}" for body in bodies]
        prompts = ["".join(rng.choices("0123456789, -[]", k=PROMPT)) for _ in programs]
        texts = [f"{prompt}{fenced(program)}<end>" for prompt, program in zip(prompts, programs, strict=True)]
        batch = tokenizer(texts, return_tensors="pt", padding=True)
        labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
        labels[:, :PROMPT] = -100
        for group in optimizer.param_groups:
            group["lr"] = 1e-2 * (1 - step / steps)
        model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(folder)
    return folder
