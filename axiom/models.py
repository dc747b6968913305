"""Where weights come from: the embedded model, a directory or the hub; and which adapter fits which base.

Everything that imports transformers or torch does so inside a function, so that importing this module is quick.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from axiom.config import ModelConfig
from axiom.embedded import EMBEDDED, embedded_model
from axiom.environment import cache_dir
from axiom.errors import ConfigError

if TYPE_CHECKING:
    import torch

WEIGHT_SUFFIXES = (".safetensors", ".bin", ".gguf", ".pt", ".pth")
"""Files that hold weights."""
FINGERPRINT_KEY = "base_fingerprint"
"""Key in the safetensors metadata of an adapter that names the weights it was trained on."""


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


def resolve_dtype(config: ModelConfig) -> "torch.dtype":
    """The dtype of weights and activations."""
    import torch

    return torch.float32 if config.dtype == "float32" else torch.bfloat16


def load_model(config: ModelConfig) -> Any:
    """The causal language model of `config`, on its device, in evaluation mode."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(resolve_model(config.path), dtype=resolve_dtype(config))
    return cast(Any, model).to(resolve_device(config)).eval()


def load_tokenizer(config: ModelConfig) -> Any:
    """The tokenizer of `config`; it always has a padding token."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(resolve_model(config.path))
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def stop_tokens(model: Path, tokenizer: Any) -> frozenset[int]:
    """Tokens that end a turn: all that the generation config and the config name, and the tokenizer's own."""
    found = set() if tokenizer.eos_token_id is None else {tokenizer.eos_token_id}
    for name in ("generation_config.json", "config.json"):
        file = model / name
        tree = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        for section in (tree, tree.get("text_config") or {}):
            listed = section.get("eos_token_id")
            found |= set(listed if isinstance(listed, list) else [] if listed is None else [listed])
    return frozenset(found)


def weight_bytes(model: Path) -> int:
    """What the weights in the directory `model` take."""
    safe = sum(file.stat().st_size for file in model.glob("*.safetensors"))
    return safe or sum(file.stat().st_size for file in model.glob("pytorch_model*.bin"))


def fingerprint(model: Path) -> str:
    """16 hex digits that change with the architecture or the weights in the directory `model`.

    Of each weight file its size, first and middle 64 KiB are hashed: enough to tell two trainings apart without
    reading gigabytes.
    """
    digest = hashlib.sha256()
    for file in sorted(file for file in model.iterdir() if file.suffix in WEIGHT_SUFFIXES):
        size = file.stat().st_size
        digest.update(f"{file.name} {size}".encode())
        with file.open("rb") as stream:
            for offset in (0, size // 2):
                stream.seek(offset)
                digest.update(stream.read(1 << 16))
    return digest.hexdigest()[:16]


def check_adapter(config: ModelConfig, adapter: Path) -> None:
    """Raise ConfigError unless `adapter` is an adapter directory that was trained on the model of `config`.

    Adapters that axiom wrote carry a fingerprint of their base; others are told apart by the base's name.
    """
    from safetensors import safe_open

    weights, settings = adapter / "adapter_model.safetensors", adapter / "adapter_config.json"
    if not (weights.is_file() and settings.is_file()):
        raise ConfigError(f"adapter {str(adapter)!r} lacks {weights.name} or {settings.name}; name a folder with both")
    base = json.loads(settings.read_text(encoding="utf-8")).get("base_model_name_or_path")
    with safe_open(weights, "np") as file:
        mark = (file.metadata() or {}).get(FINGERPRINT_KEY)
    fits = mark == fingerprint(resolve_model(config.path)) if mark else base == config.path
    if not fits:
        raise ConfigError(
            f"adapter {str(adapter)!r} was trained on {base!r}, not on model.path = {config.path!r}; "
            f"set model.path to its base or choose another adapter"
        )


def _hub_model(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    patterns = ["*.json", "*.safetensors", "*.txt", "*.jinja", "*.model", "tokenizer*"]
    try:
        return Path(snapshot_download(name, allow_patterns=patterns, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError):
        pass
    try:
        return Path(snapshot_download(name, allow_patterns=patterns))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise ConfigError(
            f"model.path = {name!r} is neither a folder nor on the hub as seen from here "
            f"({type(error).__name__}); check the name and the network, or set model.path = 'smollm2-135m'"
        ) from None
