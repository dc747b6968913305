"""What the browser shows of a run: a compact index of every sample, and the text of one, read when it is asked for.

The index has a chunk for each table of samples of each iteration, in columns of bytes, so that half a million samples
open at once. Nothing here writes.
"""

import base64
import threading
from collections.abc import Iterator
from contextlib import suppress
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import polars as pl

from axiom.errors import DataError
from axiom.experiment import Experiment, iteration_folder
from axiom.experiment.judged import failing
from axiom.experiment.tables import some_columns
from axiom.folders import Folder
from axiom.records import Outcome, Problem
from axiom.report.render import as_json
from axiom.sampling.prompts import call, plain_prompt, question
from axiom.visible import visible

PURPOSES = {"train": "", "eval": "eval_"}
"""Purposes of samples, and what the names of their tables begin with."""
OUTCOMES = tuple(outcome.value for outcome in Outcome)
NOT_ASKED, HELD, FAILED = range(3)
"""What the audit said of a sample."""
MOST_CHARACTERS = 200_000
"""Of one text that is shown: a browser stands still over more."""
KEPT = 8
"""Tables of samples that are kept in memory."""


class Run:
    """One experiment as the browser reads it; it may still be running."""

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment
        self._lock = threading.Lock()
        self._chunks: dict[tuple[int, str], dict[str, Any]] = {}
        self._read = lru_cache(maxsize=KEPT)(self._table)

    @cached_property
    def problems(self) -> list[Problem]:
        """Every problem that can be read, in the order of the index."""
        return self._problems[0]

    @cached_property
    def _problems(self) -> tuple[list[Problem], list[str]]:
        """The problems, and why those of a split cannot be read."""
        found, faults = list[Problem](), list[str]()
        for split in self.experiment.splits:
            try:
                found += self.experiment.stages.read("problems", split, Problem)
            except DataError as error:
                faults.append(f"{split} is left out: {error}")
        return found, faults

    @cached_property
    def _place(self) -> dict[str, int]:
        return {problem.problem_id: number for number, problem in enumerate(self.problems)}

    def head(self) -> dict[str, Any]:
        """The run and its problems, without any sample."""
        rows = [[p.problem_id, p.title, p.family, p.difficulty, p.split] for p in self.problems]
        config = self.experiment.config
        return {
            "name": config.name,
            "problems": rows,
            "faults": self._problems[1],
            "outcomes": OUTCOMES,
            "iterations": config.iterations,
            "running": self.experiment.is_locked(),
        }

    def parts(self) -> list[tuple[int, str]]:
        """The tables of samples that have their verdicts, by iteration."""
        there = []
        for number in self.experiment.iterations():
            names = set(self.experiment.folder.join(iteration_folder(number)).names())
            for purpose, prefix in PURPOSES.items():
                if {f"{prefix}samples.parquet", f"{prefix}verdicts.parquet"} <= names:
                    there.append((number, purpose))
        return there

    def index(self) -> list[dict[str, Any]]:
        """A chunk for each table: of each sample its problem, its number, its outcome and what the audit said.

        A table that was computed again since has a new `mark`; one that cannot be read has no samples, but its `fault`.
        """
        with self._lock:
            return [self._chunk(number, purpose) for number, purpose in self.parts()]

    def marks(self) -> list[str]:
        """The mark of each chunk, by which a page notices what is new."""
        return [self._mark(number, purpose) for number, purpose in self.parts()]

    def _chunk(self, iteration: int, purpose: str) -> dict[str, Any]:
        mark = self._mark(iteration, purpose)
        known = self._chunks.get((iteration, purpose))
        if known is None or known["mark"] != mark:
            known = {"iteration": iteration, "purpose": purpose, "mark": mark}
            try:
                known |= self._columns(iteration, purpose)
            except DataError as error:
                return known | {"rows": 0, "problem": "", "index": "", "outcome": "", "audit": "", "fault": str(error)}
            self._chunks[iteration, purpose] = known
        return known

    def _mark(self, iteration: int, purpose: str) -> str:
        """Changes with the content of the table; the iteration alone where no manifest stands beside it."""
        prefix, folder = PURPOSES[purpose], iteration_folder(iteration)
        found = [self.experiment.stages.manifest(f"{prefix}{stage}", folder) for stage in ("samples", "verdicts")]
        return "-".join([str(iteration), purpose, *(manifest.digest[:12] for manifest in found if manifest)])

    def _columns(self, iteration: int, purpose: str) -> dict[str, Any]:
        wanted = ["sample_id", "outcome", "audit_passed"]
        rows = self._judged(iteration, purpose, ["sample_id", "problem_id", "index"], wanted)
        place = rows["problem_id"].replace_strict(self._place, return_dtype=pl.Int32)
        outcome = rows["outcome"].replace_strict({name: at for at, name in enumerate(OUTCOMES)}, return_dtype=pl.UInt8)
        audit = rows.select(
            pl.when(pl.col("audit_passed").is_null()).then(NOT_ASKED).when("audit_passed").then(HELD).otherwise(FAILED)
        ).to_series()
        columns = {"problem": place, "index": rows["index"], "outcome": outcome, "audit": audit}
        kinds = {"problem": np.int32, "index": np.int32, "outcome": np.uint8, "audit": np.uint8}
        coded = {name: _coded(column.to_numpy().astype(kinds[name])) for name, column in columns.items()}
        return {"rows": rows.height, **coded}

    def sample(self, iteration: int, purpose: str, row: int) -> dict[str, Any] | None:
        """Everything of one sample; None where there is none."""
        if (iteration, purpose) not in self.parts():
            return None
        rows = self._read(iteration, purpose, self._mark(iteration, purpose))
        return self._shown(rows.row(row, named=True)) if 0 <= row < rows.height else None

    def texts(self, iteration: int, purpose: str) -> Iterator[dict[str, Any]]:
        """Every sample of a table, as `sample` has it; none of a table that cannot be read."""
        with suppress(DataError):
            for row in self._table(iteration, purpose, "").iter_rows(named=True):
                yield self._shown(row)

    def problem(self, number: int) -> dict[str, Any]:
        """A problem as the model was asked it, with its first cases."""
        problem = self.problems[number]
        ask = plain_prompt if self.experiment.config.prompts.template == "plain" else question
        return {
            "prompt": visible(ask(problem)),
            "reference": visible(problem.reference_solution),
            "signature": problem.signature,
            "variant": problem.variant,
        }

    def search(self, text: str) -> list[list[int]]:
        """For each chunk of the index, the rows whose completion or program holds `text`, whatever its case."""
        texts, found = ["completion", "code"], list[list[int]]()
        hit = pl.any_horizontal(
            pl.col(name).str.to_lowercase().str.contains(text.lower(), literal=True) for name in texts
        )
        for number, purpose in self.parts():
            found.append(list[int]())
            with suppress(DataError):
                table = self._judged(number, purpose, ["sample_id", "problem_id", *texts], ["sample_id"])
                found[-1] = table.select(hit.arg_true()).to_series().to_list()
        return found

    def _folder(self, iteration: int) -> Folder:
        return self.experiment.folder.join(iteration_folder(iteration))

    def _table(self, iteration: int, purpose: str, _mark: str) -> pl.DataFrame:
        return self._judged(iteration, purpose)

    def _judged(
        self, iteration: int, purpose: str, samples: list[str] | None = None, verdicts: list[str] | None = None
    ) -> pl.DataFrame:
        """Columns of the samples that have a verdict and whose problem is there; the rows of the index are these."""
        prefix, folder = PURPOSES[purpose], self._folder(iteration)
        found = some_columns(folder, f"{prefix}samples", samples).join(
            some_columns(folder, f"{prefix}verdicts", verdicts), on="sample_id", how="inner", maintain_order="left"
        )
        return found.filter(pl.col("problem_id").is_in(list(self._place)))

    def _shown(self, row: dict[str, Any]) -> dict[str, Any]:
        problem = self.problems[self._place[row["problem_id"]]]
        detail = row["detail"] or ""
        return {
            "completion": _cut(visible(row["completion"])),
            "code": _cut(visible(row["code"])),
            "detail": visible(detail),
            "cases": [row["cases_passed"], row["cases_total"]],
            "case": _first_failing(problem, detail) if row["outcome"] != Outcome.PASSED else None,
            "tokens": row["token_count"],
            "logprob": row["logprob"],
            "finish": row["finish_reason"],
            "temperature": row["temperature"],
            "cpu": row["cpu_ms"],
        }


def _first_failing(problem: Problem, detail: str) -> dict[str, str | None] | None:
    """The case that a verdict's detail names, as a call, None where an answer is asked, and the value it must give."""
    case = failing(problem, detail)
    if case is None:
        return None
    asked = visible(_cut(call(problem.entry_point, case.args))) if problem.kind == "program" else None
    return {"call": asked, "expected": visible(_cut(case.expected))}


def _cut(text: str) -> str:
    rest = len(text) - MOST_CHARACTERS
    return text if rest <= 0 else f"{text[:MOST_CHARACTERS]}\n... {rest:,} more characters"


def _coded(values: np.ndarray) -> str:
    return base64.b64encode(values.tobytes()).decode()


def as_script(key: str, value: Any) -> str:
    """A script that hands `value` to the browser: a page that is a file may load scripts, but not data."""
    return f"axiomData({as_json(key)},{as_json(value, separators=(',', ':'))})\n"
