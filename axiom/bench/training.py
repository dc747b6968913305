"""How many tokens a second each way of training takes, on the same examples and model. Padding does not count."""

import importlib.util
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from axiom.bench.workload import token_count
from axiom.config import ModelConfig, TrainingConfig
from axiom.learners.proof import train_path
from axiom.models import Policy, load_model, load_tokenizer
from axiom.training import Example, Kept, Round

Run = Callable[[], None]
Way = Callable[[ModelConfig, Sequence[Example], TrainingConfig], Run]
"""Loads what it needs and gives back the run to be timed."""


ONE_BY_ONE = 64
"""Examples for the loop that takes them one at a time: its time is proportional to them."""


@dataclass(frozen=True)
class Measured:
    """One way of training over the examples, twice: the first run contains what is set up once in an experiment."""

    name: str
    tokens: int
    first_seconds: float
    seconds: float
    peak_gib: float

    @property
    def tokens_per_second(self) -> float:
        """Tokens of prompts and targets, without padding, in the second run."""
        return self.tokens / self.seconds


def measure(model: ModelConfig, examples: Sequence[Example], config: TrainingConfig) -> Iterator[Measured]:
    """Axiom's trainer, the original's loop and, where it is installed, TRL's SFTTrainer with packing.

    Each has its model loaded when the time begins: axiom keeps it from one iteration to the next.
    """
    ways: dict[str, tuple[Way, Sequence[Example]]] = {
        "axiom": (_axiom, examples),
        "batch 1, padded": (_padded_loop, examples[:ONE_BY_ONE]),
    }
    if importlib.util.find_spec("trl") is not None:
        ways["TRL, packed"] = (_trl, examples)
    for name, (way, given) in ways.items():
        _seconds(way(model, given[:1], config))  # loads libraries
        _reset_peak()
        first, second = (_seconds(way(model, given, config)) for _ in range(2))
        yield Measured(name, token_count(model, given), first, second, _peak_gib())


def _seconds(run: Run) -> float:
    began = time.perf_counter()
    run()
    _finish()
    return time.perf_counter() - began


def _axiom(model: ModelConfig, examples: Sequence[Example], config: TrainingConfig) -> Run:
    from axiom.training.loop import train

    kept, path = Kept(), train_path(model, config)

    def run() -> None:
        with tempfile.TemporaryDirectory() as folder:
            train(examples, Round(Policy("base", None), Path(folder), 0, 1), model, config, kept, path)

    return run


def _padded_loop(model: ModelConfig, examples: Sequence[Example], config: TrainingConfig) -> Run:
    """The original experiment's: one example at a time, padded to the longest, peft as it comes."""
    import torch
    from peft import get_peft_model

    from axiom.training.lora import lora_config

    base, tokenizer = load_model(model), load_tokenizer(model)
    adapted: Any = get_peft_model(base, lora_config(config, base)).train()
    texts, accumulation = [e.prompt + e.target for e in examples], config.examples_per_step

    def run() -> None:
        optimizer = torch.optim.AdamW([p for p in adapted.parameters() if p.requires_grad], lr=config.learning_rate)
        longest = max(len(ids) for ids in tokenizer(texts)["input_ids"])
        for number, text in enumerate(texts, 1):
            batch = tokenizer(text, return_tensors="pt", padding="max_length", max_length=longest).to(adapted.device)
            labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
            (adapted(**batch, labels=labels).loss / accumulation).backward()
            if number % accumulation == 0 or number == len(texts):
                torch.nn.utils.clip_grad_norm_(adapted.parameters(), config.max_grad_norm)
                optimizer.step()
                optimizer.zero_grad()

    return run


def _trl(model: ModelConfig, examples: Sequence[Example], config: TrainingConfig) -> Run:
    """Packed rows of `max_length`, as many in a step as hold the tokens of axiom's step."""
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    from axiom.training.lora import lora_config

    loaded, tokenizer = load_model(model), load_tokenizer(model)
    step_tokens = config.examples_per_step * token_count(model, examples) / len(examples)
    rows = Dataset.from_list([{"prompt": e.prompt, "completion": e.target} for e in examples])

    def run() -> None:
        with tempfile.TemporaryDirectory() as folder:
            settings = SFTConfig(
                output_dir=folder,
                packing=True,
                max_length=config.max_length,
                per_device_train_batch_size=max(1, round(step_tokens / config.max_length)),
                gradient_accumulation_steps=1,
                learning_rate=config.learning_rate,
                num_train_epochs=1,
                bf16=True,
                gradient_checkpointing=False,
                report_to=[],
                save_strategy="no",
                logging_strategy="no",
                disable_tqdm=True,
                use_cpu=loaded.device.type == "cpu",
            )
            adapter = lora_config(config, loaded)
            SFTTrainer(loaded, settings, train_dataset=rows, peft_config=adapter, processing_class=tokenizer).train()

    return run


def _finish() -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _reset_peak() -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def _peak_gib() -> float:
    """Peak memory of the GPU, or of this process where there is none."""
    import resource

    import torch

    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
