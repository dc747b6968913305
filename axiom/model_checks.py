"""What a model folder, its tokenizer and an adapter must have, told in one sentence before a run writes anything."""

from pathlib import Path
from typing import Any

from axiom.config import ExperimentConfig
from axiom.errors import ConfigError
from axiom.models import check_adapter, resolve_model
from axiom.proof import Proof, prove
from axiom.sampling import choose_engine

OF_EXPERTS = frozenset({"gate", "gate_proj", "up_proj", "down_proj", "w1", "w2", "w3"})
"""Layers that mixtures of experts had one by one in older releases of transformers; peft knows where they are now."""


def check_model(config: ExperimentConfig, tokenizer: Any) -> None:
    """Raise ConfigError unless the model of `config`, its targets and its adapter can be sampled and trained."""
    folder = resolve_model(config.model.path)
    vllm = choose_engine(config.model, config.sampling)[0] == "vllm"
    check_folder(folder, config.model.path, safetensors=vllm)
    skeleton = _skeleton(folder)
    _check_vocabulary(config.model.path, tokenizer, skeleton.get_input_embeddings().weight.shape[0])
    _check_targets(config.training.target_modules, skeleton)
    if config.model.adapter:
        check_adapter(config.model, Path(config.model.adapter))
        _check_parts(Path(config.model.adapter), skeleton, vllm, merged=config.training.mode == "merge")
    for proof in proofs(config):
        proof.checked()


def proofs(config: ExperimentConfig) -> list[Proof]:
    """What was found about the model of a run: for training, and for sampling where transformers samples."""
    vllm = choose_engine(config.model, config.sampling)[0] == "vllm"
    return prove(config.model, config.training, None if vllm else config.sampling)


def check_folder(folder: Path, path: str, safetensors: bool = False) -> None:
    """Raise ConfigError unless the folder holds a model's weights, and no adapter beside them."""
    if (folder / "adapter_config.json").is_file():
        raise ConfigError(
            f"model.path = {path!r} holds an adapter beside the model, which transformers would add to it; move "
            f"adapter_config.json and its weights to a folder of their own and set model.adapter to it"
        )
    kinds = ("*.safetensors",) if safetensors else ("*.safetensors", "pytorch_model*.bin")
    if not any(True for kind in kinds for _ in folder.glob(kind)):
        raise ConfigError(f"model.path = {path!r} holds no {' or '.join(kinds)}; set model.path to one that does")


def _skeleton(folder: Path) -> Any:
    """The model without its weights."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        with torch.device("meta"):
            return AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder))
    except (ValueError, KeyError, OSError, ImportError, AttributeError, TypeError) as error:
        text = str(error).strip().splitlines() or [type(error).__name__]
        raise ConfigError(f"{str(folder)!r} cannot be opened as a causal language model: {text[0][:200]}") from error


def _check_vocabulary(path: str, tokenizer: Any, size: int) -> None:
    """Special tokens beyond the vocabulary are common and harmless while no text holds them; ordinary ones are not."""
    special = set(tokenizer.all_special_tokens) | {
        str(token) for token in tokenizer.added_tokens_decoder.values() if token.special
    }
    ordinary = max((number for token, number in tokenizer.get_vocab().items() if token not in special), default=0)
    most = max(ordinary, tokenizer.eos_token_id or 0, tokenizer.bos_token_id or 0)
    if most >= size:
        raise ConfigError(
            f"model.path = {path!r}: the tokenizer has token {most}, the model's vocabulary ends at {size - 1}; use "
            f"the tokenizer that the model was trained with"
        )


def _check_targets(targets: str | tuple[str, ...], skeleton: Any) -> None:
    if targets == "all-linear":
        return
    if isinstance(targets, str):
        raise ConfigError(
            f"training.target_modules = {targets!r} is neither 'all-linear' nor a list; write [{targets!r}] for layers "
            f"of that name"
        )
    if not targets:
        raise ConfigError("training.target_modules = [] trains nothing; name layers or set 'all-linear'")
    modules = dict(skeleton.named_modules())
    parameters = dict(skeleton.named_parameters())
    experts = any(weight.ndim == 3 for weight in parameters.values())
    for target in targets:
        found = [name for name in modules if name == target or name.endswith(f".{target}")]
        if not found and not (experts and target in OF_EXPERTS):
            known = sorted({name.rsplit(".", 1)[-1] for name, module in modules.items() if _linear(module)})
            raise ConfigError(
                f"training.target_modules: no layer is named {target!r}; this model has {', '.join(known)}"
            )
        for name in found:
            if not (_linear(modules[name]) or (experts and target in OF_EXPERTS)):
                raise ConfigError(
                    f"training.target_modules: {target!r} is a {type(modules[name]).__name__}, whose update cannot be "
                    f"merged; name linear layers or set 'all-linear'"
                )
            _check_untied(skeleton, name, f"training.target_modules: {target!r}")


def _check_parts(adapter: Path, skeleton: Any, vllm: bool, merged: bool) -> None:
    """Every factor of the adapter belongs to a linear layer of the model, and the engine can put it in force."""
    from safetensors import safe_open

    from axiom.sampling.merging import PREFIX, SUFFIX, special_settings

    special = special_settings(adapter)
    if special and (vllm or merged):
        way = "sampling.engine = 'transformers'" if vllm else "training.mode = 'continue'"
        raise ConfigError(f"model.adapter = {str(adapter)!r} sets {special[0]}, which cannot be merged here; set {way}")
    if special:
        return
    modules = dict(skeleton.named_modules())
    with safe_open(adapter / "adapter_model.safetensors", "np") as file:
        names = [key.removeprefix(PREFIX).removesuffix(SUFFIX) for key in file.keys() if key.endswith(SUFFIX)]  # noqa: SIM118
        for name in names:
            width = file.get_slice(f"{PREFIX}{name}{SUFFIX}").get_shape()[1]
            if name not in modules or not _linear(modules[name]) or modules[name].weight.shape[1] != width:
                raise ConfigError(
                    f"model.adapter = {str(adapter)!r} changes {name}, which is no linear layer of {width} inputs "
                    f"in this model; set model.path to the adapter's base"
                )
            _check_untied(skeleton, name, f"model.adapter = {str(adapter)!r}: {name}")


def _check_untied(skeleton: Any, name: str, subject: str) -> None:
    head, embedding = skeleton.get_output_embeddings(), skeleton.get_input_embeddings()
    tied = bool(getattr(skeleton.config.get_text_config(), "tie_word_embeddings", False))
    if head is not None and skeleton.get_submodule(name) in {head, embedding} and tied:
        raise ConfigError(
            f"{subject} is the output layer, which this model shares with its input, so that an update would "
            f"change both; leave it out"
        )


def _linear(module: Any) -> bool:
    import torch
    from transformers.pytorch_utils import Conv1D

    return isinstance(module, torch.nn.Linear | Conv1D)
