"""What the run took: time, tokens and memory by stage, the ledger of its rounds, and the engine's mismatch."""
# ruff: noqa: TID253  (imported only where a page is drawn)

from collections import defaultdict
from typing import Any

import altair as alt
import polars as pl

from axiom.report import looks
from axiom.report.data import RunData, View

STAGES = {
    "samples": "sampling",
    "verdicts": "verifying",
    "adapter": "training",
    "eval_samples": "evaluation: sampling",
    "eval_verdicts": "evaluation: verifying",
    "distance": "distance from the base",
    "diversity": "different behaviours",
}
REST = "everything else"
COLOURS = (looks.BLUE, looks.AMBER, looks.GREEN, looks.SKY, looks.PURPLE, looks.ORANGE, "#444444", "#999999")


def time(data: RunData) -> View | None:
    """Seconds of each stage in each iteration, with totals and tokens."""
    names = [*STAGES.values(), REST]
    spent: defaultdict[tuple[int, str], float] = defaultdict(float)
    tokens: defaultdict[str, int] = defaultdict(int)
    for number, stages in data.stages.items():
        for stage, handle in stages.items():
            name = STAGES.get(stage, REST)
            spent[number, name] += handle["info"].get("seconds", 0.0)
            tokens[name] += handle["info"].get("tokens", 0)
    if not spent:
        return None
    rows = pl.DataFrame(
        [
            {"iteration": n, "stage": name, "seconds": value, "place": names.index(name)}
            for (n, name), value in spent.items()
        ]
    )
    chart = (
        alt.Chart(rows, width=looks.WIDTH, height=looks.HEIGHT)
        .mark_bar()
        .encode(
            looks.each_iteration(),
            alt.Y("seconds:Q", title="seconds"),
            alt.Color("stage:N", title=None, sort=names, scale=alt.Scale(domain=names, range=list(COLOURS))),
            order=alt.Order("place:Q"),
            tooltip=["stage", "iteration", alt.Tooltip("seconds:Q", format=".1f")],
        )
    )
    total = float(rows["seconds"].sum())
    table = []
    for name in names:
        seconds = float(rows.filter(stage=name)["seconds"].sum())
        rate = f"{tokens[name] / seconds:,.0f}" if tokens[name] and seconds else "–"
        share = f"{seconds / total:.0%}" if total else "–"
        table.append([name, f"{seconds:,.1f}", share, f"{tokens[name]:,}" if tokens[name] else "–", rate])
    header = ["stage", "seconds", "share", "tokens", "tokens per second"]
    words = (
        f"{duration(total)} of work in all stages. Verification runs beside sampling, so its own time is what remains "
        f"after the last sample."
    )
    return View("Where the time went", words, alt.layer(chart), (header, table), "Totals by stage")


def duration(seconds: float) -> str:
    """`3 h 12 min`, `4 min 5 s`, `12.3 s`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min {rest} s"


def memory(data: RunData) -> View | None:
    """Peak memory of the stages, where they noted it."""
    rows = [
        {"iteration": number, "name": what, "value": handle["info"][key] / 1024}
        for number, stages in data.stages.items()
        for handle in stages.values()
        for key, what in (("peak_memory_mib", "process"), ("peak_gpu_mib", "GPU"))
        if key in handle["info"]
    ]
    if not rows:
        return None
    peaks = pl.DataFrame(rows).group_by("iteration", "name", maintain_order=True).agg(pl.col("value").max())
    names = peaks["name"].unique(maintain_order=True).to_list()
    colours = alt.Scale(domain=["process", "GPU"], range=[looks.BLUE, looks.ORANGE])
    chart = looks.lines(peaks, names, alt.Y("value:Q", title="GiB"), colours)
    return View("Memory", "The peak of each iteration's stages.", chart)


def ledger(data: RunData) -> View | None:
    """What each round drew and trained on."""
    rows = [
        [
            str(number),
            *(f"{count:,}" for count in _counts(stages)),
            f"{stages['samples']['info']['seconds'] + stages['adapter']['info']['seconds']:,.1f}",
        ]
        for number, stages in data.stages.items()
        if "adapter" in stages
    ]
    if not rows:
        return None
    header = [
        "round",
        "samples",
        "problems",
        "programs",
        "of them new",
        "tokens with a loss",
        "dropped",
        "steps so far",
        "seconds",
    ]
    words = "What each round drew, what it trained on and what that took; studies compare arms by these figures."
    return View("Ledger", words, None, (header, rows), f"Show {len(rows)} rounds")


def _counts(stages: dict[str, Any]) -> list[int]:
    trained, selected = stages["adapter"]["info"], stages["gold"]["info"]
    drawn = stages["samples"]["rows"].get("samples", 0)
    keys = ("problems", "examples")
    counts = [trained.get(key, 0) for key in keys]
    return [
        drawn,
        *counts,
        selected.get("fresh", 0),
        trained.get("loss_tokens", 0),
        trained.get("dropped", 0),
        trained["step"],
    ]


def mismatch(data: RunData) -> View | None:
    """How far the sampling engine was from the trainer's model."""
    labels = {"policy_mismatch": "mean", "policy_mismatch_max": "largest", "policy_mismatch_kl": "KL estimate"}
    found = data.pooled(*labels).with_columns(pl.col("name").replace(labels))
    if found.is_empty():
        return None
    names = [name for name in labels.values() if name in set(found["name"])]
    cells = {(row["iteration"], row["name"]): f"{row['value']:.2g}" for row in found.iter_rows(named=True)}
    at = found.select("iteration", "n").unique().sort("iteration")
    rows = [[str(i), f"{n:,}", *(cells.get((i, name), "–") for name in names)] for i, n in at.iter_rows()]
    words = (
        "Difference between the log-probabilities that the sampling engine and the trainer's model give the drawn "
        "tokens, in nats per token. It should stay near zero: otherwise what is trained is not what was sampled."
    )
    y = alt.Y("value:Q", title="nats per token", scale=alt.Scale(type="symlog", constant=0.001))
    colours = alt.Scale(domain=list(labels.values()), range=[looks.BLUE, looks.ORANGE, looks.GREEN])
    chart = looks.lines(found, names, y, colours) if found["iteration"].n_unique() > 1 else None
    return View("Sampling engine against trainer", words, chart, (["iteration", "tokens", *names], rows), clock=True)
