"""`axiom verify` and `axiom bench sandbox`: judge programs from a file, and measure how fast that goes."""

from pathlib import Path
from typing import Annotated

import typer

from axiom.cli.app import app, bench_app, console


@app.command()
def verify(
    file: Annotated[Path, typer.Argument(help="Candidates, one a row: JSONL or Parquet.")],
    out: Annotated[Path, typer.Option(help="Verdicts, one a row: .jsonl or .parquet.")],
    workers: Annotated[int, typer.Option(help="Sandbox templates side by side; 0 is one for each core.")] = 0,
    timeout_s: Annotated[float, typer.Option(help="CPU seconds of a candidate that names none.")] = 2.0,
    memory_mb: Annotated[int, typer.Option(help="Address space of a candidate that names none, in MiB.")] = 512,
    without: Annotated[list[str] | None, typer.Option(help="An isolation layer to go without, by name.")] = None,
) -> None:
    """Run candidates in the sandbox and write a verdict for each row.

    Columns in: candidate_id, code (or completion), entry_point, cases: a list of {"args": [...], "expected": ...};
    optionally timeout_s, memory_mb. Example: axiom verify candidates.jsonl --out verdicts.jsonl
    """
    from collections import Counter

    from axiom.candidates import check_candidates, check_output, read_candidates, write_verdicts
    from axiom.config import build_config
    from axiom.verification import Verifier

    check_output(out)
    place = check_candidates(file)
    limits = {"workers": workers, "cpu_seconds": timeout_s, "memory_mb": memory_mb, "without": without or []}
    outcomes: Counter[str] = Counter()
    with Verifier(build_config({"sandbox": limits}).sandbox) as verifier:
        verdicts = sorted(verifier.verify(read_candidates(file)), key=lambda verdict: place[verdict.candidate_id])
        outcomes.update(verdict.outcome.value for verdict in verdicts)
        write_verdicts(out, verdicts)
        console.print(f"{len(verdicts)} verdicts in {out}, isolation {verifier.tier}", highlight=False, markup=False)
    for outcome, count in outcomes.most_common():
        console.print(f"  {outcome:<18}{count:>8}", highlight=False)


@bench_app.command()
def sandbox(
    count: Annotated[int, typer.Option(help="Candidates of each measurement of the sandbox.")] = 1500,
    repeats: Annotated[int, typer.Option(help="Rounds; the table shows their medians.")] = 3,
    soak: Annotated[
        int, typer.Option(help="Instead: run so many candidates, a third hostile, and look for leaks.")
    ] = 0,
    stream: Annotated[int, typer.Option(help="Instead: stream so many candidates and print the peak memory.")] = 0,
) -> None:
    """Candidates per second, side by side with what a user would use instead. Eight cases each.

    Example: axiom bench sandbox --soak 20000
    """
    from axiom.bench import sandbox as bench

    if soak or stream:
        console.print(bench.soak(soak) if soak else bench.stream(stream))
        return
    for table in bench.compare(count, repeats):
        console.print(table)
