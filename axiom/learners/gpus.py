"""How many GPUs a run computes on."""

from axiom.config import ExperimentConfig
from axiom.sampling import choose_engine


def gpus(config: ExperimentConfig, visible: int) -> int:
    """The first so many of the `visible` GPUs, of a language model on a GPU; the engines' and the trainer's overlap."""
    training = config.training.data_parallel or visible
    if choose_engine(config.model, config.sampling)[0] != "vllm":
        return training
    vllm = config.sampling.vllm
    parts = vllm.data_parallel or max(1, visible // vllm.tensor_parallel)
    return max(training, parts * vllm.tensor_parallel)
