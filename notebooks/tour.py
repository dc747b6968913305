"""A walk through a finished or running experiment: `marimo edit notebooks/tour.py`, or `python notebooks/tour.py`.

AXIOM_ROOT and AXIOM_RUN name the store and the run; without them it opens the published run of SmolLM2-135M.
"""

import marimo

app = marimo.App(app_title="A run of axiom")


@app.cell
def _():
    import os
    from pathlib import Path

    import altair as alt
    import marimo as mo
    import polars as pl

    import axiom

    return Path, alt, axiom, mo, os, pl


@app.cell
def _(Path, axiom, mo, os):
    reference = Path(__file__).parents[1] / "artifacts" / "reference"
    run = axiom.Experiment.open(
        os.environ.get("AXIOM_ROOT", str(reference)), os.environ.get("AXIOM_RUN", "smollm2-h100")
    )
    config = run.config
    mo.md(f"# {config.name}\n\n{config.arm.replace('_', ' ')}, seed {config.seed}, {config.iterations} iterations")
    return config, run


@app.cell
def _(mo):
    mo.md("""
    ## Accuracy

    Each row of `metrics` is one figure with its interval. Rows without family and difficulty are pooled.
    """)


@app.cell
def _(mo, pl, run):
    mo.stop(not run.folder.exists("metrics.parquet"), mo.md("No iteration of this run is done yet."))
    metrics = run.frame("metrics")
    pooled = metrics.filter(pl.all_horizontal(pl.col("family", "difficulty").is_null()), name="greedy_accuracy")
    return metrics, pooled


@app.cell
def _(alt, pooled):
    base = alt.Chart(pooled).encode(x="iteration:Q", color=alt.Color("split:N"))
    bands = base.mark_area(opacity=0.2).encode(y=alt.Y("low:Q").axis(format="%").title("accuracy"), y2="high:Q")
    accuracy = bands + base.mark_line().encode(y="value:Q")
    accuracy


@app.cell
def _(axiom, config, mo, pooled):
    wide = pooled.pivot("split", index="iteration", values=["value", "n"]).sort("iteration").drop_nulls()
    curve = axiom.Curve.of(*(wide[name] for name in ("iteration", "value_train", "value_val", "n_train", "n_val")))
    phases = axiom.detect(curve, config.detection)
    mo.md(f"## Phases\n\n{phases.sentence()}")
    return curve, phases


@app.cell
def _(metrics, mo, pl):
    families = (
        metrics.filter(
            pl.col("family").is_not_null() & pl.col("difficulty").is_null(), name="greedy_accuracy", split="val"
        )
        .filter(pl.col("iteration") == pl.col("iteration").max())
        .select("family", "value", "low", "high", "n")
        .sort("value", descending=True)
    )
    mo.vstack([mo.md("## Families at the end, on validation"), mo.ui.table(families)])
    return (families,)


@app.cell
def _(mo, run):
    there = run.iterations("samples")
    mo.md(
        "## Samples\n\n"
        + (
            ""
            if there
            else "The published runs have metrics alone; a run of your own has its samples and verdicts here."
        )
    )
    return (there,)


@app.cell
def _(mo, run, there):
    samples = None
    if there:
        verdicts = run.frame("verdicts", there[-1]).select("sample_id", "outcome", "cases_passed", "detail")
        samples = run.frame("samples", there[-1]).join(verdicts, on="sample_id")
    mo.ui.table(samples.select("problem_id", "outcome", "cases_passed", "code", "detail")) if there else None
    return (samples,)


if __name__ == "__main__":
    app.run()
