"""`axiom problems`: print, write, list, split, audit and rate procedural problems."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from axiom.cli import tables
from axiom.cli.app import console, problems_app, say
from axiom.cli.outputs import check_file, filled
from axiom.cli.run import PRESET, Name, Overrides, Root
from axiom.cli.tables import AsJson
from axiom.commands import suggest
from axiom.config import SandboxConfig, load_config
from axiom.errors import ConfigError, DataError
from axiom.experiment import DEFAULT_ROOT, Experiment, iteration_folder
from axiom.records import Case, Evaluation, Problem
from axiom.sampling.prompts import call, question
from axiom.store import Folder, write_parquet

if TYPE_CHECKING:
    from axiom.evaluation.difficulty import Trend
    from axiom.problems.cases.audit import Rates, Run
    from axiom.problems.family import Family as Kind
    from axiom.problems.measured import Measured

Family = Annotated[list[str] | None, typer.Option("--family", help="A family, or `all`; may be given several times.")]


@problems_app.callback(invoke_without_command=True)
def problems(
    context: typer.Context,
    family: Family = None,
    difficulty: Annotated[
        str | None, typer.Option(help="LOW:HIGH or one number, within 1 to 10; by default all that the family offers.")
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="Number of problems, shared evenly by the families.")] = 3,
    seed: Annotated[int, typer.Option(help="Root seed of the random streams.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Write to this .parquet or .jsonl file.")] = None,
    show: Annotated[bool, typer.Option("--show", help="Print prompts, hidden cases and reference solutions.")] = False,
    listing: Annotated[bool, typer.Option("--list", help="List the families.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --list, print the families as JSON.")] = False,
) -> None:
    """Print or write problems.

    Example: axiom problems --family list_sort --difficulty 3:7 --count 5 --seed 1 --show
    """
    if context.invoked_subcommand is not None:
        return
    if listing:
        _list_families(as_json)
        return
    if as_json:
        raise ConfigError("--json goes with --list; --out FILE.jsonl writes problems as JSON")
    names = _named(family)
    bounds = None if difficulty is None else _bounds(difficulty)
    if out is not None:
        _write(out, names, bounds, count, seed)
    if show or out is None:
        _print(names, bounds, count, seed, show)


def _named(family: list[str] | None) -> list[str]:
    from axiom.problems import GENERATORS, family_named

    if not family:
        raise ConfigError("no family named; give --family NAME (--list names them) or --family all")
    return list(GENERATORS) if family == ["all"] else [family_named(name).name for name in family]


def _bounds(text: str) -> tuple[int, int]:
    low, _, high = text.partition(":")
    if not (low.isdecimal() and (high or low).isdecimal() and 1 <= int(low) <= int(high or low) <= 10):
        raise ConfigError(f"--difficulty {text!r} is not LOW:HIGH within 1:10; write 3:7 or 5")
    return int(low), int(high or low)


def _write(out: Path, names: list[str], bounds: tuple[int, int] | None, count: int, seed: int) -> None:
    from axiom.problems.splits.bulk import write

    check_file("--out", out, (".parquet", ".jsonl"))
    console.print(f"{write(out, names, bounds, count, seed)} problems written to {out}", markup=False)


def _print(names: list[str], bounds: tuple[int, int] | None, count: int, seed: int, show: bool) -> None:
    from axiom.problems import generate

    for place, name in enumerate(names):
        share = count // len(names) + (place < count % len(names))
        for problem in generate(name, bounds, share, seed):
            _print_one(problem, show)


def _print_one(problem: Problem, show: bool) -> None:
    from rich.syntax import Syntax

    console.rule(f"{problem.family} · difficulty {problem.difficulty} · {problem.problem_id}", align="left")
    console.print(question(problem), highlight=False, markup=False)
    if show:
        console.print("\n[bold]Hidden cases[/]")
        for case in problem.cases:
            console.print(f"{call(problem.entry_point, case.args)} -> {case.expected}", highlight=False, markup=False)
        console.print("\n[bold]Reference solution[/]")
        console.print(Syntax(problem.reference_solution, "python", background_color="default"))


def _list_families(as_json: bool) -> None:
    from rich.markup import escape
    from rich.padding import Padding
    from rich.text import Text

    from axiom.problems import GENERATORS, generate
    from axiom.problems.measured import MEASURED

    if as_json:
        tables.as_json([_described(name, family, MEASURED.get(name)) for name, family in GENERATORS.items()])
        return
    for name, family in GENERATORS.items():
        low, high = family.difficulties
        example = next(generate(name, None, 1, 0)).description
        console.print(f"[bold]{name}[/]: {escape(family.title)}", highlight=False)
        facts = f"{_counted(family, MEASURED.get(name))}, difficulty {low} to {high}"
        for line, style in ((facts, ""), (family.signature, "cyan"), (example, "dim")):
            console.print(Padding(Text(line, style), (0, 0, 0, 2)))


def _described(name: str, family: "Kind", known: "Measured | None") -> dict[str, Any]:
    low, high = family.difficulties
    facts = {"name": name, "title": family.title, "signature": family.signature, "difficulty": [low, high]}
    return facts | {"combinations": family.variants, "distinct": known.distinct if known else None}


def _counted(family: "Kind", known: "Measured | None") -> str:
    """How many variants a family has, as far as they were counted."""
    if known is None:
        return f"{family.variants:,} combinations, not yet counted by behaviour"
    some = "" if known.tried == known.combinations else f" among the first {known.tried:,}"
    return f"{known.distinct:,} behaviourally distinct variants{some} of {known.combinations:,} combinations"


@problems_app.command()
def splits(
    out: Annotated[Path, typer.Option(help="Folder to write to; it must be new or empty.")],
    preset: Annotated[str | None, typer.Argument(help=PRESET)] = None,
    overrides: Overrides = None,
    seed: Annotated[int | None, typer.Option(help="Root seed of every random stream.")] = None,
) -> None:
    """Write the splits of a preset, the proof that they are held out and their audit, without running anything.

    Example: axiom problems splits quickstart --out splits --set problems.train_size=700
    """
    from axiom.learners import make_problems
    from axiom.problems import prove_disjoint
    from axiom.problems.cases.audit import audit_rates, below_usual
    from axiom.problems.splits.proof import summary

    config = load_config(preset, overrides or (), seed=seed)
    with filled("--out", out):
        made = make_problems(config)
        proof, rates, folder = prove_disjoint(made), audit_rates(made), Folder(str(out))
        for split, rows in made.items():
            write_parquet(folder, split, rows, Problem)
        for name, content in (("proof", proof), ("audit", rates)):
            folder.write_bytes(f"{name}.json", f"{json.dumps(content, indent=1)}\n".encode())
    for split, rows in made.items():
        console.print(f"{split}: {len(rows)} problems", highlight=False)
    for sentence in (summary(proof), *below_usual(rates)):
        say(sentence)


@problems_app.command()
def audit(
    family: Family = None,
    count: Annotated[int, typer.Option(min=1, help="Problems of each family.")] = 3,
    seed: Annotated[int, typer.Option(help="Root seed of the random streams.")] = 0,
    sandbox: Annotated[
        bool, typer.Option(help="Run them in the sandbox, as samples are; else in this process.")
    ] = True,
    show: Annotated[
        bool, typer.Option("--show", help="Print every wrong program that passed and every valid form that failed.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run planted wrong programs and valid forms; count how many the hidden cases reject.

    Example: axiom problems audit --family list_sort --family rpn
    """
    from axiom.problems.cases.audit import audit as plant

    rates = []
    with _judge(sandbox) as judge:
        for name in _named(family or ["all"]):
            rates.append(plant(name, count, seed, judge))
    if as_json:
        tables.as_json(rates)
        return
    _print_rates(rates)
    for rate in rates if show else ():
        for text in (*rate.survivors, *rate.refused):
            console.print(f"{rate.family}: {text}", highlight=False, markup=False)


@problems_app.command()
def difficulty(
    name: Name,
    iteration: Annotated[
        int | None, typer.Option(help="Iteration to read; by default the last that was evaluated.")
    ] = None,
    as_json: AsJson = False,
    root: Root = DEFAULT_ROOT,
) -> None:
    """Hold the difficulty of problems against a model's solve rates, and name families where the rate rises with it.

    Example: axiom problems difficulty quickstart --iteration 0
    """
    from axiom.evaluation.difficulty import trends

    at, rows = _measured(Experiment.open(root, name), iteration)
    found = trends(row for row in rows if row.split in ("train", "val", "test"))
    if as_json:
        tables.as_json(found)
        return
    _print_trends(found, f"{name}, iteration {at}")
    rising = [trend for trend in found if trend.says == "rises"]
    for trend in rising:
        console.print(
            f"{trend.family}: problems called harder are solved more often (Spearman {trend.rho:.2f}, "
            f"adjusted p {trend.p:.2g})",
            highlight=False,
            soft_wrap=True,
        )
    if not rising:
        console.print("no family's solve rate rises with difficulty", highlight=False)


def _measured(experiment: Experiment, iteration: int | None) -> tuple[int, list[Evaluation]]:
    """The evaluations of an iteration, or of the last that has some."""
    there = experiment.iterations("evaluation")
    if not there or (iteration is not None and iteration not in there):
        name, known = experiment.config.name, ", ".join(map(str, there)) or "none"
        again = suggest("resume", name, root=experiment.root)
        raise DataError(
            f"experiment {name!r} has no evaluation of iteration {iteration}; evaluated are {known}"
            if iteration is not None
            else f"experiment {name!r} has no evaluation yet; `{again}` continues it"
        )
    at = max(there) if iteration is None else iteration
    return at, experiment.stages.read(iteration_folder(at), "evaluation", Evaluation)


def _print_trends(found: "Sequence[Trend]", title: str) -> None:
    levels = sorted({level for trend in found for level in trend.cells})
    rows = []
    for trend in found:
        cells = (trend.cells.get(level) for level in levels)
        shown = [f"{c.rate:.2f} [{c.low:.2f}, {c.high:.2f}] of {c.n}" if c else "-" for c in cells]
        rho = "-" if trend.rho is None else f"{trend.rho:.2f}"
        rows.append([trend.family, *shown, rho, f"{trend.p:.2g}", trend.says])
    header = ["family", *map(str, levels), "Spearman", "p", "rate"]
    tables.show(console, f"Solve rate by difficulty: {title}", header, rows)


@contextmanager
def _judge(sandbox: bool) -> Iterator["Run | None"]:
    """What says whether a program passes: the verifier, or None for this process."""
    if not sandbox:
        yield None
        return
    from axiom.verification import Candidate, Verifier

    with Verifier(SandboxConfig(workers=1, cpu_seconds=1.0)) as verifier:

        def judge(code: str, entry_point: str, cases: Sequence[Case]) -> bool:
            verdicts = verifier.verify([Candidate("planted", code, entry_point, tuple(cases))])
            return all(verdict.outcome == "passed" for verdict in verdicts)

        yield judge


def _print_rates(rates: "Sequence[Rates]") -> None:
    header, rows = tables.columns(
        rates,
        {
            "family": "{0.family}",
            "n": "{0.problems}",
            "constant": "{0.constants}",
            "table": "{0.tables}",
            "mutant": "{0.mutants}",
            "rejected": "{0.rejection:.2%}",
            "valid": "{0.valid_forms}",
            "accepted": "{0.acceptance:.1%}",
        },
    )
    planted = sum(rate.planted for rate in rates)
    rejected = sum(rate.rejected for rate in rates) / max(1, planted)
    forms = sum(rate.valid_forms for rate in rates)
    accepted = sum(rate.accepted for rate in rates) / max(1, forms)
    number = str(sum(rate.problems for rate in rates))
    rows.append(["all", number, "", "", str(planted), f"{rejected:.2%}", str(forms), f"{accepted:.1%}"])
    tables.show(console, "", header, rows)
