"""What an iteration of many samples costs behind sampling: seconds and memory of each stage, by the number of samples.

Each stage runs in a process of its own on the same files, as a run calls it, and once more with every table read whole.
`python -m axiom.bench.store FOLDER STAGE WAY` is one of these processes.
"""

import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from axiom import store
from axiom.config import ExperimentConfig
from axiom.errors import InfrastructureError
from axiom.experiment import Experiment
from axiom.experiment.running import Runtime
from axiom.problems import generate
from axiom.records import Event, Metric, Outcome, Problem, Purpose, Sample, Verdict
from axiom.store import MANIFEST, Handle, Writer, write_parquet, write_table

Way = Literal["parts", "whole"]
WAYS: tuple[Way, ...] = ("parts", "whole")
NAME, FOLDER = "bench", "iterations/0001"
DRAWS = 100
"""Samples of each problem, unless others are asked for."""
PROGRAMS = 40
"""Different programs among them, if they are as many."""
FAMILIES = ("list_filter", "arithmetic", "string_transform", "rpn")
STAGES = ("start", "remember", "select", "passed over", "evaluate", "measure", "report", "inspect")
"""`start` only opens the experiment: what every process takes."""
MADE = {
    "remember": "history",
    "select": "gold",
    "passed over": "passed_over",
    "evaluate": "evaluation",
    "measure": "metrics",
}
"""What the store calls the results of those that have some."""
WRONG = "outcome = 'wrong_answer' AND difficulty > 2"


@dataclass(frozen=True)
class Cost:
    """`cpu_seconds` and `peak_mib` of a process with a stage of `samples`; `seconds` by the clock."""

    samples: int
    stage: str
    way: Way
    seconds: float
    cpu_seconds: float
    peak_mib: float


def measure(
    sizes: Iterable[int],
    folder: Path | None = None,
    ways: Sequence[Way] = WAYS,
    stages: Sequence[str] = STAGES,
    draws: int = DRAWS,
) -> Iterator[Cost]:
    """The cost of each of the stages at each size, in these ways. What is written goes to a temporary folder."""
    for samples in sizes:
        with tempfile.TemporaryDirectory(prefix="axiom-bench-", dir=folder) as place:
            make(Path(place), samples, draws)
            for stage in stages:
                for way in ways:
                    yield _cost(place, samples, stage, way)


def make(folder: Path, samples: int, draws: int = DRAWS) -> Experiment:
    """An experiment with an iteration of so many samples, as many of its evaluation, and their verdicts.

    Each problem has `draws` of them.
    """
    experiment = Experiment(str(folder), ExperimentConfig(name=NAME))
    experiment.save()
    problems = _problems(max(1, samples // draws))

    def write(stage: str, folder: str, work: Any) -> None:
        experiment.stages.run(stage, folder, settings=None, version="1", inputs={}, work=work)

    write("problems", "problems", lambda out: out.table("train", problems, Problem))
    for prefix, purpose in (("", "train"), ("eval_", "eval")):

        def drawn(out: Writer, prefix: str = prefix, purpose: Any = purpose) -> None:
            out.table(f"{prefix}samples", _samples(problems, purpose, draws), Sample)
            out.info.update(tokens=1)

        def judged(out: Writer, prefix: str = prefix, purpose: Any = purpose) -> None:
            out.table(f"{prefix}verdicts", map(_verdict, _samples(problems, purpose, draws)), Verdict)

        write(f"{prefix}samples", FOLDER, drawn)
        write(f"{prefix}verdicts", FOLDER, judged)
    write("adapter", FOLDER, lambda out: out.info.update(step=1, tokens=1, examples=1, dropped=0, loss=1.0))
    return experiment


def _problems(count: int) -> list[Problem]:
    made = [problem for family in FAMILIES for problem in generate(family, (1, 6), 8, seed=0)]
    return [made[n % len(made)].model_copy(update={"problem_id": f"{n:07d}", "split": "train"}) for n in range(count)]


def _samples(problems: Iterable[Problem], purpose: Purpose, draws: int) -> Iterator[Sample]:
    for problem in problems:
        for index in range(draws):
            code = f"{problem.reference_solution}\nattempt = {index % PROGRAMS}\n"
            yield Sample(
                sample_id=f"{purpose}:1:{problem.problem_id}:{index}",
                problem_id=problem.problem_id,
                iteration=1,
                purpose=purpose,
                index=index,
                completion=f"Here is the function that was asked for.\n\n```python\n{code}```",
                code=code,
                token_count=len(code) // 3,
                logprob=-0.5 * index,
                finish_reason="stop",
                seed=index,
                temperature=0.0 if index == 0 else 0.8,
                policy_version="base",
            )


def _verdict(sample: Sample) -> Verdict:
    right = sample.index % 5 < 2
    return Verdict(
        sample_id=sample.sample_id,
        outcome=Outcome.PASSED if right else Outcome.WRONG_ANSWER,
        cases_passed=8 if right else 3,
        cases_total=8,
        cpu_ms=1.0,
        wall_ms=1.5,
        detail="" if right else "case 3: returned 17",
        audit_passed=True if right else None,
    )


def _cost(folder: str, samples: int, stage: str, way: Way) -> Cost:
    began = time.perf_counter()
    command = [sys.executable, "-m", "axiom.bench.store", folder, stage, way]
    done = subprocess.run(command, stdout=subprocess.PIPE, encoding="utf-8", check=False)
    if done.returncode:
        raise InfrastructureError(f"stage {stage!r} with {samples} samples ended with {done.returncode}")
    used = json.loads(done.stdout.splitlines()[-1])
    return Cost(samples, stage, way, time.perf_counter() - began, **used)


def _used() -> dict[str, float]:
    """CPU seconds and the most memory of this process, for the one that started it."""
    used, status = os.times(), Path("/proc/self/status").read_text(encoding="ascii")
    peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))
    return {"cpu_seconds": used.user + used.system, "peak_mib": peak / 1024}


def run_stage(folder: str, stage: str, way: Way) -> None:
    """One stage of the experiment in `folder`, by its task; those before it have left their files."""
    if way == "whole":
        store.KEPT_ROWS = sys.maxsize
    experiment = Experiment.open(folder, NAME)
    if stage in MADE:  # else it would be reused
        experiment.folder.join(FOLDER).remove(f"{MADE[stage]}{MANIFEST}")
    run, found = Runtime(experiment), dict[str, Handle]()
    for name in ("samples", "verdicts", "history", "gold", "adapter", "eval_samples", "eval_verdicts", "evaluation"):
        done = _handle(experiment, name, FOLDER)
        found |= {name: done} if done else {}
    problems = _handle(experiment, "problems", "problems")
    act = {
        "start": lambda: None,
        "remember": lambda: _task("remember", "remember")(
            run, problems, found["samples"], found["verdicts"], None, None, iteration=1
        ),
        "select": lambda: _task("select", "select_gold")(
            run, found["samples"], found["verdicts"], found["history"], _old(), None, None, iteration=1
        ),
        "passed over": lambda: _task("select", "note_passed_over")(
            run, found["samples"], found["verdicts"], found["history"], found["gold"], iteration=1
        ),
        "evaluate": lambda: _task("evaluate", "evaluate_policy")(
            run, problems, found["eval_samples"], found["eval_verdicts"], iteration=1
        ),
        "measure": lambda: _measure(run, found),
        "report": lambda: importlib.import_module("axiom.report.page").write(experiment),
        "inspect": lambda: _inspect(experiment, way),
    }
    act[stage]()


def _measure(run: Runtime, found: dict[str, Handle]) -> None:
    experiment = run.experiment
    _task("measure", "measure")(run, found, None, iteration=1)
    write_table(experiment.folder, "metrics", experiment.stages.arrow(FOLDER, "metrics", Metric))
    write_parquet(experiment.folder, "events", [], Event)


def _inspect(experiment: Experiment, way: Way) -> None:
    if way == "whole":
        from axiom.experiment.judged import VERDICTS

        rows = experiment.frame("samples", 1).join(experiment.frame(VERDICTS["samples"], 1), on="sample_id", how="left")
        print(rows.sql("SELECT * FROM self WHERE outcome = 'wrong_answer'").head(10))
        return
    look = importlib.import_module("axiom.cli.inspect").inspect
    look(NAME, iteration=1, stage="samples", where=WRONG, limit=10, as_json=False, root=experiment.root)


def _handle(experiment: Experiment, stage: str, folder: str) -> Handle | None:
    """A finished stage, None for one that is not."""
    manifest = experiment.stages.manifest(stage, folder)
    return experiment.stages.done(stage, folder, manifest.key, need_files=True) if manifest else None


def _old() -> Any:
    return importlib.import_module("axiom.tasks.replay").Old()


def _task(module: str, name: str) -> Any:
    """A task by its name, as it is called outside a flow: the library itself stays free of the workflow."""
    return getattr(importlib.import_module(f"axiom.tasks.{module}"), name).fn


if __name__ == "__main__":
    run_stage(*sys.argv[1:])  # type: ignore[arg-type]
    print(json.dumps(_used()))
