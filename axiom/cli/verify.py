"""`axiom verify` and `axiom bench sandbox`: judge programs from a file, and measure how fast that goes."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from axiom.cli import tables
from axiom.cli.app import app, bench_app, console
from axiom.cli.outputs import check_file
from axiom.cli.tables import AsJson
from axiom.config import SandboxConfig, build_config
from axiom.records import Comparison

if TYPE_CHECKING:
    from axiom.verification import CandidateVerdict, Verifier

_LIMITS = SandboxConfig()
_INTERRUPTED = 130


@app.command()
def verify(
    file: Annotated[Path, typer.Argument(help="Candidates, one per row: .jsonl, .parquet or .csv.")],
    out: Annotated[Path, typer.Option(help="Verdicts, one per row: .jsonl or .parquet.")],
    comparison: Annotated[
        Comparison, typer.Option(help="`exact`, or `close`: floats within 1e-6, relative or absolute.")
    ] = "exact",
    workers: Annotated[int, typer.Option(help="Sandbox processes in parallel; 0 is one for each core.")] = 0,
    timeout_s: Annotated[
        float, typer.Option(help="CPU seconds for a candidate that sets no timeout_s.")
    ] = _LIMITS.cpu_seconds,
    memory_mb: Annotated[
        int, typer.Option(help="Address space for a candidate that sets no memory_mb, in MiB.")
    ] = _LIMITS.memory_mb,
    without: Annotated[
        list[str] | None, typer.Option(help="Isolation layer to do without, by name; `axiom doctor` lists them.")
    ] = None,
) -> None:
    """Run candidates in the sandbox and write a verdict for each row.

    Columns in: candidate_id, code (or completion), entry_point, cases: a list of {"args": [...], "expected": ...};
    optionally timeout_s, memory_mb. `cases` may be JSON text, and in CSV it must be.

    Values are compared by type and value, all the way down: 1, 1.0 and True differ, nan equals nan, 0.0 differs from
    -0.0, and dictionaries are equal in any order. With --comparison close, floats and the parts of complex numbers,
    also inside lists, tuples and dictionary values, may differ by 1e-6 of the larger or by 1e-6; types still count.

    What JSON lacks is tagged: {"$": "tuple", "v": [1, 2]}, likewise set, frozenset, bytes (hex), dict (pairs), complex.
    NaN and integers of any size are read as they are. In Parquet, a null field of a struct is a key that is not there.

    Example: axiom verify candidates.jsonl --out verdicts.jsonl
    """
    from axiom.verification import Verifier
    from axiom.verification.files import FORMATS, check_candidates, check_names

    check_file("--out", out, FORMATS, [file])
    place = check_candidates(file)
    check_names(out, place)
    limits = {"workers": workers, "cpu_seconds": timeout_s, "memory_mb": memory_mb, "without": without or []}
    with Verifier(build_config({"sandbox": limits}).sandbox) as verifier:
        left = _verify(verifier, file, out, comparison, place)
    if left:
        raise typer.Exit(left)


def _verify(verifier: "Verifier", file: Path, out: Path, comparison: Comparison, place: dict[str, int]) -> int:
    """Judge and write; 0, or the exit code of a run that was interrupted and has written what it had."""
    from axiom.verification import Candidate
    from axiom.verification.files import read_candidates, write_verdicts
    from axiom.verification.rows import note

    verdicts: list[CandidateVerdict] = []
    notes: dict[str, str] = {}

    def noted() -> Iterator[Candidate]:
        for candidate in read_candidates(file, comparison):
            if said := note(candidate):
                notes[candidate.candidate_id] = said
            yield candidate

    finished, left = False, 0
    try:
        for verdict in verifier.verify(noted()):
            verdicts.append(verdict)
        finished = True
    except KeyboardInterrupt:
        left = _INTERRUPTED
    finally:  # what is done is kept, however the run ends
        verdicts.sort(key=lambda verdict: place[verdict.candidate_id])
        write_verdicts(out, verdicts, notes)
        count = f"{len(verdicts)} verdicts" if finished else f"interrupted: {len(verdicts)} of {len(place)} verdicts"
        _print_outcomes(verdicts, f"{count} in {out}, isolation {verifier.tier}")
    return left


def _print_outcomes(verdicts: "list[CandidateVerdict]", title: str) -> None:
    from collections import Counter

    console.print(title, highlight=False, markup=False)
    for outcome, number in Counter(verdict.outcome.value for verdict in verdicts).most_common():
        console.print(f"  {outcome:<18}{number:>8}", highlight=False)


@bench_app.command()
def sandbox(
    count: Annotated[int, typer.Option(min=1, help="Candidates in each measurement of the sandbox.")] = 1500,
    repeats: Annotated[int, typer.Option(min=1, help="Rounds; the table shows their medians.")] = 3,
    soak: Annotated[
        int, typer.Option(min=0, help="Instead: run this many candidates, a third of them hostile, and look for leaks.")
    ] = 0,
    stream: Annotated[
        int, typer.Option(min=0, help="Instead: stream this many candidates and print the peak memory.")
    ] = 0,
    as_json: AsJson = False,
) -> None:
    """Measure candidates per second, beside the usual alternatives. Eight cases each.

    Example: axiom bench sandbox --soak 20000
    """
    from axiom.bench import sandbox as bench

    if soak or stream:
        found = [bench.soak(soak) if soak else bench.stream(stream)]
    else:
        found = list(bench.compare(count, repeats))
    if as_json:
        tables.as_json([table._asdict() for table in found])
        return
    for table in found:
        tables.show(console, *table)
