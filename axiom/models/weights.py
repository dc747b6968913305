"""Where weights come from: the embedded model, a directory or the hub; and which adapter fits which base.

Everything that imports transformers or torch does so inside a function, so that importing this module is quick.
"""

import gc
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from axiom.config import ModelConfig
from axiom.content import content_digest
from axiom.environment import cache_dir
from axiom.errors import AxiomError, ConfigError, OutOfMemoryError, classified
from axiom.models.embedded import EMBEDDED, embedded_model
from axiom.words import few

if TYPE_CHECKING:
    import torch

WEIGHT_SUFFIXES = (".safetensors", ".bin", ".gguf", ".pt", ".pth")
"""Files that hold weights."""
UNRELATED = frozenset({"_name_or_path", "architectures", "dtype", "torch_dtype", "transformers_version"})
"""Settings of a model folder that do not change what axiom computes with it; the dtype is `model.dtype`."""
FINGERPRINT_KEY = "base_content"
"""Key in the safetensors metadata of an adapter that names the weights it was trained on."""

ACTIVATION_BYTES = 12 * 2**30
"""GPU memory that training takes beside the weights: its widest pass at a 1.5B model, and some room."""


@dataclass(frozen=True)
class Policy:
    """The weights that answer: a base model, or the base model with the adapter in a directory."""

    version: str
    adapter: Path | None


def resolve_model(path: str) -> Path:
    """The directory that holds the model `path`: a directory, a hub name or an embedded model's.

    An embedded model is converted once into the cache (`AXIOM_CACHE_DIR`, default `~/.cache/axiom`) and reused.
    Raises ConfigError when there is no such model, or the hub cannot be reached.
    """
    if path in EMBEDDED:
        return embedded_model(path, cache_dir())
    if any("\ud800" <= sign <= "\udfff" for sign in path):  # a byte that is not UTF-8, which tokenizers do not open
        raise ConfigError(f"model.path = {path!r} is not UTF-8; rename the folder")
    local = Path(path).expanduser()
    if local.exists():
        if (local / "config.json").is_file():
            return local
        raise ConfigError(
            f"model.path = {path!r} holds no config.json; set model.path to a folder a model was saved in"
        )
    if path.startswith((".", "/", "~")) or path.count("/") != 1:
        raise ConfigError(
            f"model.path = {path!r} does not exist; set model.path to a model folder, a hub name or one of "
            f"{', '.join(EMBEDDED)}"
        )
    return _hub_model(path)


def resolve_device(config: ModelConfig) -> str:
    """`cuda` or `cpu`. Raises ConfigError when cuda is asked for and torch sees no GPU."""
    import torch

    if config.device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("model.device = 'cuda' but torch sees no GPU; run axiom doctor, or set model.device = 'auto'")
    return ("cuda" if torch.cuda.is_available() else "cpu") if config.device == "auto" else config.device


def devices() -> tuple[str, ...]:
    """The GPUs that this process may use, as `CUDA_VISIBLE_DEVICES` names them to a process that gets one of them."""
    import torch

    named = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    count = torch.cuda.device_count()
    return tuple(named[:count] or map(str, range(count)))


def free_memory() -> None:
    """Give back the GPU memory of what is no longer referred to: torch would keep it for this process."""
    import torch

    gc.collect()  # models and captured passes refer to themselves
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


@contextmanager
def own_random() -> Iterator[None]:
    """Draws inside leave torch's generators as they were.

    Of several GPUs only the current one's is kept: torch by itself would take memory on each.
    """
    import torch

    with torch.random.fork_rng([torch.cuda.current_device()] if torch.cuda.is_available() else []):
        yield


def resolve_dtype(config: ModelConfig) -> "torch.dtype":
    """The dtype of weights and activations."""
    import torch

    return torch.float32 if config.dtype == "float32" else torch.bfloat16


def load_model(config: ModelConfig) -> Any:
    """The causal language model of `config`, on its device, in evaluation mode.

    Raises ConfigError where the folder cannot be opened, and where its weights are not those that the model has:
    transformers would draw the missing ones at random.
    """
    from transformers import AutoConfig

    folder = resolve_model(config.path)
    with opening(f"model.path = {config.path!r}", "choose another"):
        settings = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        loaded: Any = auto_class(settings).from_pretrained(
            folder, dtype=resolve_dtype(config), trust_remote_code=False, output_loading_info=True
        )
        model, info = loaded
    for kind, says in (("missing_keys", "lacks the weight"), ("unexpected_keys", "has a weight that goes nowhere,")):
        if info[kind]:
            raise ConfigError(
                f"model.path = {config.path!r} {says} {few(sorted(info[kind]), 1)}, as a "
                f"{type(model).__name__}; set model.path to a causal language model whose config.json fits its weights"
            )
    return model.to(resolve_device(config)).eval()


def auto_class(settings: Any) -> Any:
    """What opens a model with these settings: a causal language model, or one inside a model of images and texts."""
    from transformers import AutoModelForCausalLM, AutoModelForImageTextToText
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_CAUSAL_LM_MAPPING,
        MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING,
    )

    wraps = type(settings) in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING and type(settings) not in MODEL_FOR_CAUSAL_LM_MAPPING
    return AutoModelForImageTextToText if wraps else AutoModelForCausalLM


def load_tokenizer(config: ModelConfig) -> Any:
    """The tokenizer of `config`; it always has a padding token. Raises ConfigError where it cannot be opened."""
    from transformers import AutoTokenizer

    with opening(f"the tokenizer of model.path = {config.path!r}", "save the model's tokenizer in its folder"):
        tokenizer: Any = AutoTokenizer.from_pretrained(resolve_model(config.path), trust_remote_code=False)
    if tokenizer.eos_token_id is None:
        raise ConfigError(
            f"the tokenizer of model.path = {config.path!r} names no end-of-sequence token, by which training ends a "
            f"text; set eos_token in its tokenizer_config.json"
        )
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


@contextmanager
def opening(subject: str, remedy: str) -> Iterator[None]:
    """Around a library that opens a user's file: what it raises becomes a ConfigError of one sentence.

    Memory that runs out is no fault of the file.
    """
    try:
        yield
    except AxiomError:
        raise
    except Exception as error:
        if isinstance(classified(error), OutOfMemoryError):
            raise
        text = " ".join(str(error).split())[:240].rstrip(". ")
        raise ConfigError(f"{subject} cannot be opened: {type(error).__name__}: {text}; {remedy}") from error


def read_settings(file: Path) -> dict[str, Any]:
    """The JSON object in `file`. Raises ConfigError where it holds none."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{str(file)!r} cannot be read as JSON ({error}); correct it") from None
    if not isinstance(found, dict):
        raise ConfigError(f"{str(file)!r} holds a {type(found).__name__}, not settings by name; correct it")
    return found


def stop_tokens(model: Path, tokenizer: Any, turn_end: int | None = None) -> frozenset[int]:
    """Tokens that end a turn: all that the generation config and the config name, the tokenizer's own and `turn_end`.

    Raises ConfigError where an `eos_token_id` is no number.
    """
    found = {token for token in (tokenizer.eos_token_id, turn_end) if token is not None}
    for file in (model / "generation_config.json", model / "config.json"):
        tree = read_settings(file) if file.is_file() else {}
        for section in (tree, tree.get("text_config") or {}):
            listed = section.get("eos_token_id")
            found |= set(listed if isinstance(listed, list) else [] if listed is None else [listed])
            if not all(type(token) is int for token in found):
                raise ConfigError(
                    f"{str(file)!r} has eos_token_id = {listed!r}, which is no token's number; correct it"
                )
    return frozenset(found)


def weight_files(model: Path) -> list[Path]:
    """The files that the weights in the directory `model` are read from; those of an index need not be there."""
    for name in ("model.safetensors", "pytorch_model.bin"):
        if (model / name).is_file():
            return [model / name]
        index = model / f"{name}.index.json"
        if index.is_file():
            shards = read_settings(index).get("weight_map")
            return sorted({model / shard for shard in shards.values()}) if isinstance(shards, dict) else []
    return []


def weight_names(model: Path) -> set[str]:
    """The names of the weights in the safetensors files of the directory `model`."""
    from safetensors import safe_open

    names: set[str] = set()
    for path in weight_files(model):
        with safe_open(path, "np") as file:
            names |= set(file.keys())
    return names


def weight_bytes(model: Path) -> int:
    """What the weights in the directory `model` take."""
    return sum(file.stat().st_size for file in weight_files(model))


def bytes_to_train(model: Path, parts: int = 1) -> int:
    """Memory that training the model in the directory `model` takes on each of the `parts` GPUs that hold it."""
    return weight_bytes(model) // parts + ACTIVATION_BYTES


def activation_bytes(model: Path, tokens: int) -> int:
    """GPU memory that a training pass of `tokens` keeps for the backward pass, in bfloat16.

    A layer keeps about 40 hidden-size and 8 intermediate-size vectors of each token.
    """
    settings = read_settings(model / "config.json")
    text = settings.get("text_config") or settings
    hidden = text.get("hidden_size") or text.get("n_embd") or 0
    width = 40 * hidden + 8 * (text.get("intermediate_size") or 4 * hidden)
    return tokens * (text.get("num_hidden_layers") or text.get("n_layer") or 0) * width * 2


def fingerprint(model: Path) -> str:
    """16 hex digits that change with any weight in the directory `model`, and with any setting of its architecture."""
    digest = hashlib.sha256(_architecture(model).encode())
    for file in sorted(file for file in model.iterdir() if file.suffix in WEIGHT_SUFFIXES and file.is_file()):
        digest.update(f"{file.name} {content_digest(file)}".encode())
    return digest.hexdigest()[:16]


def _architecture(model: Path) -> str:
    """The model's settings without those that another release of transformers, or another name, would change."""
    file = model / "config.json"
    tree = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return json.dumps({key: value for key, value in tree.items() if key not in UNRELATED}, sort_keys=True)


def check_adapter(config: ModelConfig, adapter: Path) -> None:
    """Raise ConfigError unless `adapter` is an adapter directory that was trained on the model of `config`.

    Adapters that axiom wrote carry a fingerprint of their base; others are told apart by the base's name.
    """
    from safetensors import safe_open

    weights, settings = adapter / "adapter_model.safetensors", adapter / "adapter_config.json"
    if not (weights.is_file() and settings.is_file()):
        raise ConfigError(f"adapter {str(adapter)!r} lacks {weights.name} or {settings.name}; name a folder with both")
    base = read_settings(settings).get("base_model_name_or_path")
    with opening(f"adapter {str(adapter)!r}", "name another folder"), safe_open(weights, "np") as file:
        mark = (file.metadata() or {}).get(FINGERPRINT_KEY)
    fits = mark == fingerprint(resolve_model(config.path)) if mark else base == config.path
    if not fits:
        raise ConfigError(
            f"adapter {str(adapter)!r} was trained on {base!r}, not on model.path = {config.path!r}; "
            f"set model.path to its base or choose another adapter"
        )


def _hub_model(name: str) -> Path:
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        folder = _downloaded(name, local_files_only=True)
        if weight_files(folder) and all(file.is_file() for file in weight_files(folder)):
            return folder
    except (LocalEntryNotFoundError, HFValidationError):
        pass
    try:
        return _downloaded(name, local_files_only=False)
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise ConfigError(
            f"model.path = {name!r} is neither a folder nor on the hub as seen from here "
            f"({type(error).__name__}); check the name and the network, or set model.path = 'smollm2-135m'"
        ) from None


def _downloaded(name: str, local_files_only: bool) -> Path:
    """The hub's folder; weights in .bin files are fetched where there are no others."""
    from huggingface_hub import snapshot_download

    patterns = ["*.json", "*.safetensors", "*.txt", "*.jinja", "*.model", "tokenizer*"]
    folder = Path(snapshot_download(name, allow_patterns=patterns, local_files_only=local_files_only))
    if any(file.suffix == ".safetensors" for file in weight_files(folder)):
        return folder
    patterns.append("pytorch_model*.bin")
    return Path(snapshot_download(name, allow_patterns=patterns, local_files_only=local_files_only))
