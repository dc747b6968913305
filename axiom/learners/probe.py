"""A probe of a model: which quick parts compute what the model's own code computes.

The model's own code with peft's layers, eager attention and one example at a time is the reference; each quicker way is
compared with it, the quickest first. Random factors, norms and biases, uneven lengths and small windows make the
comparison hard: fresh factors have no update, and fresh norms no scale. The model is loaded for the probe alone.
Axes: P values of all factors, T tokens, V vocabulary.
"""
# ruff: noqa: TID253  (imported only when a model is probed)

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from peft.tuners.lora import LoraLayer

from axiom.config import ModelConfig, SamplingConfig, TrainingConfig
from axiom.errors import AxiomError
from axiom.models import load_model, own_random, resolve_dtype
from axiom.models.attention import Segments, layout, reset_rotary, rotary_limit
from axiom.models.merging import Merger, originals, put_in_force
from axiom.models.ways import OWN, QUICK, Proof, TrainPath, Way, longest
from axiom.sampling import Request
from axiom.sampling.transformers import Draft, Ending, decode
from axiom.training.batches import Encoded, Pack, pack
from axiom.training.lora import Trainable, adapt, quickened, save_adapter
from axiom.training.passes import evaluate, run_pass, to_device

LENGTHS, STARTS = (19, 13), (8, 4)
"""Tokens of the examples, and where their targets begin."""
WINDOW = 6
"""A longer window or chunk, which few examples would leave, is shortened to so many tokens for the probe."""
WINDOWS = ("sliding_window", "attention_chunk_size")
DEPTH = 3
"""Layers that stay of a model whose layers are all alike: what was shown of these holds for the others."""
NUMBERS = ("layer_idx", "layer_id", "layer_number")
"""Attributes that number a layer."""
DRAWN = 4
"""Tokens drawn after each prompt."""
TOLERANCE = {torch.float32: 3e-4, torch.bfloat16: 5e-2}
"""Relative; wrong parts were seen to differ by 3e-2 and more in gradients, rounding by 1e-5 in float32."""
ALONE = "each sequence is a pass of its own with the model's own attention"
PATHS: tuple[tuple[TrainPath, str], ...] = (
    (QUICK, ""),
    (replace(QUICK, own_head=True), "the model's own head gives all logits at once, which takes more memory"),
    (replace(QUICK, own_head=True, fused=False), "norms and adapted layers are not fused, some 1.5 times slower"),
    (replace(QUICK, packed=False), f"{ALONE}, up to twice as slow on a CPU and more on a GPU"),
    (replace(QUICK, packed=False, own_head=True), f"{ALONE} and head, up to 3 times slower"),
    (OWN, f"{ALONE}, head, norms and peft's layers, up to 4 times slower"),
)
"""Ways to train, the quickest first, and what each goes without; the last is the reference itself."""
WAYS: tuple[tuple[Way, str], ...] = (
    ("slots", ""),
    ("cache", "only prompts of one length are drawn together, with the model's own cache, some 2 to 5 times slower"),
    ("recompute", "a token takes a forward pass over its whole text, 10 times slower and more"),
)


def probe(model: ModelConfig, training: TrainingConfig | None, sampling: SamplingConfig | None) -> list[Proof]:
    """A proof for each section that is given. Raises ConfigError when the model or peft cannot be opened at all."""
    with own_random():
        base = _open(model)
        if _shortened(base):
            found = _probed(base, model, training, sampling)
            if not any(proof.refused or proof.without for proof in found):
                return found
            base = _open(model)
        return _probed(base, model, training, sampling)


def _shortened(base: Any) -> bool:
    """Leave a model whose layers are all alike the first `DEPTH` of them; whether it is shorter now.

    Layers are alike in their classes, shapes and plain attributes, and in what the config lists layer by layer.
    """
    settings, decoder = base.config.get_text_config(), base.get_decoder()
    count = getattr(settings, "num_hidden_layers", 0)
    stacks = [
        (holder, name)
        for holder in decoder.modules()
        for name, child in holder.named_children()
        if isinstance(child, torch.nn.ModuleList) and len(child) == count
    ]
    lists = {name: value for name, value in vars(settings).items() if isinstance(value, list) and len(value) == count}
    if count <= DEPTH or len(stacks) != 1 or decoder.config is not settings:
        return False
    ((holder, place),) = stacks
    layers = getattr(holder, place)
    if any(_kind(layer) != _kind(layers[0]) for layer in layers) or any(v != v[:1] * count for v in lists.values()):
        return False
    try:
        settings.num_hidden_layers = DEPTH
    except NotImplementedError:  # a sum of other settings
        return False
    setattr(holder, place, layers[:DEPTH])
    for name, value in lists.items():
        setattr(settings, name, value[:DEPTH])
    return True


def _kind(layer: torch.nn.Module) -> list[Any]:
    """What a layer computes but for its weights and its number."""
    plain = (int, float, str, tuple, type(None))
    return [
        [(name, type(module)) for name, module in layer.named_modules()],
        [(name, weight.shape) for name, weight in (*layer.named_parameters(), *layer.named_buffers())],
        [
            {name: value for name, value in vars(module).items() if isinstance(value, plain) and name not in NUMBERS}
            for module in layer.modules()
        ],
    ]


def _probed(
    base: Any, model: ModelConfig, training: TrainingConfig | None, sampling: SamplingConfig | None
) -> list[Proof]:
    unusable = _unusable(base, _Tokens(base).draw(LENGTHS[0]))
    if unusable is not None:
        refused = Proof(refused=f"model.path = {model.path!r} {unusable}; set model.path to a causal language model")
        return [refused for section in (training, sampling) if section is not None]
    limit = rotary_limit(base)
    # Training comes last, because peft's layers stay in a model that they do not fit.
    drawn = [] if sampling is None else [_sampling(base, model, sampling, limit)]
    return [_training(base, model, training, limit), *drawn] if training is not None else drawn


def _open(model: ModelConfig) -> Any:
    """The model with its vectors perturbed and its windows short, in float32."""
    base = load_model(model.model_copy(update={"dtype": "float32"}))
    base.set_attn_implementation("eager")
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in base.parameters():
            if weight.ndim == 1 and weight.is_floating_point():
                size = 0.1 * max(0.2, float(weight.abs().mean()))
                weight.add_((size * torch.randn(weight.shape, generator=generator)).to(weight))
    for holder in [base.config, base.config.get_text_config(), *base.modules()]:
        for name in WINDOWS:
            width = getattr(holder, name, None)
            if type(width) is int and width > WINDOW:
                setattr(holder, name, WINDOW)
    return base


class _Tokens:
    """Random tokens of the model's vocabulary, those aside that its config gives a meaning."""

    def __init__(self, base: Any) -> None:
        settings = base.config.to_dict() | base.config.get_text_config().to_dict()
        marks = {
            value
            for name, value in settings.items()
            if name.endswith(("_token_id", "_token_index")) and isinstance(value, int)
        }
        size = base.get_input_embeddings().weight.shape[0]
        self.generator = torch.Generator().manual_seed(1)
        self.usual = torch.tensor([token for token in range(min(size, 50_000)) if token not in marks])

    def draw(self, count: int) -> list[int]:
        places = torch.randint(len(self.usual), (count,), generator=self.generator)
        return self.usual[places].tolist()


def _unusable(base: Any, ids: list[int]) -> str | None:
    """Why the model's own code is no causal language model; None where it is one."""
    try:
        reset_rotary(base)
        with torch.no_grad():
            both = torch.tensor([ids, [*ids[:-1], ids[0]]], device=base.device)
            before, after = base(input_ids=both, use_cache=False).logits.float()
    except Exception as error:  # noqa: BLE001  (a model's own code, which raises what it likes)
        return f"does not compute a plain text: {_first_line(error)}"
    if before.ndim != 2 or before.shape[0] != len(ids) or not bool(before.isfinite().all()):
        return "gives no finite logits for each token of a text"
    if not _close(after[:-1], before[:-1], TOLERANCE[base.dtype]):
        return "lets tokens see later ones, so that training would show it the answers"
    return None


def _training(base: Any, model: ModelConfig, config: TrainingConfig, limit: int | None) -> Proof:
    tokens = _Tokens(base)
    targets = f"training.target_modules = {config.target_modules!r}"
    try:
        adapted = adapt(base, config)
    except (ValueError, TypeError, NotImplementedError) as error:
        return Proof(refused=f"{targets}: {_first_line(error)}; name other layers")
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for weight in adapted.parameters():
            if weight.requires_grad:
                weight.copy_(0.05 * torch.randn(weight.shape, generator=generator))
        for layer in adapted.modules():
            if isinstance(layer, LoraLayer):
                layer.lora_dropout.eval()
    batch = [Encoded(tokens.draw(length), start, 1.0) for length, start in zip(LENGTHS, STARTS, strict=True)]
    examples = pack(batch, sum(example.loss_weight for example in batch))
    trainable = quickened(adapted, OWN)
    try:
        reference = _measured(trainable, examples)
    except Exception as error:  # noqa: BLE001  (a model's or peft's own code, which raises what it likes)
        return Proof(refused=f"{targets}: peft's layers do not fit, {_first_line(error)}; name other layers")
    if not float(reference[1].norm()) > 0:
        return Proof(refused=f"{targets} gives layers without a gradient; name others")
    half = resolve_dtype(model) == torch.bfloat16
    proof = _Trial(adapted, examples, reference, limit).first_right_path(config, half)
    difference = _merged_difference(base, trainable, model, batch[0].tokens)
    if difference is not None:
        return Proof(refused=f"{targets}: the adapter cannot be merged, {difference}; name other layers")
    return proof


def _merged_difference(base: Any, trainable: Trainable, model: ModelConfig, ids: list[int]) -> str | None:
    """How the adapter, saved and merged into the weights, differs from peft's layers; takes the layers out."""
    quickened(trainable.adapted, OWN)
    expected = _logits(base, ids)
    with tempfile.TemporaryDirectory() as folder:
        save_adapter(trainable, model, Path(folder), None)
        unloaded: Any = trainable.adapted
        unloaded.unload()
        merger = Merger(originals(dict(base.named_parameters()).__getitem__), str(base.device))
        with torch.no_grad():
            try:
                put_in_force(base, merger, Path(folder))
                found = _logits(base, ids)
                put_in_force(base, merger, None)
            except Exception as error:  # noqa: BLE001  (a model's or peft's own code)
                return _first_line(error)
    return None if _close(found, expected, TOLERANCE[torch.float32]) else "logits differ from those of peft's layers"


@dataclass(frozen=True)
class _Trial:
    """A model with peft's layers, and the loss and gradient that its own code gives the examples."""

    adapted: Any
    examples: Pack
    reference: tuple[float, torch.Tensor]
    limit: int | None

    def first_right_path(self, config: TrainingConfig, half: bool) -> Proof:
        """The first of PATHS that agrees with the reference."""
        reasons: list[str] = []
        for quick, cost in PATHS[:-1]:
            path = replace(quick, longest=longest(config) if quick.packed else 0)
            reason = self._of_path(replace(path, captured=False))
            if reason is None:
                return self._on_a_gpu(path, half, _training_notes(cost, reasons))
            reasons.append(reason)
        return Proof(path=OWN, without=_training_notes(PATHS[-1][1], reasons))

    def _of_path(self, path: TrainPath) -> str | None:
        """How a path differs, in a pass and in what a pass does not show."""
        if path.packed and self.limit is not None and path.longest > self.limit:
            return f"rotary positions depend on the longest sequence beyond {self.limit} tokens"
        try:
            trainable = quickened(self.adapted, path)
            if not path.own_head and not _plain_head(trainable, self.examples):
                return "the logits are not the output weights times the last hidden states"
            return _difference(trainable, _measured(trainable, self.examples), self.reference) or (
                _leak(trainable, self.examples) if path.packed else None
            )
        except Exception as error:  # noqa: BLE001  (a model's own code, which raises what it likes)
            return _first_line(error)

    def _on_a_gpu(self, path: TrainPath, half: bool, notes: tuple[str, ...]) -> Proof:
        """The proof of a path that agrees in float32, where its kernels and captured passes are those of a GPU.

        With `half` the run is in bfloat16, which has kernels of its own. The path may then be as far from the float32
        reference as twice the model's own code in bfloat16 is.
        """
        plain = replace(path, captured=False)
        if not path.packed or self.adapted.get_base_model().device.type != "cuda":
            return Proof(path=plain, without=notes)
        with _rounded(self.adapted) if half else nullcontext():
            rounding = _measured(quickened(self.adapted, OWN), self.examples) if half else None
            reason = self._of_pass(plain, rounding)
            if reason is not None:
                return Proof(path=OWN, without=(f"training: {PATHS[-1][1]}, because {reason}",))
            reason = self._of_pass(path, rounding)
        if reason is None:
            return Proof(path=path, without=notes)
        note = f"training: passes are not captured, up to 3 times slower on small batches, because {reason}"
        return Proof(path=plain, without=(*notes, note))

    def _of_pass(self, path: TrainPath, rounding: tuple[float, torch.Tensor] | None) -> str | None:
        """How a pass differs."""
        try:
            trainable = quickened(self.adapted, path)
            return _difference(trainable, _measured(trainable, self.examples), self.reference, rounding)
        except Exception as error:  # noqa: BLE001  (a model's own code, which raises what it likes)
            return _first_line(error)


def _training_notes(cost: str, reasons: Sequence[str]) -> tuple[str, ...]:
    return (f"training: {cost}, because {reasons[0]}",) if cost else ()


def _plain_head(trainable: Trainable, examples: Pack) -> bool:
    """Whether logits are hidden states times weights: a scale or a cap of small logits hardly moves a loss."""
    model = trainable.model
    ids = examples.ids_T[None, : examples.lengths[0]].to(model.device)
    given: dict[str, Any] = {"input_ids": ids, "use_cache": False}
    if trainable.path.packed:
        given["attention_mask"] = torch.ones_like(ids)
    with torch.no_grad(), layout(Segments((ids.shape[1],), None, ids.shape[1])):
        logits_TV = model(**given).logits[0].float()
        hidden_TD = model.get_decoder()(**given).last_hidden_state[0]
        return _close(
            (hidden_TD @ model.get_output_embeddings().weight.T).float(), logits_TV, 0.1 * TOLERANCE[model.dtype]
        )


@contextmanager
def _rounded(adapted: Any) -> Iterator[None]:
    """The base model's weights in bfloat16 while the block runs."""
    exact = [(weight, weight.data) for weight in adapted.parameters() if not weight.requires_grad]
    try:
        for weight, values in exact:
            weight.data = values.bfloat16()
        yield
    finally:
        for weight, values in exact:
            weight.data = values


def _measured(trainable: Trainable, examples: Pack) -> tuple[float, torch.Tensor]:
    """Loss and `gradient_P` of the examples."""
    trainable.factors.gradient_P.zero_()
    if trainable.graphed is not None:
        return float(trainable.graphed(examples)), trainable.factors.gradient_P.clone()
    given = to_device(examples, trainable.model.device)
    loss = run_pass(trainable.model, trainable.factors, given, trainable.path)
    return float(loss), trainable.factors.gradient_P.clone()


def _difference(
    trainable: Trainable,
    found: tuple[float, torch.Tensor],
    reference: tuple[float, torch.Tensor],
    rounding: tuple[float, torch.Tensor] | None = None,
) -> str | None:
    """How a loss and its gradient differ from the reference's, factor by factor; None where they agree.

    `rounding` is what the model's own code has in the lower precision of `found`, whose distance is allowed twice.
    """
    tolerance = TOLERANCE[torch.float32 if rounding is None else torch.bfloat16]
    near = reference if rounding is None else rounding
    if not abs(found[0] - reference[0]) <= 0.1 * tolerance * abs(reference[0]) + 2 * abs(near[0] - reference[0]):
        return f"the loss is {found[0]:.5g} and the model's own code has {reference[0]:.5g}"
    cut = [weight.numel() for weight in trainable.factors.parameters]
    usual = float(reference[1].norm()) / len(cut) ** 0.5
    parts = (part.split(cut) for part in (found[1], reference[1], near[1]))
    for name, ours, theirs, rounded in zip(trainable.factors.names, *parts, strict=True):
        allowed = tolerance * (float(theirs.norm()) + 0.1 * usual) + 2 * float((rounded - theirs).norm())
        if not float((ours - theirs).norm()) <= allowed:
            return f"the gradient of {name} differs from that of the model's own code"
    return None


def _leak(trainable: Trainable, examples: Pack) -> str | None:
    """Whether the later sequences of a pack see the first one."""
    first = examples.lengths[0]
    later = replace(examples, weights_N=examples.weights_N * (examples.sources_N >= first))
    other_ids = later.ids_T.clone()
    other_ids[:first] = later.ids_T[:first].flip(0)
    device = trainable.model.device
    before, after = (
        evaluate(trainable.model, to_device(replace(later, ids_T=ids), device), trainable.path)
        for ids in (later.ids_T, other_ids)
    )
    return None if abs(before - after) <= 1e-5 * abs(before) else "the sequences of a pack see each other"


def _sampling(base: Any, model: ModelConfig, config: SamplingConfig, limit: int | None) -> Proof:
    """The first of WAYS that draws greedily what a forward pass over the whole text would draw."""
    tokens = _Tokens(base)
    begin = tokens.draw(2)
    prompts = [begin + tokens.draw(length) for length in (1, 15, 8, 15)]
    reasons: list[str] = []
    for way, cost in WAYS:
        if way != "recompute" and limit is not None and longest(config) > limit:
            reasons.append(f"rotary positions depend on the length beyond {limit} tokens")
            continue
        reason = _drawn_difference(base, prompts, way)
        if reason is None:
            return Proof(way=way, without=(f"sampling: {cost}, because {reasons[0]}",) if cost else ())
        reasons.append(reason)
    return Proof(
        refused=f"model.path = {model.path!r} cannot be sampled by transformers, because {reasons[-1]}; "
        f"set sampling.engine = 'vllm' or choose another model"
    )


def _drawn_difference(base: Any, prompts: list[list[int]], way: Way) -> str | None:
    request = Request("probe", "", 1, 0.0, 1.0, DRAWN, 0)
    drafts = [Draft(request, 0, prompt, number) for number, prompt in enumerate(prompts)]
    try:
        drawn = list(decode(base, drafts, Ending(frozenset(), None), way, batch_size=3))
    except Exception as error:  # noqa: BLE001  (a model's own code, which raises what it likes)
        return _first_line(error)
    finally:
        base.set_attn_implementation("eager")
    if sorted(draft.key for draft in drawn) != list(range(len(prompts))):
        return "it does not end every sequence"
    tolerance = TOLERANCE[base.dtype]
    for draft in drawn:
        logits_TV = _expected(base, draft, by_prefix=way == "recompute")
        chosen_T = torch.tensor(draft.tokens, device=logits_TV.device)[:, None]
        spread = float(logits_TV.std())
        if float((logits_TV.amax(-1) - logits_TV.gather(1, chosen_T)[:, 0]).max()) > tolerance * spread:
            return "it draws other tokens than a forward pass over the whole text"
        expected = float(logits_TV.log_softmax(-1).gather(1, chosen_T).sum())
        if abs(draft.logprob - expected) > tolerance * max(1.0, spread) * len(draft.tokens):
            return "its log-probabilities are not those of a forward pass over the whole text"
    return None


def _expected(base: Any, draft: Draft, by_prefix: bool) -> torch.Tensor:
    """Logits that the tokens of a sequence are drawn from; they may depend on what follows only by the length."""
    text, start = draft.prompt + draft.tokens, len(draft.prompt)
    if by_prefix:
        return torch.stack([_logits(base, text[:end])[-1] for end in range(start, len(text))])
    return _logits(base, text)[start - 1 : -1]


def _logits(base: Any, ids: Sequence[int]) -> torch.Tensor:
    """Logits `TV` of one text, without a cache."""
    reset_rotary(base)
    with torch.no_grad():
        return base(input_ids=torch.tensor([list(ids)], device=base.device), use_cache=False).logits[0].float()


def _close(found: torch.Tensor, expected: torch.Tensor, tolerance: float) -> bool:
    return float((found - expected).abs().max()) <= tolerance * float(expected.std())


def _first_line(error: Exception) -> str:
    text = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {text[:200]}" if not isinstance(error, AxiomError) else text
