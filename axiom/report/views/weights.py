"""How far the weights have gone: adapters by norm and rank, and the modular network by its Fourier components.

Axes: A and B residues, P logits (one a residue), S sums modulo p, D embedding, F frequencies.
"""
# ruff: noqa: TID253  (imported only where a page is drawn)

import json
from collections.abc import Iterator
from typing import Any

import altair as alt
import numpy as np
import polars as pl
from safetensors.numpy import load

from axiom.config.names import OPERATIONS
from axiom.evaluation.distance import DISTANCE
from axiom.experiment import iteration_folder
from axiom.learners.modular import weights_of
from axiom.report import looks
from axiom.report.data import Network, RunData, View

MOST_RESIDUES = 199
"""Largest modulus whose logits for all pairs are looked at: they are its cube."""
KEY_FREQUENCIES = 5
"""As many as Nanda et al. found at work in their network."""


def adapters(data: RunData) -> View | None:
    """Norm and effective rank of what the adapters add to the model."""
    rows = []
    for number, tensors, scale in _adapters(data):
        values = [scale * found for found in _singular_values(tensors)]
        norm = float(np.sqrt(sum((found**2).sum() for found in values)))
        rank = float(np.mean([effective_rank(found) for found in values]))
        rows += [
            {"iteration": number, "name": "norm of the change", "value": norm},
            {"iteration": number, "name": "effective rank, mean", "value": rank},
        ]
    if len(rows) < 4:
        return None
    mode, most = data.experiment.config.training.mode, data.experiment.config.training.lora_r
    since = "the policy before it" if mode == "merge" else "the base model"
    words = (
        f"What each kept adapter adds to {since}: the Frobenius norm over all adapted matrices, and the effective rank "
        f"(Roy and Vetterli 2007: the exponential of the entropy of the singular values) averaged over them; "
        f"it is at most the rank of the adapter, {most}{' for each round' if mode == 'merge' else ''}."
    )
    return View("Adapters", words, _panels(pl.DataFrame(rows)))


def _panels(rows: pl.DataFrame) -> alt.LayerChart:
    """Two lines with an axis each, for what has no common unit."""
    names = rows["name"].unique(maintain_order=True).to_list()
    layers = []
    for name, colour, dash in zip(names, (looks.BLUE, looks.ORANGE), ([1, 0], [6, 2]), strict=False):
        base = alt.Chart(rows.filter(name=name)).encode(
            looks.by_iteration(rows),
            alt.Y("value:Q", title=name, axis=alt.Axis(titleColor=colour), scale=alt.Scale(zero=False)),
            tooltip=["name", "iteration", alt.Tooltip("value:Q", format=".4~g")],
        )
        layers.append(base.mark_line(point=True, color=colour, strokeDash=dash))
    chart: alt.LayerChart = (
        alt.layer(*layers).resolve_scale(y="independent").properties(width=looks.WIDTH, height=looks.HEIGHT)
    )
    return chart


def _adapters(data: RunData) -> Iterator[tuple[int, Network, float]]:
    """Tensors of each kept adapter, and the factor that its product is scaled by."""
    file = "adapter_model.safetensors"
    for number in data.kept(file):
        place = f"{iteration_folder(number)}/adapter"
        config = data.stored(place, "adapter_config.json")
        if config is None:
            continue
        with data.reading(place, file):
            tensors = load(data.experiment.folder.join(place).read_bytes(file))
            root = config["r"] ** 0.5 if config.get("use_rslora") else config["r"]
            yield number, tensors, config["lora_alpha"] / root


def _singular_values(tensors: Network) -> list[np.ndarray]:
    """Those of each product B A, from the rank's own small matrices: of (B'B)(AA') they are the squares."""
    names = [name for name in tensors if ".lora_A." in name]
    pairs = [(tensors[name], tensors[name.replace(".lora_A.", ".lora_B.")]) for name in names]
    squares = (np.linalg.eigvals((b.T @ b) @ (a @ a.T)).real for a, b in pairs if a.ndim == b.ndim == 2)
    return [np.sqrt(np.clip(found, 0.0, None)) for found in squares]


def effective_rank(values: np.ndarray) -> float:
    """Of singular values; 0 where all are zero. Roy & Vetterli 2007, EUSIPCO, definition 1."""
    if not values.sum():
        return 0.0
    shares = values[values > 0] / values.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))


def fourier(data: RunData) -> View | None:
    """Power of the embedding's frequencies at each kept network."""
    networks = _networks(data)
    if len(networks) < 2:
        return None
    rows = []
    for number, network in networks.items():
        power_F = (np.abs(np.fft.rfft(network["embedding"], axis=0)) ** 2).sum(1)[1:]
        shares = power_F / power_F.sum()
        rows += [{"iteration": number, "frequency": k + 1, "share": float(s)} for k, s in enumerate(shares)]
    table = pl.DataFrame(rows)
    chart = (
        alt.Chart(table, width=looks.WIDTH, height=max(120, 12 * table["frequency"].n_unique()))
        .mark_rect()
        .encode(
            alt.X("iteration:O", axis=alt.Axis(labelAngle=0, labelOverlap=True)),
            alt.Y("frequency:O", axis=alt.Axis(labelOverlap=True)),
            alt.Color(
                "share:Q", title="share of power", scale=alt.Scale(scheme="viridis"), legend=alt.Legend(format="%")
            ),
            tooltip=["iteration", "frequency", alt.Tooltip("share:Q", format=".1%")],
        )
    )
    words = (
        "Power of each Fourier frequency in the embedding over the residues. A network that has generalised on modular "
        "addition keeps a few frequencies (Nanda et al. 2023); an untrained one spreads over all. Drawn where the "
        "network was kept."
    )
    return View("Fourier components of the embedding", words, alt.layer(chart))


def progress(data: RunData) -> View | None:
    """Restricted and excluded loss of each kept network."""
    networks = _networks(data)
    if len(networks) < 2 or "add" not in data.experiment.config.modular.operations:
        return None
    p = data.experiment.config.modular.p
    key = _key_frequencies(_by_sum(_all_logits(networks[max(networks)])))
    train = _pairs(data, "train")
    sums = np.add.outer(np.arange(p), np.arange(p)) % p
    everything = np.array([(a, b) for a in range(p) for b in range(a, p)])
    rows = []
    for number, network in networks.items():
        logits_ABP = _all_logits(network)
        restricted = _components(_by_sum(logits_ABP), key)[sums]
        excluded = logits_ABP - restricted
        losses = {
            "training loss": cross_entropy(logits_ABP, train, p),
            "excluded loss": cross_entropy(excluded, train, p),
            "restricted loss": cross_entropy(restricted, everything, p),
        }
        rows += [{"iteration": number, "name": name, "value": loss} for name, loss in losses.items()]
    names = list(losses)
    colours = alt.Scale(domain=names, range=[looks.BLUE, looks.ORANGE, looks.GREEN])
    y = alt.Y("value:Q", title="nats", scale=alt.Scale(type="symlog", constant=0.01))
    words = (
        f"Progress measures of Nanda et al. 2023 on the {len(key)} strongest frequencies of the last network's logits "
        f"({', '.join(map(str, key))}). Excluded: training loss without them; it rises when the network stops "
        f"memorising. Restricted: loss on all pairs with nothing but them; it falls before validation accuracy rises."
    )
    return View("Progress measures", words, looks.lines(pl.DataFrame(rows), names, y, colours))


def distance(data: RunData) -> View | None:
    """KL divergence of each evaluated policy from the one that the run began with."""
    rows = data.pooled(DISTANCE).with_columns(name=pl.lit("KL from the base model"))
    if rows["iteration"].n_unique() < 2:
        return None
    chart = looks.lines(
        rows, ["KL from the base model"], alt.Y("value:Q", title="nats per token"), alt.Scale(range=[looks.BLUE])
    )
    table = [
        [str(row["iteration"]), f"{row['value']:.3g}", _interval(row), str(row["n"])]
        for row in rows.iter_rows(named=True)
    ]
    config = data.experiment.config
    network = config.model.kind == "modular"
    base = "untrained network" if network else "base model"
    answers = "answers to" if network else "the policy's own greedy answers, each a mean over its tokens, to"
    count, confidence = max(rows["n"].to_list()), 100 * config.evaluation.confidence
    words = (
        f"KL(policy || {base}) of the next token, summed over all tokens that could follow: a mean over {answers} "
        f"{count} validation problems. The band is Student's {confidence:.4g} % interval over problems. It is 0 as "
        f"long as the policy answers as the {base} does, and does not say which of them is better."
    )
    header = ["iteration", "nats per token", "interval", "problems"]
    return View(f"Distance from the {base}", words, chart, (header, table), clock=True)


def _interval(row: dict[str, Any]) -> str:
    return "–" if row["low"] is None else f"{row['low']:.3g} to {row['high']:.3g}"


def norm(data: RunData) -> View | None:
    """Frobenius norm of the weights of each kept network."""
    networks = _networks(data)
    if len(networks) < 2:
        return None
    rows = [
        {"iteration": number, "name": "norm of the weights", "value": _norm(network)}
        for number, network in networks.items()
    ]
    y = alt.Y("value:Q", title="norm of the weights", scale=alt.Scale(zero=False))
    chart = looks.lines(pl.DataFrame(rows), ["norm of the weights"], y, alt.Scale(range=[looks.BLUE]))
    return View("Norm of the weights", "The Frobenius norm of all weights of each kept network.", chart)


def _norm(network: Network) -> float:
    return float(np.sqrt(sum((network[name] ** 2).sum() for name in weights_of(network))))


def _networks(data: RunData) -> dict[int, Network]:
    """Each kept network by iteration, the untrained one first; none for another learner or too large a modulus."""
    config = data.experiment.config
    if config.model.kind != "modular" or config.modular.p > MOST_RESIDUES:
        return {}
    return data.networks


def _all_logits(network: Network) -> np.ndarray:
    """A×B×P for all ordered pairs of residues."""
    embedding_AD = network["embedding"]
    summed_ABD = embedding_AD[:, None] + embedding_AD[None]
    result: np.ndarray = np.maximum(summed_ABD @ network["hidden"], 0.0) @ network["output"]
    return result


def _by_sum(logits_ABP: np.ndarray) -> np.ndarray:
    """S×P: the mean over the pairs of each sum, all that directions in a + b can see."""
    return np.mean([np.roll(logits_BP, a, axis=0) for a, logits_BP in enumerate(logits_ABP)], axis=0)


def _key_frequencies(mean_SP: np.ndarray) -> list[int]:
    power_F = (np.abs(np.fft.rfft(mean_SP, axis=0)) ** 2).sum(1)[1:]
    return sorted(int(k) + 1 for k in np.argsort(power_F)[::-1][:KEY_FREQUENCIES])


def _components(mean_SP: np.ndarray, key: list[int]) -> np.ndarray:
    """The part of the logits that lies in the sines and cosines of the frequencies `key`."""
    spectrum_FP = np.fft.rfft(mean_SP, axis=0)
    kept_FP = np.zeros_like(spectrum_FP)
    kept_FP[key] = spectrum_FP[key]
    return np.fft.irfft(kept_FP, n=len(mean_SP), axis=0)


def cross_entropy(logits_ABP: np.ndarray, pairs: np.ndarray, p: int) -> float:
    """Mean over the pairs of -log p of their sum."""
    scores = _log_softmax(logits_ABP[pairs[:, 0], pairs[:, 1]])
    return float(-scores[np.arange(len(pairs)), pairs.sum(1) % p].mean())


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(-1, keepdims=True)
    result: np.ndarray = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return result


def _pairs(data: RunData, split: str) -> np.ndarray:
    """The residues of each sum of a split."""
    problems = data.problems.get(split, ())
    rows = [json.loads(problem.input_data) for problem in problems if problem.family == OPERATIONS["add"]]
    return np.array(rows, dtype=np.int64).reshape(-1, 2)
