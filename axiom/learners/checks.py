"""What a model folder, its tokenizer and an adapter must have, checked before a run writes anything."""

import copy
import re
from pathlib import Path
from typing import Any

from axiom.config import ExperimentConfig, ModelConfig, TrainingConfig
from axiom.errors import ConfigError
from axiom.learners.engine import check_engine
from axiom.learners.proof import prove
from axiom.models import (
    auto_class,
    check_adapter,
    load_tokenizer,
    opening,
    read_settings,
    resolve_model,
    stop_tokens,
    weight_files,
)
from axiom.models.ways import Proof
from axiom.sampling import choose_engine
from axiom.sampling.prompts import Template, make_template

OF_EXPERTS = frozenset({"gate", "gate_proj", "up_proj", "down_proj", "w1", "w2", "w3"})
"""Layers that mixtures of experts had one by one in older releases of transformers; peft knows where they are now."""
INTEGERS = frozenset({"BOOL", "I8", "U8", "I16", "U16", "I32", "U32", "I64", "U64"})
"""Dtypes of safetensors that hold no weight without a scale."""


def check_model(config: ExperimentConfig) -> None:
    """Raise ConfigError unless the model of `config`, its targets and its adapter can be sampled and trained."""
    vllm = choose_engine(config.model, config.sampling)[0] == "vllm"
    tokenizer, skeleton = check_folder(config.model, safetensors=vllm)
    template = make_template(config.prompts, tokenizer)
    _check_room(config, tokenizer, template, skeleton)
    _check_targets(config.training.target_modules, skeleton)
    if config.model.adapter:
        check_adapter(config.model, Path(config.model.adapter))
        _check_parts(Path(config.model.adapter), skeleton, vllm, config.training)
    for proof in proofs(config):
        proof.checked()
    if vllm:
        check_engine(config, skeleton)


def proofs(config: ExperimentConfig) -> list[Proof]:
    """What was found about the model of a run: for training, and for sampling where transformers samples."""
    vllm = choose_engine(config.model, config.sampling)[0] == "vllm"
    return prove(config.model, config.training, None if vllm else config.sampling)


def check_folder(model: ModelConfig, safetensors: bool = False) -> tuple[Any, Any]:
    """The tokenizer of a folder and its model without the weights.

    Raises ConfigError unless they fit together, the folder holds plain weights, and no adapter lies beside them.
    """
    folder, path = resolve_model(model.path), model.path
    settings = read_settings(folder / "config.json")
    if (folder / "adapter_config.json").is_file():
        raise ConfigError(
            f"model.path = {path!r} holds an adapter beside the model, which transformers would add to it; move "
            f"adapter_config.json and its weights to a folder of their own and set model.adapter to it"
        )
    quantised = settings.get("quantization_config") or (settings.get("text_config") or {}).get("quantization_config")
    if quantised:
        method = quantised.get("quant_method") if isinstance(quantised, dict) else quantised
        raise ConfigError(
            f"model.path = {path!r} is quantised ({method}), and an adapter's update cannot be added to such weights; "
            f"set model.path to the model in bfloat16"
        )
    if settings.get("is_encoder_decoder"):
        raise ConfigError(
            f"model.path = {path!r} is an encoder with a decoder, whose decoder alone was not trained to go on with a "
            f"text; set model.path to a causal language model"
        )
    _check_files(weight_files(folder), path, safetensors)
    skeleton = _skeleton(folder, path)
    tokenizer = load_tokenizer(model)
    stop_tokens(folder, tokenizer)
    _check_vocabulary(path, tokenizer, skeleton.get_input_embeddings().weight.shape[0])
    _check_numbers(weight_files(folder), path, {name for name, _ in skeleton.named_parameters()})
    return tokenizer, skeleton


def _check_files(files: list[Path], path: str, safetensors: bool) -> None:
    kinds = "model.safetensors" if safetensors else "model.safetensors or pytorch_model.bin"
    if not files or (safetensors and files[0].suffix != ".safetensors"):
        raise ConfigError(
            f"model.path = {path!r} holds no {kinds}, whole or in shards; set model.path to one that does"
        )
    absent = [file.name for file in files if not file.is_file()]
    if absent:
        raise ConfigError(f"model.path = {path!r} lacks {absent[0]}, which its index names; copy the folder whole")


def _check_numbers(files: list[Path], path: str, names: set[str]) -> None:
    """Weights that were rounded to whole numbers mean nothing without the scales that went with them."""
    from safetensors import safe_open
    from transformers.modeling_utils import load_state_dict

    for file in files:
        with opening(f"{file.name} of model.path = {path!r}", "copy it again"):
            if file.suffix == ".safetensors":
                with safe_open(file, "np") as shard:
                    found = {name: shard.get_slice(name).get_dtype() in INTEGERS for name in shard.keys()}  # noqa: SIM118
            else:
                shapes = load_state_dict(file, map_location="meta")  # reads tensors alone, and no pickled code
                found = {name: not value.is_floating_point() for name, value in shapes.items()}
        rounded = sorted(name for name, integer in found.items() if integer and name in names)
        if rounded:
            raise ConfigError(
                f"model.path = {path!r} has whole numbers for the weight {rounded[0]}; set model.path to the model in "
                f"bfloat16"
            )


def _skeleton(folder: Path, path: str) -> Any:
    """The model without its weights."""
    import torch
    from transformers import AutoConfig

    remedy = "set model.path to a causal language model that this release of transformers knows"
    with opening(f"model.path = {path!r}", remedy), torch.device("meta"):
        settings = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        return auto_class(settings).from_config(settings, trust_remote_code=False)


def _check_vocabulary(path: str, tokenizer: Any, size: int) -> None:
    """Special tokens beyond the vocabulary are common and harmless while no text holds them; others are not."""
    template = str(tokenizer.chat_template or "")
    special = set(tokenizer.all_special_tokens) | {
        str(token) for token in tokenizer.added_tokens_decoder.values() if token.special
    }
    unused = {token for token in special if token not in template}
    used = max((number for token, number in tokenizer.get_vocab().items() if token not in unused), default=0)
    most = max(used, tokenizer.eos_token_id or 0, tokenizer.bos_token_id or 0)
    if most >= size:
        raise ConfigError(
            f"model.path = {path!r}: the tokenizer has token {most}, the model's vocabulary ends at {size - 1}; use "
            f"the tokenizer that the model was trained with"
        )


def _check_room(config: ExperimentConfig, tokenizer: Any, template: Template, skeleton: Any) -> None:
    """Raise ConfigError where a text of the run has more tokens than the model has positions."""
    limit = table_length(skeleton)
    if limit is None:
        return
    if config.training.max_length > limit:
        raise ConfigError(
            f"training.max_length = {config.training.max_length} is more than the {limit} positions that the model "
            f"has; set training.max_length = {limit}"
        )
    from axiom.learners import make_problems

    prompts = [template.render(problem) for split in make_problems(config).values() for problem in split]
    longest = max(map(len, tokenizer(prompts, add_special_tokens=False)["input_ids"])) if prompts else 0
    drawn = config.sampling.max_new_tokens + config.sampling.thinking_tokens
    if longest + drawn > limit:
        raise ConfigError(
            f"a prompt of {longest} tokens and sampling.max_new_tokens = {drawn} are more than the {limit} positions "
            f"that the model has; lower sampling.max_new_tokens, or choose easier problems or shorter prompts"
        )


def table_length(skeleton: Any) -> int | None:
    """Tokens of the longest text for which the model has positions; None where it computes them."""
    import torch

    base = skeleton.base_model
    language = next((getattr(base, name) for name in ("language_model", "text_model") if hasattr(base, name)), base)
    lengths = []
    for name, module in language.named_modules():
        if isinstance(module, torch.nn.Embedding) and re.search(r"pos|wpe", name):
            offset = getattr(module, "offset", 0 if module.padding_idx is None else module.padding_idx + 1)
            lengths.append(module.num_embeddings - offset)
    for name, values in language.named_buffers():
        if name.rpartition(".")[2] == "embed_positions":
            lengths.append(values.shape[-2])
    return min(lengths, default=None)


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


def _check_parts(adapter: Path, skeleton: Any, vllm: bool, training: TrainingConfig) -> None:
    """Every factor of the adapter belongs to a linear layer of the model, and the engine can put it in force."""
    from axiom.models.merging import read_by_peft, special_settings

    subject = f"model.adapter = {str(adapter)!r}"
    special = special_settings(adapter)
    if special and (vllm or training.mode == "merge"):
        way = "sampling.engine = 'transformers'" if vllm else "training.mode = 'continue'"
        raise ConfigError(f"{subject} sets {special[0]}, which cannot be merged here; set {way}")
    settings = read_settings(adapter / "adapter_config.json")
    for key in ("r", "lora_alpha"):
        if type(settings.get(key)) not in (int, float) or settings[key] <= 0:
            raise ConfigError(f"{subject} has {key} = {settings.get(key)!r} in its settings; correct it")
    layers = _factors(adapter, subject)
    if special:
        with opening(subject, "set model.path to the adapter's base"):
            read_by_peft(copy.deepcopy(skeleton), adapter)
    else:
        modules = dict(skeleton.named_modules())
        for name, (rows, columns, rank) in layers.items():
            if rank != settings["r"]:
                raise ConfigError(f"{subject} has rank {rank} in {name} and r = {settings['r']}; correct its settings")
            module = modules.get(name)
            if module is None or not _linear(module) or {rows, columns} != set(module.weight.shape):
                raise ConfigError(
                    f"{subject} changes {name} by {rows} times {columns} values, which is no linear layer of that "
                    f"size in this model; set model.path to the adapter's base"
                )
            _check_untied(skeleton, name, f"{subject}: {name}")
    if training.mode == "continue":
        from axiom.training.lora import check_continues

        check_continues(adapter, training, skeleton)


def _factors(adapter: Path, subject: str) -> dict[str, tuple[int, int, int]]:
    """Outputs, inputs and rank of the update of each layer, by the layer's name. All its values are finite."""
    from safetensors import safe_open

    from axiom.models.merging import PREFIX, SUFFIX

    found = {}
    with safe_open(adapter / "adapter_model.safetensors", "pt") as file:
        names = set(file.keys())
        for key in sorted({re.sub(r"\.lora_[AB]\.", ".lora_A.", name) for name in names}):
            other = key.replace(".lora_A.", ".lora_B.")
            if not {key, other} <= names:
                raise ConfigError(f"{subject} lacks {key if key not in names else other}; name a whole adapter")
            a_RI, b_OR = file.get_tensor(key), file.get_tensor(other)
            if a_RI.ndim != 2 or b_OR.ndim != 2 or len(a_RI) != b_OR.shape[1]:
                raise ConfigError(f"{subject} has factors of {key} that do not fit together; name a whole adapter")
            if not bool(a_RI.float().isfinite().all() and b_OR.float().isfinite().all()):
                raise ConfigError(
                    f"{subject} has values in {key} or its other factor that are not finite; name another"
                )
            found[key.removeprefix(PREFIX).removesuffix(SUFFIX)] = (len(b_OR), a_RI.shape[1], len(a_RI))
    if not found:
        raise ConfigError(f"{subject} has no factors; name another adapter")
    return found


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
