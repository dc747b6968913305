"""One iteration as markdown for its page in Prefect: figures, stages, and ten programs with prompt and verdict."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from axiom.commands import suggest
from axiom.evaluation import GREEDY
from axiom.experiment import Experiment, iteration_folder
from axiom.experiment.judged import drawn, failing_case
from axiom.records import Metric, with_interval
from axiom.report.render import markdown_table as table
from axiom.sampling.prompts import question
from axiom.store import Manifest
from axiom.view import address
from axiom.visible import one_line, visible

EACH = 5
"""Programs that passed, and as many that failed."""
LONGEST_PROMPT, LONGEST_PROGRAM = 700, 1200
"""Characters of a text that the page shows; `axiom inspect` has the whole."""
STAGES = {
    "samples": "sample",
    "verdicts": "verify",
    "gold": "select",
    "adapter": "train",
    "eval_samples": "sample, evaluation",
    "eval_verdicts": "verify, evaluation",
}


def page(experiment: Experiment, iteration: int, metrics: Sequence[Metric], sentence: str) -> str:
    """The page; `metrics` are the iteration's own, `sentence` the phase so far."""
    pooled = [row for row in metrics if row.pooled]
    browser = address(run=experiment.config.name, iteration=iteration)
    parts = [
        f"# {experiment.config.name}, iteration {iteration}\n\n{sentence}",
        *_accuracies(pooled),
        *_outcomes(pooled),
        *_trained(pooled),
        _stages(experiment, iteration),
        *_programs(experiment, iteration),
        commands(experiment, iteration),
        f"While the first of these runs on your machine: [every sample of this iteration]({browser})",
    ]
    return "\n\n".join(part for part in parts if part)


def commands(experiment: Experiment, iteration: int | None) -> str:
    """How to look at the whole: commands that work as they are pasted on a machine that has the store."""
    name, root = experiment.config.name, experiment.root
    number = iteration if iteration is not None else min(1, experiment.config.iterations)
    asked = (("view", name), ("inspect", name, "--iteration", str(number)), ("report", name))
    looks = [suggest(*words, root=root) for words in asked]
    return fenced("\n".join(looks), "")


def _accuracies(metrics: Sequence[Metric]) -> Iterator[str]:
    rows = [[row.split or "", with_interval(row)] for row in metrics if row.name == GREEDY]
    if rows:
        yield "## Accuracy\n\n" + table(["split", "greedy accuracy"], rows)


def _outcomes(metrics: Sequence[Metric]) -> Iterator[str]:
    prefix = "outcome_"
    found = [(row.name.removeprefix(prefix), row.value) for row in metrics if row.name.startswith(prefix)]
    rows = [[name.replace("_", " "), f"{share:.1%}"] for name, share in sorted(found, key=lambda one: -one[1]) if share]
    if rows:
        yield "## Outcomes of the training samples\n\n" + table(["outcome", "share"], rows)


def _trained(metrics: Sequence[Metric]) -> Iterator[str]:
    value = {row.name: row.value for row in metrics if row.split in (None, "train")}
    if "gold" not in value:
        return
    fresh = value.get("gold_fresh", value["gold"])
    rows = [["programs trained on", f"{value['gold']:g}"], ["new", f"{fresh:g}"], ["old", f"{value['gold'] - fresh:g}"]]
    rows += [
        [f"{name.replace('_', ' ')}", f"{value[name]:g}"] for name in ("solved", "dropped", "level") if name in value
    ]
    rows += [["loss, nats a token", f"{value['loss']:.3f}"]] if "loss" in value else []
    yield "## Training\n\n" + table(["", ""], rows)


def _stages(experiment: Experiment, iteration: int) -> str:
    folder, rows = iteration_folder(iteration), []
    peaks: dict[str, float] = {}
    for name, title in STAGES.items():
        manifest = experiment.stages.manifest(name, folder)
        if manifest is None:
            continue
        rows.append(_stage(title, manifest))
        for key in ("peak_memory_mib", "peak_gpu_mib"):
            if key in manifest.info:
                peaks[key] = max(peaks.get(key, 0.0), manifest.info[key])
    words = {"peak_memory_mib": "of the run's process", "peak_gpu_mib": "of the GPU"}
    memory = ", ".join(f"{size / 1024:.2f} GiB {words[key]}" for key, size in peaks.items())
    told = f"\n\nPeak memory so far: {memory}." if memory else ""
    return f"## Stages\n\n{table(['stage', 'rows', 'seconds', 'tokens/s'], rows)}{told}"


def _stage(title: str, manifest: Manifest) -> list[str]:
    seconds, tokens = manifest.info.get("seconds", 0.0), manifest.info.get("tokens", 0)
    rows = sum(entry.rows or 0 for entry in manifest.files.values())
    return [title, str(rows), f"{seconds:.1f}", f"{tokens / seconds:,.0f}" if tokens and seconds else ""]


def _programs(experiment: Experiment, iteration: int) -> Iterator[str]:
    """Programs that passed and that failed, each of another problem as far as there are enough."""
    rows = drawn(experiment, iteration)
    if rows is None:
        return
    for heading, passed in (("Programs that passed", True), ("Programs that failed", False)):
        of_kind = (rows["outcome"] == "passed") == passed
        kept = rows.filter(of_kind).unique("problem_id", keep="first", maintain_order=True).head(EACH)
        if kept.height:
            yield f"## {heading}"
        yield from (_program(experiment, row) for row in kept.iter_rows(named=True))


def _program(experiment: Experiment, row: dict[str, Any]) -> str:
    """What a model wrote stays text: it stands in fences that it cannot close."""
    problem = experiment.problems_by_id[row["problem_id"]]
    verdict = f"{row['outcome'].replace('_', ' ')}: {row['cases_passed']} of {row['cases_total']} hidden cases"
    failed = failing_case(problem, row["detail"])
    said = [verdict, *([f"should be {failed}"] if failed else []), *([row["detail"]] if row["detail"] else [])]
    return "\n\n".join(
        [
            f"### {problem.family}, difficulty {problem.difficulty}, `{row['sample_id']}`",
            fenced(cut(question(problem), LONGEST_PROMPT), "text"),
            fenced(cut(row["code"] or row["completion"], LONGEST_PROGRAM), "python"),
            fenced("\n".join(cut(one_line(text), LONGEST_PROMPT) for text in said), "text"),
        ]
    )


def cut(text: str, longest: int) -> str:
    """The beginning of a text, with a word on what is left out."""
    return text if len(text) <= longest else f"{text[:longest]} ... ({len(text) - longest:,} more characters)"


def fenced(text: str, language: str) -> str:
    """`text` as a block of code, whatever backticks are in it."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{visible(text)}\n{fence}"
