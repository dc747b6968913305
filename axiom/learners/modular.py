"""The modular learner: a small network that groks within seconds, behind the language model's interfaces.

Problems are unordered pairs of residues; the answer is their sum modulo p, or that of another symmetric operation. The
network is that of the grokking literature's smallest setting (Gromov 2023, arXiv:2301.02679, uses the same shape):
logits = relu((E[a] + E[b]) W) U, where each operation has a W of its own.

Shapes: B problems, P residues, D embedding, H hidden.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from axiom import values
from axiom.config import ExperimentConfig, ModularConfig
from axiom.config.names import OPERATIONS
from axiom.errors import ConfigError
from axiom.models import Policy
from axiom.records import Case, Gold, LossStep, Problem, Split
from axiom.sampling import Completion, Request, Sampler, Trace
from axiom.seeds import derive, stream
from axiom.store import hash_json
from axiom.training import Example, Round
from axiom.training.schedule import factor

if TYPE_CHECKING:
    import torch

    Tensors = dict[str, torch.Tensor]

BETAS = (0.9, 0.98)
EPSILON = 1e-8
MOMENTS = ("mean", "square")
FILE = "network.safetensors"
TOKENS_PER_EXAMPLE = 3
"""Two residues in, one out."""


@dataclass(frozen=True)
class Operation:
    """What is done with two residues: as prompts write it, as people do, and its value before the modulus."""

    written: str
    title: str
    value: Callable[[Any, Any], Any]

    @property
    def marks(self) -> str:
        """What is left of a prompt without its numbers; no two operations have the same."""
        return self.written.format(a="", b="")


DONE = {
    "add": Operation("{a}+{b}", "{a} + {b}", lambda a, b: a + b),
    "negate": Operation("-{a}-{b}", "-{a} - {b}", lambda a, b: -a - b),
    "multiply": Operation("{a}*{b}", "{a} · {b}", lambda a, b: a * b),
    "squares": Operation("{a}²+{b}²", "{a}² + {b}²", lambda a, b: a * a + b * b),
}
"""The operations by the names of `modular.operations`."""


def check_modular(config: ExperimentConfig) -> None:
    """Raise ConfigError for what this learner cannot do."""
    if config.training.mode == "merge":
        raise ConfigError("training.mode = 'merge' needs LoRA; the modular network offers 'continue' and 'restart'")
    if config.sampling.top_p != 1.0:
        raise ConfigError(
            f"top_p = {config.sampling.top_p} has no meaning for the modular network; set sampling.top_p = 1"
        )
    split_sizes(config.modular)


def split_sizes(config: ModularConfig) -> tuple[int, int]:
    """Pairs of one operation in train, and in train and val together. Raises ConfigError when a split is empty."""
    pairs = config.p * (config.p + 1) // 2
    train = round(config.train_fraction * pairs)
    middle = train + (pairs - train + 1) // 2
    if train == 0 or middle == pairs:
        raise ConfigError(
            f"train_fraction={config.train_fraction} of the {pairs} pairs modulo {config.p} leaves a split "
            f"empty; choose a larger [modular] p or another train_fraction"
        )
    return train, middle


def make_modular_problems(config: ExperimentConfig) -> dict[str, list[Problem]]:
    """All p (p + 1) / 2 pairs of each operation: `train_fraction` of them to train, the rest shared by val and test."""
    p = config.modular.p
    train, middle = split_sizes(config.modular)
    made: dict[str, list[Problem]] = {"train": [], "val": [], "test": []}
    for difficulty, name in enumerate(config.modular.operations, 1):
        pairs = [(a, b) for a in range(p) for b in range(a, p)]
        stream(config.seed, "problems", OPERATIONS[name]).shuffle(pairs)
        parts: dict[Split, list[tuple[int, int]]] = {
            "train": pairs[:train],
            "val": pairs[train:middle],
            "test": pairs[middle:],
        }
        for split, part in parts.items():
            made[split] += [_problem(name, a, b, p, split, difficulty) for a, b in part]
    return made


def _problem(name: str, a: int, b: int, p: int, split: Split, difficulty: int) -> Problem:
    family, operation = OPERATIONS[name], DONE[name]
    answer, variant = values.encode(operation.value(a, b) % p), values.encode({"a": a, "b": b, "p": p})
    arguments = values.encode([a, b])
    return Problem(
        problem_id=hash_json([family, variant])[:16],
        family=family,
        variant=variant,
        difficulty=difficulty,
        split=split,
        title=f"{operation.title.format(a=a, b=b)} modulo {p}",
        description=operation.written.format(a=a, b=b),
        signature="",
        entry_point="",
        kind="answer",
        shown=(),
        cases=(Case(args=arguments, expected=answer),),
        reference_solution=answer,
        input_data=arguments,
        expected_output=answer,
    )


_NUMBER = re.compile("[0-9]+")


def residues(prompts: Sequence[str]) -> np.ndarray:
    """The pairs B×2 that prompts like `3+11` name."""
    return np.array([_NUMBER.findall(text) for text in prompts], dtype=np.int64).reshape(-1, 2)


def hidden_layers(prompts: Sequence[str]) -> list[str]:
    """The hidden layer of each prompt's operation, by its name in the network."""
    named = {operation.marks: hidden_of(name) for name, operation in DONE.items()}
    return [named[_NUMBER.sub("", text)] for text in prompts]


def hidden_of(operation: str) -> str:
    """The name of an operation's hidden layer."""
    return "hidden" if operation == "add" else f"hidden.{operation}"


def answers(targets: Sequence[str]) -> np.ndarray:
    """The residue B in each target, fenced or bare."""
    return np.array([int(_NUMBER.findall(text)[-1]) for text in targets], dtype=np.int64)


@contextmanager
def one_thread() -> Iterator[None]:
    """The matrices are too small for more threads to pay."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def new_network(config: ModularConfig, seed: int) -> "Tensors":
    """Fresh weights: embedding P×D, a hidden layer D×H for each operation, output H×P; variance 1 / fan-in.

    Every layer has a random stream of its own but that of addition, so an operation more leaves the others as they are.
    """
    import torch

    shared = torch.Generator().manual_seed(derive(seed, "modular", "network"))
    made = {
        "embedding": torch.randn(config.p, config.embedding, generator=shared) / config.embedding**0.5,
        "hidden": torch.randn(config.embedding, config.hidden, generator=shared) / config.embedding**0.5,
        "output": torch.randn(config.hidden, config.p, generator=shared) / config.hidden**0.5,
    }
    for name in config.operations:
        own = torch.Generator().manual_seed(derive(seed, "modular", "network", name))
        drawn = torch.randn(config.embedding, config.hidden, generator=own) / config.embedding**0.5
        made.setdefault(hidden_of(name), drawn)
    return {name: weight for name, weight in made.items() if name != "hidden" or "add" in config.operations}


def weights_of(network: Iterable[str]) -> list[str]:
    """Names of the weights, without the optimizer's moments and steps."""
    return [name for name in network if name.rpartition(".")[2] not in (*MOMENTS, "steps")]


class Pairs:
    """Pairs B×2 of residues, and the rows that each hidden layer computes: unless said, that of addition all."""

    def __init__(self, pairs: np.ndarray, layers: Sequence[str] = ()) -> None:
        import torch

        self.pairs = torch.from_numpy(pairs)
        named = np.array(layers or ["hidden"] * len(pairs))
        self.rows = {name: torch.from_numpy(np.flatnonzero(named == name)) for name in dict.fromkeys(named.tolist())}

    @classmethod
    def of(cls, prompts: Sequence[str]) -> "Pairs":
        """The pairs that prompts name."""
        return cls(residues(prompts), hidden_layers(prompts))


def logits(network: "Tensors", asked: Pairs) -> "torch.Tensor":
    """Scores B×P of the residues."""
    import torch

    summed_BD = network["embedding"][asked.pairs].sum(1)
    if len(asked.rows) == 1:
        (name,) = asked.rows
        return torch.relu(summed_BD @ network[name]) @ network["output"]
    hidden_BH = torch.cat([summed_BD[rows] @ network[name] for name, rows in asked.rows.items()])
    return (torch.relu(hidden_BH) @ network["output"])[torch.cat(list(asked.rows.values())).argsort()]


def weighted_loss(network: "Tensors", asked: Pairs, answer: "torch.Tensor", weight: "torch.Tensor") -> "torch.Tensor":
    """Weights B times negative log-likelihoods, over the sum of the absolute weights; in nats."""
    import torch

    losses_B = torch.nn.functional.cross_entropy(logits(network, asked), answer, reduction="none")
    return (weight * losses_B).sum() / weight.abs().sum()


def accuracy(network: "Tensors", pairs: np.ndarray, p: int) -> float:
    """Share of pairs whose sum modulo p scores highest."""
    import torch

    with torch.no_grad():
        best = logits(network, Pairs(pairs)).argmax(1).numpy()
    return float((best == pairs.sum(1) % p).mean())


class Trainer:
    """Full-batch AdamW (Loshchilov & Hutter 2019, algorithm 2), whose moments survive in the saved file.

    Written out because `torch.optim` loads torch's compiler, which takes longer than this network trains.
    """

    def __init__(self, config: ModularConfig, tensors: "Tensors") -> None:
        import torch

        self._config = config
        names = weights_of(tensors)
        self.network = {name: tensors[name].clone().requires_grad_() for name in names}
        kept = {f"{name}.{moment}" for name in names for moment in MOMENTS} <= tensors.keys()
        self._steps = {name: int(tensors.get(f"{name}.steps", tensors["steps"])) if kept else 0 for name in names}
        self._moments = {
            f"{name}.{moment}": tensors[f"{name}.{moment}"].clone() if kept else torch.zeros_like(tensors[name])
            for name in names
            for moment in MOMENTS
        }

    def step(
        self, asked: Pairs, answer: "torch.Tensor", weight: "torch.Tensor", scale: float = 1.0
    ) -> tuple[float, float]:
        """One step on all pairs at once; the weighted mean loss in nats and the gradient's norm.

        `scale` multiplies the config's learning rate. The hidden layer of an operation without pairs stays as it is.
        """
        import torch

        loss = weighted_loss(self.network, asked, answer, weight)
        moved = [name for name in self.network if name in asked.rows or not name.startswith("hidden")]
        gradients = torch.autograd.grad(loss, [self.network[name] for name in moved])
        with torch.no_grad():
            for name, gradient in zip(moved, gradients, strict=True):
                self._update(name, gradient, self._config.learning_rate * scale)
        norm = sum(float(gradient.square().sum()) for gradient in gradients) ** 0.5
        return float(loss.detach()), norm

    def _update(self, name: str, gradient: "torch.Tensor", rate: float) -> None:
        self._steps[name] += 1
        parameter, steps = self.network[name], self._steps[name]
        mean, square = (self._moments[f"{name}.{moment}"] for moment in MOMENTS)
        mean.lerp_(gradient, 1 - BETAS[0])
        square.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
        spread = (square / (1 - BETAS[1] ** steps)).sqrt() + EPSILON
        parameter.mul_(1 - rate * self._config.weight_decay)
        parameter.addcdiv_(mean / (1 - BETAS[0] ** steps), spread, value=-rate)

    def tensors(self) -> "Tensors":
        """Weights and moments, for the file."""
        import torch

        saved = {name: parameter.detach().clone() for name, parameter in self.network.items()}
        steps = self._steps["embedding"]
        fewer = {f"{name}.steps": torch.tensor(own) for name, own in self._steps.items() if own != steps}
        return saved | self._moments | {"steps": torch.tensor(steps)} | fewer


class ModularSampler(Sampler):
    """Answers from the network's softmax, all requests at once."""

    name = "modular"

    def __init__(self, config: ExperimentConfig) -> None:
        self.base = new_network(config.modular, config.seed)
        self.network = self.base

    def use(self, policy: Policy) -> None:
        """Answer with these weights from now on."""
        self.network = self.base if policy.adapter is None else load(policy.adapter)

    def sample(self, requests: Sequence[Request], traced: int = 0) -> Iterator[Completion]:
        """Completions of one token, in the order of the requests; none has a trace."""
        if not requests:
            return
        scores_BP = _scores(self.network, [request.prompt for request in requests])
        best = scores_BP.argmax(1)
        for row, request in enumerate(requests):
            drawn = [int(best[row])] * request.n if request.temperature == 0 else _draw(scores_BP[row], request)
            for index, answer in enumerate(drawn):
                yield Completion(
                    request_id=request.request_id,
                    index=index,
                    text=str(answer),
                    token_count=1,
                    logprob=float(scores_BP[row, answer]),
                    finish_reason="stop",
                )

    def close(self) -> None:
        """Nothing to give back."""


def _scores(network: "Tensors", prompts: Sequence[str]) -> np.ndarray:
    """Log-probabilities B×P of the residues for prompts like `3+11`."""
    import torch

    with one_thread(), torch.no_grad():
        found: np.ndarray = torch.log_softmax(logits(network, Pairs.of(prompts)).double(), 1).numpy()
    return found


def _draw(scores_P: np.ndarray, request: Request) -> list[int]:
    """`n` residues from softmax(scores / temperature), by inverting its cumulative sum."""
    scaled = scores_P / request.temperature
    cumulative = np.cumsum(np.exp(scaled - scaled.max()))
    uniform = np.random.default_rng(request.seed).random(request.n)
    found = np.searchsorted(cumulative, uniform * cumulative[-1], side="right")
    return [int(answer) for answer in found.clip(max=len(scores_P) - 1)]


class ModularLearner:
    """The network as a learner of the ordinary loop."""

    def __init__(self, config: ExperimentConfig) -> None:
        check_modular(config)
        self._config = config
        self.sampler = ModularSampler(config)
        done = ", ".join(DONE[name].title.format(a="a", b="b") for name in config.modular.operations)
        self.description = f"learning {done} modulo {config.modular.p} with a network of two layers on one core"

    def prompt(self, problem: Problem) -> str:
        """`3+11`."""
        return problem.description

    stop = ()

    def example(self, problem: Problem, gold: Gold) -> Example:
        """The sum, as text."""
        return Example(self.prompt(problem), gold.target, gold.weight)

    def train(self, examples: Sequence[Example], this: Round) -> list[LossStep]:
        """`steps_per_iteration` full-batch steps from the previous network, or from a fresh one to `restart`.

        A pass over the examples is always one step, so `this.steps` says nothing new.
        """
        import torch
        from safetensors.torch import save_file

        config, training = self._config.modular, self._config.training
        adapter = None if training.mode == "restart" else this.previous.adapter
        start = load(adapter) if adapter else new_network(config, self._config.seed)
        if training.optimizer == "fresh":
            start = {name: start[name] for name in weights_of(start)}
        asked = Pairs.of([example.prompt for example in examples])
        answer = torch.from_numpy(answers([example.target for example in examples]))
        weight = torch.tensor([example.weight for example in examples])
        taken = []
        with one_thread():
            trainer = Trainer(config, start)
            for number in range(config.steps_per_iteration):
                scale = factor(training, number, config.steps_per_iteration)
                loss, norm = trainer.step(asked, answer, weight, scale)
                taken.append(
                    LossStep(
                        iteration=this.iteration,
                        step=this.first_step + number + 1,
                        loss=loss,
                        learning_rate=config.learning_rate * scale,
                        examples=len(examples),
                        loss_tokens=len(examples),
                        tokens=TOKENS_PER_EXAMPLE * len(examples),
                        grad_norm=norm,
                    )
                )
                this.on_step(taken[-1])
        save_file(trainer.tensors(), this.out / FILE)
        return taken

    def mismatch(self, policy: Policy, traces: Sequence[Trace]) -> None:
        """Nothing to compare: the sampler answers with the trainer's own weights."""

    def loss_tokens(self, examples: Sequence[Example]) -> list[int]:
        """The sum is one token."""
        return [1] * len(examples)

    def logprobs(self, examples: Sequence[Example], policy: Policy) -> list[float]:
        """Those of the answers."""
        network = self.sampler.base if policy.adapter is None else load(policy.adapter)
        scores_BP = _scores(network, [example.prompt for example in examples])
        found: list[float] = scores_BP[np.arange(len(examples)), answers([e.target for e in examples])].tolist()
        return found

    def divergences(self, answers: Sequence[Example], policy: Policy, base: Policy) -> list[np.ndarray]:
        """At the one position that an answer has."""
        networks = [self.sampler.base if one.adapter is None else load(one.adapter) for one in (policy, base)]
        ours_BP, theirs_BP = (_scores(network, [answer.prompt for answer in answers]) for network in networks)
        nats_BP = np.exp(ours_BP) * (ours_BP - theirs_BP) - np.exp(ours_BP) + np.exp(theirs_BP)  # no term is negative
        return list(nats_BP.clip(min=0.0).sum(1, keepdims=True))

    def under(self, config: ExperimentConfig) -> "ModularLearner":
        """A learner that trains as `config` says."""
        return ModularLearner(config)

    def close(self) -> None:
        """Nothing to give back."""


def load(folder: Path) -> "Tensors":
    """Weights and moments that `train` wrote into `folder`. Raises ConfigError when it is no such folder."""
    from safetensors.torch import load_file

    if not (folder / FILE).is_file():
        raise ConfigError(f"{str(folder)!r} holds no {FILE}: it is no network of the modular learner")
    return dict(load_file(folder / FILE))
