"""The run by family and difficulty, and what its problems are worth: the splits' proof and the hidden cases."""

from axiom.evaluation import GREEDY
from axiom.grokking import detect
from axiom.grokking.phases import TITLES
from axiom.grokking.slices import slices
from axiom.problems.cases.audit import below_usual
from axiom.problems.splits.proof import summary
from axiom.records import Metric, with_interval
from axiom.report import charts
from axiom.report.data import SPLITS, RunData, View


def families(data: RunData) -> View | None:
    """A map of families and evaluations."""
    if data.frame["family"].n_unique() < 3:  # null and one family: the pooled curve
        return None
    return View("By family", "Greedy accuracy; move over a cell for its figures.", charts.families(data.metrics))


def difficulties(data: RunData) -> View | None:
    """A map of difficulties and evaluations."""
    if data.frame["difficulty"].n_unique() < 3:
        return None
    words = "Greedy accuracy by the difficulty that the generator was asked for, 1 (easy) to 10."
    return View("By difficulty", words, charts.difficulties(data.metrics))


def detection(data: RunData) -> View | None:
    """First and last accuracy of each part with a verdict of its own."""
    curves = slices(data.metrics)
    if len(curves) < 2:
        return None
    first, last = _ends(data.metrics)
    rows = []
    for name, curve in curves.items():
        ends = [with_interval(found[name]) if name in found else "–" for found in (first, last)]
        words = " · ".join(SPLITS.get(part, part.replace("_", " ")) for part in name.split(" · "))
        rows.append([words, *ends, TITLES[detect(curve, data.experiment.config.detection).kind]])
    header = ["part", "first evaluation", "last evaluation", "kind of curve"]
    words = (
        "Each part's held-out curve against the same part of training, judged by itself. With many parts some verdicts "
        "are wrong by chance."
    )
    return View("A verdict for each part", words, None, (header, rows), "Show all parts")


def _ends(metrics: list[Metric]) -> tuple[dict[str, Metric], dict[str, Metric]]:
    """The first and the last evaluation of each part, by the names of `slices`."""
    first: dict[str, Metric] = {}
    last: dict[str, Metric] = {}
    for row in sorted((row for row in metrics if row.name == GREEDY), key=lambda row: row.iteration):
        level = None if row.difficulty is None else f"difficulty {row.difficulty}"
        name = " · ".join(part for part in (row.split, row.family, level) if part)
        first.setdefault(name, row)
        last[name] = row
    return first, last


def held_out(data: RunData) -> View | None:
    """The proof of the splits in words."""
    proof = data.stored("problems", "proof.json")
    sizes = {SPLITS.get(split, split): len(rows) for split, rows in data.problems.items() if rows}
    counts = ", ".join(f"{count:,} {split}" for split, count in sizes.items())
    if not proof or not any("tried" in row or "calls" in row for row in proof):
        return View("Splits", f"Problems: {counts}.") if counts else None
    return View("Splits", f"Problems: {counts}. Held out: {summary(proof)}.")


def hidden_cases(data: RunData) -> View | None:
    """How many planted wrong programs the hidden cases reject."""
    audit = data.stored("problems", "audit.json")
    if not audit:
        return None
    rows = [
        [
            row["family"],
            f"{row['problems']:,}",
            f"{row['cheats']:,}",
            f"{row['rejection']:.1%}",
            f"{row['usual']:.1%}" if row.get("usual") is not None else "–",
            f"{row['acceptance']:.1%}",
        ]
        for row in audit
    ]
    least = min(row["rejection"] for row in audit)
    words = (
        f"Wrong programs were planted in some problems of each family; the hidden cases reject at least {least:.1%} "
        f"of a family's. " + " ".join(f"{sentence}." for sentence in below_usual(audit))
    )
    header = ["family", "problems", "planted", "rejected", "usually", "valid forms accepted"]
    return View("What the hidden cases reject", words.strip(), None, (header, rows), "Show all families")
